//! What the process around a configuration contributes to it: user and environment, as plain values, so that
//! lowering is the same for the same files.

use std::env;
use std::path::{Path, PathBuf};

/// The few facts about the process that defaults depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub root: bool,
    /// `$STATE_DIRECTORY` and `$RUNTIME_DIRECTORY`, as systemd sets them.
    pub state_directory: Option<PathBuf>,
    pub runtime_directory: Option<PathBuf>,
    pub xdg_state_home: Option<PathBuf>,
    pub xdg_runtime_dir: Option<PathBuf>,
    pub home: Option<PathBuf>,
}

impl Surroundings {
    pub fn from_process() -> Self {
        Self {
            root: rustix::process::geteuid().is_root(),
            state_directory: directory("STATE_DIRECTORY"),
            runtime_directory: directory("RUNTIME_DIRECTORY"),
            xdg_state_home: directory("XDG_STATE_HOME"),
            xdg_runtime_dir: directory("XDG_RUNTIME_DIR"),
            home: directory("HOME"),
        }
    }

    /// Where state goes unless the configuration says.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        if let Some(directory) = &self.state_directory {
            return Some(directory.clone());
        }
        if self.root {
            return Some(PathBuf::from("/var/lib/secretsyncd"));
        }
        let base = match (&self.xdg_state_home, &self.home) {
            (Some(base), _) => base.clone(),
            (None, Some(home)) => home.join(".local/state"),
            (None, None) => return None,
        };
        Some(base.join("secretsyncd"))
    }

    /// Where the control socket goes unless the configuration says.
    pub(super) fn control_socket(&self, state_dir: &Path) -> PathBuf {
        let directory = if let Some(directory) = &self.runtime_directory {
            directory.clone()
        } else if self.root {
            PathBuf::from("/run/secretsyncd")
        } else if let Some(base) = &self.xdg_runtime_dir {
            base.join("secretsyncd")
        } else {
            state_dir.to_owned()
        };
        directory.join("control.sock")
    }
}

/// The first absolute path of a variable: systemd separates several by `:`, XDG says that relative ones count as
/// unset.
fn directory(variable: &str) -> Option<PathBuf> {
    let value = env::var_os(variable)?;
    env::split_paths(&value)
        .next()
        .filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_socket_follow_systemd_then_root_then_the_user() {
        let user = Surroundings {
            home: Some("/home/u".into()),
            ..Surroundings::default()
        };
        let root = Surroundings {
            root: true,
            ..user.clone()
        };
        let unit = Surroundings {
            state_directory: Some("/var/lib/private/s".into()),
            runtime_directory: Some("/run/s".into()),
            ..root.clone()
        };
        let desktop = Surroundings {
            xdg_state_home: Some("/x/state".into()),
            xdg_runtime_dir: Some("/run/user/1".into()),
            ..user.clone()
        };
        let of = |s: &Surroundings| {
            let state = s.state_dir().unwrap();
            let socket = s.control_socket(&state);
            (
                state.to_str().unwrap().to_owned(),
                socket.to_str().unwrap().to_owned(),
            )
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            of(&user),
            pair(
                "/home/u/.local/state/secretsyncd",
                "/home/u/.local/state/secretsyncd/control.sock"
            )
        );
        assert_eq!(
            of(&root),
            pair("/var/lib/secretsyncd", "/run/secretsyncd/control.sock")
        );
        assert_eq!(of(&unit), pair("/var/lib/private/s", "/run/s/control.sock"));
        assert_eq!(
            of(&desktop),
            pair(
                "/x/state/secretsyncd",
                "/run/user/1/secretsyncd/control.sock"
            )
        );
        assert_eq!(Surroundings::default().state_dir(), None);
    }
}
