//! The files of a configuration: read under limits, with the way from a byte to line and column.
//!
//! Their text never leaves `config`: it may hold a credential that was pasted where none belongs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::problems::{Place, Problem, Problems};

/// One file may have this many bytes.
const MAX_BYTES: u64 = 1 << 20;
/// All files of a configuration together.
const MAX_TOTAL_BYTES: u64 = 64 << 20;
/// While somebody writes a file, it is read again so often.
const TRIES: usize = 10;
/// So many files may be included.
const MAX_FILES: usize = 4096;

const NO_CONFIGURATION: &str = "write the configuration there (the README begins with a short one), or name another file with `--config`";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(usize);

impl FileId {
    pub(super) const MAIN: Self = Self(0);
}

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// As diagnostics call it: from where the main file was named.
    pub shown: String,
    pub path: PathBuf,
    /// What relative paths in it are relative to: absolute, without symlinks.
    pub dir: PathBuf,
    pub text: String,
    line_starts: Vec<usize>,
}

impl Source {
    pub(super) fn new(shown: String, path: PathBuf, dir: PathBuf, text: String) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            shown,
            path,
            dir,
            text,
            line_starts,
        }
    }

    /// The line a byte is on, from zero.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) - 1
    }

    /// Line and column of a byte, in characters, from one.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.line_starts[line];
        let before = self.text.get(start..offset).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }

    /// Where the next line that is a table's header begins, or the text ends.
    pub(super) fn next_header(&self, offset: usize) -> usize {
        self.line_starts
            .iter()
            .skip_while(|start| **start <= offset)
            .copied()
            .find(|start| is_header(&self.text[self.line_range(*start)]))
            .unwrap_or(self.text.len())
    }

    /// The bytes of one line, its end excluded.
    pub(super) fn line_range(&self, offset: usize) -> std::ops::Range<usize> {
        let line = self.line(offset);
        let end = self
            .line_starts
            .get(line + 1)
            .map_or(self.text.len(), |next| next - 1);
        self.line_starts[line]..end
    }
}

/// `[a.b]` or `[[a.b]]`, as far as that can be told without reading the lines before.
fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    line.starts_with('[')
        && line.ends_with(']')
        && line
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._/-\"'[] ".contains(&b))
}

/// All files, the main file first.
#[derive(Debug)]
pub(super) struct Sources {
    files: Vec<Source>,
    total: u64,
}

impl Sources {
    /// Begins with the main file. It is there even if it cannot be read, then without text.
    pub(super) fn begin(main: &Path, problems: &Problems) -> Self {
        let mut sources = Self {
            files: Vec::new(),
            total: 0,
        };
        sources.read(shown(main), locate(main), None, problems);
        sources
    }

    /// A main file that is nowhere: relative paths in it lead nowhere.
    pub(super) fn of_text(text: String) -> Self {
        let path = PathBuf::from("/nowhere/text.toml");
        let source = Source::new("text".to_owned(), path, PathBuf::from("/nowhere"), text);
        Self {
            total: source.text.len() as u64,
            files: vec![source],
        }
    }

    pub(super) fn get(&self, file: FileId) -> &Source {
        &self.files[file.0]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FileId, &Source)> {
        self.files.iter().enumerate().map(|(i, s)| (FileId(i), s))
    }

    /// Reads one more file, because of what stands at `wanted_at`. False when the limits are reached.
    pub(super) fn include(&mut self, path: &Path, wanted_at: Place, problems: &Problems) -> bool {
        if self.files.len() > MAX_FILES || self.total > MAX_TOTAL_BYTES {
            problems.error(
                wanted_at,
                format!("`include` takes at most {MAX_FILES} files and 64 MiB"),
            );
            return false;
        }
        let (path, dir) = locate(path);
        let main = &self.files[0];
        let shown = match (
            path.strip_prefix(&main.dir),
            Path::new(&main.shown).parent(),
        ) {
            (Ok(inner), Some(parent)) => shown(&parent.join(inner)),
            (Ok(_) | Err(_), _) => shown(&path),
        };
        self.read(shown, (path, dir), Some(wanted_at), problems);
        true
    }

    fn read(
        &mut self,
        shown: String,
        (path, dir): (PathBuf, PathBuf),
        wanted_at: Option<Place>,
        problems: &Problems,
    ) {
        let whole = Place::file(FileId(self.files.len()));
        let text = match read(&path) {
            Ok((text, mode)) => {
                check_mode(mode, whole, "", problems);
                text
            }
            Err(why) => {
                problems.push(match wanted_at {
                    // What names no file may be no path at all, and is not repeated.
                    Some(at) if why.is_absent() => Problem::error(at, why.sentence()),
                    Some(at) => {
                        Problem::error(whole, why.sentence()).other(at, "it is included here")
                    }
                    None if why.is_not_there() => {
                        Problem::error(whole, why.sentence()).help(NO_CONFIGURATION)
                    }
                    None => Problem::error(whole, why.sentence()),
                });
                String::new()
            }
        };
        self.total += text.len() as u64;
        self.files.push(Source::new(shown, path, dir, text));
    }
}

