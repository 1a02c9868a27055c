//! From a path to a checked configuration.

use std::path::Path;

use super::problems::Problems;
use super::source::FileId;
use super::source::Sources;
use super::surroundings::Surroundings;
use super::{Config, Daemon, Diagnostics, include, lower, tree};

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
    let included = include::read_included(&mut sources, &problems);

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
            config: Config { included, ..config },
            warnings: diagnostics,
        }),
        Some(_) | None => Err(diagnostics),
    }
}

/// Only what the main file says of the daemon: where it is found, for whoever asks it. The rest may have mistakes, and
/// who asks may not be allowed to read what it names.
pub fn load_daemon(main: &Path, surroundings: &Surroundings) -> Result<Daemon, Diagnostics> {
    let problems = Problems::default();
    let sources = Sources::begin(main, &problems);
    let sound = tree::sound(sources.get(FileId::MAIN));
    let (document, syntax) = tree::parse(&sound, FileId::MAIN);
    for problem in syntax {
        problems.push(problem);
    }
    let mut table = document.table(&problems);
    let daemon = lower::lower_daemon(table.table("daemon"), &sources, surroundings, &problems);
    let diagnostics = problems.into_diagnostics(&sources);
    daemon
        .filter(|_| diagnostics.errors() == 0)
        .ok_or(diagnostics)
}
