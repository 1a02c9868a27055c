//! Texts with a meaning of their own: durations, paths, modes, addresses.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::Lowering;
use crate::config::problems::{At, Problem};
use crate::config::tree::Value;

/// No interval, grace or age is longer: a year.
const LONGEST: Duration = Duration::from_hours(8760);

/// A duration above zero, such as `"30s"` or `"1h30m"`.
pub(super) fn duration(value: Value<'_>) -> Option<At<Duration>> {
    let (name, at, problems) = (value.name, value.at, value.problems());
    let expected = format!("`{name}` must be a duration such as \"30s\" or \"1h30m\"");
    if value.is_integer() {
        problems.push(
            Problem::error(at, expected).help("a bare number has no unit; write \"30s\" or \"5m\""),
        );
        return None;
    }
    let text = value.string()?;
    match parse_duration(text.value) {
        Ok(duration) => Some(text.map(|_| duration)),
        Err(hint) => {
            problems.push(Problem::error(at, expected).help(hint));
            None
        }
    }
}

/// `30s`, `1h30m`; an error is what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    if text.len() > 64 {
        return Err("units are h, m, s, ms");
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    match parsed.and_then(|d| Duration::try_from(d).ok()) {
        Some(Duration::ZERO) => Err("it must be above zero"),
        Some(duration) if duration > LONGEST => Err("at most a year: \"8760h\""),
        Some(duration) => Ok(duration),
        None if parsed.is_some() => Err("it must be above zero"),
        None if text == "0" => Err("it must be above zero"),
        None if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            Err("a bare number has no unit; write \"30s\" or \"5m\"")
        }
        None if text.contains(['d', 'w']) => {
            Err("days and weeks are not taken; write hours: \"24h\"")
        }
        None => Err("units are h, m, s, ms"),
    }
}

/// A path, relative to `dir` unless absolute. Leading `..` are taken off `dir`, which has no symlinks; one further
/// inside stays, because what it means depends on symlinks.
pub(in crate::config) fn absolute(dir: &Path, text: &str) -> PathBuf {
    let mut path = dir.to_owned();
    let mut leading = true;
    for component in Path::new(text).components() {
        match component {
            Component::RootDir => path = PathBuf::from("/"),
            Component::ParentDir if leading => {
                path.pop();
            }
            Component::CurDir => {}
            Component::ParentDir | Component::Normal(_) | Component::Prefix(_) => {
                leading = false;
                path.push(component);
            }
        }
    }
    path
}

impl Lowering<'_> {
    /// A path as [`absolute`] makes it.
    pub(super) fn path(&self, value: Value<'_>) -> Option<At<PathBuf>> {
        let name = value.name;
        let text = value.string()?;
        if text.value.is_empty() || text.value.contains('\0') {
            self.problems
                .error(text.at, format!("`{name}` must be a path"));
            return None;
        }
        let dir = &self.sources.get(text.at.file).dir;
        Some(text.map(|text| absolute(dir, text)))
    }

    /// Permission bits: an octal number in quotes.
    pub(super) fn mode(&self, value: Value<'_>) -> Option<At<u32>> {
        const EXPECTED: &str = "must be an octal mode in quotes, such as \"0640\"";
        let (name, at) = (value.name, value.at);
        if value.is_integer() {
            self.problems.push(
                Problem::error(at, format!("`{name}` {EXPECTED}"))
                    .help("without quotes it is a decimal number, whose bits are others"),
            );
            return None;
        }
        let text = value.string()?;
        let digits = text.value.as_bytes();
        let octal =
            (3..=4).contains(&digits.len()) && digits.iter().all(|b| (b'0'..=b'7').contains(b));
        let Some(mode) = octal
            .then(|| u32::from_str_radix(text.value, 8).ok())
            .flatten()
        else {
            self.problems.error(at, format!("`{name}` {EXPECTED}"));
            return None;
        };
        if mode > 0o777 {
            self.problems
                .error(at, format!("`{name}` must have no bits beyond \"0777\""));
            return None;
        }
        Some(text.map(|_| mode))
    }

    /// A text that is not empty and has no control characters.
    pub(super) fn plain_text<'t>(&self, value: Value<'t>, longest: usize) -> Option<At<&'t str>> {
        let name = value.name;
        let text = value.string()?;
        let fits = !text.value.is_empty() && text.value.len() <= longest;
        if fits && !text.value.chars().any(char::is_control) {
            return Some(text);
        }
        self.problems.error(
            text.at,
            format!(
                "`{name}` must have 1 to {longest} characters, none of them a control character"
            ),
        );
        None
    }

    /// An IP address and port.
    pub(super) fn address(&self, value: Value<'_>) -> Option<At<SocketAddr>> {
        let name = value.name;
        let text = value.string()?;
        if let Ok(address) = text.value.parse() {
            return Some(text.map(|_| address));
        }
        self.problems.push(
            Problem::error(
                text.at,
                format!("`{name}` must be an IP address and a port"),
            )
            .help("such as \"127.0.0.1:9785\" or \"[::1]:9785\""),
        );
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_an_end() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for (text, hint) in [
            ("30", "bare number"),
            ("0", "above zero"),
            ("0s", "above zero"),
            ("-5s", "above zero"),
            ("1d", "24h"),
            ("2 weeks", "24h"),
            ("", "units"),
            ("soon", "units"),
            ("9999999999h", "a year"),
        ] {
            let refused = parse_duration(text).unwrap_err();
            assert!(refused.contains(hint), "{text:?}: {refused}");
        }
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        let of = |text| absolute(Path::new("/etc/secretsyncd"), text);
        assert_eq!(of("a/b"), Path::new("/etc/secretsyncd/a/b"));
        assert_eq!(of("./a"), Path::new("/etc/secretsyncd/a"));
        assert_eq!(of("../a"), Path::new("/etc/a"));
        assert_eq!(of("../../../a"), Path::new("/a"));
        assert_eq!(of("/a//b/"), Path::new("/a/b"));
        assert_eq!(of("a/../b"), Path::new("/etc/secretsyncd/a/../b"));
    }
}
