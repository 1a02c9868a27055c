//! What the process around a configuration contributes to it: user and environment, as plain values, so that
//! lowering is the same for the same files.

use std::env;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use super::ServiceAccount;

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
    /// The API server as a pod's environment names it.
    pub api_server: Option<String>,
    /// Where a pod finds its service account, if not in the usual place.
    pub service_account: Option<PathBuf>,
    /// Whether programs that run later are looked at now. They may be on a disk that hangs, which is their own entries'
    /// trouble: whoever has to go on leaves it.
    pub look_at_programs: bool,
}

/// Where the kubelet puts it.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Surroundings {
    pub fn from_process() -> Self {
        Self {
            root: rustix::process::geteuid().is_root(),
            state_directory: directory("STATE_DIRECTORY"),
            runtime_directory: directory("RUNTIME_DIRECTORY"),
            xdg_state_home: directory("XDG_STATE_HOME"),
            xdg_runtime_dir: directory("XDG_RUNTIME_DIR"),
            home: directory("HOME"),
            api_server: api_server(|name| env::var(name).ok()),
            service_account: None,
            look_at_programs: false,
        }
    }

    pub(super) fn service_account(&self) -> ServiceAccount {
        let usual = || PathBuf::from(SERVICE_ACCOUNT);
        ServiceAccount {
            server: self.api_server.clone(),
            directory: self.service_account.clone().unwrap_or_else(usual),
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

fn api_server(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let host = variable("KUBERNETES_SERVICE_HOST").filter(|host| !host.is_empty())?;
    let port: u16 = variable("KUBERNETES_SERVICE_PORT")?.parse().ok()?;
    Some(match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("https://[{address}]:{port}"),
        Err(_) => format!("https://{host}:{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_where_its_api_server_is() {
        let of = |host: Option<&str>, port: Option<&str>| {
            api_server(|name| match name {
                "KUBERNETES_SERVICE_HOST" => host.map(str::to_owned),
                "KUBERNETES_SERVICE_PORT" => port.map(str::to_owned),
                _ => None,
            })
        };
        let is = |host, server: &str| assert_eq!(of(Some(host), Some("443")).unwrap(), server);
        is("10.96.0.1", "https://10.96.0.1:443");
        is("fd00::1", "https://[fd00::1]:443");
        for (host, port) in [
            (None, Some("443")),
            (Some("10.96.0.1"), None),
            (Some(""), Some("443")),
            (Some("10.96.0.1"), Some("x")),
        ] {
            assert_eq!(of(host, port), None);
        }
        let usual = Surroundings::default().service_account();
        let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
        assert_eq!(usual.token(), Path::new(token));
    }

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
