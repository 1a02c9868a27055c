//! Credential plugins: programs that a kubeconfig names and that answer with an `ExecCredential`
//! (client.authentication.k8s.io, v1 and v1beta1).
//!
//! Nobody is there to answer a question, so one that always asks is refused. Nothing that a plugin writes is ever repeated,
//! and no advice of the kubeconfig's (`installHint`) either.

#[cfg(test)]
mod tests;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Access, Identity, Source, Trust, Way, unusable};
use super::kubeconfig::Wiped;
use super::session::bearer;
use super::ticket::Ticket;
use crate::clock;
use crate::failure::Failure;
use crate::process::{self, Limits, Program};

/// A certificate, its chain and its key fit many times.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(15),
    output: 64 << 10,
};

const INFO: &str = "KUBERNETES_EXEC_INFO";

/// As a kubeconfig has it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Exec {
    api_version: String,
    command: String,
    args: Option<Vec<Wiped>>,
    env: Option<Vec<Variable>>,
    interactive_mode: Option<String>,
    provide_cluster_info: bool,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: Option<Wiped>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V1Beta1,
}

pub(super) struct Plugin {
    version: Version,
    program: Program,
    /// Absent: it is not told.
    cluster: Option<TellCluster>,
}

/// It is told which cluster it is for, and this, which the kubeconfig has for it.
struct TellCluster {
    config: Option<Value>,
}

/// A plugin that knows what it is asked.
pub(super) struct Instructed {
    version: Version,
    program: Program,
    /// Its path, where it is one. The file system is not asked for it later, when it may hang.
    shown: String,
}

/// What is wrong, and what to do.
type Refusal = (&'static str, &'static str);

impl Version {
    const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "client.authentication.k8s.io/v1",
            Self::V1Beta1 => "client.authentication.k8s.io/v1beta1",
        }
    }

    fn of(text: &str) -> Option<Self> {
        let all = [Self::V1, Self::V1Beta1];
        all.into_iter().find(|version| version.as_str() == text)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.program).finish()
    }
}

impl Exec {
    /// As kubectl judges it, but for what needs a terminal. `beside` is relative to the kubeconfig.
    pub(super) fn plugin(
        self,
        config: Option<Value>,
        beside: impl Fn(&str) -> PathBuf,
    ) -> Result<Plugin, Refusal> {
        let version = Version::of(&self.api_version).ok_or((
            "has an `exec` with an `apiVersion` that we do not know",
            "write client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1",
        ))?;
        match (self.interactive_mode.as_deref(), version) {
            (Some("Never" | "IfAvailable"), _) | (None | Some(""), Version::V1Beta1) => {}
            (Some("Always"), _) => {
                return Err((
                    "has an `exec` with `interactiveMode: Always`",
                    "use a plugin that asks no questions: there is nobody to answer",
                ));
            }
            (Some(_), _) | (None, Version::V1) => {
                return Err((
                    "has an `exec` without a known `interactiveMode`",
                    "write `interactiveMode: Never` or `IfAvailable`",
                ));
            }
        }
        let path = command(&self.command, beside)?;
        let arguments = self.args.unwrap_or_default();
        let arguments = arguments.iter().map(text).collect::<Result<_, _>>()?;
        let mut program = Program::new(path, arguments);
        for variable in self.env.unwrap_or_default() {
            if variable.name.is_empty() || variable.name.contains(['=', '\0']) {
                return Err((
                    "has an `exec` with a variable in `env` that has no name",
                    "give each a `name` and a `value`",
                ));
            }
            let value = variable.value.as_ref().map(text).transpose()?;
            program.set(variable.name, value.unwrap_or_default());
        }
        Ok(Plugin {
            version,
            program,
            cluster: self.provide_cluster_info.then_some(TellCluster { config }),
        })
    }
}

fn command(command: &str, beside: impl Fn(&str) -> PathBuf) -> Result<PathBuf, Refusal> {
    if command.is_empty() || command.contains('\0') {
        return Err((
            "has an `exec` without a `command`",
            "name the plugin's program",
        ));
    }
    if command.contains('/') {
        return Ok(beside(command));
    }
    let search = env::var_os("PATH").unwrap_or_default();
    process::find(command.as_ref(), &search).ok_or((
        "has an `exec` whose `command` is in no directory of this process's PATH",
        "install the plugin, or write its absolute path",
    ))
}

fn text(text: &Wiped) -> Result<OsString, Refusal> {
    if text.0.expose().contains(&0) {
        return Err((
            "has an `exec` with a NUL character in `args` or `env`",
            "take it out",
        ));
    }
    Ok(OsString::from_vec(text.0.expose().to_vec()))
}

