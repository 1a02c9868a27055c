//! The file store: a TOML or JSON file of values, or a directory of files.
//!
//! For quickstarts, tests and air gaps. It never proves that a secret is gone: an absent file is `io`, an absent key
//! is `not_found` and nothing more.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Answer, Content, Fetched, Identity, Lane, Read, alone};
use crate::config::{self, Source};
use crate::failure::{Failure, Reason};
use crate::names::StoreName;
use crate::report::{Fact, Reporter, RequestCode, StoreOperation};
use crate::secret::{FingerprintKey, SecretBytes};

/// A store file or value beyond this is refused.
const SIZE_LIMIT: usize = 16 << 20;

/// So many values are taken from a file that is read and parsed once for all of them.
const TOGETHER: usize = 200;

#[derive(Debug)]
pub struct FileStore {
    name: StoreName,
    spec: config::FileStore,
    key: FingerprintKey,
    reporter: Reporter,
    /// Whether it was a directory when it was last looked at: there, each value has a file of its own, and waits for none.
    apart: AtomicBool,
}

/// What was found of some reads.
enum Found {
    /// In one file, of each of them in their order.
    Together(Result<Vec<Value>, Failure>),
    /// In a file of its own; nothing was read where they were more than one.
    Apart(Option<Value>),
}

type Value = Result<SecretBytes, Failure>;

impl FileStore {
    pub fn new(
        name: StoreName,
        spec: config::FileStore,
        key: FingerprintKey,
        reporter: Reporter,
    ) -> Self {
        Self {
            name,
            spec,
            key,
            reporter,
            apart: AtomicBool::new(false),
        }
    }

    pub fn lane(&self) -> Lane {
        let mut lane = Self::usual_lane();
        if self.apart.load(Ordering::Relaxed) {
            lane.size = 1;
        }
        lane
    }

    pub fn usual_lane() -> Lane {
        Lane {
            operation: StoreOperation::ReadFile,
            size: TOGETHER,
        }
    }

    pub async fn fetch(&self, reads: Vec<Read>) -> Vec<(Read, Fetched)> {
        let started = Instant::now();
        let (name, path) = (self.name.clone(), self.spec.path.clone());
        let asked = reads.clone();
        let found = tokio::task::spawn_blocking(move || look((&name, &path), &asked)).await;
        let found = found.unwrap_or_else(|_| {
            let panicked = Failure::new(Reason::Panic, "reading the file store panicked");
            Found::Together(Err(panicked))
        });
        let apart = matches!(found, Found::Apart(_));
        self.apart.store(apart, Ordering::Relaxed);
        let values = match found {
            Found::Together(Ok(values)) => values,
            Found::Together(Err(failure)) => vec![Err(failure); reads.len()],
            Found::Apart(Some(value)) => vec![value],
            Found::Apart(None) => return alone(reads),
        };
        self.tell(&values, started);
        let both = reads.into_iter().zip(values);
        both.map(|(read, value)| {
            let answer = self.answer(&read, value);
            (read, Fetched::Done(answer))
        })
        .collect()
    }

    /// One request, however many values were wanted. It failed where it answered with none.
    fn tell(&self, values: &[Value], started: Instant) {
        let answered = values.iter().any(Result::is_ok);
        let failure = values.iter().find_map(|value| value.as_ref().err());
        self.reporter.record(&Fact::StoreRequest {
            store: &self.name,
            operation: StoreOperation::ReadFile,
            code: match failure.filter(|_| !answered) {
                Some(failure) => RequestCode::Failed(failure.reason),
                None => RequestCode::Ok,
            },
            took: started.elapsed(),
        });
    }

    fn answer(&self, read: &Read, value: Value) -> Result<Answer, Failure> {
        let value = value?;
        if value.is_empty() {
            // An empty answer is no proof that something is gone.
            let key = &read.source;
            return Err(Failure::new(
                Reason::Malformed,
                format!("`{key}` in store `{}` is empty", self.name),
            )
            .with_help("put a value; an empty one is never delivered"));
        }
        Ok(Answer {
            identity: Identity::Fingerprint(self.key.of([value.expose()])),
            created: None,
            content: Content::Value(value),
        })
    }
}

