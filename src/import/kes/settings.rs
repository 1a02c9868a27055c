//! What the environment of KES, or of ESO, says for all of its objects: from a Deployment, or the values of KES's chart.
//!
//! Credentials are taken by reference or not at all.

mod read;

use std::fmt;

pub(super) use self::read::TORN;
pub(in crate::import) use self::read::{of_deployment, of_values};

use super::super::context::Context;
use super::super::draft::{KeySource, Keys, Service};
use super::super::interval::{self, Interval};
use super::super::tree::Field;
use super::super::words::quoted;

#[derive(Clone, Debug, Default)]
pub(in crate::import) struct Settings {
    pub of: Of,
    /// Of the Deployment that was read.
    environment: Option<Environment>,
    pub region: Option<String>,
    pub interval: Option<String>,
    /// Nothing is polled.
    pub once: bool,
    pub watched: Option<Vec<String>>,
    pub instance: Option<String>,
    /// Assumed before the role of an object.
    pub hop: Option<String>,
    pub sts_endpoint: Option<String>,
    pub manager_endpoint: Option<String>,
    pub parameter_endpoint: Option<String>,
    pub keys: Option<Keys>,
    eso: Endpoints,
    id: Option<KeySource>,
    secret: Option<KeySource>,
    token: Option<KeySource>,
}

/// Whose these are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::import) enum Of {
    #[default]
    Nobody,
    OneKes,
    /// Nobody can say which of them an object was served by.
    Several,
}

/// Names, values, and whether they are elsewhere; in order.
type Environment = Vec<(String, Option<String>, bool)>;

#[derive(Clone, Debug, Default)]
struct Endpoints {
    sts: Option<String>,
    manager: Option<String>,
    parameters: Option<String>,
}

impl Settings {
    pub(in crate::import) fn eso_endpoint(&self, service: Service) -> Option<String> {
        match service {
            Service::SecretsManager => self.eso.manager.clone(),
            Service::ParameterStore => self.eso.parameters.clone(),
        }
    }

    pub(in crate::import) fn eso_sts_endpoint(&self) -> Option<String> {
        self.eso.sts.clone()
    }
}

/// Whose environment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Kes,
    Eso,
    Others,
}

/// One variable.
struct Variable<'t> {
    name: &'t str,
    at: &'t Field,
    value: Option<&'t str>,
    secret: Option<KeySource>,
}

impl Variable<'_> {
    fn warn(&self, sentence: impl fmt::Display) {
        self.at.warn(format!("{}: {sentence}", quoted(self.name)));
    }

    fn refuse(&self, sentence: &str) {
        self.at.refuse(format!("{}: {sentence}", quoted(self.name)));
    }
}

fn finish(cx: &mut Context) {
    let settings = &mut cx.kes;
    if let (Some(id), Some(secret)) = (&settings.id, &settings.secret) {
        settings.keys = Some(Keys {
            id: id.clone(),
            secret: secret.clone(),
            token: settings.token.clone(),
        });
    }
}

fn take(variable: &Variable<'_>, whose: Whose, cx: &mut Context) {
    if whose == Whose::Eso {
        eso(variable, &mut cx.kes.eso);
        return;
    }
    let settings = &mut cx.kes;
    if settings.of == Of::Nobody {
        settings.of = Of::OneKes;
    }
    let agreed = match variable.name {
        "POLLER_INTERVAL_MILLISECONDS" => poller(variable, &mut settings.interval),
        "WATCHED_NAMESPACES" => watched(variable, &mut settings.watched),
        "AWS_REGION" | "AWS_DEFAULT_REGION" => text(variable, &mut settings.region),
        "AWS_INTERMEDIATE_ROLE_ARN" => text(variable, &mut settings.hop),
        "AWS_STS_ENDPOINT" => text(variable, &mut settings.sts_endpoint),
        "AWS_SM_ENDPOINT" => {
            variable.warn(NO_EFFECT);
            text(variable, &mut settings.manager_endpoint)
        }
        "AWS_SSM_ENDPOINT" => {
            variable.warn(NO_EFFECT);
            text(variable, &mut settings.parameter_endpoint)
        }
        "INSTANCE_ID" => text(variable, &mut settings.instance),
        _ => {
            others(variable, settings);
            true
        }
    };
    if !agreed {
        settings.of = Of::Several;
    }
}

