//! What only shows when everything is known: targets that would overwrite each other, or what the daemon itself uses.

use std::collections::BTreeMap;
use std::path::Path;

use super::Lowering;
use super::entry::Draft;
use super::kubernetes::disjoint;
use super::own_paths::OwnPaths;
use crate::config::problems::{At, Place, Problem};
use crate::config::{CreationPolicy, Daemon, FileTarget, KubernetesTarget};
use crate::names::{MetadataKey, SecretKey};

pub(super) fn check(cx: &Lowering<'_>, drafts: &[Draft], daemon: Option<&Daemon>) {
    same_secret(cx, drafts);
    let files: Vec<&At<FileTarget>> = drafts.iter().flat_map(|draft| &draft.files).collect();
    same_path(cx, &files);
    let own = OwnPaths::collect(cx, daemon);
    for file in files {
        own.judge(cx, file);
    }
}

/// Two targets in one Secret: fine only if both merge, never the same key, and nothing that both write differs.
fn same_secret(cx: &Lowering<'_>, drafts: &[Draft]) {
    type Written<'a> = (&'a At<KubernetesTarget>, &'a [At<SecretKey>]);
    let mut secrets: BTreeMap<_, Vec<Written<'_>>> = BTreeMap::new();
    for draft in drafts {
        for target in &draft.kubernetes {
            let KubernetesTarget {
                cluster,
                namespace,
                name,
                ..
            } = &target.value;
            let written = secrets.entry((cluster, namespace, name)).or_default();
            let quarrel = written.iter().find_map(|(other, keys)| {
                let why = if !share(&other.value, keys, &target.value, &draft.keys.all) {
                    Quarrel::Whole
                } else if differ(&other.value, &target.value) {
                    Quarrel::Metadata
                } else {
                    return None;
                };
                Some((why, other.at))
            });
            if let Some((why, other)) = quarrel {
                let problem = match why {
                    Quarrel::Whole => Problem::error(target.at, "two targets write the same Secret")
                        .help("only targets with `creation_policy = \"merge\"` and different keys may share one"),
                    Quarrel::Metadata => Problem::error(target.at, "two targets give one Secret different labels or annotations")
                        .help("give both the same value, or take the key from one of them"),
                };
                cx.problems
                    .push(problem.other(other, "the other one is here"));
            }
            written.push((target, &draft.keys.all));
        }
    }
}

/// What two targets of one Secret cannot agree about.
#[derive(Clone, Copy)]
enum Quarrel {
    Whole,
    Metadata,
}

/// Whether both give one label or annotation, each another value: they would put their own back for ever.
fn differ(a: &KubernetesTarget, b: &KubernetesTarget) -> bool {
    fn any<V: PartialEq>(a: &BTreeMap<MetadataKey, V>, b: &BTreeMap<MetadataKey, V>) -> bool {
        a.iter()
            .any(|(key, value)| b.get(key).is_some_and(|other| other != value))
    }
    any(&a.labels, &b.labels) || any(&a.annotations, &b.annotations)
}

fn share(
    a: &KubernetesTarget,
    a_keys: &[At<SecretKey>],
    b: &KubernetesTarget,
    b_keys: &[At<SecretKey>],
) -> bool {
    a.creation_policy == CreationPolicy::Merge
        && b.creation_policy == CreationPolicy::Merge
        && disjoint(a_keys, b_keys)
}

/// Two targets at one path, or one below the other, which cannot be both a file and a directory.
fn same_path(cx: &Lowering<'_>, files: &[&At<FileTarget>]) {
    let mut first: BTreeMap<&Path, Place> = BTreeMap::new();
    for file in files {
        if let Some(other) = first.get(file.value.path.as_path()) {
            cx.problems.push(
                Problem::error(file.at, "two targets write the same file")
                    .other(*other, "the other one is here"),
            );
        } else {
            first.insert(&file.value.path, file.at);
        }
    }
    for file in files {
        let mut above = file.value.path.ancestors().skip(1);
        if let Some(other) = above.find_map(|path| first.get(path)) {
            cx.problems.push(
                Problem::error(
                    file.at,
                    "this path is below a path that is written as a file",
                )
                .other(*other, "that file is here"),
            );
        }
    }
}
