//! `check`: every problem of a configuration, offline; with `--online`, whether its stores answer, too.
//!
//! Diagnostics go to stderr, a summary to stdout. The summary names what the configuration names, never what is
//! written beside a name.

mod accounts;
mod cost;
mod online;
mod units;

use std::io::{self, Write};
use std::path::Path;

use super::reads;
use crate::config::{Config, Diagnostics, Store, Surroundings, Target, load};
use crate::names::ClusterName;

/// Everything is in order.
pub const OK: u8 = 0;
/// The configuration has errors (`EX_CONFIG`).
pub const BAD_CONFIG: u8 = 78;

/// How strictly to judge, and how to show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Warnings count as errors.
    pub strict: bool,
    pub color: bool,
}

/// Checks the configuration at `path`, and where it is in order and `online` says so, its stores. Returns the exit code.
pub async fn run(path: &Path, options: Options, online: bool) -> u8 {
    let surroundings = Surroundings {
        look_at_programs: true,
        ..Surroundings::from_process()
    };
    let answer = check(path, options, &surroundings);
    let mut diagnostics = answer.diagnostics;
    if let Some(config) = &answer.config {
        diagnostics += &accounts::unknown(config).await;
        diagnostics += &units::nobodys(config);
    }
    // Whoever closed the other end of a pipe has seen what he wanted; the exit code is the same.
    let _ = io::stderr().lock().write_all(diagnostics.as_bytes());
    let _ = io::stdout().lock().write_all(answer.summary.as_bytes());
    match answer.config.filter(|_| online) {
        Some(config) => online::run(&config).await,
        None => answer.code,
    }
}

struct Answer {
    code: u8,
    /// Absent where it is refused.
    config: Option<Config>,
    diagnostics: String,
    summary: String,
}

fn check(path: &Path, options: Options, surroundings: &Surroundings) -> Answer {
    let (diagnostics, config) = match load(path, surroundings) {
        Ok(loaded) => (loaded.warnings, Some(loaded.config)),
        Err(diagnostics) => (diagnostics, None),
    };
    let refused = options.strict && diagnostics.warnings() > 0;
    match config.filter(|_| !refused) {
        Some(config) => Answer {
            code: OK,
            diagnostics: render(&diagnostics, options),
            summary: summary(&config) + &cost::text(&config),
            config: Some(config),
        },
        None => Answer {
            code: BAD_CONFIG,
            diagnostics: render(&diagnostics, options),
            summary: String::new(),
            config: None,
        },
    }
}

fn render(diagnostics: &Diagnostics, options: Options) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let errors = count(diagnostics.errors(), "error");
    let warnings = count(diagnostics.warnings(), "warning");
    let strict = if options.strict && diagnostics.errors() == 0 {
        "; with --strict, warnings count"
    } else {
        ""
    };
    format!(
        "{}{errors}, {warnings}{strict}\n",
        diagnostics.render(options.color)
    )
}

fn count(n: usize, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {what}{s}")
}

fn summary(config: &Config) -> String {
    let stores: Vec<String> = config
        .stores
        .iter()
        .map(|(name, store)| {
            let kind = match store {
                Store::SecretsManager(_) => "aws_secrets_manager",
                Store::ParameterStore(_) => "aws_parameter_store",
                Store::File(_) => "file",
            };
            format!("{name} ({kind})")
        })
        .collect();
    let clusters: Vec<&str> = config.clusters.keys().map(ClusterName::as_str).collect();
    let targets = || config.entries.values().flat_map(|entry| &entry.targets);
    let files = targets().filter(|t| matches!(t, Target::File(_))).count();
    let secrets = targets().count() - files;
    let selected = config.entries.values();
    let selected: usize = selected.map(|entry| entry.selections.len()).sum();
    let and_selected = match selected {
        0 => String::new(),
        more => format!(", and those of {}", count(more, "selector")),
    };
    let rows = [
        ("stores", stores.len(), stores.join(", ")),
        ("clusters", clusters.len(), clusters.join(", ")),
        (
            "entries",
            config.entries.len(),
            count(reads::of(config).len(), "distinct read"),
        ),
        (
            "targets",
            files + secrets,
            format!(
                "{}, {}{and_selected}",
                count(secrets, "Secret"),
                count(files, "file")
            ),
        ),
    ];
    let width = rows
        .iter()
        .map(|(_, n, _)| n.to_string().len())
        .max()
        .unwrap_or(1);
    let mut text = String::new();
    for (what, n, detail) in rows {
        let line = format!("{what:<10}{n:>width$}  {detail}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn shipped(name: &str, strict: bool) -> Answer {
        // A copy, because the modes of a checkout depend on whose it is.
        let dir = tempfile::tempdir().unwrap();
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config")).unwrap() {
            let file = file.unwrap();
            if !file.file_type().unwrap().is_file() {
                continue;
            }
            let copy = dir.path().join(file.file_name());
            fs::write(&copy, fs::read(file.path()).unwrap()).unwrap();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let options = Options {
            strict,
            color: false,
        };
        let surroundings = Surroundings {
            root: true,
            ..Surroundings::default()
        };
        check(&dir.path().join(name), options, &surroundings)
    }

    #[test]
    fn what_is_in_order_is_summed_up() {
        let answer = shipped("quickstart.toml", false);
        assert_eq!(answer.code, OK);
        insta::assert_snapshot!(answer.summary, @r#"
    stores    1  local (file)
    clusters  0
    entries   3  3 distinct reads
    targets   4  0 Secrets, 4 files
    "#);
    }

    #[test]
    fn strictly_warnings_are_errors() {
        let lenient = shipped("kubernetes.toml", false);
        assert_eq!((lenient.code, lenient.summary.is_empty()), (OK, false));
        assert!(lenient.diagnostics.ends_with("0 errors, 1 warning\n"));
        let strict = shipped("kubernetes.toml", true);
        assert_eq!((strict.code, strict.summary.is_empty()), (BAD_CONFIG, true));
        assert!(
            strict
                .diagnostics
                .ends_with("0 errors, 1 warning; with --strict, warnings count\n")
        );
    }

    #[test]
    fn errors_are_counted() {
        let answer = shipped("not-there.toml", false);
        assert_eq!(answer.code, BAD_CONFIG);
        assert!(answer.diagnostics.ends_with("1 error, 0 warnings\n"));
    }
}