fn look((store, path): (&StoreName, &Path), reads: &[Read]) -> Found {
    if !path.is_dir() {
        return Found::Together(values_in_file((store, path), reads));
    }
    let [read] = reads else {
        return Found::Apart(None);
    };
    Found::Apart(Some(
        key_of(read).and_then(|key| value_in_directory(path, key)),
    ))
}

fn key_of(read: &Read) -> Result<&str, Failure> {
    match &read.source {
        Source::Value { key, .. } => Ok(key.as_str()),
        Source::Metadata { .. } | Source::Find(_) => Err(Failure::new(
            Reason::Invalid,
            "a file store has neither tags nor lists",
        )),
    }
}

fn values_in_file(
    (store, path): (&StoreName, &Path),
    reads: &[Read],
) -> Result<Vec<Value>, Failure> {
    let file = openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
    )
    .map_err(|errno| {
        // A path at which nothing is may be no path at all but a value that was typed in its place.
        let there = path.symlink_metadata().is_ok();
        let nameless = || format!("the file that `path` of store `{store}` names");
        let shown = there.then(|| path.display().to_string());
        unreadable(&shown.unwrap_or_else(nameless), errno)
    })?;
    let bytes = read_all(file, path)?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| {
        Failure::new(
            Reason::Malformed,
            format!("{} is not UTF-8", path.display()),
        )
    })?;
    if text.trim().is_empty() {
        return Err(
            Failure::new(Reason::Io, format!("{} is empty", path.display()))
                .with_help("put the secrets back; until then everything keeps its content"),
        );
    }
    let json = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    if json {
        values_in_json(path, text, reads)
    } else {
        values_in_toml(path, text, reads)
    }
}

/// Links inside the directory are followed (a mounted `ConfigMap` is made of them), links that lead out of it are not.
fn value_in_directory(path: &Path, key: &str) -> Result<SecretBytes, Failure> {
    let directory = openat(
        CWD,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| unreadable(&path.display().to_string(), errno))?;
    let file = openat2(
        &directory,
        key,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => not_found(path, key),
        Errno::XDEV | Errno::LOOP => Failure::new(
            Reason::Invalid,
            format!("`{key}` leads out of {}", path.display()),
        )
        .with_help("use a key that names a file inside the store's directory"),
        errno => unreadable(&path.join(key).display().to_string(), errno),
    })?;
    read_all(file, &path.join(key))
}

fn read_all(file: rustix::fd::OwnedFd, path: &Path) -> Result<SecretBytes, Failure> {
    use std::io::Read as _;
    let file = std::fs::File::from(file);
    let regular = file.metadata().is_ok_and(|meta| meta.is_file());
    if !regular {
        return Err(Failure::new(
            Reason::Io,
            format!("{} is not a regular file", path.display()),
        )
        .with_help("name a file, or a directory as the store's path"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(SIZE_LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            let errno = error
                .raw_os_error()
                .map_or(Errno::IO, Errno::from_raw_os_error);
            unreadable(&path.display().to_string(), errno)
        })?;
    if bytes.len() > SIZE_LIMIT {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("{} is larger than 16 MiB", path.display()),
        ));
    }
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

/// A string is its text; anything else is its JSON, so that `property` can look inside.
fn values_in_toml(path: &Path, text: &str, reads: &[Read]) -> Result<Vec<Value>, Failure> {
    let table: toml::Table = toml::from_str(text)
        .map_err(|error: toml::de::Error| syntax(path, "TOML", text, error.span()))?;
    let value = |key: &str| match table.get(key) {
        None => Err(not_found(path, key)),
        Some(toml::Value::String(value)) => Ok(SecretBytes::new(value.clone().into_bytes())),
        Some(value) => Ok(SecretBytes::new(json_of(value).to_string().into_bytes())),
    };
    let values = reads.iter().map(|read| key_of(read).and_then(value));
    Ok(values.collect())
}

/// TOML has dates and non-finite floats, JSON has not: those become their text.
fn json_of(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)
            .map_or_else(|| number.to_string().into(), Into::into),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(at) => at.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json_of).collect(),
        toml::Value::Table(table) => table
            .iter()
            .map(|(key, value)| (key.clone(), json_of(value)))
            .collect(),
    }
}

