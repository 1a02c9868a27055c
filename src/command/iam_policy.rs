//! `iam-policy`: the least that the identity of each AWS store has to be allowed, each statement with its reason.
//!
//! The policy goes to stdout, what a person should know beside it to stderr. Nothing is asked: what the configuration
//! does not say (a region, an account) is left open with `*`.

mod grants;
mod notes;
mod resource;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use self::grants::Grants;
use super::{USAGE, load, no_such, print, reads, show};
use crate::aws::Service;
use crate::config::{AwsAuth, AwsBase, AwsStore, Config, Source, Store};
use crate::names::{RoleArn, StoreName};

pub(super) fn run(path: &Path, named: Option<&StoreName>) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Some(unknown) = named.filter(|name| !config.stores.contains_key(*name)) {
        let known = config.stores.keys().map(StoreName::as_str);
        show(&no_such("store", unknown.as_str(), known));
        return ExitCode::from(USAGE);
    }
    let told = tell(&config, named);
    show(&told.remarks);
    print(&told.json, 0)
}

struct Told {
    json: String,
    remarks: String,
}

/// A policy document, in the order in which AWS writes one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: String,
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
    #[serde(skip)]
    reason: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Condition {
    string_equals: BTreeMap<String, String>,
}

/// One AWS store.
#[derive(Clone, Copy)]
struct AwsOne<'a> {
    name: &'a StoreName,
    service: Service,
    spec: &'a AwsStore,
}

fn tell(config: &Config, named: Option<&StoreName>) -> Told {
    let stores = stores(config, named);
    let Some(first) = stores.first() else {
        let remarks = match named {
            Some(name) => format!("store {name} is not of AWS: it needs no policy"),
            None => "there is no AWS store: no policy is needed".to_owned(),
        };
        let json = String::new();
        return Told { json, remarks };
    };
    let one_identity = stores.iter().all(|it| it.spec.auth == first.spec.auth);
    let groups: Vec<&[AwsOne<'_>]> = if one_identity {
        vec![&stores]
    } else {
        stores.chunks(1).collect()
    };
    let mut remarks = String::new();
    let mut policies = BTreeMap::new();
    for group in groups {
        let policy = policy(config, group);
        remarks.push_str(&notes::of(group, &policy));
        if !policy.statement.is_empty() {
            policies.insert(group[0].name.as_str(), policy);
        }
    }
    let json = match policies.first_key_value() {
        None => String::new(),
        Some((_, policy)) if one_identity => pretty(policy),
        Some(_) => {
            remarks.push_str(notes::SEVERAL);
            pretty(&policies)
        }
    };
    Told { json, remarks }
}

fn stores<'a>(config: &'a Config, named: Option<&StoreName>) -> Vec<AwsOne<'a>> {
    let wanted = |name: &StoreName| named.is_none_or(|named| named == name);
    let stores = config.stores.iter().filter(|(name, _)| wanted(name));
    let aws = stores.filter_map(|(name, store)| {
        let (service, spec) = match store {
            Store::SecretsManager(spec) => (Service::SecretsManager, spec),
            Store::ParameterStore(spec) => (Service::ParameterStore, spec),
            Store::File(_) => return None,
        };
        Some(AwsOne {
            name,
            service,
            spec,
        })
    });
    aws.collect()
}

/// What the reads of these stores need, which have one identity.
fn policy(config: &Config, stores: &[AwsOne<'_>]) -> Policy {
    let reads = reads::of(config);
    let losing = reads::finds_that_may_lose(config);
    let mut grants = Grants::default();
    for store in stores {
        let own = reads.keys().filter(|read| read.store == *store.name);
        own.for_each(|read| {
            grants.add(store, &read.source);
            if let (Source::Find(find), true) = (&read.source, losing.contains(read)) {
                grants.add_lost(store, find);
            }
        });
    }
    Policy {
        version: "2012-10-17",
        statement: grants.into_statements(),
    }
}

/// The roles that are assumed, in order; the policy is that of the last.
fn roles(auth: &AwsAuth) -> Vec<&RoleArn> {
    let web_identity = match &auth.base {
        AwsBase::WebIdentity { role_arn, .. } => Some(role_arn),
        AwsBase::Default | AwsBase::Profile(_) | AwsBase::Static { .. } => None,
    };
    let last = auth.role.as_ref().map(|role| &role.arn);
    web_identity
        .into_iter()
        .chain(&auth.role_chain)
        .chain(last)
        .collect()
}

fn pretty(value: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(value);
    json.expect("a policy has texts as keys and nothing that JSON lacks") + "\n"
}

#[cfg(test)]
mod tests;
