//! `[[secrets.NAME.kubernetes]]` and `[defaults.kubernetes]`.

use std::collections::BTreeMap;

use super::keys::Keys;
use super::{Lowering, References, metadata};
use crate::config::problems::{At, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{CreationPolicy, KubernetesTarget};
use crate::names::{
    ClusterName, EntryName, LabelValue, MetadataKey, Namespace, ObjectName, SecretKey,
};

/// The keys that may have a default, as far as they are written and right.
#[derive(Debug, Default)]
pub(super) struct KubernetesKeys {
    cluster: Option<ClusterName>,
    namespace: Option<Namespace>,
    secret_type: Option<At<String>>,
    labels: Option<BTreeMap<MetadataKey, LabelValue>>,
    annotations: Option<BTreeMap<MetadataKey, String>>,
    creation_policy: Option<CreationPolicy>,
    adopt: Option<bool>,
    written: Written,
}

/// What is written, even if it is wrong.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    cluster: bool,
    namespace: bool,
}

pub(super) fn keys(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    references: &References,
) -> KubernetesKeys {
    let written = Written {
        cluster: table.has("cluster") || table.has("clusters"),
        namespace: ["namespace", "namespaces", "namespace_selector"]
            .iter()
            .any(|key| table.has(key)),
    };
    let cluster = table
        .string("cluster")
        .and_then(|text| cx.cluster(text, references))
        .map(|cluster| cluster.value);
    let namespace = table
        .string("namespace")
        .and_then(|text| cx.name("`namespace`", text, Namespace::new))
        .map(|namespace| namespace.value);
    table.later("clusters", |v| clusters(cx, v, references));
    table.later("namespaces", |v| namespaces(cx, v));
    table.later("namespace_selector", Value::string);
    let creation_policy = table.choice(
        "creation_policy",
        &[
            ("owner", CreationPolicy::Owner),
            ("merge", CreationPolicy::Merge),
        ],
        &["orphan", "create_or_merge"],
    );
    let _ = table.choice("deletion_policy", &[("retain", ())], &["delete", "merge"]);
    let _ = table.choice("drift", &[("refresh", ())], &["watch"]);
    table.later_true("immutable");
    table.later("restart", Value::strings);
    KubernetesKeys {
        cluster,
        namespace,
        secret_type: table.take("type").and_then(|v| secret_type(cx, v)),
        labels: table.take("labels").and_then(|v| metadata::labels(cx, v)),
        annotations: table
            .take("annotations")
            .and_then(|v| metadata::annotations(cx, v)),
        creation_policy: creation_policy.map(|policy| policy.value),
        adopt: table.boolean("adopt").map(|adopt| adopt.value),
        written,
    }
}

pub(super) fn lower(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    (entry, delivered): (&At<EntryName>, &Keys),
    (references, defaults): (&References, &KubernetesKeys),
) -> Option<At<KubernetesTarget>> {
    let at = table.at;
    let own = keys(cx, &mut table, references);
    let name = object_name(cx, &mut table, entry);
    table.finish();
    for (key, written) in [
        ("cluster", own.written.cluster || defaults.written.cluster),
        (
            "namespace",
            own.written.namespace || defaults.written.namespace,
        ),
    ] {
        if !written {
            cx.problems
                .push(Problem::absence(at, format!("`{key}` is missing")));
        }
    }
    let creation_policy = own
        .creation_policy
        .or(defaults.creation_policy)
        .unwrap_or(CreationPolicy::Owner);
    if let Some(secret_type) = &own.secret_type
        && creation_policy == CreationPolicy::Merge
    {
        cx.problems.push(
            Problem::error(
                secret_type.at,
                "`type` has no meaning with `creation_policy = \"merge\"`",
            )
            .help("whoever makes the Secret gives it its type"),
        );
    }
    let secret_type = own.secret_type.or_else(|| defaults.secret_type.clone());
    if let Some(secret_type) = &secret_type
        && creation_policy == CreationPolicy::Owner
    {
        check_required_keys(cx, secret_type, delivered);
    }
    Some(At {
        value: KubernetesTarget {
            cluster: own.cluster.or_else(|| defaults.cluster.clone())?,
            namespace: own.namespace.or_else(|| defaults.namespace.clone())?,
            name: name?,
            secret_type: secret_type.map_or_else(|| "Opaque".to_owned(), |text| text.value),
            labels: own
                .labels
                .or_else(|| defaults.labels.clone())
                .unwrap_or_default(),
            annotations: own
                .annotations
                .or_else(|| defaults.annotations.clone())
                .unwrap_or_default(),
            creation_policy,
            adopt: own.adopt.or(defaults.adopt).unwrap_or(false),
        },
        at,
    })
}

/// `name`, else what follows the last `/` of the entry's name.
fn object_name(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    entry: &At<EntryName>,
) -> Option<ObjectName> {
    if let Some(value) = table.take("name") {
        let text = value.string()?;
        return Some(cx.name("`name`", text, ObjectName::new)?.value);
    }
    let text = entry.value.as_str();
    let last = text.rsplit('/').next().unwrap_or(text);
    let name = ObjectName::new(last).ok();
    if name.is_none() {
        cx.problems.push(
            Problem::error(table.at, "the entry's name cannot be the name of a Secret")
                .help("set `name`: lower-case letters, digits, `-` and `.`"),
        );
    }
    name
}

fn clusters(cx: &Lowering<'_>, value: Value<'_>, references: &References) -> Option<()> {
    for text in value.strings()? {
        let _ = cx.cluster(text, references);
    }
    Some(())
}

fn namespaces(cx: &Lowering<'_>, value: Value<'_>) -> Option<()> {
    for text in value.strings()? {
        let _ = cx.name("a namespace", text, Namespace::new);
    }
    Some(())
}

fn secret_type(cx: &Lowering<'_>, value: Value<'_>) -> Option<At<String>> {
    let text = cx.plain_text(value, 253)?;
    let refused = [
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
    ];
    if refused.contains(&text.value) {
        cx.problems.push(
            Problem::error(text.at, "Secrets of this type are not written")
                .help("the API server fills or believes them; they are no copies of a secret"),
        );
        return None;
    }
    Some(text.map(str::to_owned))
}

/// Keys without which the API server refuses a Secret of a type.
fn check_required_keys(cx: &Lowering<'_>, secret_type: &At<String>, keys: &Keys) {
    let required: &[&str] = match secret_type.value.as_str() {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    if keys.complete && !required.iter().all(|key| keys.has(key)) {
        cx.problems.error(
            secret_type.at,
            format!(
                "a Secret of this type needs the keys `{}`",
                required.join("`, `")
            ),
        );
    }
}

/// The keys an entry writes into a Secret.
pub(super) fn disjoint(a: &[At<SecretKey>], b: &[At<SecretKey>]) -> bool {
    !a.iter()
        .any(|key| b.iter().any(|other| other.value == key.value))
}
