//! `[clusters.NAME]`. Nothing ambient: what is not written here is not used.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::needs::Party;
use super::permissions::Content;
use super::url::{PlainHttp, refusal};
use super::{Lowering, References, stores};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{AwsAuth, Cluster, ClusterAccess, ClusterAuth, EksAuth, Store, Tls};
use crate::kube;
use crate::names::{ClusterName, StoreName};

/// What an `eks` may refer to.
#[derive(Clone, Copy)]
pub(super) struct Signers<'a> {
    pub(super) references: &'a References,
    pub(super) stores: &'a BTreeMap<StoreName, Store>,
}

const SERVER_KEYS: &[&str] = &[
    "server",
    "certificate_authority",
    "token_file",
    "client_certificate",
    "client_key",
];
const KUBECONFIG_KEYS: &[&str] = &["context", "allow_insecure_tls"];

pub(super) fn lower(
    cx: &Lowering<'_>,
    name: &ClusterName,
    mut table: Table<'_>,
    signers: Signers<'_>,
) -> Option<Cluster> {
    let at = table.at;
    // Looked into wherever it stands.
    let eks = table
        .take("eks")
        .map(|value| (value.key_at, eks_auth(cx, name, value, signers)));
    let stray_eks = |place: &str| {
        if let Some((at, _)) = &eks {
            cx.problems
                .error(*at, format!("`eks` has no meaning {place}"));
        }
    };
    let pod = table.boolean("in_cluster").filter(|inside| inside.value);
    let access = if let Some(inside) = pod {
        const BESIDE: &str = "beside `in_cluster`";
        stray_eks(BESIDE);
        refuse(cx, &mut table, &["kubeconfig"], BESIDE);
        refuse(cx, &mut table, KUBECONFIG_KEYS, BESIDE);
        refuse(cx, &mut table, SERVER_KEYS, BESIDE);
        Some(in_cluster(cx, inside))
    } else if table.has("kubeconfig") {
        stray_eks("beside `kubeconfig`");
        refuse(cx, &mut table, SERVER_KEYS, "beside `kubeconfig`");
        kubeconfig(cx, &mut table, name)
    } else {
        let has_server = table.has("server");
        table.also_known(&["kubeconfig"]);
        refuse(cx, &mut table, KUBECONFIG_KEYS, "without `kubeconfig`");
        if !has_server {
            cx.problems.push(
                Problem::absence(at, "a cluster needs `kubeconfig` or `server`")
                    .help("or, in a pod, `in_cluster = true`"),
            );
        }
        let had_eks = eks.is_some();
        let auth = eks.and_then(|(_, auth)| auth);
        server(cx, &mut table, (had_eks, auth))
    };
    let rate = table.take("requests_per_second").and_then(Value::count);
    table.finish();
    Some(Cluster {
        access: access?,
        requests_per_second: rate.map_or(Cluster::REQUESTS_PER_SECOND, |rate| rate.value),
    })
}

fn in_cluster(cx: &Lowering<'_>, inside: At<bool>) -> ClusterAccess {
    let account = cx.surroundings.service_account();
    if account.server.is_none() {
        cx.problems.push(
            Problem::warning(inside.at, "this does not run in a pod").help(
                "a pod has KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT in its environment",
            ),
        );
    } else {
        for path in [account.authority(), account.token()] {
            // Who may read its token is the pod's business: nobody else is in there.
            let path = At {
                value: path,
                at: inside.at,
            };
            cx.check_file_of(
                &path,
                Content::Trusted,
                ": what the pod's service account has",
            );
        }
    }
    ClusterAccess::InCluster(account)
}

