//! From a path to a checked configuration.

use std::path::Path;

use super::problems::Problems;
use super::source::Sources;
use super::surroundings::Surroundings;
use super::{Config, Diagnostics, include, lower, tree};

/// A configuration without errors, and what is still worth a look.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Diagnostics,
}

/// Reads the main file and what it includes, and checks everything that can be checked without a call.
///
/// On failure, every problem of every file is in the answer, warnings included.
pub fn load(main: &Path, surroundings: &Surroundings) -> Result<Loaded, Diagnostics> {
    let problems = Problems::default();
    let mut sources = Sources::begin(main, &problems);
    include::read_included(&mut sources, &problems);

    let sound: Vec<_> = sources
        .iter()
        .map(|(file, source)| (file, tree::sound(source)))
        .collect();
    let mut documents = Vec::new();
    for (file, text) in &sound {
        let (document, syntax) = tree::parse(text, *file);
        for problem in syntax {
            problems.push(problem);
        }
        documents.push(document);
    }
    let tables = documents.iter().map(|d| d.table(&problems)).collect();
    let config = lower::lower(tables, &sources, surroundings, &problems);

    let diagnostics = problems.into_diagnostics(&sources);
    match config {
        Some(config) if diagnostics.errors() == 0 => Ok(Loaded {
            config,
            warnings: diagnostics,
        }),
        Some(_) | None => Err(diagnostics),
    }
}
