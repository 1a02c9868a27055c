//! Files, directories and stdin, one text after the other, under limits.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::words::cut;

/// One text may have this many bytes.
const LARGEST: u64 = 10 << 20;
/// So many files are read.
const MOST_FILES: usize = 50_000;
/// Directories within one another.
const DEEPEST: usize = 32;

/// A text, or why there is none.
pub(super) struct Source {
    /// As it was named.
    pub shown: String,
    pub text: Result<String, &'static str>,
}

/// What is to be read, in the order in which it was named; in directories by name.
pub(super) struct Inputs {
    files: Vec<Input>,
    pub passed_over: PassedOver,
}

/// What is in directories and was not named.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    /// Files that are no YAML by their names.
    others: usize,
    /// What tools keep there for themselves.
    hidden: usize,
    /// They may lead anywhere, and what they lead to may be read already.
    links: usize,
}

impl PassedOver {
    /// Nothing where there was nothing.
    pub(super) fn sentence(&self) -> Option<String> {
        let kinds = [
            (
                self.others,
                "whose names do not end with .yaml, .yml or .json",
            ),
            (self.hidden, "whose names begin with a dot"),
            (self.links, "that are symbolic links"),
        ];
        let kinds = kinds.into_iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let kinds = kinds.join(", ");
        (!kinds.is_empty()).then(|| {
            format!("not read in directories: {kinds}; name what is to be read all the same")
        })
    }
}

enum Input {
    Stdin,
    File(PathBuf),
    Unreadable(PathBuf, &'static str),
}

impl Inputs {
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut inputs = Self {
            files: Vec::new(),
            passed_over: PassedOver::default(),
        };
        let mut stdin = false;
        for path in paths {
            if path == Path::new("-") {
                // It can be read once.
                if !std::mem::replace(&mut stdin, true) {
                    inputs.files.push(Input::Stdin);
                }
            } else if path.is_dir() {
                inputs.directory(path, 0);
            } else {
                inputs.files.push(Input::File(path.clone()));
            }
        }
        inputs
    }

    /// Links are not followed: none leads out of the directory, and none is read for ever.
    fn directory(&mut self, path: &Path, depth: usize) {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let Ok(mut entries) = entries else {
            let why = "this directory cannot be read";
            self.files.push(Input::Unreadable(path.to_owned(), why));
            return;
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                self.passed_over.hidden += 1;
                continue;
            }
            let path = entry.path();
            if self.files.len() >= MOST_FILES || depth >= DEEPEST {
                let why = "there are more files or levels than are read at once; convert them in portions";
                self.files.push(Input::Unreadable(path, why));
                return;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.directory(&path, depth + 1),
                Ok(kind) if kind.is_symlink() => self.passed_over.links += 1,
                Ok(_) if is_yaml(&path) => self.files.push(Input::File(path)),
                Ok(_) => self.passed_over.others += 1,
                Err(_) => self
                    .files
                    .push(Input::Unreadable(path, "this file cannot be examined")),
            }
        }
    }

    pub(super) fn sources(self) -> impl Iterator<Item = Source> {
        self.files.into_iter().map(|input| match input {
            Input::Stdin => Source {
                shown: "stdin".to_owned(),
                text: text(io::stdin().lock()),
            },
            Input::File(path) => Source {
                shown: shown(&path),
                text: file(&path),
            },
            Input::Unreadable(path, why) => Source {
                shown: shown(&path),
                text: Err(why),
            },
        })
    }
}

fn is_yaml(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|it| ending.eq_ignore_ascii_case(it))
    })
}

fn shown(path: &Path) -> String {
    cut(&path.to_string_lossy(), 4096)
}

fn file(path: &Path) -> Result<String, &'static str> {
    let file = File::open(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            "there is no such file"
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            "this user may not read this file"
        } else {
            "this file cannot be read"
        }
    })?;
    text(file)
}

fn text(source: impl Read) -> Result<String, &'static str> {
    let mut bytes = Vec::new();
    let read = source.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|_| "this file cannot be read")?;
    if bytes.len() as u64 > LARGEST {
        return Err("this file is larger than 10 MiB; convert it in portions");
    }
    String::from_utf8(bytes).map_err(|_| "this file is not UTF-8 text")
}
