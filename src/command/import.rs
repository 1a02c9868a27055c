//! `import`: manifests in, a configuration out, and a report of every key.
//!
//! Nothing that is there already is overwritten, and where something cannot be written, no file is left behind.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{FAILED, print, show};
use crate::cli::{Import, ReportFormat};
use crate::import::{self, Options, Output};
use crate::secret::SecretBytes;

pub(super) fn run(wanted: Import) -> ExitCode {
    let literals = match place_of_literals(wanted.literals) {
        Ok(literals) => literals,
        Err(why) => return failed(&why),
    };
    let stores = wanted.stores.into_iter();
    let options = Options {
        region: wanted.region,
        namespace: wanted.namespace.map(|it| it.to_string()),
        cluster: wanted.cluster.map(|it| it.to_string()),
        stores: stores
            .map(|(theirs, ours)| (theirs, ours.to_string()))
            .collect(),
        literals: literals.clone(),
    };
    let (output, report) = import::run(&wanted.files, options);
    show(&match wanted.report {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => report.json(),
    });
    let count = report.count();
    let ended = if count.refused > 0 || (wanted.strict && count.warned > 0) {
        FAILED
    } else {
        0
    };
    if report.is_empty() {
        return failed("there is nothing in the input");
    }
    let made = match write(&output, literals.as_deref(), wanted.out_dir.as_deref()) {
        Err(why) => return failed(&why),
        Ok(made) => made,
    };
    if wanted.out_dir.is_some() {
        return ExitCode::from(ended);
    }
    let whole = output.whole();
    if whole.len() > LARGEST {
        show("warning: one file of a configuration may have 1 MiB: use `--out-dir`");
    }
    let printed = print(&whole, 0);
    if printed == ExitCode::SUCCESS {
        ExitCode::from(ended)
    } else {
        take_back(&made);
        printed
    }
}

/// What a file of a configuration may have.
const LARGEST: usize = 1 << 20;

/// A file that is not there yet.
struct New {
    path: PathBuf,
    mode: u32,
    content: SecretBytes,
}

/// All files, or none where one of them is there already or cannot be written. What was made is in the answer.
fn write(
    output: &Output,
    literals: Option<&str>,
    directory: Option<&Path>,
) -> Result<Vec<PathBuf>, String> {
    let files = directory.map(|directory| files(output, directory));
    let mut files = files.unwrap_or_default();
    let directory = directory.filter(|_| !files.is_empty());
    if let Some(new) = literals.and_then(|path| values(output, Path::new(path))) {
        let is_taken = |it: &New| std::path::absolute(&it.path).is_ok_and(|it| it == new.path);
        if files.iter().any(is_taken) {
            let path = new.path.display();
            return Err(format!(
                "{path} is a file of `--out-dir`: name another one with `--literals`"
            ));
        }
        files.push(new);
    }
    let mut paths = files.iter().map(|file| &file.path);
    if let Some(path) = paths.find(|path| path.symlink_metadata().is_ok()) {
        return Err(exists(path));
    }
    if let Some(directory) = directory {
        fs::create_dir_all(directory).map_err(|error| unwritten(directory, &error))?;
    }
    let mut made = Vec::new();
    for file in &files {
        if let Err(why) = write_new(file, &mut made) {
            take_back(&made);
            return Err(why);
        }
    }
    Ok(made)
}

/// What this run made and nobody is to find.
fn take_back(made: &[PathBuf]) {
    for path in made {
        if let Err(error) = fs::remove_file(path) {
            let path = path.display();
            let kind = error.kind();
            show(&format!(
                "warning: {path} is left behind, it could not be removed: {kind}"
            ));
        }
    }
}

/// As the configuration names it.
fn place_of_literals(path: Option<PathBuf>) -> Result<Option<String>, String> {
    let Some(path) = path else {
        return Ok(None);
    };
    let path = std::path::absolute(path)
        .map_err(|_| "the path of `--literals` cannot be made absolute".to_owned())?;
    if path.symlink_metadata().is_ok() {
        return Err(exists(&path));
    }
    let text = path.to_str().map(str::to_owned);
    let text = text.ok_or_else(|| "the path of `--literals` must be UTF-8".to_owned())?;
    Ok(Some(text))
}

fn failed(why: &str) -> ExitCode {
    show(&format!("error: {why}"));
    ExitCode::from(FAILED)
}

fn exists(path: &Path) -> String {
    format!(
        "{} is there already; nothing is overwritten",
        path.display()
    )
}

fn files(output: &Output, directory: &Path) -> Vec<New> {
    let files = output.files().into_iter();
    let files = files.map(|(name, text)| New {
        path: directory.join(name),
        // What a group may write is no configuration.
        mode: 0o640,
        content: SecretBytes::new(text.into_bytes()),
    });
    files.collect()
}

/// The file of values that stood in the input, where there are any.
fn values(output: &Output, path: &Path) -> Option<New> {
    let json = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("json"));
    Some(New {
        path: path.to_owned(),
        mode: 0o600,
        content: output.literals(json)?,
    })
}

/// `made` gets it as soon as it is there, whole or not.
fn write_new(new: &New, made: &mut Vec<PathBuf>) -> Result<(), String> {
    let path = &new.path;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(new.mode)
        .open(path);
    let written = file.and_then(|mut file| {
        made.push(path.clone());
        file.write_all(new.content.expose())?;
        file.sync_all()
    });
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            exists(path)
        } else {
            unwritten(path, &error)
        }
    })
}

fn unwritten(path: &Path, error: &io::Error) -> String {
    format!("{} could not be written: {}", path.display(), error.kind())
}