/// What is no text that two could say differently.
fn others(variable: &Variable<'_>, settings: &mut Settings) {
    match variable.name {
        "AWS_ACCESS_KEY_ID" => key(variable, "AWS_ACCESS_KEY_ID", &mut settings.id),
        "AWS_SECRET_ACCESS_KEY" => key(variable, "AWS_SECRET_ACCESS_KEY", &mut settings.secret),
        "AWS_SESSION_TOKEN" => key(variable, "AWS_SESSION_TOKEN", &mut settings.token),
        "DISABLE_POLLING" => {
            settings.once = true;
            variable.warn("delivered once, and again when the entry's configuration changes");
        }
        "ENFORCE_NAMESPACE_ANNOTATIONS"
        | "ROLE_PERMITTED_ANNOTATION"
        | "NAMING_PERMITTED_ANNOTATION" => {
            variable.warn("a rule about which namespace may read what; it ends with the move");
        }
        "METRICS_PORT" => variable.warn("set `listen` in [daemon] instead"),
        "LOG_LEVEL" => variable.warn("use `--log-level` instead"),
        "AWS_STS_ENDPOINT_TYPE"
        | "WATCH_TIMEOUT"
        | "LOG_MESSAGE_KEY"
        | "LOG_BASE_PID_KEY"
        | "LOG_BASE_HOSTNAME_KEY"
        | "USE_HUMAN_READABLE_LOG_LEVELS"
        | "NODE_ENV" => variable.at.note("nothing here depends on it"),
        name if is_proxy(name) => variable.warn("set it in the environment of secretsyncd"),
        _ => variable.warn("left out: `import` does not know what it means for what is delivered"),
    }
}

const NO_EFFECT: &str = "it had no effect in KES; here it is used";

fn is_proxy(name: &str) -> bool {
    matches!(
        &*name.to_ascii_uppercase(),
        "HTTP_PROXY" | "HTTPS_PROXY" | "NO_PROXY"
    )
}

fn eso(variable: &Variable<'_>, endpoints: &mut Endpoints) {
    let place = match variable.name {
        "AWS_SECRETSMANAGER_ENDPOINT" => &mut endpoints.manager,
        "AWS_SSM_ENDPOINT" => &mut endpoints.parameters,
        "AWS_STS_ENDPOINT" => &mut endpoints.sts,
        name if is_proxy(name) => {
            return variable.warn("set it in the environment of secretsyncd");
        }
        _ => {
            return variable
                .warn("left out: `import` does not know what it means for what is delivered");
        }
    };
    text(variable, place);
}

/// A value that must be written there. Whether none before it was another.
fn text(variable: &Variable<'_>, place: &mut Option<String>) -> bool {
    let Some(value) = variable.value.filter(|value| !value.is_empty()) else {
        if variable.secret.is_some() {
            variable.refuse("its value is in a Secret; give it by the command line");
        }
        return true;
    };
    put(variable, value.to_owned(), place)
}

fn put<T: PartialEq>(variable: &Variable<'_>, value: T, place: &mut Option<T>) -> bool {
    let agrees = place.as_ref().is_none_or(|other| *other == value);
    if agrees {
        *place = Some(value);
    } else {
        variable.refuse(
            "the input says two different values for this; convert what belongs to each by itself",
        );
    }
    agrees
}

fn watched(variable: &Variable<'_>, place: &mut Option<Vec<String>>) -> bool {
    let list = variable.value.unwrap_or_default().split(',').map(str::trim);
    let list: Vec<String> = list
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    variable.warn("objects in other namespaces are not converted");
    list.is_empty() || put(variable, list, place)
}

/// Where a credential is; a credential that stands here is not taken.
fn key(variable: &Variable<'_>, name: &'static str, place: &mut Option<KeySource>) {
    if let Some(secret) = &variable.secret {
        if let KeySource::Secret {
            namespace, name, ..
        } = secret
        {
            let secret = quoted(&format!("{namespace}/{name}"));
            variable.warn(format_args!(
                "read from the Secret {secret} by the identity of the kubeconfig, which must be allowed to; see that the namespace is right"
            ));
        }
        *place = Some(secret.clone());
    } else {
        variable.warn("a credential stands here and is not taken along: set this variable for secretsyncd, or name a file");
        *place = Some(KeySource::Env(name));
    }
}

fn poller(variable: &Variable<'_>, place: &mut Option<String>) -> bool {
    let milliseconds = variable
        .value
        .and_then(|value| value.trim().parse::<u64>().ok());
    let Some(milliseconds) = milliseconds else {
        variable.refuse("this must be a whole number of milliseconds");
        return true;
    };
    match interval::of(milliseconds) {
        Interval::Exact(text) => put(variable, text, place),
        Interval::Near(text, why) => {
            variable.warn(format!("it is {text}: {why}"));
            put(variable, text, place)
        }
        Interval::Never => {
            variable.refuse("this must be above zero");
            true
        }
    }
}