fn values_in_json(path: &Path, text: &str, reads: &[Read]) -> Result<Vec<Value>, Failure> {
    let table: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
        serde_json::from_str(text).map_err(|error| {
            Failure::new(
                Reason::Malformed,
                format!(
                    "{} is not a JSON object: line {}, column {}",
                    path.display(),
                    error.line(),
                    error.column()
                ),
            )
            .with_help("correct the file at that place")
        })?;
    let value = |key: &str| {
        let raw = table.get(key).ok_or_else(|| not_found(path, key))?.get();
        if raw.starts_with('"') {
            // A string that parsed once parses again.
            let value: String = serde_json::from_str(raw).unwrap_or_default();
            return Ok(SecretBytes::new(value.into_bytes()));
        }
        Ok(SecretBytes::new(raw.as_bytes().to_vec()))
    };
    let values = reads.iter().map(|read| key_of(read).and_then(value));
    Ok(values.collect())
}

fn syntax(path: &Path, what: &str, text: &str, span: Option<std::ops::Range<usize>>) -> Failure {
    let at = span.map_or(0, |span| span.start).min(text.len());
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Failure::new(
        Reason::Malformed,
        format!(
            "{} is not {what}: line {line}, column {column}",
            path.display()
        ),
    )
    .with_help("correct the file at that place")
}

fn not_found(path: &Path, key: &str) -> Failure {
    Failure::new(
        Reason::NotFound,
        format!("{} holds no `{key}`", path.display()),
    )
    .with_help("check the key's spelling, or add it to the store")
}

