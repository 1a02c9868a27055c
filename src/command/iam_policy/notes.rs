//! What a person should know beside a policy, in our own words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{AwsOne, Policy, pretty, roles};
use crate::aws::Service;
use crate::config::{AwsBase, AwsStore};

/// What AWS takes as one managed policy, white space not counted (IAM user guide, quotas).
const MANAGED: usize = 6_144;

pub(super) const SEVERAL: &str =
    "The stores have different identities: one policy for each, under the store's name.\n";

/// The reasons of one policy, and what goes with it.
pub(super) fn of(stores: &[AwsOne<'_>], policy: &Policy) -> String {
    let names: Vec<&str> = stores.iter().map(|it| it.name.as_str()).collect();
    let s = if names.len() == 1 { "" } else { "s" };
    let mut text = format!("store{s} {}:", names.join(", "));
    if policy.statement.is_empty() {
        return text + " nothing is read, no policy is needed\n";
    }
    text.push('\n');
    // Writing to a text cannot fail.
    for statement in &policy.statement {
        let _ = writeln!(text, "  {}: {}", statement.sid, statement.reason);
    }
    let notes = keys(stores, policy).into_iter().chain(unknown(stores));
    for note in notes.chain(assumed(stores[0].spec)) {
        let _ = writeln!(text, "  note: {note}");
    }
    let size = pretty(policy)
        .chars()
        .filter(|c| !c.is_whitespace())
        .count();
    if size > MANAGED {
        let _ = writeln!(
            text,
            "  note: with {size} characters it is larger than a managed policy may be ({MANAGED}): split it, or allow a common prefix"
        );
    }
    text
}

/// What the services need to decrypt with a key that is not AWS's own.
fn keys(stores: &[AwsOne<'_>], policy: &Policy) -> BTreeSet<String> {
    let reads = |action| {
        policy
            .statement
            .iter()
            .any(|it| it.action.contains(&action))
    };
    let note = |store: &AwsOne<'_>| {
        let (what, service, read) = match store.service {
            Service::SecretsManager => (
                "a secret",
                "secretsmanager",
                reads("secretsmanager:GetSecretValue"),
            ),
            Service::ParameterStore => ("a SecureString", "ssm", reads("ssm:GetParameter")),
        };
        let region = store.spec.region.as_deref().unwrap_or("REGION");
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        read.then(|| format!("{what} with a customer managed key also needs kms:Decrypt on that key (condition kms:ViaService = {service}.{region}.amazonaws.com{suffix})"))
    };
    stores.iter().filter_map(note).collect()
}

/// What the configuration could say and does not.
fn unknown(stores: &[AwsOne<'_>]) -> Option<String> {
    let account = |spec: &AwsStore| spec.account.is_none() && spec.auth.account().is_none();
    let region = |spec: &AwsStore| spec.region.is_none();
    let missing: Vec<&str> = [
        ("`account`", stores.iter().any(|it| account(it.spec))),
        ("`region`", stores.iter().any(|it| region(it.spec))),
    ]
    .into_iter()
    .filter_map(|(key, open)| open.then_some(key))
    .collect();
    let keys = missing.join(" and ");
    (!missing.is_empty()).then(|| {
        format!("with {keys} in the store's table the policy is narrower: `*` stands in its place")
    })
}

/// Who has to be allowed to assume which role.
fn assumed(spec: &AwsStore) -> Vec<String> {
    let auth = &spec.auth;
    let mut before = match &auth.base {
        AwsBase::WebIdentity { .. } => None,
        AwsBase::Default | AwsBase::Profile(_) | AwsBase::Static { .. } => {
            Some("the base credentials".to_owned())
        }
    };
    let mut notes = Vec::new();
    let roles = roles(auth);
    for (place, role) in roles.iter().enumerate() {
        let last = place + 1 == roles.len();
        let tags = auth
            .role
            .as_ref()
            .is_some_and(|it| last && !it.session_tags.is_empty());
        let tags = if tags { " and sts:TagSession" } else { "" };
        notes.push(match before {
            None => format!("the trust policy of {role} must allow sts:AssumeRoleWithWebIdentity to the token's issuer"),
            Some(who) => format!("{who} must be allowed sts:AssumeRole{tags} on {role}, by a policy of its own and by that role's trust policy"),
        });
        before = Some(role.to_string());
    }
    notes
}
