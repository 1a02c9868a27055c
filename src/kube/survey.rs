//! What a kubeconfig holds and names, for whoever judges a configuration before it is used. No text of it leaves here
//! but its server and the paths in it.

use std::path::{Path, PathBuf};

use super::access::{Access, Login, Source, Trust};
use super::kubeconfig;
use crate::config::Tls;
use crate::failure::Failure;

#[derive(Debug)]
pub struct Survey {
    /// A token, a key or a password stands in the file itself, for whichever user.
    pub holds_credential: bool,
    /// What the chosen context leads to.
    pub access: Result<SurveyedAccess, Failure>,
}

#[derive(Debug)]
pub struct SurveyedAccess {
    pub server: String,
    /// The server need not prove who it is.
    pub unverified: bool,
    pub files: Vec<NamedFile>,
}

/// What a [`NamedFile`] is that is run, not read.
pub const PLUGIN: &str = "credential plugin";

/// A file that is read because the kubeconfig names it.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedFile {
    pub what: &'static str,
    pub path: PathBuf,
    pub credential: bool,
}

/// Reads the kubeconfig at `path` as a session with that context would. Blocking.
pub fn survey(path: &Path, context: Option<&str>, tls: Tls) -> Survey {
    let file = match kubeconfig::parse(path) {
        Ok(file) => file,
        Err(failure) => {
            return Survey {
                holds_credential: false,
                access: Err(failure),
            };
        }
    };
    Survey {
        holds_credential: file.holds_credential(),
        access: file.choose(path, context, tls).map(SurveyedAccess::of),
    }
}

impl SurveyedAccess {
    fn of(access: Access) -> Self {
        let unverified = matches!(access.trust, Trust::Anybody);
        let authority = match access.trust {
            Trust::Authority(source) => Some(source),
            Trust::System | Trust::Anybody => None,
        };
        let mut files = vec![named("certificate authority", false, authority)];
        match access.login {
            Login::Keys(keys) => {
                let (certificate, key) = keys
                    .identity
                    .map_or((None, None), |i| (Some(i.certificate), Some(i.key)));
                files.extend([
                    named("client certificate", false, certificate),
                    named("client key", true, key),
                    named("token file", true, keys.token_file.map(Source::File)),
                ]);
            }
            Login::Plugin(plugin) => {
                let program = Source::File(plugin.path().to_owned());
                files.push(named(PLUGIN, false, Some(program)));
            }
            Login::Eks => {}
        }
        Self {
            server: access.server,
            unverified,
            files: files.into_iter().flatten().collect(),
        }
    }
}

fn named(what: &'static str, credential: bool, source: Option<Source>) -> Option<NamedFile> {
    match source? {
        Source::Inline(_) => None,
        Source::File(path) => Some(NamedFile {
            what,
            path,
            credential,
        }),
    }
}
