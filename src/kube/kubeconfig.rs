//! A kubeconfig as kubectl reads it, for the one context that is named; `current-context` is not looked at.
//!
//! What we do not do is refused by name rather than left out: without it, requests would go elsewhere or be somebody
//! else's. Errors give a place, never text of the file.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use rustls::pki_types::DnsName;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, Visitor};
use zeroize::Zeroizing;

use super::access::{self, Access, Identity, Keys, Login, Source, Trust, Way, unusable};
use super::exec::Exec;
use crate::config::Tls;
use crate::failure::Failure;
use crate::secret::SecretBytes;

/// There is nothing to be checked about credentials in a file that is not there.
const ABSENT: &str = "set `kubeconfig` of the cluster to a file that is on this machine, or run this where the file is";

pub(super) fn read(path: &Path, context: Option<&str>, tls: Tls) -> Result<Access, Failure> {
    parse(path)?.choose(path, context, tls)
}

pub(super) fn parse(path: &Path) -> Result<KubeConfig, Failure> {
    let text = access::load(path, "kubeconfig").map_err(|failure| {
        if path.try_exists().is_ok_and(|is_there| !is_there) {
            failure.with_help(ABSENT)
        } else {
            failure
        }
    })?;
    let reader = Reader {
        path,
        tls: Tls::Verified,
    };
    reader.parse(text.expose())
}

impl KubeConfig {
    pub(super) fn choose(
        self,
        path: &Path,
        context: Option<&str>,
        tls: Tls,
    ) -> Result<Access, Failure> {
        Reader { path, tls }.choose(self, context)
    }

    /// Whether it is itself a credential, of whichever user.
    pub(super) fn holds_credential(&self) -> bool {
        let some = |text: &Option<Wiped>| text.as_ref().is_some_and(|t| !t.0.is_empty());
        let users = self.users.iter().flatten().filter_map(|u| u.user.as_ref());
        let clusters = self.clusters.iter().flatten();
        let mut proxies = clusters.filter_map(|c| c.cluster.as_ref()?.proxy_url.as_ref());
        let password = |url: &Wiped| proxy(url).is_some_and(|url| url.password().is_some());
        proxies.any(password)
            || users.into_iter().any(|user| {
                some(&user.token)
                    || some(&user.client_key_data)
                    || user.password.as_ref().is_some_and(|p| p.0)
                    || user.auth_provider.is_some()
            })
    }
}

#[derive(Deserialize)]
pub(super) struct KubeConfig {
    clusters: Option<Vec<NamedCluster>>,
    contexts: Option<Vec<NamedContext>>,
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Option<Context>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<User>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<Wiped>,
    proxy_url: Option<Wiped>,
    tls_server_name: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    extensions: Option<Vec<Extension>>,
}

/// What others put into a cluster, each under a name of its own.
#[derive(Deserialize)]
struct Extension {
    name: String,
    #[serde(default)]
    extension: serde_json::Value,
}

/// What is in one of this name is handed to a credential plugin.
const PLUGIN_EXTENSION: &str = "client.authentication.k8s.io/exec";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<Wiped>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate: Option<String>,
    client_certificate_data: Option<Wiped>,
    client_key: Option<String>,
    client_key_data: Option<Wiped>,
    exec: Option<Exec>,
    auth_provider: Option<IgnoredAny>,
    username: Option<IgnoredText>,
    password: Option<IgnoredText>,
    #[serde(rename = "as")]
    impersonate: Option<IgnoredText>,
    as_uid: Option<IgnoredText>,
    as_groups: Option<IgnoredAny>,
    as_user_extra: Option<IgnoredAny>,
}

/// A text that may be a credential.
pub(super) struct Wiped(pub(super) SecretBytes);

/// Whether a text is there and not empty; the text itself is not kept.
struct IgnoredText(bool);

struct Reader<'a> {
    path: &'a Path,
    tls: Tls,
}

