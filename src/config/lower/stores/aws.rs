//! `[stores.NAME.aws_secrets_manager]` and `[stores.NAME.aws_parameter_store]`, which have the same keys.

use super::super::auth;
use super::super::remote_name;
use super::super::url::PlainHttp;
use super::super::{Lowering, References, StoreFacts, StoreKind};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{AwsAuth, AwsStore, Fetch, Rates};
use crate::names::{AccountId, StoreName};

/// What Secrets Manager allows an account in a region, by kind of call.
const SECRETS_MANAGER_QUOTA: Rates = Rates {
    batch: 100,
    get: 10_000,
    list: 100,
};

/// What Parameter Store allows for all kinds together, unless higher throughput is turned on and paid.
const PARAMETER_STORE_QUOTA: u64 = 40;

pub(super) fn lower(
    cx: &Lowering<'_>,
    value: Value<'_>,
    kind: StoreKind,
    around: (&StoreName, &References),
) -> (StoreFacts, Option<AwsStore>) {
    let Some(mut table) = value.table() else {
        return (StoreFacts::only(kind), None);
    };
    let region = table.take("region").and_then(|v| region(cx, v));
    let account = table
        .string("account")
        .and_then(|text| cx.name("`account`", text, AccountId::new));
    let facts = StoreFacts {
        kind,
        prefix: prefix(cx, &mut table, kind),
        region: region.map(|text| text.value.to_owned()),
        account: account.map(|account| account.value),
    };
    let store = store(cx, &mut table, &facts, around);
    table.finish();
    (facts, store)
}

fn store(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    facts: &StoreFacts,
    (store, references): (&StoreName, &References),
) -> Option<AwsStore> {
    let plain = match table.boolean("allow_plain_http") {
        Some(allowed) if allowed.value => PlainHttp::Everywhere,
        Some(_) | None => PlainHttp::OnLoopback,
    };
    let endpoint_url = table
        .string("endpoint_url")
        .and_then(|text| cx.endpoint(text, "endpoint_url", plain));
    let fetch = table.choice("fetch", &[("auto", Fetch::Auto), ("single", Fetch::Single)]);
    let requests_per_second = rates(cx, table, facts.kind);
    let around = auth::Around {
        store,
        references,
        plain,
    };
    let auth = match table.take("auth") {
        Some(value) => auth::lower(cx, value, around),
        None => Some(AwsAuth::DEFAULT),
    };
    Some(AwsStore {
        region: facts.region.clone(),
        account: facts.account.clone(),
        fetch: fetch.map_or(Fetch::Auto, |fetch| fetch.value),
        requests_per_second,
        endpoint_url: endpoint_url.map(|url| url.value),
        auth: auth?,
    })
}

pub(in crate::config::lower) fn region<'t>(
    cx: &Lowering<'_>,
    value: Value<'t>,
) -> Option<At<&'t str>> {
    let text = value.string()?;
    if text.value.len() <= 32 && remote_name::is_region(text.value) {
        return Some(text);
    }
    cx.problems.error(
        text.at,
        "`region` must be a region's name such as \"ap-northeast-1\"",
    );
    None
}

/// What stands before every name; `None` when it is refused.
fn prefix(cx: &Lowering<'_>, table: &mut Table<'_>, kind: StoreKind) -> Option<String> {
    let Some(value) = table.take("prefix") else {
        return Some(String::new());
    };
    remote_name::prefix(cx, value.string()?, kind)
}

fn rates(cx: &Lowering<'_>, table: &mut Table<'_>, kind: StoreKind) -> Rates {
    let parameters = kind == StoreKind::ParameterStore;
    let usual = if parameters {
        Rates::PARAMETER_STORE
    } else {
        Rates::SECRETS_MANAGER
    };
    let Some(value) = table.take("requests_per_second") else {
        return usual;
    };
    let at = value.key_at;
    let Some(mut table) = value.table() else {
        return usual;
    };
    let mut rate = |key, usual, allowed| {
        let Some(rate) = table.take(key).and_then(Value::count) else {
            return usual;
        };
        if rate.value > allowed && !parameters {
            let message = format!("`{key}`: AWS allows {allowed} of these calls per second");
            cx.problems.push(
                Problem::warning(rate.at, message)
                    .help("what is beyond is throttled, for all others in the account, too"),
            );
        }
        rate.value
    };
    let quota = SECRETS_MANAGER_QUOTA;
    let rates = Rates {
        batch: rate("batch", usual.batch, quota.batch),
        get: rate("get", usual.get, quota.get),
        list: rate("list", usual.list, quota.list),
    };
    table.finish();
    let sum: u64 = [rates.batch, rates.get, rates.list]
        .map(u64::from)
        .iter()
        .sum();
    if parameters && sum > PARAMETER_STORE_QUOTA {
        let message = format!(
            "{sum} calls per second altogether; Parameter Store allows {PARAMETER_STORE_QUOTA}"
        );
        cx.problems.push(
            Problem::warning(at, message)
                .help("right only where the account's higher throughput is turned on"),
        );
    }
    rates
}
