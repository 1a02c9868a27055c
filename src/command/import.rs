//! `import`: manifests in, a configuration out, and a report of every key.
//!
//! Nothing that is there already is overwritten.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{FAILED, print, show};
use crate::cli::{Import, ReportFormat};
use crate::import::{self, Options, Output};

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
    match write(&output, literals.as_deref(), wanted.out_dir.as_deref()) {
        Err(why) => failed(&why),
        Ok(()) if wanted.out_dir.is_some() => ExitCode::from(ended),
        Ok(()) => {
            let whole = output.whole();
            if whole.len() > LARGEST {
                show("warning: one file of a configuration may have 1 MiB: use `--out-dir`");
            }
            print(&whole, ended)
        }
    }
}

/// What a file of a configuration may have.
const LARGEST: usize = 1 << 20;

/// All files, or none where one of them is there already.
fn write(output: &Output, literals: Option<&str>, directory: Option<&Path>) -> Result<(), String> {
    let files = directory.map(|directory| files(output, directory));
    let files = files.transpose()?.unwrap_or_default();
    if let Some(path) = literals.map(Path::new) {
        let json = path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("json"));
        if let Some(values) = output.literals(json) {
            write_new(path, 0o600, values.expose())?;
        }
    }
    if let Some(directory) = directory.filter(|_| !files.is_empty()) {
        fs::create_dir_all(directory).map_err(|error| unwritten(directory, &error))?;
    }
    // What a group may write is no configuration.
    let mut files = files.iter();
    files.try_for_each(|(path, text)| write_new(path, 0o640, text.as_bytes()))
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

fn files(output: &Output, directory: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let files = output.files().into_iter();
    let files: Vec<_> = files
        .map(|(name, text)| (directory.join(name), text))
        .collect();
    match files
        .iter()
        .find(|(path, _)| path.symlink_metadata().is_ok())
    {
        Some((path, _)) => Err(exists(path)),
        None => Ok(files),
    }
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), String> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
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