impl Reader<'_> {
    fn failure(&self, what: impl fmt::Display) -> Failure {
        unusable(format!("the kubeconfig {} {what}", self.path.display()))
    }

    fn unsupported(&self, what: &str, help: &'static str) -> Failure {
        self.failure(format_args!("uses {what}, which is not supported yet"))
            .with_help(help)
    }

    fn parse(&self, text: &[u8]) -> Result<KubeConfig, Failure> {
        let options = serde_saphyr::options! {
            with_snippet: false,
            budget: serde_saphyr::budget! { max_events: 100_000, max_aliases: 100, max_anchors: 100 },
        };
        serde_saphyr::from_slice_with_options(text, options).map_err(|error| {
            // The library's own text quotes the file.
            let place = error
                .location()
                .filter(|at| at.line() > 0)
                .map_or_else(String::new, |at| {
                    format!(" near line {}, column {}", at.line(), at.column())
                });
            self.failure(format_args!("is not a well-formed kubeconfig{place}"))
                .with_help("check it with `kubectl config view`")
        })
    }

    fn choose(&self, file: KubeConfig, wanted: Option<&str>) -> Result<Access, Failure> {
        let contexts = file.contexts.unwrap_or_default();
        let clusters = file.clusters.unwrap_or_default();
        let users = file.users.unwrap_or_default();
        self.distinct("contexts", contexts.iter().map(|c| c.name.as_str()))?;
        self.distinct("clusters", clusters.iter().map(|c| c.name.as_str()))?;
        self.distinct("users", users.iter().map(|u| u.name.as_str()))?;
        let context = match wanted {
            Some(name) => contexts
                .into_iter()
                .find(|c| c.name == name)
                .ok_or_else(|| {
                    // Not repeated: a credential may have been typed in its place.
                    self.failure("has no context of the name that the cluster's `context` gives")
                        .with_help("set `context` to a name from `kubectl config get-contexts`")
                })?,
            None => self.only(contexts)?,
        };
        let Context { cluster, user } = context.context.unwrap_or_default();
        let cluster = clusters
            .into_iter()
            .find(|c| c.name == cluster)
            .and_then(|c| c.cluster)
            .ok_or_else(|| self.failure("has no cluster of the name its context gives"))?;
        let user = users
            .into_iter()
            .find(|u| u.name == user)
            .and_then(|u| u.user)
            .ok_or_else(|| self.failure("has no user of the name its context gives"))?;
        self.refuse_unsupported(&user)?;
        self.access(cluster, user)
    }

    fn only(&self, contexts: Vec<NamedContext>) -> Result<NamedContext, Failure> {
        let found = contexts.len();
        let mut contexts = contexts.into_iter();
        match (contexts.next(), contexts.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(self
                .failure(format_args!(
                    "has {found} contexts, and none is chosen by `context`"
                ))
                .with_help(
                    "set `context` of this cluster to one of them; `current-context` is not used",
                )),
        }
    }

    /// As kubectl, which refuses the whole file.
    fn distinct<'n>(
        &self,
        list: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                return Err(
                    self.failure(format_args!("has two entries of one name under `{list}`"))
                );
            }
        }
        Ok(())
    }

    fn refuse_unsupported(&self, user: &User) -> Result<(), Failure> {
        const OTHER_LOGIN: &str = "use a token, a token file, a client certificate or `exec`";
        let set = |text: &Option<IgnoredText>| text.as_ref().is_some_and(|t| t.0);
        let impersonates = set(&user.impersonate)
            || set(&user.as_uid)
            || user.as_groups.is_some()
            || user.as_user_extra.is_some();
        for (present, what, help) in [
            (user.auth_provider.is_some(), "`auth-provider`", OTHER_LOGIN),
            (
                set(&user.username) || set(&user.password),
                "`username` and `password`",
                OTHER_LOGIN,
            ),
            (
                impersonates,
                "impersonation (`as`)",
                "grant the permissions to the identity itself",
            ),
        ] {
            if present {
                return Err(self.unsupported(what, help));
            }
        }
        Ok(())
    }

    fn access(&self, mut cluster: Cluster, user: User) -> Result<Access, Failure> {
        let extensions = cluster.extensions.take();
        let login = self.login(user, extensions)?;
        Ok(Access {
            way: self.way(&mut cluster)?,
            trust: self.trust(&mut cluster)?,
            server: cluster.server,
            login,
        })
    }

    fn login(&self, mut user: User, extensions: Option<Vec<Extension>>) -> Result<Login, Failure> {
        let exec = user.exec.take();
        let keys = self.keys(user)?;
        let none = keys.identity.is_none() && keys.token.is_none() && keys.token_file.is_none();
        let Some(exec) = exec else {
            return if none {
                Err(self
                    .failure("has no credentials for the user of its context")
                    .with_help("give a token, a token file, a client certificate or `exec`"))
            } else {
                Ok(Login::Keys(keys))
            };
        };
        if !none {
            return Err(self
                .failure("has other credentials beside `exec` for the user of its context")
                .with_help("keep one of them"));
        }
        let config = extensions
            .unwrap_or_default()
            .into_iter()
            .find(|it| it.name == PLUGIN_EXTENSION)
            .map(|it| it.extension);
        exec.plugin(config, |path| self.beside(path))
            .map(Login::Plugin)
            .map_err(|(what, help)| self.failure(what).with_help(help))
    }

    fn keys(&self, user: User) -> Result<Keys, Failure> {
        let certificate = self.source(
            "client-certificate-data",
            user.client_certificate_data,
            user.client_certificate,
        )?;
        let key = self.source("client-key-data", user.client_key_data, user.client_key)?;
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            _ => {
                return Err(self.failure(
                    "has only one of the client certificate and its key; both are needed",
                ));
            }
        };
        Ok(Keys {
            token: user.token.map(|t| t.0).filter(|t| !t.is_empty()),
            token_file: user
                .token_file
                .filter(|path| !path.is_empty())
                .map(|path| self.beside(&path)),
            identity,
        })
    }

    fn trust(&self, cluster: &mut Cluster) -> Result<Trust, Failure> {
        let authority = self.source(
            "certificate-authority-data",
            cluster.certificate_authority_data.take(),
            cluster.certificate_authority.take(),
        )?;
        if cluster.insecure_skip_tls_verify != Some(true) {
            return Ok(authority.map_or(Trust::System, Trust::Authority));
        }
        match (authority, self.tls) {
            (Some(_), Tls::Verified | Tls::AsTheKubeconfigSays) => Err(self
                .failure("has a certificate authority beside `insecure-skip-tls-verify`")
                .with_help("keep one of them, best the certificate authority")),
            (None, Tls::Verified) => Err(self
                .failure("uses `insecure-skip-tls-verify`, which the cluster's table does not allow")
                .with_help(
                    "give the cluster's certificate authority instead; or, where anyone on the way may read and change what \
                     is sent, set `allow_insecure_tls = true`",
                )),
            (None, Tls::AsTheKubeconfigSays) => Ok(Trust::Anybody),
        }
    }

    fn way(&self, cluster: &mut Cluster) -> Result<Way, Failure> {
        let name = cluster.tls_server_name.take().filter(|it| !it.is_empty());
        let proxy_url = cluster.proxy_url.take().filter(|it| !it.0.is_empty());
        match (name, proxy_url) {
            (None, None) => Ok(Way::Direct),
            (Some(_), Some(_)) => Err(self
                .failure("uses `tls-server-name` and `proxy-url` together, which is not supported")
                .with_help("do without one of them")),
            (Some(name), None) => match DnsName::try_from(name.as_str()) {
                Ok(_) => Ok(Way::Named(name)),
                Err(_) => Err(self
                    .failure("has a `tls-server-name` that is not a DNS name")
                    .with_help("write a DNS name from the API server's certificate; an address is not supported")),
            },
            (None, Some(url)) => match proxy(&url) {
                Some(_) => Ok(Way::Proxy(url.0)),
                None => Err(self
                    .failure("has a `proxy-url` that is not supported")
                    .with_help("write it as http://HOST:PORT or https://HOST:PORT")),
            },
        }
    }

    /// As kubectl: data goes before a path, and what is empty is absent.
    fn source(
        &self,
        key: &str,
        data: Option<Wiped>,
        path: Option<String>,
    ) -> Result<Option<Source>, Failure> {
        if let Some(Wiped(data)) = data.filter(|d| !d.0.is_empty()) {
            // Folded over lines by hand, it is still the same data.
            let mut text = Zeroizing::new(Vec::with_capacity(data.len()));
            text.extend(data.expose().iter().filter(|b| !b.is_ascii_whitespace()));
            let bytes = STANDARD
                .decode(&*text)
                .map_err(|_| self.failure(format_args!("has a `{key}` that is not base64")))?;
            return Ok(Some(Source::Inline(SecretBytes::new(bytes))));
        }
        Ok(path
            .filter(|path| !path.is_empty())
            .map(|path| Source::File(self.beside(&path))))
    }

    /// Relative paths are relative to the kubeconfig.
    fn beside(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// One that makes tunnels.
fn proxy(url: &Wiped) -> Option<Url> {
    let url = Url::parse(std::str::from_utf8(url.0.expose()).ok()?).ok()?;
    let whole = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    (whole && matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

impl<'de> Deserialize<'de> for Wiped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain;
        impl Visitor<'_> for Plain {
            type Value = Wiped;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Wiped, E> {
                Ok(Wiped(SecretBytes::new(text.as_bytes().to_vec())))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Wiped, E> {
                Ok(Wiped(SecretBytes::new(text.into_bytes())))
            }
        }
        deserializer.deserialize_string(Plain)
    }
}

impl<'de> Deserialize<'de> for IgnoredText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wiped::deserialize(deserializer).map(|text| Self(!text.0.is_empty()))
    }
}
