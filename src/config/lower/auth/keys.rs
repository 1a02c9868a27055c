//! Static keys: where each of them is read from, never the keys themselves.

use super::super::Lowering;
use super::super::needs::Party;
use super::super::permissions::Content;
use super::Around;
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};
use crate::config::{AwsBase, SecretRef, ValueSource};
use crate::names::{Namespace, ObjectName, SecretKey};

pub(super) const ALL: [&str; 3] = ["access_key_id", "secret_access_key", "session_token"];

pub(super) fn lower(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    around: Around<'_>,
) -> Option<AwsBase> {
    let id = table
        .need("access_key_id")
        .and_then(|v| value_source(cx, v, around));
    let key = table
        .need("secret_access_key")
        .and_then(|v| value_source(cx, v, around));
    let token = match table.take("session_token") {
        Some(value) => Some(value_source(cx, value, around)?),
        None => None,
    };
    Some(AwsBase::Static {
        access_key_id: id?,
        secret_access_key: key?,
        session_token: token,
    })
}

fn value_source(cx: &Lowering<'_>, value: Value<'_>, around: Around<'_>) -> Option<ValueSource> {
    const EXPECTED: &str = "where it is: { file = \"...\" }, { env = \"...\" } or { kubernetes = { ... } }, not the value itself";
    let name = value.name;
    let mut table = value.table_like(EXPECTED)?.discreetly();
    let at = table.at;
    let count = ["file", "env", "kubernetes"]
        .iter()
        .filter(|key| table.has(key))
        .count();
    let file = table.take("file").and_then(|v| cx.path(v));
    let env = table.take("env").and_then(|v| variable(cx, v));
    let secret = table.take("kubernetes").and_then(|v| secret(cx, v, around));
    table.finish();
    if count != 1 {
        cx.problems.push(Problem::absence(
            at,
            format!("`{name}` needs exactly one of `file`, `env`, `kubernetes`"),
        ));
        return None;
    }
    if let Some(path) = file {
        cx.check_file(&path, Content::Credential);
        return Some(ValueSource::File(path.value));
    }
    env.map(ValueSource::Env)
        .or(secret.map(ValueSource::Kubernetes))
}

fn variable(cx: &Lowering<'_>, value: Value<'_>) -> Option<String> {
    let text = value.string()?;
    let first = text.value.bytes().next();
    let legal = text.value.len() <= 256
        && first.is_some_and(|b| !b.is_ascii_digit())
        && text
            .value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if legal {
        return Some(text.value.to_owned());
    }
    cx.problems.error(
        text.at,
        "`env` must be the name of an environment variable: letters, digits and `_`",
    );
    None
}

fn secret(cx: &Lowering<'_>, value: Value<'_>, around: Around<'_>) -> Option<SecretRef> {
    let mut table = value.table()?.discreetly();
    let mut text = |key| table.need(key).and_then(Value::string);
    let cluster = text("cluster").and_then(|text| cx.cluster(text, around.references));
    let namespace = text("namespace").and_then(|t| cx.name("`namespace`", t, Namespace::new));
    let name = text("name").and_then(|t| cx.name("`name`", t, ObjectName::new));
    let key = text("key").and_then(|t| cx.name("`key`", t, SecretKey::new));
    table.finish();
    if let Some(cluster) = &cluster {
        let who = Party::Store(around.store.clone());
        cx.needs
            .add(who, Party::Cluster(cluster.value.clone()), cluster.at);
    }
    Some(SecretRef {
        cluster: cluster?.value,
        namespace: namespace?.value,
        name: name?.value,
        key: key?.value,
    })
}
