//! `auth` of an AWS store. Everything here is discreet: a credential may stand where only its source belongs.

use super::Lowering;
use super::permissions::Content;
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};
use crate::config::{AwsAuth, AwsBase, ValueSource};

pub(super) fn lower(cx: &Lowering<'_>, value: Value<'_>) -> Option<AwsAuth> {
    let mut table = value.table()?.discreetly();
    let at = table.at;
    let has_profile = table.has("profile");
    let has_keys = ["access_key_id", "secret_access_key", "session_token"]
        .iter()
        .any(|key| table.has(key));
    let has_web_identity = table.has("web_identity");

    let profile = table.take("profile").and_then(|v| cx.plain_text(v, 256));
    let keys = if has_keys {
        static_keys(cx, &mut table)
    } else {
        table.also_known(&["access_key_id", "secret_access_key", "session_token"]);
        None
    };
    table.later("web_identity", web_identity);
    table.later("role_chain", Value::strings);
    table.later("role_arn", Value::string);
    table.later("external_id", Value::string);
    table.later("session_name", Value::string);
    table.later("session_tags", Value::string_map);
    table.later("transitive_tag_keys", Value::strings);
    table.finish();

    match (has_profile, has_keys, has_web_identity) {
        (false, false, false) => Some(AwsAuth::DEFAULT),
        (true, false, false) => Some(auth(AwsBase::Profile(profile?.value.to_owned()))),
        (false, true, false) => keys.map(auth),
        (false, false, true) => None,
        (_, _, _) => {
            cx.problems
                .push(Problem::error(at, "`auth` takes only one base").help(
                    "one of `profile`, `access_key_id` with `secret_access_key`, `web_identity`",
                ));
            None
        }
    }
}

fn auth(base: AwsBase) -> AwsAuth {
    AwsAuth {
        base,
        ..AwsAuth::DEFAULT
    }
}

fn static_keys(cx: &Lowering<'_>, table: &mut Table<'_>) -> Option<AwsBase> {
    let id = table
        .need("access_key_id")
        .and_then(|v| value_source(cx, v));
    let key = table
        .need("secret_access_key")
        .and_then(|v| value_source(cx, v));
    let token = match table.take("session_token") {
        Some(value) => Some(value_source(cx, value)?),
        None => None,
    };
    Some(AwsBase::Static {
        access_key_id: id?,
        secret_access_key: key?,
        session_token: token,
    })
}

fn value_source(cx: &Lowering<'_>, value: Value<'_>) -> Option<ValueSource> {
    const EXPECTED: &str =
        "where it is: { file = \"...\" } or { env = \"...\" }, not the value itself";
    let name = value.name;
    let mut table = value.table_like(EXPECTED)?.discreetly();
    let at = table.at;
    let count = ["file", "env", "kubernetes"]
        .iter()
        .filter(|key| table.has(key))
        .count();
    let file = table.take("file").and_then(|v| cx.path(v));
    let env = table.take("env").and_then(|v| variable(cx, v));
    table.later("kubernetes", kubernetes);
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

fn kubernetes(value: Value<'_>) -> Option<()> {
    let mut table = value.table()?.discreetly();
    for key in ["cluster", "namespace", "name", "key"] {
        let _ = table.need(key).and_then(Value::string);
    }
    table.finish();
    Some(())
}

fn web_identity(value: Value<'_>) -> Option<()> {
    let mut table = value.table()?.discreetly();
    for key in ["role_arn", "token_file"] {
        let _ = table.need(key).and_then(Value::string);
    }
    table.finish();
    Some(())
}
