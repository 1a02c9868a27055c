//! A kubeconfig as kubectl reads it, for the one context that is named; `current-context` is not looked at.
//!
//! What we do not do is refused by name rather than left out: without it, requests would go elsewhere or be somebody
//! else's. Errors give a place, never text of the file.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, Visitor};
use zeroize::Zeroizing;

use super::access::{self, Access, Identity, Source, unusable};
use crate::failure::Failure;
use crate::secret::SecretBytes;

pub(super) fn read(path: &Path, context: Option<&str>) -> Result<Access, Failure> {
    parse(path)?.choose(path, context)
}

pub(super) fn parse(path: &Path) -> Result<KubeConfig, Failure> {
    let text = access::load(path, "kubeconfig")?;
    Reader { path }.parse(text.expose())
}

impl KubeConfig {
    pub(super) fn choose(self, path: &Path, context: Option<&str>) -> Result<Access, Failure> {
        Reader { path }.choose(self, context)
    }

    /// Whether it is itself a credential, of whichever user.
    pub(super) fn holds_credential(&self) -> bool {
        let some = |text: &Option<Wiped>| text.as_ref().is_some_and(|t| !t.0.is_empty());
        let users = self.users.iter().flatten().filter_map(|u| u.user.as_ref());
        users.into_iter().any(|user| {
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
    proxy_url: Option<IgnoredText>,
    tls_server_name: Option<IgnoredText>,
    insecure_skip_tls_verify: Option<bool>,
}

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
    exec: Option<IgnoredAny>,
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
struct Wiped(SecretBytes);

/// Whether a text is there and not empty; the text itself is not kept.
struct IgnoredText(bool);

struct Reader<'a> {
    path: &'a Path,
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
        self.refuse_unsupported(&cluster, &user)?;
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

    fn refuse_unsupported(&self, cluster: &Cluster, user: &User) -> Result<(), Failure> {
        const OTHER_LOGIN: &str = "use a token, a token file or a client certificate";
        let set = |text: &Option<IgnoredText>| text.as_ref().is_some_and(|t| t.0);
        let impersonates = set(&user.impersonate)
            || set(&user.as_uid)
            || user.as_groups.is_some()
            || user.as_user_extra.is_some();
        for (present, what, help) in [
            (user.exec.is_some(), "`exec`", OTHER_LOGIN),
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
            (
                set(&cluster.proxy_url),
                "`proxy-url`",
                "give this machine a direct way to the API server",
            ),
            (
                set(&cluster.tls_server_name),
                "`tls-server-name`",
                "name the API server as its certificate does",
            ),
            (
                cluster.insecure_skip_tls_verify == Some(true),
                "`insecure-skip-tls-verify`",
                "give the cluster's certificate authority instead",
            ),
        ] {
            if present {
                return Err(self.unsupported(what, help));
            }
        }
        Ok(())
    }

    fn access(&self, cluster: Cluster, user: User) -> Result<Access, Failure> {
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
        let token = user.token.map(|t| t.0).filter(|t| !t.is_empty());
        let token_file = user
            .token_file
            .filter(|path| !path.is_empty())
            .map(|path| self.beside(&path));
        if identity.is_none() && token.is_none() && token_file.is_none() {
            return Err(self
                .failure("has no credentials for the user of its context")
                .with_help("give a token, a token file or a client certificate"));
        }
        Ok(Access {
            server: cluster.server,
            certificate_authority: self.source(
                "certificate-authority-data",
                cluster.certificate_authority_data,
                cluster.certificate_authority,
            )?,
            token,
            token_file,
            identity,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r"
apiVersion: v1
kind: Config
current-context: absent
preferences: {}
clusters:
- name: c
  cluster:
    server: https://api.example:6443
    certificate-authority: ca.crt
- name: inline
  cluster: {server: 'https://b', certificate-authority-data: 'aGk=', certificate-authority: ignored}
contexts:
- name: one
  context: {cluster: c, user: u, namespace: ignored}
- name: two
  context: {cluster: inline, user: cert}
users:
- name: u
  user: {token: MARKER, tokenFile: ../token}
- name: cert
  user:
    client-certificate: /abs/c.crt
    client-key-data: |
      a2
      V5
";

    fn parse(text: &str, context: Option<&str>) -> Result<Access, Failure> {
        let reader = Reader {
            path: Path::new("/etc/x/kubeconfig"),
        };
        reader.choose(reader.parse(text.as_bytes())?, context)
    }

    fn is_file(source: &Source, path: &str) -> bool {
        matches!(source, Source::File(p) if p == Path::new(path))
    }

    #[test]
    fn the_named_context_is_read_as_kubectl_does() {
        let one = parse(FILE, Some("one")).unwrap();
        assert_eq!(one.server, "https://api.example:6443");
        assert!(is_file(
            &one.certificate_authority.unwrap(),
            "/etc/x/ca.crt"
        ));
        assert_eq!(one.token.unwrap().expose(), b"MARKER");
        assert_eq!(one.token_file.unwrap(), Path::new("/etc/x/../token"));
        assert!(one.identity.is_none());

        let two = parse(FILE, Some("two")).unwrap();
        assert!(
            matches!(two.certificate_authority, Some(Source::Inline(ca)) if ca.expose() == b"hi")
        );
        let identity = two.identity.unwrap();
        assert!(is_file(&identity.certificate, "/abs/c.crt"));
        assert!(matches!(identity.key, Source::Inline(key) if key.expose() == b"key"));
    }

    #[test]
    fn json_is_yaml_too() {
        let json = r#"{"clusters":[{"name":"c","cluster":{"server":"https://a"}}],
            "contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{"token":"t"}}]}"#;
        assert!(parse(json, None).is_ok());
    }

    #[test]
    fn a_context_is_chosen_only_where_there_is_no_choice() {
        let fact = |text: &str, context| parse(text, context).unwrap_err().fact;
        assert!(fact(FILE, None).contains("has 2 contexts"));
        let no_such = fact(FILE, Some("MARKER"));
        assert!(no_such.contains("has no context of the name"), "{no_such}");
        assert!(!no_such.contains("MARKER"), "{no_such}");
        assert!(fact("{}", None).contains("has 0 contexts"));
        assert!(fact("contexts: null", Some("a")).contains("has no context of the name"));
        let single = FILE.replace(
            "- name: two\n  context: {cluster: inline, user: cert}\n",
            "",
        );
        assert_eq!(
            parse(&single, None).unwrap().server,
            "https://api.example:6443"
        );
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let fact = |from: &str, to: &str| {
            assert!(FILE.contains(from), "{from}");
            parse(&FILE.replace(from, to), Some("one"))
                .unwrap_err()
                .fact
        };
        assert!(
            fact("- name: inline", "- name: c")
                .contains("two entries of one name under `clusters`")
        );
        assert!(fact("{cluster: c,", "{cluster: d,").contains("no cluster"));
        assert!(fact("user: u,", "user: nobody,").contains("no user"));
        assert!(fact("token: MARKER, tokenFile: ../token", "").contains("no credentials"));
        assert!(
            fact("token: MARKER, tokenFile: ../token", "client-key: k").contains("only one of")
        );
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (from, to, named) in [
            ("token: MARKER", "exec: {command: aws}", "`exec`"),
            (
                "token: MARKER",
                "auth-provider: {name: gcp}",
                "`auth-provider`",
            ),
            (
                "token: MARKER",
                "username: a, password: MARKER",
                "`username`",
            ),
            ("token: MARKER", "token: t, as: admin", "impersonation"),
            ("token: MARKER", "token: t, as-groups: [a]", "impersonation"),
            (
                "certificate-authority: ca.crt",
                "proxy-url: http://p",
                "`proxy-url`",
            ),
            (
                "certificate-authority: ca.crt",
                "tls-server-name: n",
                "`tls-server-name`",
            ),
            (
                "certificate-authority: ca.crt",
                "insecure-skip-tls-verify: true",
                "`insecure-skip-tls-verify`",
            ),
        ] {
            let failure = parse(&FILE.replace(from, to), Some("one")).unwrap_err();
            assert!(failure.fact.contains(named), "{}", failure.fact);
            assert!(
                failure.fact.ends_with("not supported yet"),
                "{}",
                failure.fact
            );
        }
        let harmless = FILE.replace(
            "certificate-authority: ca.crt",
            "insecure-skip-tls-verify: false\n    proxy-url: ''",
        );
        assert!(parse(&harmless, Some("one")).is_ok());
    }

    #[test]
    fn no_error_shows_a_text_of_the_file() {
        for broken in [
            FILE.replace("token: MARKER", "token: [MARKER]"),
            FILE.replace("token: MARKER", "token: {MARKER: MARKER}"),
            FILE.replace("token: MARKER", "token: 'MARKER"),
            FILE.replace("token: MARKER", "token: *MARKER"),
            FILE.replace("token: MARKER", "token: !MARKER MARKER, token: MARKER"),
            FILE.replace("token: MARKER", "MARKER: {"),
            FILE.replace("token: MARKER", "client-key-data: MARKER-"),
            FILE.replace("clusters:", "clusters: MARKER"),
            FILE.replace(
                "server: https",
                "insecure-skip-tls-verify: MARKER\n    server: https",
            ),
            FILE.replace("  user: {token: MARKER", "\tuser: {token: MARKER"),
            "MARKER".into(),
            "- MARKER".into(),
            "token: \"\\qMARKER\"".into(),
        ] {
            let failure = parse(&broken, Some("one")).expect_err(&broken);
            let shown = format!("{failure:?} {failure} {}", failure.help());
            assert!(!shown.contains("MARKER"), "{shown}");
        }
        let text = FILE.replace("token: MARKER", "token: 'MARKER");
        assert!(parse(&text, None).unwrap_err().fact.contains("near line "));
        let shown = format!("{:?}", parse(FILE, Some("one")).unwrap());
        assert!(!shown.contains("MARKER"), "{shown}");
    }
}
