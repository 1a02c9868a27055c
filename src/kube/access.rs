//! Where a cluster is and how it lets us in, read from the files that the configuration names.
//!
//! Every problem with them is a `credentials` failure of the cluster: it concerns all of its targets, and passes as
//! soon as somebody corrects the file. Blocking; nothing is kept here.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::exec::Plugin;
use super::kubeconfig;
use crate::config::{ClusterAccess, ClusterAuth, ServiceAccount};
use crate::failure::{Failure, Reason};
use crate::secret::SecretBytes;

/// The largest kubeconfig, certificate, key or token file that is read.
const FILE_MAX: usize = 1 << 20;

/// A cluster's address and credentials as configured: what is in files of its own is not read yet.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) server: String,
    pub(super) trust: Trust,
    pub(super) way: Way,
    pub(super) login: Login,
}

/// Whom we take for the API server.
#[derive(Debug)]
pub(super) enum Trust {
    /// Whoever the system's certificate authorities vouch for.
    System,
    Authority(Source),
    /// Everybody: both the kubeconfig and the configuration ask for it.
    Anybody,
}

/// How a connection gets there.
#[derive(Debug)]
pub(super) enum Way {
    Direct,
    /// To the host in `server`, which is asked for and proves itself by this name.
    Named(String),
    /// Through a tunnel of this proxy. Its URL may hold a password.
    Proxy(SecretBytes),
}

/// How we prove who we are.
#[derive(Debug)]
pub(super) enum Login {
    Keys(Keys),
    /// A program says it.
    Plugin(Plugin),
    /// Tokens that are signed as a store.
    Eks,
}

#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) token: Option<SecretBytes>,
    /// Goes before `token`, which stands in while the file cannot be read.
    pub(super) token_file: Option<PathBuf>,
    pub(super) identity: Option<Identity>,
}

/// A client certificate and its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) certificate: Source,
    pub(super) key: Source,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Inline(SecretBytes),
    File(PathBuf),
}

/// What tells one content of a file from another without reading it. Links are followed: the kubelet and others
/// swap a link to put new content in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// `None` where there is no such file, which is a state to be told from others too.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl Access {
    pub(super) fn of(access: &ClusterAccess) -> Result<Self, Failure> {
        match access {
            ClusterAccess::Kubeconfig { path, context, tls } => {
                kubeconfig::read(path, context.as_deref(), *tls)
            }
            ClusterAccess::Server {
                server,
                certificate_authority,
                auth,
            } => Ok(Self {
                server: server.clone(),
                trust: certificate_authority
                    .clone()
                    .map_or(Trust::System, |path| Trust::Authority(Source::File(path))),
                way: Way::Direct,
                login: Login::of(auth),
            }),
            ClusterAccess::InCluster(account) => Self::in_cluster(account),
        }
    }

    fn in_cluster(account: &ServiceAccount) -> Result<Self, Failure> {
        let server = account.server.clone().ok_or_else(|| {
            unusable("`in_cluster` is set, and this does not run in a pod")
                .with_help(
                    "run it in a pod, which has KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, or give a `kubeconfig` or a `server`",
                )
        })?;
        Ok(Self {
            server,
            trust: Trust::Authority(Source::File(account.authority())),
            way: Way::Direct,
            login: Login::Keys(Keys {
                token_file: Some(account.token()),
                ..Keys::default()
            }),
        })
    }

    /// The files it names, but the token's, which is followed by itself.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let authority = match &self.trust {
            Trust::Authority(source) => Some(source),
            Trust::System | Trust::Anybody => None,
        };
        let identity = match &self.login {
            Login::Keys(keys) => keys.identity.as_ref(),
            Login::Plugin(_) | Login::Eks => None,
        };
        let identity = identity.into_iter().flat_map(|i| [&i.certificate, &i.key]);
        authority
            .into_iter()
            .chain(identity)
            .filter_map(|source| match source {
                Source::File(path) => Some(path.as_path()),
                Source::Inline(_) => None,
            })
    }
}

impl Login {
    fn of(auth: &ClusterAuth) -> Self {
        match auth {
            ClusterAuth::TokenFile(path) => Self::Keys(Keys {
                token_file: Some(path.clone()),
                ..Keys::default()
            }),
            ClusterAuth::ClientCertificate { certificate, key } => Self::Keys(Keys {
                identity: Some(Identity {
                    certificate: Source::File(certificate.clone()),
                    key: Source::File(key.clone()),
                }),
                ..Keys::default()
            }),
            ClusterAuth::Eks(_) => Self::Eks,
        }
    }
}

impl Source {
    pub(super) fn load(&self, what: &str) -> Result<SecretBytes, Failure> {
        match self {
            Self::Inline(bytes) => Ok(bytes.clone()),
            Self::File(path) => load(path, what),
        }
    }
}

pub(super) fn unusable(fact: impl Into<String>) -> Failure {
    Failure::new(Reason::Credentials, fact)
}

/// The content of a regular file of bounded size. A path at which nothing is may be no path at all but a credential
/// that was typed in its place, and is not repeated.
pub(super) fn load(path: &Path, what: &str) -> Result<SecretBytes, Failure> {
    let failed = |how: &str| {
        unusable(if path.symlink_metadata().is_ok() {
            format!("the {what} {} {how}", path.display())
        } else {
            format!("the {what} that is configured {how}")
        })
    };
    let metadata = fs::metadata(path).map_err(|error| failed(class(&error)))?;
    if !metadata.is_file() {
        return Err(failed("is not a regular file"));
    }
    let file = File::open(path).map_err(|error| failed(class(&error)))?;
    // With room for all that is read, nothing is moved and left behind while it grows.
    let room = usize::try_from(metadata.len()).unwrap_or(FILE_MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room.min(FILE_MAX) + 64));
    file.take(FILE_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(class(&error)))?;
    if bytes.len() > FILE_MAX {
        return Err(failed("is larger than 1 MiB"));
    }
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

fn class(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound {
        "does not exist"
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "may not be read by this user"
    } else {
        "cannot be read"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_with_a_limit_and_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let fact = |path: &Path| load(path, "token file").unwrap_err().fact.clone();
        assert_eq!(
            fact(&path),
            "the token file that is configured does not exist"
        );
        assert!(fact(dir.path()).ends_with("is not a regular file"));
        assert!(fact(dir.path()).contains(dir.path().to_str().unwrap()));
        fs::write(&path, vec![b'x'; FILE_MAX]).unwrap();
        assert_eq!(load(&path, "token file").unwrap().len(), FILE_MAX);
        fs::write(&path, vec![b'x'; FILE_MAX + 1]).unwrap();
        assert!(fact(&path).ends_with("is larger than 1 MiB"));
    }

    #[test]
    fn a_credential_typed_as_a_path_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        for typed in ["MARKER", &"MARKER".repeat(100), "a/MARKER"] {
            let failure = load(&dir.path().join(typed), "token file").unwrap_err();
            assert!(!failure.to_string().contains("MARKER"), "{failure}");
            assert!(failure.fact.starts_with("the token file "), "{failure}");
        }
    }

    #[test]
    fn another_file_in_the_same_place_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        assert_eq!(Stamp::of(&path), None);
        fs::write(&path, "one").unwrap();
        let before = Stamp::of(&path);
        assert_eq!(Stamp::of(&path), before);
        let other = dir.path().join("other");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(Stamp::of(&path), before);
    }
}