impl Plugin {
    pub(super) fn path(&self) -> &Path {
        self.program.path()
    }

    /// Reads what the plugin is to be told. Blocking.
    pub(super) fn instruct(&self, access: &Access) -> Result<Instructed, Failure> {
        let mut spec = json!({ "interactive": false });
        if let Some(TellCluster { config }) = &self.cluster {
            spec["cluster"] = cluster(access, config.as_ref())?;
        }
        let info = json!({
            "apiVersion": self.version.as_str(),
            "kind": "ExecCredential",
            "spec": spec,
        });
        let mut program = self.program.clone();
        program.set(INFO, info.to_string());
        // Where nothing is, it may be no path at all but a credential that was typed in its place.
        let shown = match program.path().symlink_metadata() {
            Ok(_) => format!(" {}", program.path().display()),
            Err(_) => String::new(),
        };
        Ok(Instructed {
            version: self.version,
            program,
            shown,
        })
    }
}

fn cluster(access: &Access, config: Option<&Value>) -> Result<Value, Failure> {
    let mut cluster = json!({ "server": access.server });
    match &access.way {
        Way::Direct => {}
        Way::Named(name) => cluster["tls-server-name"] = json!(name),
        Way::Proxy(url) => cluster["proxy-url"] = json!(String::from_utf8_lossy(url.expose())),
    }
    match &access.trust {
        Trust::System => {}
        Trust::Authority(source) => {
            let pem = source.load("certificate authority")?;
            cluster["certificate-authority-data"] = json!(STANDARD.encode(pem.expose()));
        }
        Trust::Anybody => cluster["insecure-skip-tls-verify"] = json!(true),
    }
    if let Some(config) = config {
        cluster["config"] = config.clone();
    }
    Ok(cluster)
}

impl Instructed {
    pub(super) async fn ask(&self) -> Result<Ticket, Failure> {
        let output = self.program.run(LIMITS).await;
        let output = output.map_err(|trouble| self.failure(trouble))?;
        read(output.expose(), self.version, clock::now()).map_err(|how| match how {
            Unusable::Answer(what) => self.failure(what),
            Unusable::Token(failure) => failure,
        })
    }

    fn failure(&self, what: impl fmt::Display) -> Failure {
        let shown = &self.shown;
        unusable(format!("the cluster's credential plugin{shown} {what}")).with_help(
            "run the `exec` of its kubeconfig by hand as the user of secretsyncd, with HOME, PATH and its own `env` alone, to see \
             why",
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: String,
    kind: String,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    expiration_timestamp: Option<Wiped>,
    token: Option<Wiped>,
    client_certificate_data: Option<Wiped>,
    client_key_data: Option<Wiped>,
}

enum Unusable {
    Answer(&'static str),
    Token(Failure),
}

fn read(output: &[u8], version: Version, now: Timestamp) -> Result<Ticket, Unusable> {
    const WHAT: &str = "did not write an ExecCredential in JSON";
    let fail = |what| Err(Unusable::Answer(what));
    // The library's own text quotes the output.
    let Ok(answer) = serde_json::from_slice::<Answer>(output) else {
        return fail(WHAT);
    };
    if answer.kind != "ExecCredential" {
        return fail(WHAT);
    }
    if Version::of(&answer.api_version) != Some(version) {
        return fail(
            "wrote an ExecCredential of another `apiVersion` than its kubeconfig asks for",
        );
    }
    let status = answer.status.unwrap_or_default();
    let some = |text: Option<Wiped>| text.map(|it| it.0).filter(|it| !it.is_empty());
    let identity = match (
        some(status.client_certificate_data),
        some(status.client_key_data),
    ) {
        (Some(certificate), Some(key)) => Some(Identity {
            certificate: Source::Inline(certificate),
            key: Source::Inline(key),
        }),
        (None, None) => None,
        _ => return fail("wrote only one of a client certificate and its key"),
    };
    let token = some(status.token);
    if token.is_none() && identity.is_none() {
        return fail("wrote an ExecCredential without credentials");
    }
    let expires = match some(status.expiration_timestamp) {
        None => None,
        Some(text) => match parse_time(text.expose()) {
            None => return fail("wrote an `expirationTimestamp` that is not a time"),
            Some(at) if at <= now => {
                return fail("handed out credentials that have expired already");
            }
            Some(at) => Some(at),
        },
    };
    let authorization = token.as_ref().map(bearer).transpose();
    Ok(Ticket {
        authorization: authorization.map_err(Unusable::Token)?,
        identity,
        expires,
    })
}

fn parse_time(text: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
