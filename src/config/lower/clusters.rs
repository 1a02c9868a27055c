//! `[clusters.NAME]`. Nothing ambient: what is not written here is not used.

use std::path::PathBuf;

use super::needs::Party;
use super::permissions::Content;
use super::url::{PlainHttp, refusal};
use super::{Lowering, References};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{Cluster, ClusterAccess, ClusterAuth};
use crate::kube;
use crate::names::ClusterName;

pub(super) fn lower(
    cx: &Lowering<'_>,
    name: &ClusterName,
    mut table: Table<'_>,
    references: &References,
) -> Option<Cluster> {
    let at = table.at;
    let refused = in_cluster(cx, &mut table) || table.has("eks");
    let access = if table.has("kubeconfig") {
        let only_server = [
            "server",
            "certificate_authority",
            "token_file",
            "client_certificate",
            "client_key",
        ];
        refuse(cx, &mut table, &only_server, "beside `kubeconfig`");
        kubeconfig(cx, &mut table)
    } else {
        let has_server = table.has("server");
        table.also_known(&["kubeconfig"]);
        refuse(cx, &mut table, &["context"], "without `kubeconfig`");
        if !has_server && !refused {
            cx.problems.push(
                Problem::absence(at, "a cluster needs `kubeconfig` or `server`")
                    .help("or `in_cluster`, `eks`, which are not supported yet"),
            );
        }
        server(cx, &mut table, has_server && !refused)
    };
    table.later("eks", |value| eks(cx, name, value, references));
    table.later("requests_per_second", Value::count);
    table.finish();
    Some(Cluster { access: access? })
}

/// Whether it is `true`, which is refused.
fn in_cluster(cx: &Lowering<'_>, table: &mut Table<'_>) -> bool {
    let value = table.boolean("in_cluster");
    if let Some(At { value: true, at }) = value {
        cx.problems
            .error(at, "`in_cluster = true` is not supported yet");
    }
    value.is_some_and(|value| value.value)
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

fn kubeconfig(cx: &Lowering<'_>, table: &mut Table<'_>) -> Option<ClusterAccess> {
    let path = table.take("kubeconfig").and_then(|v| cx.path(v));
    let had_context = table.has("context");
    let context = table.take("context").and_then(|v| cx.plain_text(v, 512));
    let path = path?;
    if had_context && context.is_none() {
        cx.check_file(&path, Content::Trusted);
        return None;
    }
    look_inside(cx, &path, context.map(|text| text.value));
    Some(ClusterAccess::Kubeconfig {
        path: path.value,
        context: context.map(|text| text.value.to_owned()),
    })
}

/// Judges a kubeconfig by what is in it, and the files that it names. What is wrong with it may be put right before it
/// is used, so it is a warning.
fn look_inside(cx: &Lowering<'_>, path: &At<PathBuf>, context: Option<&str>) {
    if !path.value.is_file() {
        cx.check_file(path, Content::Trusted);
        return;
    }
    let survey = kube::survey(&path.value, context);
    cx.check_file(path, Content::credential_if(survey.holds_credential));
    let named = match survey.access {
        Ok(named) => named,
        Err(failure) => {
            let help = failure.help().to_owned();
            cx.problems
                .push(Problem::warning(path.at, failure.fact).help(help));
            return;
        }
    };
    if let Some(why) = refusal(&named.server, PlainHttp::Never) {
        let message = format!("the `server` in this kubeconfig {why}");
        cx.problems.push(Problem::warning(path.at, message));
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

fn server(cx: &Lowering<'_>, table: &mut Table<'_>, wanted: bool) -> Option<ClusterAccess> {
    let at = table.at;
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
        token.map(|path| ClusterAuth::TokenFile(path.value))
    };
    if wanted && had_token == had_certificate {
        cx.problems.push(Problem::absence(
            at,
            "`server` needs either `token_file`, or `client_certificate` and `client_key`",
        ));
        return None;
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

fn eks(
    cx: &Lowering<'_>,
    name: &ClusterName,
    value: Value<'_>,
    references: &References,
) -> Option<()> {
    let mut table = value.table()?;
    for key in ["cluster_name", "region"] {
        let _ = table.need(key).and_then(Value::string);
    }
    let store = table
        .need("credentials")
        .and_then(Value::string)
        .and_then(|text| cx.store(text, references));
    if let Some(At { value: store, at }) = store {
        let (who, whom) = (Party::Cluster(name.clone()), Party::Store(store));
        cx.needs.add(who, whom, at);
    }
    table.finish();
    Some(())
}
