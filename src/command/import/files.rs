//! The files that `import` makes.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::import::{Output, Report, Trouble};
use crate::secret::SecretBytes;

/// A file that is not there yet.
struct New {
    path: PathBuf,
    place: Place,
    mode: u32,
    content: SecretBytes,
}

/// Which option says where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    OutDir,
    Literals,
}

impl Place {
    fn another(self) -> &'static str {
        match self {
            Self::OutDir => "name another directory with `--out-dir`",
            Self::Literals => "name another file with `--literals`",
        }
    }
}

/// All files, or none where one of them is there already or cannot be written. What was made is in the answer.
pub(super) fn write(
    (output, report): (&Output, &mut Report),
    literals: Option<&str>,
    directory: Option<&Path>,
) -> Result<Vec<PathBuf>, Trouble> {
    let files = directory.map(|directory| files(output, directory));
    let mut files = files.unwrap_or_default();
    let directory = directory.filter(|_| !files.is_empty());
    if let Some(new) = literals.and_then(|path| values(output, Path::new(path))) {
        let is_taken = |it: &New| std::path::absolute(&it.path).is_ok_and(|it| it == new.path);
        if files.iter().any(is_taken) {
            return Err(Trouble {
                fact: format!("{} is a file of `--out-dir`", new.path.display()),
                help: Place::Literals.another().to_owned(),
            });
        }
        files.push(new);
    }
    let mut there = files.iter();
    if let Some(file) = there.find(|file| file.path.symlink_metadata().is_ok()) {
        return Err(exists(&file.path, file.place));
    }
    if let Some(directory) = directory {
        let made = fs::create_dir_all(directory);
        made.map_err(|error| failed(directory, Place::OutDir, &error))?;
    }
    let mut made = Vec::new();
    for file in &files {
        if let Err(trouble) = write_new(file, &mut made) {
            take_back(&made, report);
            return Err(trouble);
        }
    }
    Ok(made)
}

/// What this run made and nobody is to find.
pub(super) fn take_back(made: &[PathBuf], report: &mut Report) {
    for path in made {
        if let Err(error) = fs::remove_file(path) {
            let path = path.display();
            let kind = error.kind();
            report.warn(format!(
                "{path} is left behind, it could not be removed: {kind}; remove it"
            ));
        }
    }
}

pub(super) fn exists(path: &Path, place: Place) -> Trouble {
    let another = place.another();
    let help = match place {
        Place::OutDir => format!(
            "{another}, or take the file away; convert all that belongs to one cluster in one run, and let `--qualify` keep clusters apart"
        ),
        Place::Literals => format!("{another}, or take the file away"),
    };
    Trouble {
        fact: format!(
            "{} is there already; nothing is overwritten",
            path.display()
        ),
        help,
    }
}

fn failed(path: &Path, place: Place, error: &io::Error) -> Trouble {
    unwritten(&path.display().to_string(), place.another(), error)
}

/// `another` says how another place is named.
pub(super) fn unwritten(what: &str, another: &str, error: &io::Error) -> Trouble {
    let kind = error.kind();
    let fact = format!("{what} could not be written: {kind}");
    let is = |kinds: &[ErrorKind]| kinds.contains(&kind);
    let help = if is(&[ErrorKind::StorageFull, ErrorKind::QuotaExceeded]) {
        format!("make room there, or {another}; then run it again, nothing was kept")
    } else if is(&[ErrorKind::PermissionDenied]) {
        format!("run it as a user who may write there, or {another}")
    } else if is(&[ErrorKind::NotFound]) {
        format!("make the directory that it is to be in, or {another}")
    } else if is(&[ErrorKind::ReadOnlyFilesystem, ErrorKind::NotADirectory]) {
        another.to_owned()
    } else {
        format!("see what keeps it from being written, or {another}; nothing was kept")
    };
    Trouble { fact, help }
}

fn files(output: &Output, directory: &Path) -> Vec<New> {
    let files = output.files().into_iter();
    let files = files.map(|(name, text)| New {
        path: directory.join(name),
        place: Place::OutDir,
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
        place: Place::Literals,
        mode: 0o600,
        content: output.literals(json)?,
    })
}

/// `made` gets it as soon as it is there, whole or not.
fn write_new(new: &New, made: &mut Vec<PathBuf>) -> Result<(), Trouble> {
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
        if error.kind() == ErrorKind::AlreadyExists {
            exists(path, new.place)
        } else {
            failed(path, new.place, &error)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_file_from_being_written_has_a_next_step() {
        for (kind, step) in [
            (ErrorKind::StorageFull, "make room there"),
            (ErrorKind::QuotaExceeded, "make room there"),
            (ErrorKind::PermissionDenied, "who may write there"),
            (ErrorKind::NotFound, "make the directory"),
            (ErrorKind::ReadOnlyFilesystem, "name another directory"),
            (ErrorKind::FileTooLarge, "see what keeps it"),
        ] {
            let Trouble { fact, help } = failed(Path::new("/x/y"), Place::OutDir, &kind.into());
            assert!(fact.starts_with("/x/y could not be written: "), "{fact}");
            assert!(
                help.contains(step) && help.contains("`--out-dir`"),
                "{kind}: {help}"
            );
        }
    }
}