/// Keys that have no meaning here.
fn refuse(cx: &Lowering<'_>, table: &mut Table<'_>, keys: &[&'static str], place: &str) {
    for key in keys {
        if let Some(value) = table.take(key) {
            cx.problems
                .error(value.key_at, format!("`{key}` has no meaning {place}"));
        }
    }
}

fn kubeconfig(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    name: &ClusterName,
) -> Option<ClusterAccess> {
    let path = table.take("kubeconfig").and_then(|v| cx.path(v));
    let had_context = table.has("context");
    let context = table.take("context").and_then(|v| cx.plain_text(v, 512));
    let tls = match table.boolean("allow_insecure_tls") {
        Some(allowed) if allowed.value => Tls::AsTheKubeconfigSays,
        Some(_) | None => Tls::Verified,
    };
    let path = path?;
    let name = format!("the kubeconfig of cluster `{name}`");
    if had_context && context.is_none() {
        cx.check_named(&path, Content::Trusted, (&name, "kubeconfig"));
        return None;
    }
    if path.value.is_file() {
        look_inside(cx, &path, context.map(|text| text.value), tls);
    } else {
        cx.check_named(&path, Content::Trusted, (&name, "kubeconfig"));
    }
    Some(ClusterAccess::Kubeconfig {
        path: path.value,
        context: context.map(|text| text.value.to_owned()),
        tls,
    })
}

/// Judges a kubeconfig by what is in it, and the files that it names. What is wrong with it may be put right before it
/// is used, so it is a warning.
fn look_inside(cx: &Lowering<'_>, path: &At<PathBuf>, context: Option<&str>, tls: Tls) {
    let survey = kube::survey(&path.value, context, tls);
    cx.check_file(path, Content::credential_if(survey.holds_credential));
    let named = match survey.access {
        Ok(named) => named,
        Err(failure) => {
            let help = failure.help().to_owned();
            cx.problems
                .push(Problem::warning(path.at, failure.fact.clone()).help(help));
            return;
        }
    };
    if let Some(why) = refusal(&named.server, PlainHttp::Never) {
        let message = format!("the `server` in this kubeconfig {why}");
        cx.problems.push(Problem::warning(path.at, message));
    }
    if named.unverified {
        let message = "this kubeconfig lets anyone on the way pose as the API server";
        cx.problems.push(Problem::warning(path.at, message).help(
            "give the cluster's certificate authority instead of `insecure-skip-tls-verify`",
        ));
    }
    for file in named.files {
        let at = At {
            value: file.path,
            at: path.at,
        };
        let whose = format!(": the {} that this kubeconfig names", file.what);
        cx.check_file_of(&at, Content::credential_if(file.credential), &whose);
    }
}

/// `eks`: that it is there, and what could be made of it.
fn server(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    (had_eks, eks): (bool, Option<EksAuth>),
) -> Option<ClusterAccess> {
    let at = table.at;
    let wanted = table.has("server");
    let server = table
        .string("server")
        .and_then(|text| cx.endpoint(text, "server", PlainHttp::Never));
    let had_authority = table.has("certificate_authority");
    let authority = file(cx, table, "certificate_authority", Content::Trusted);
    let had_token = table.has("token_file");
    let had_certificate = table.has("client_certificate") || table.has("client_key");
    let token = file(cx, table, "token_file", Content::Credential);
    let auth = if had_certificate {
        client_certificate(cx, table)
    } else {
        table.also_known(&["client_certificate", "client_key"]);
        let token = token.map(|path| ClusterAuth::TokenFile(path.value));
        token.or(eks.map(|eks| ClusterAuth::Eks(Box::new(eks))))
    };
    let ways = [had_token, had_certificate, had_eks];
    if wanted && ways.into_iter().filter(|had| *had).count() != 1 {
        cx.problems.push(Problem::absence(
            at,
            "`server` needs one of `token_file`, `client_certificate` and `client_key`, `eks`",
        ));
        return None;
    }
    if wanted && had_eks && !had_authority {
        let message = "`eks` needs `certificate_authority`, too";
        cx.problems.push(Problem::absence(at, message).help(
            "it is in the answer of `aws eks describe-cluster`: certificateAuthority.data, in base64",
        ));
    }
    if had_authority && authority.is_none() {
        return None;
    }
    Some(ClusterAccess::Server {
        server: server?.value,
        certificate_authority: authority.map(|path| path.value),
        auth: auth?,
    })
}

fn client_certificate(cx: &Lowering<'_>, table: &mut Table<'_>) -> Option<ClusterAuth> {
    let certificate = table.need("client_certificate").and_then(|v| cx.path(v));
    let key = table.need("client_key").and_then(|v| cx.path(v));
    let (certificate, key) = (certificate?, key?);
    cx.check_file(&certificate, Content::Trusted);
    cx.check_file(&key, Content::Credential);
    Some(ClusterAuth::ClientCertificate {
        certificate: certificate.value,
        key: key.value,
    })
}

fn file(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    key: &'static str,
    content: Content,
) -> Option<At<PathBuf>> {
    let path = table.take(key).and_then(|v| cx.path(v))?;
    cx.check_file(&path, content);
    Some(path)
}

fn eks_auth(
    cx: &Lowering<'_>,
    name: &ClusterName,
    value: Value<'_>,
    signers: Signers<'_>,
) -> Option<EksAuth> {
    let mut table = value.table()?;
    let cluster_name = table.need("cluster_name").and_then(|v| eks_name(cx, v));
    let region = table.need("region").and_then(|v| stores::region(cx, v));
    let store = table
        .need("credentials")
        .and_then(Value::string)
        .and_then(|text| cx.store(text, signers.references));
    table.finish();
    let store = store?;
    let (who, whom) = (
        Party::Cluster(name.clone()),
        Party::Store(store.value.clone()),
    );
    cx.needs.add(who, whom, store.at);
    Some(EksAuth {
        cluster_name: cluster_name?.value.to_owned(),
        region: region?.value.to_owned(),
        auth: auth_of(cx, &store, signers)?,
    })
}

fn auth_of(cx: &Lowering<'_>, store: &At<StoreName>, signers: Signers<'_>) -> Option<AwsAuth> {
    // One that has a mistake has been told of.
    match signers.stores.get(&store.value)? {
        Store::SecretsManager(aws) | Store::ParameterStore(aws) => Some(aws.auth.clone()),
        Store::File(_) => {
            let message = "`credentials` must be a store of AWS, whose `auth` signs";
            cx.problems.error(store.at, message);
            None
        }
    }
}

fn eks_name<'t>(cx: &Lowering<'_>, value: Value<'t>) -> Option<At<&'t str>> {
    let text = value.string()?;
    let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let begins = text
        .value
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    if begins && text.value.len() <= 100 && text.value.bytes().all(letters) {
        return Some(text);
    }
    cx.problems.error(
        text.at,
        "`cluster_name` must be a name in EKS: letters, digits, `-` and `_`, at most 100, beginning with a letter or digit",
    );
    None
}
