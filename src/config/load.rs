//! From a path to a checked configuration.

use std::path::{Path, PathBuf};

use super::problems::{Place, Problem, Problems};
use super::source::FileId;
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
    let included = include::read_included(&mut sources, &problems);
    let (config, diagnostics) = lower_all(&sources, surroundings, problems);
    match config {
        Some(config) if diagnostics.errors() == 0 => Ok(Loaded {
            config: Config { included, ..config },
            warnings: diagnostics,
        }),
        Some(_) | None => Err(diagnostics),
    }
}

/// The problems of a text that is in no file yet.
pub fn judge(text: String, surroundings: &Surroundings) -> Diagnostics {
    lower_all(&Sources::of_text(text), surroundings, Problems::default()).1
}

fn lower_all(
    sources: &Sources,
    surroundings: &Surroundings,
    problems: Problems,
) -> (Option<Config>, Diagnostics) {
    let mut sound: Vec<_> = sources
        .iter()
        .map(|(file, source)| (file, tree::sound(source)))
        .collect();
    let mut documents = Vec::new();
    for (file, text) in &mut sound {
        let (document, syntax) = tree::parse(text, *file);
        for problem in syntax {
            problems.push(problem);
        }
        documents.push(document);
    }
    let tables = documents.iter().map(|d| d.table(&problems)).collect();
    let config = lower::lower(tables, sources, surroundings, &problems);
    (config, problems.into_diagnostics(sources))
}

/// Only where the main file says that the daemon is asked. Everything else may have mistakes, be broken off, or name what
/// whoever asks may not read; but no daemon is asked in place of the one that is meant, where that cannot be told.
pub fn find_socket(main: &Path, surroundings: &Surroundings) -> Result<PathBuf, Diagnostics> {
    let problems = Problems::default();
    let sources = Sources::begin(main, &problems);
    if problems.has_errors() {
        return Err(problems.into_diagnostics(&sources));
    }
    let source = sources.get(FileId::MAIN);
    let mut sound = tree::sound(source);
    let (document, syntax) = tree::parse(&mut sound, FileId::MAIN);
    let broken = !syntax.is_empty();
    for problem in syntax {
        problems.push(problem);
    }
    let mut root = document.table(&problems);
    let has_table = root.has("daemon");
    let table = root.table("daemon");
    // What is no table has been named.
    let mut lost = has_table && table.is_none();
    for key in ["control_socket", "state_dir"] {
        if lost || table.as_ref().is_some_and(|table| table.has(key)) {
            continue;
        }
        let at = if broken {
            written(&source.text, key)
        } else {
            root.near(key, &NAMED)
        };
        if let Some(at) = at {
            problems.push(outside(key, at));
            lost = true;
        }
        lost |= broken && says(&source.text, key);
    }
    let socket = lower::find_socket(table, &sources, surroundings, &problems);
    let socket = socket.filter(|_| !lost);
    socket.ok_or_else(|| problems.into_diagnostics(&sources))
}

/// Tables whose keys are names, of which one may be that of a key.
const NAMED: [&str; 3] = ["stores", "clusters", "secrets"];

/// Whether a line that is no comment has that in it.
fn says(text: &str, key: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| !line.starts_with('#') && line.contains(key))
}

/// Where a line of its own gives that key a value, in a text that is no TOML as a whole.
fn written(text: &str, key: &str) -> Option<usize> {
    let mut end = 0;
    text.split_inclusive('\n').find_map(|line| {
        end += line.len();
        let said = line.trim_start();
        let value = said.strip_prefix(key)?.trim_start();
        value.starts_with('=').then_some(end - said.len())
    })
}

fn outside(key: &str, at: usize) -> Problem {
    let place = Place::bare(FileId::MAIN, at, at);
    Problem::error(place, format!("`{key}` counts in the table [daemon] only"))
        .help("write it below a line `[daemon]`")
}
