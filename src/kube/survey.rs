//! What a kubeconfig holds and names, for whoever judges a configuration before it is used. No text of it leaves here
//! but its server and the paths in it.

use std::path::{Path, PathBuf};

use super::access::Source;
use super::kubeconfig;
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
    pub files: Vec<NamedFile>,
}

/// A file that is read because the kubeconfig names it.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedFile {
    pub what: &'static str,
    pub path: PathBuf,
    pub credential: bool,
}

/// Reads the kubeconfig at `path` as a session with that context would. Blocking.
pub fn survey(path: &Path, context: Option<&str>) -> Survey {
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
        access: file.choose(path, context).map(|access| {
            let (certificate, key) = access
                .identity
                .map_or((None, None), |i| (Some(i.certificate), Some(i.key)));
            let files = [
                named("certificate authority", false, access.certificate_authority),
                named("client certificate", false, certificate),
                named("client key", true, key),
                named("token file", true, access.token_file.map(Source::File)),
            ];
            SurveyedAccess {
                server: access.server,
                files: files.into_iter().flatten().collect(),
            }
        }),
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
