//! The file store: a TOML or JSON file of values, or a directory of files.
//!
//! For quickstarts, tests and air gaps. It never proves that a secret is gone: an absent file is `io`, an absent key
//! is `not_found` and nothing more.

use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Answer, Content, Fetched, Identity, Read};
use crate::config::{self, Source};
use crate::failure::{Failure, Reason};
use crate::names::{RemoteKey, StoreName};
use crate::report::{Fact, Reporter, RequestCode, StoreOperation};
use crate::secret::{FingerprintKey, SecretBytes};

/// A store file or value beyond this is refused.
const SIZE_LIMIT: usize = 16 << 20;

#[derive(Debug)]
pub struct FileStore {
    name: StoreName,
    spec: config::FileStore,
    key: FingerprintKey,
    reporter: Reporter,
}

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
        }
    }

    pub async fn fetch(&self, reads: Vec<Read>) -> Vec<(Read, Fetched)> {
        let mut fetched = Vec::with_capacity(reads.len());
        for read in reads {
            let result = match &read.source {
                Source::Value { key, .. } => self.value(key).await,
                Source::Metadata { .. } | Source::Find(_) => Err(Failure::new(
                    Reason::Invalid,
                    "a file store has neither tags nor lists",
                )),
            };
            fetched.push((read, Fetched::Done(result)));
        }
        fetched
    }

    async fn value(&self, key: &RemoteKey) -> Result<Answer, Failure> {
        let started = Instant::now();
        let (name, path) = (self.name.clone(), self.spec.path.clone());
        let text = key.as_str().to_owned();
        let value = tokio::task::spawn_blocking(move || value_of((&name, &path), &text))
            .await
            .unwrap_or_else(|_| {
                Err(Failure::new(
                    Reason::Panic,
                    "reading the file store panicked",
                ))
            });
        self.reporter.record(&Fact::StoreRequest {
            store: &self.name,
            operation: StoreOperation::ReadFile,
            code: match &value {
                Ok(_) => RequestCode::Ok,
                Err(failure) => RequestCode::Failed(failure.reason),
            },
            took: started.elapsed(),
        });
        let value = value?;
        if value.is_empty() {
            // An empty answer is no proof that something is gone.
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

fn value_of((store, path): (&StoreName, &Path), key: &str) -> Result<SecretBytes, Failure> {
    if path.is_dir() {
        return value_in_directory(path, key);
    }
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
        value_in_json(path, text, key)
    } else {
        value_in_toml(path, text, key)
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
fn value_in_toml(path: &Path, text: &str, key: &str) -> Result<SecretBytes, Failure> {
    let table: toml::Table = toml::from_str(text)
        .map_err(|error: toml::de::Error| syntax(path, "TOML", text, error.span()))?;
    match table.get(key) {
        None => Err(not_found(path, key)),
        Some(toml::Value::String(value)) => Ok(SecretBytes::new(value.clone().into_bytes())),
        Some(value) => Ok(SecretBytes::new(json_of(value).to_string().into_bytes())),
    }
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

fn value_in_json(path: &Path, text: &str, key: &str) -> Result<SecretBytes, Failure> {
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
    let raw = table.get(key).ok_or_else(|| not_found(path, key))?.get();
    if raw.starts_with('"') {
        // A string that parsed once parses again.
        let value: String = serde_json::from_str(raw).unwrap_or_default();
        return Ok(SecretBytes::new(value.into_bytes()));
    }
    Ok(SecretBytes::new(raw.as_bytes().to_vec()))
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

    fn value(path: &Path, key: &str) -> Result<SecretBytes, Failure> {
        value_of((&StoreName::new("local").unwrap(), path), key)
    }

    fn read(path: &Path, key: &str) -> Result<String, Reason> {
        value(path, key)
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

    #[test]
    fn a_value_typed_as_the_path_of_a_store_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        for typed in ["hunter2", "hunter2.json", &"hunter2".repeat(100)] {
            let failure = value(&dir.path().join(typed), "a").unwrap_err();
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
            let failure = value(&path, "marker").unwrap_err();
            assert_eq!(failure.reason, Reason::Malformed);
            assert!(failure.fact.contains("line 2"), "{}", failure.fact);
            assert!(!failure.fact.contains("hunter2"));
        }
    }
}