fn unreadable(file: &str, errno: Errno) -> Failure {
    let (what, help) = match errno {
        Errno::NOENT => ("does not exist", "create it, or correct the store's `path`"),
        Errno::ACCESS | Errno::PERM => (
            "may not be read",
            "let the user that runs secretsyncd read it",
        ),
        _ => ("cannot be read", "check the file system it is on"),
    };
    Failure::new(Reason::Io, format!("{file} {what}")).with_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(key: &str) -> Read {
        let key = crate::names::RemoteKey::new(key).unwrap();
        let version = config::Version::Current;
        Read::new(
            StoreName::new("local").unwrap(),
            Source::Value { key, version },
        )
    }

    fn value_of(path: &Path, key: &str) -> Value {
        let store = StoreName::new("local").unwrap();
        match look((&store, path), &[wish(key)]) {
            Found::Together(values) => values?.remove(0),
            Found::Apart(value) => value.unwrap(),
        }
    }

    fn read(path: &Path, key: &str) -> Result<String, Reason> {
        value_of(path, key)
            .map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
            .map_err(|failure| failure.reason)
    }

    #[test]
    fn toml_json_and_directories_answer_alike() {
        let dir = tempfile::tempdir().unwrap();
        let toml = dir.path().join("s.toml");
        std::fs::write(
            &toml,
            "token = 't'\n[\"prod/db\"]\nuser = \"u\"\nport = 5432\n",
        )
        .unwrap();
        assert_eq!(read(&toml, "token").unwrap(), "t");
        assert_eq!(
            read(&toml, "prod/db").unwrap(),
            r#"{"port":5432,"user":"u"}"#
        );
        assert_eq!(read(&toml, "absent"), Err(Reason::NotFound));

        let json = dir.path().join("s.json");
        std::fs::write(&json, r#"{"token":"a\nb","prod/db":{"n": 1.0}}"#).unwrap();
        assert_eq!(read(&json, "token").unwrap(), "a\nb");
        assert_eq!(read(&json, "prod/db").unwrap(), r#"{"n": 1.0}"#);

        let files = dir.path().join("files");
        std::fs::create_dir_all(files.join("prod")).unwrap();
        std::fs::write(files.join("prod/db"), "v").unwrap();
        assert_eq!(read(&files, "prod/db").unwrap(), "v");
        assert_eq!(read(&files, "prod"), Err(Reason::Io));
        assert_eq!(read(&files, "../s.toml"), Err(Reason::Invalid));
        std::os::unix::fs::symlink("/etc/hostname", files.join("out")).unwrap();
        assert_eq!(read(&files, "out"), Err(Reason::Invalid));
        assert_eq!(read(&dir.path().join("none.toml"), "a"), Err(Reason::Io));
    }

    /// What a group came to: how many got a value and how many were sent away, and which requests that was.
    async fn group(store: &FileStore, keys: &[&str]) -> (usize, usize) {
        let fetched = store
            .fetch(keys.iter().map(|key| wish(key)).collect())
            .await;
        let count =
            |wanted: fn(&Fetched) -> bool| fetched.iter().filter(|(_, it)| wanted(it)).count();
        assert!(
            fetched
                .iter()
                .map(|(read, _)| read.source.to_string())
                .eq(keys.iter().copied())
        );
        (
            count(|it| matches!(it, Fetched::Done(Ok(_)))),
            count(|it| matches!(it, Fetched::Alone)),
        )
    }

    #[tokio::test]
    async fn a_file_is_read_once_for_many_and_in_a_directory_each_goes_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let codes = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&codes);
        let reporter = Reporter::new(move |fact| {
            if let Fact::StoreRequest { code, .. } = fact {
                heard.lock().unwrap().push(*code);
            }
        });
        let told = || std::mem::take(&mut *codes.lock().unwrap());
        let spec = config::FileStore { path: path.clone() };
        let name = StoreName::new("local").unwrap();
        let store = FileStore::new(name, spec, FingerprintKey::new([7; 32]), reporter);

        std::fs::write(&path, "a = '1'\nb = '2'\nempty = ''\n").unwrap();
        assert_eq!(store.lane().size, TOGETHER);
        assert_eq!(group(&store, &["a", "none", "b", "empty"]).await, (2, 0));
        assert_eq!(told(), [RequestCode::Ok]);
        assert_eq!(group(&store, &["none", "nowhere"]).await, (0, 0));
        assert_eq!(told(), [RequestCode::Failed(Reason::NotFound)]);

        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("a"), "1").unwrap();
        assert_eq!(group(&store, &["a", "none"]).await, (0, 2));
        assert_eq!((told(), store.lane().size), (vec![], 1));
        assert_eq!(group(&store, &["a"]).await, (1, 0));
        assert_eq!((told(), store.lane().size), (vec![RequestCode::Ok], 1));

        std::fs::remove_dir_all(&path).unwrap();
        std::fs::write(&path, "a = '1'\n").unwrap();
        assert_eq!(group(&store, &["a"]).await, (1, 0));
        assert_eq!(store.lane().size, TOGETHER);
    }

    #[test]
    fn a_value_typed_as_the_path_of_a_store_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        for typed in ["hunter2", "hunter2.json", &"hunter2".repeat(100)] {
            let failure = value_of(&dir.path().join(typed), "a").unwrap_err();
            assert_eq!(failure.reason, Reason::Io);
            assert!(!failure.to_string().contains("hunter2"), "{failure}");
            assert!(
                failure.fact.contains("`path` of store `local`"),
                "{failure}"
            );
        }
    }

    #[test]
    fn a_syntax_error_gives_the_place_and_not_the_line() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("s.toml", "ok = 1\nmarker = \"hunter2\n"),
            ("s.json", "{\n\"marker\": \"hunter2"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let failure = value_of(&path, "marker").unwrap_err();
            assert_eq!(failure.reason, Reason::Malformed);
            assert!(failure.fact.contains("line 2"), "{}", failure.fact);
            assert!(!failure.fact.contains("hunter2"));
        }
    }
}
