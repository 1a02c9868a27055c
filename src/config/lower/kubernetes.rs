//! `[[secrets.NAME.kubernetes]]` and `[defaults.kubernetes]`.

use std::collections::BTreeMap;

use super::keys::Keys;
use super::namespaces::{self, Namespaces};
use super::{Lowering, References, metadata, workload};
use crate::config::problems::{At, Place, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{
    CreationPolicy, DeletionPolicy, DriftPolicy, KubernetesTarget, Selection, Workload,
};
use crate::names::{ClusterName, EntryName, LabelValue, MetadataKey, ObjectName, SecretKey};

/// The keys that may have a default, as far as they are written and right.
#[derive(Debug, Default)]
pub(super) struct KubernetesKeys {
    clusters: Option<Vec<ClusterName>>,
    namespaces: Namespaces,
    secret_type: Option<At<String>>,
    labels: Option<BTreeMap<MetadataKey, LabelValue>>,
    annotations: Option<BTreeMap<MetadataKey, String>>,
    creation_policy: Option<At<CreationPolicy>>,
    deletion_policy: Option<At<DeletionPolicy>>,
    drift: Option<DriftPolicy>,
    immutable: Option<At<bool>>,
    adopt: Option<bool>,
    restart: Option<Vec<Workload>>,
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
        namespace: namespaces::KEYS.iter().any(|key| table.has(key)),
    };
    let clusters = clusters(cx, table, references);
    let namespaces = namespaces::lower(cx, table);
    let creation_policy = table.choice(
        "creation_policy",
        &[
            ("owner", CreationPolicy::Owner),
            ("orphan", CreationPolicy::Orphan),
            ("merge", CreationPolicy::Merge),
            ("create_or_merge", CreationPolicy::CreateOrMerge),
        ],
    );
    let deletion_policy = table.choice(
        "deletion_policy",
        &[
            ("retain", DeletionPolicy::Retain),
            ("delete", DeletionPolicy::Delete),
            ("merge", DeletionPolicy::Merge),
        ],
    );
    let drift = table.choice(
        "drift",
        &[
            ("refresh", DriftPolicy::Refresh),
            ("watch", DriftPolicy::Watch),
        ],
    );
    let immutable = table.boolean("immutable");
    KubernetesKeys {
        clusters,
        namespaces,
        secret_type: table.take("type").and_then(|v| secret_type(cx, v)),
        labels: table.take("labels").and_then(|v| metadata::labels(cx, v)),
        annotations: table
            .take("annotations")
            .and_then(|v| metadata::annotations(cx, v)),
        creation_policy,
        deletion_policy,
        drift: drift.map(|drift| drift.value),
        immutable,
        adopt: table.boolean("adopt").map(|adopt| adopt.value),
        restart: table
            .take("restart")
            .and_then(|v| workload::workloads(cx, v)),
        written,
    }
}

/// The Secrets of one entry.
#[derive(Default)]
pub(super) struct Secrets {
    /// Each once.
    pub listed: Vec<At<KubernetesTarget>>,
    pub selected: Vec<At<Selection>>,
}

impl Secrets {
    /// Every cluster of a table with every namespace, and with its selector.
    pub(super) fn add(
        &mut self,
        cx: &Lowering<'_>,
        table: Table<'_>,
        (entry, delivered): (&At<EntryName>, &Keys),
        (references, defaults): (&References, &KubernetesKeys),
    ) {
        let at = table.at;
        let around = (references, defaults);
        let Some((like, clusters, namespaces)) = lower(cx, table, (entry, delivered), around)
        else {
            return;
        };
        for cluster in clusters {
            let in_cluster = KubernetesTarget {
                cluster,
                ..like.clone()
            };
            for namespace in &namespaces.listed {
                let namespace = namespace.clone();
                let value = KubernetesTarget {
                    namespace,
                    ..in_cluster.clone()
                };
                self.list(cx, At { value, at });
            }
            if let Some(selector) = &namespaces.selector {
                let value = Selection::new(selector.clone(), in_cluster);
                self.selected.push(At { value, at });
            }
        }
    }

    fn list(&mut self, cx: &Lowering<'_>, target: At<KubernetesTarget>) {
        let known = self.listed.iter().find(|it| it.value == target.value);
        let Some(known) = known else {
            return self.listed.push(target);
        };
        let message = "another table of the entry writes the same Secret";
        let problem = Problem::warning(target.at, message).help("it is written once");
        cx.problems
            .push(problem.other(known.at, "the other one is here"));
    }
}