/// A path for a person, without control characters.
fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .replace(|c: char| c.is_control(), "\u{fffd}")
}

/// The absolute path of a file and its directory, the directory without symlinks as far as it exists.
fn locate(path: &Path) -> (PathBuf, PathBuf) {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let dir = fs::canonicalize(parent)
        .or_else(|_| std::path::absolute(parent))
        .unwrap_or_else(|_| parent.to_owned());
    let path = path
        .file_name()
        .map_or_else(|| path.to_owned(), |name| dir.join(name));
    (path, dir)
}

enum Unreadable {
    Io(io::ErrorKind),
    NotAFile,
    TooLarge,
    NotText,
    /// It changes while it is read.
    Unsteady,
}

impl Unreadable {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Io(kind) if *kind != io::ErrorKind::PermissionDenied)
    }

    fn is_not_there(&self) -> bool {
        matches!(self, Self::Io(io::ErrorKind::NotFound))
    }

    fn sentence(&self) -> &'static str {
        match self {
            Self::Io(kind) => io_sentence(*kind),
            Self::NotAFile => "this is not a regular file",
            Self::TooLarge => "this file is larger than 1 MiB; split it and `include` the parts",
            Self::NotText => "this file is not UTF-8 text",
            Self::Unsteady => "this file is being written",
        }
    }
}

/// A file of text that the configuration names, or why it cannot be read.
pub(super) fn read_text(path: &Path) -> Result<String, &'static str> {
    read(path).map(|(text, _)| text).map_err(|why| match why {
        Unreadable::TooLarge => "this file is larger than 1 MiB",
        Unreadable::Io(_) | Unreadable::NotAFile | Unreadable::NotText | Unreadable::Unsteady => {
            why.sentence()
        }
    })
}

/// What an I/O error means, in our own words.
pub(super) fn io_sentence(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::NotFound {
        "there is no such file"
    } else if kind == io::ErrorKind::PermissionDenied {
        "this user may not read this file"
    } else {
        "this file cannot be read"
    }
}

/// Once more where somebody writes the file meanwhile: a part of it may well be a configuration, and another one.
fn read(path: &Path) -> Result<(String, u32), Unreadable> {
    for _ in 0..TRIES {
        match read_once(path) {
            Err(Unreadable::Unsteady) => {}
            read => return read,
        }
    }
    Err(Unreadable::Unsteady)
}

fn read_once(path: &Path) -> Result<(String, u32), Unreadable> {
    let io = |error: io::Error| Unreadable::Io(error.kind());
    // Asked before opening: opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(Unreadable::NotAFile);
    }
    let file = File::open(path).map_err(io)?;
    let before = file.metadata().map_err(io)?;
    let mode = before.permissions().mode();
    let mut bytes = Vec::new();
    (&file)
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let after = file.metadata().map_err(io)?;
    let state = |file: &fs::Metadata| (file.len(), file.mtime(), file.mtime_nsec());
    if state(&before) != state(&after) {
        return Err(Unreadable::Unsteady);
    }
    let text = String::from_utf8(bytes).map_err(|_| Unreadable::NotText)?;
    // A byte order mark would count as a column.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok((text, mode))
}

/// Whoever may write this file decides what the daemon does. `whose` ends the sentence.
pub(super) fn check_mode(mode: u32, at: Place, whose: &str, problems: &Problems) {
    const HELP: &str = "take the permission away: chmod o-w, chmod g-w";
    if mode & 0o002 != 0 {
        problems.push(Problem::error(at, format!("anyone may write this file{whose}")).help(HELP));
    } else if mode & 0o020 != 0 {
        problems.push(
            Problem::warning(at, format!("this file's group may write it{whose}")).help(HELP),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_meanwhile_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        fs::write(&path, "# whole\n").unwrap();
        let (stop, file) = (std::sync::atomic::AtomicBool::new(false), path.clone());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut grows = fs::OpenOptions::new().append(true).open(file).unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    io::Write::write_all(&mut grows, &[b'#'; 64]).unwrap();
                    if grows.metadata().unwrap().len() > MAX_BYTES - 4096 {
                        grows.set_len(0).unwrap();
                    }
                }
            });
            // As often as it takes for the other thread to come to it.
            let began = tokio::time::Instant::now();
            let in_time = || began.elapsed() < std::time::Duration::from_secs(30);
            let mut unsteady = false;
            while !unsteady && in_time() {
                unsteady = matches!(read_once(&path), Err(Unreadable::Unsteady));
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(unsteady, "it was read in part for half a minute");
        });
        assert!(read(&path).is_ok());
    }

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new(
            "a".into(),
            "a".into(),
            "/".into(),
            "ä = 1\n\n  x\n [b]\n".into(),
        );
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (1, 2));
        assert_eq!(source.position(10), (3, 3));
        assert_eq!(source.position(17), (5, 1));
        assert_eq!(&source.text[source.line_range(10)], "  x");
        assert_eq!(source.next_header(0), 12);
        assert_eq!(source.next_header(12), 17);
        assert!(is_header(" [[a.\"b/c\"]] # x"));
        assert!(!is_header("[1, 2]"));
        assert!(!is_header("  [\"a\"],"));
    }
}
