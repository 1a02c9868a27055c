//! A configuration. `auth:` or `ref:` at the beginning: the rest is a line in a table under `auth`, or in a `remote_ref`,
//! where whatever stands may be a pasted credential. Else the whole text is the main file.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use secretsyncd::config::{Diagnostics, Surroundings, load};

use super::{no_leak, planted};

const BEFORE: &str = r#"
[stores.local.file]
path = "/nowhere/secrets"
[stores.prod.aws_secrets_manager]
region = "us-east-1"
[secrets.e]
store = "local"
[[secrets.e.file]]
path = "/nowhere/file"
format = "json"
"#;
const AUTH: &str = "[stores.prod.aws_secrets_manager.auth]";
const REMOTE_REF: &str = "[[secrets.e.data]]\nsecret_key = \"a\"\n[secrets.e.data.remote_ref]";

pub fn target(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let table = [("auth:", AUTH), ("ref:", REMOTE_REF)]
        .into_iter()
        .find_map(|(prefix, table)| Some((table, input.strip_prefix(prefix)?)));
    match table {
        Some((table, line)) => pasted(table, line),
        None if walks(input) => {}
        None => {
            diagnosed(input);
        }
    }
}

/// A line of a table in which nothing is repeated. Another table's header is not in it.
fn pasted(table: &str, line: &str) {
    if line.contains(['\n', '\r']) || line.trim_start().starts_with('[') {
        return;
    }
    let text = format!("{BEFORE}{table}\n{}\n", planted(line));
    no_leak(&diagnosed(&text));
}

/// Whether it may include by a pattern, which would lead through the whole disk.
fn walks(text: &str) -> bool {
    text.contains("include") && text.contains(['*', '?', '\\'])
}

/// What is said about that main file.
fn diagnosed(text: &str) -> [String; 3] {
    let dir = tempfile::tempdir().expect("a directory for the configuration");
    let main = dir.path().join("main.toml");
    fs::write(&main, text).expect("the configuration can be written");
    fs::set_permissions(&main, Permissions::from_mode(0o600)).expect("the file is ours");
    let surroundings = Surroundings {
        home: Some("/nowhere/home".into()),
        ..Surroundings::default()
    };
    let diagnosed = || match load(&main, &surroundings) {
        Ok(loaded) => shown(&loaded.warnings),
        Err(diagnostics) => {
            assert_ne!(diagnostics.errors(), 0, "refused without an error");
            shown(&diagnostics)
        }
    };
    let first = diagnosed();
    assert_eq!(first, diagnosed());
    first
}

fn shown(diagnostics: &Diagnostics) -> [String; 3] {
    [
        diagnostics.render(false),
        diagnostics.render(true),
        format!("{diagnostics:?}"),
    ]
}
