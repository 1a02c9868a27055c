//! `auth` of an AWS store. Everything here is discreet: a credential may stand where only its source belongs.

mod keys;
mod role;

use super::permissions::Content;
use super::url::PlainHttp;
use super::{Lowering, References};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{AwsAuth, AwsBase};
use crate::names::{RoleArn, StoreName};

/// Where an `auth` stands.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub store: &'a StoreName,
    pub references: &'a References,
    pub plain: PlainHttp,
}

pub(super) fn lower(cx: &Lowering<'_>, value: Value<'_>, around: Around<'_>) -> Option<AwsAuth> {
    let mut table = value.table()?.discreetly();
    let base = base(cx, &mut table, around);
    let (role_chain, role) = role::lower(cx, &mut table);
    let sts_endpoint_url = sts_endpoint_url(cx, &mut table, around.plain);
    table.finish();
    Some(AwsAuth {
        base: base?,
        role_chain,
        role,
        sts_endpoint_url: sts_endpoint_url.map(|url| url.value),
    })
}

fn sts_endpoint_url(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    plain: PlainHttp,
) -> Option<At<String>> {
    let text = table.string("sts_endpoint_url")?;
    cx.endpoint(text, "sts_endpoint_url", plain)
}

fn base(cx: &Lowering<'_>, table: &mut Table<'_>, around: Around<'_>) -> Option<AwsBase> {
    let at = table.at;
    let has_profile = table.has("profile");
    let has_keys = keys::ALL.iter().any(|key| table.has(key));
    let has_web_identity = table.has("web_identity");

    let profile = table.take("profile").and_then(|v| cx.plain_text(v, 256));
    let keys = if has_keys {
        keys::lower(cx, table, around)
    } else {
        table.also_known(&keys::ALL);
        None
    };
    let web_identity = table.take("web_identity").and_then(|v| web_identity(cx, v));
    match (has_profile, has_keys, has_web_identity) {
        (false, false, false) => Some(AwsBase::Default),
        (true, false, false) => Some(AwsBase::Profile(profile?.value.to_owned())),
        (false, true, false) => keys,
        (false, false, true) => web_identity,
        (_, _, _) => {
            cx.problems
                .push(Problem::error(at, "`auth` takes only one base").help(
                    "one of `profile`, `access_key_id` with `secret_access_key`, `web_identity`",
                ));
            None
        }
    }
}

fn web_identity(cx: &Lowering<'_>, value: Value<'_>) -> Option<AwsBase> {
    let mut table = value.table()?.discreetly();
    let role_arn = table
        .need("role_arn")
        .and_then(Value::string)
        .and_then(|text| cx.name("`role_arn`", text, RoleArn::new));
    let token_file = table.need("token_file").and_then(|v| cx.path(v));
    table.finish();
    if let Some(path) = &token_file {
        cx.check_file(path, Content::Credential);
    }
    Some(AwsBase::WebIdentity {
        role_arn: role_arn?.value,
        token_file: token_file?.value,
    })
}