/// What a table makes of every Secret that it names: but for the cluster and the namespace they are alike.
fn lower(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    (entry, delivered): (&At<EntryName>, &Keys),
    (references, defaults): (&References, &KubernetesKeys),
) -> Option<(KubernetesTarget, Vec<ClusterName>, Namespaces)> {
    let at = table.at;
    let own = keys(cx, &mut table, references);
    let name = object_name(cx, &mut table, entry);
    table.finish();
    say_where(cx, at, (own.written, defaults.written));
    let (creation_policy, deletion_policy) = policies(cx, at, (&own, defaults));
    let secret_type = made_with(cx, creation_policy, (&own, defaults), delivered);
    let immutable = immutable(cx, creation_policy, (own.immutable, defaults.immutable));
    let clusters = if own.written.cluster {
        own.clusters
    } else {
        defaults.clusters.clone()
    }?;
    // Its own say where, whatever the defaults say: of lists and selectors, too.
    let namespaces = if own.written.namespace {
        own.namespaces
    } else {
        defaults.namespaces.clone()
    };
    let labels = own.labels.or_else(|| defaults.labels.clone());
    let annotations = own.annotations.or_else(|| defaults.annotations.clone());
    let like = KubernetesTarget {
        cluster: clusters.first()?.clone(),
        namespace: Selection::anywhere(),
        name: name?,
        secret_type,
        labels: labels.unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        creation_policy,
        deletion_policy,
        immutable,
        adopt: own.adopt.or(defaults.adopt).unwrap_or(false),
        drift: own.drift.or(defaults.drift).unwrap_or_default(),
        restart: own
            .restart
            .or_else(|| defaults.restart.clone())
            .unwrap_or_default(),
    };
    Some((like, clusters, namespaces))
}

/// It is somewhere, whether there or in the defaults.
fn say_where(cx: &Lowering<'_>, at: Place, (own, defaults): (Written, Written)) {
    for (key, written) in [
        ("cluster", own.cluster || defaults.cluster),
        ("namespace", own.namespace || defaults.namespace),
    ] {
        if !written {
            cx.problems
                .push(Problem::absence(at, format!("`{key}` is missing")));
        }
    }
}

/// What is done with the Secret, as far as the two go together.
fn policies(
    cx: &Lowering<'_>,
    target: Place,
    (own, defaults): (&KubernetesKeys, &KubernetesKeys),
) -> (CreationPolicy, DeletionPolicy) {
    let creation = own.creation_policy.or(defaults.creation_policy);
    let deletion = own.deletion_policy.or(defaults.deletion_policy);
    let policy = creation.map_or(CreationPolicy::Owner, |policy| policy.value);
    let Some(deletion) = deletion else {
        return (policy, DeletionPolicy::default());
    };
    if !policy.allows(deletion.value) {
        let written = own.deletion_policy.map_or(target, |written| written.at);
        let message = format!(
            "`deletion_policy = \"delete\"` does not go with `creation_policy = \"{}\"`",
            policy.as_str()
        );
        cx.problems.push(
            Problem::error(written, message).help(
                "only an `owner` deletes its Secret; `merge` removes the keys of what is gone",
            ),
        );
    }
    (policy, deletion.value)
}

/// The type with which the Secret is made, if it is.
fn made_with(
    cx: &Lowering<'_>,
    policy: CreationPolicy,
    (own, defaults): (&KubernetesKeys, &KubernetesKeys),
    delivered: &Keys,
) -> Box<str> {
    if let Some(secret_type) = &own.secret_type
        && !policy.may_create()
    {
        cx.problems.push(
            Problem::error(
                secret_type.at,
                "`type` has no meaning with `creation_policy = \"merge\"`",
            )
            .help("whoever makes the Secret gives it its type"),
        );
    }
    let secret_type = own.secret_type.as_ref().or(defaults.secret_type.as_ref());
    if let Some(secret_type) = secret_type
        && policy.may_create()
    {
        check_required_keys(cx, secret_type, delivered);
    }
    secret_type.map_or("Opaque", |text| &text.value).into()
}

/// A default says nothing to targets that cannot have it.
fn immutable(
    cx: &Lowering<'_>,
    policy: CreationPolicy,
    (own, default): (Option<At<bool>>, Option<At<bool>>),
) -> bool {
    if policy.is_whole() {
        return own.or(default).is_some_and(|immutable| immutable.value);
    }
    if let Some(own) = own.filter(|own| own.value) {
        let message = format!(
            "`immutable` has no meaning with `creation_policy = \"{}\"`",
            policy.as_str()
        );
        cx.problems.push(
            Problem::error(own.at, message)
                .help("nobody else who merges into the Secret could write it any more"),
        );
    }
    false
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

/// Those of `cluster` or `clusters`, each once.
fn clusters(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    references: &References,
) -> Option<Vec<ClusterName>> {
    let listed = table.take("clusters");
    let one = table.take("cluster");
    if let (Some(listed), Some(_)) = (&listed, &one) {
        let message = "`clusters` has no meaning beside `cluster`";
        cx.problems.error(listed.key_at, message);
    }
    let one = one.map(|value| Some(vec![cx.cluster(value.string()?, references)?.value]));
    let listed = listed.map(|value| {
        let at = value.at;
        let names = value.strings()?.into_iter();
        let names: Vec<_> = names.map(|text| cx.cluster(text, references)).collect();
        distinct(cx, names, ("clusters", at))
    });
    one.or(listed).flatten()
}

/// `None` where one of them is wrong.
pub(super) fn distinct<T: PartialEq>(
    cx: &Lowering<'_>,
    names: Vec<Option<At<T>>>,
    (key, at): (&str, Place),
) -> Option<Vec<T>> {
    if names.is_empty() {
        cx.problems.error(at, format!("`{key}` names none"));
        return None;
    }
    let mut distinct: Vec<T> = Vec::new();
    for name in names {
        let At { value, at } = name?;
        if distinct.contains(&value) {
            let problem = Problem::warning(at, format!("`{key}` names this twice"));
            cx.problems.push(problem.help("it is written once"));
        } else {
            distinct.push(value);
        }
    }
    Some(distinct)
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
