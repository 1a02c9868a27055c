//! The configuration from outside: text in, `Config` or diagnostics out.

mod actions;
mod auth;
mod clusters;
mod conflicts;
mod content;
mod diagnostics;
mod essence;
mod fanout;
mod files;
mod leader;
mod leaks;
mod lowering;
mod restarts;
mod schema;
mod shipped;
mod sources;
mod stores;
mod unsupported;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Config, Diagnostics, Loaded, Surroundings, load};

/// A directory with a configuration in it.
struct Room(TempDir);

impl Room {
    fn new(files: &[(&str, &str)]) -> Self {
        let room = Self(TempDir::new().unwrap());
        for (name, text) in files {
            let path = room.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self) -> Result<Loaded, Diagnostics> {
        let surroundings = Surroundings {
            home: Some("/home/someone".into()),
            look_at_programs: true,
            ..Surroundings::default()
        };
        load(&self.path("main.toml"), &surroundings)
    }

    /// The messages of all diagnostics, warnings included.
    fn messages(&self) -> Vec<String> {
        let diagnostics = match self.load() {
            Ok(loaded) => loaded.warnings,
            Err(diagnostics) => diagnostics,
        };
        diagnostics.iter().map(|d| d.message.clone()).collect()
    }

    /// All diagnostics as a person reads them, paths relative to the room.
    fn report(&self) -> String {
        let diagnostics = match self.load() {
            Ok(loaded) => loaded.warnings,
            Err(diagnostics) => diagnostics,
        };
        let dir = format!("{}/", self.path("").display());
        diagnostics
            .render(false)
            .replace(&dir.replace("//", "/"), "")
            .trim_end()
            .to_owned()
    }
}

fn report(text: &str) -> String {
    Room::new(&[("main.toml", text)]).report()
}

/// The messages of a configuration's problems, warnings included.
fn messages(text: &str) -> Vec<String> {
    Room::new(&[("main.toml", text)]).messages()
}

fn config(text: &str) -> Config {
    let room = Room::new(&[("main.toml", text)]);
    match room.load() {
        Ok(loaded) => loaded.config,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    }
}

/// A configuration that is right, with `line` put where `place` is named.
fn with(place: &str, line: &str) -> String {
    const BASE: &str = r#"
# root
[daemon]
# daemon
[defaults]
# defaults
[defaults.file]
# defaults.file
[defaults.kubernetes]
# defaults.kubernetes
[stores.local.file]
path = "/nowhere/secrets"
# local
[stores.prod.aws_secrets_manager]
region = "us-east-1"
# prod
[stores.prod.aws_secrets_manager.auth]
# auth
[clusters.k]
kubeconfig = "/nowhere/kubeconfig"
# cluster
[secrets.e]
store = "local"
# entry
[[secrets.e.data]]
secret_key = "a"
# item
[secrets.e.data.remote_ref]
key = "x"
# ref
[[secrets.e.kubernetes]]
cluster = "k"
namespace = "n"
# kubernetes
[[secrets.e.file]]
path = "/nowhere/file"
format = "json"
# file
"#;
    let marker = format!("\n# {place}\n");
    assert!(BASE.contains(&marker), "no place {place}");
    BASE.replace(&marker, &format!("\n{line}\n"))
}

/// What is wrong when `line` stands at `place`, beyond files that do not exist.
fn wrong(place: &str, line: &str) -> Vec<String> {
    let mut messages = messages(&with(place, line));
    messages.retain(|message| !message.starts_with("there is no such file yet"));
    messages
}
