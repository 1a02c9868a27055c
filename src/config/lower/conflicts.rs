//! What only shows when everything is known: targets that would overwrite each other, or what the daemon itself uses.

use std::collections::BTreeMap;
use std::path::Path;

use super::Lowering;
use super::entry::Draft;
use super::kubernetes::disjoint;
use super::own_paths::OwnPaths;
use crate::config::problems::{At, Place, Problem};
use crate::config::{Daemon, FileFormat, FileTarget, KubernetesTarget, Selection};
use crate::names::{EntryName, MetadataKey, SecretKey};
use crate::selector::Selector;

pub(super) fn check(cx: &Lowering<'_>, drafts: &[Draft], daemon: Option<&Daemon>) {
    same_secret(cx, drafts);
    perhaps_same_secret(cx, drafts);
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
                let why = quarrel((&other.value, keys), (&target.value, &draft.keys.all))?;
                Some((why, other.at))
            });
            if let Some((why, other)) = quarrel {
                let problem = match why {
                    Quarrel::Whole => {
                        Problem::error(target.at, "two targets write the same Secret").help(SHARED)
                    }
                    Quarrel::Type => Problem::error(
                        target.at,
                        "two targets make one Secret with different types",
                    )
                    .help("give both the same `type`: whichever comes first makes the Secret"),
                    Quarrel::Metadata => Problem::error(
                        target.at,
                        "two targets give one Secret different labels or annotations",
                    )
                    .help("give both the same value, or take the key from one of them"),
                };
                cx.problems
                    .push(problem.other(other, "the other one is here"));
            }
            written.push((target, &draft.keys.all));
        }
    }
}

const SHARED: &str = "only targets that merge (`creation_policy` `merge` or `create_or_merge`) and have different keys may share one";

/// What a selector finds must not be another entry's, whatever labels namespaces get. Within one entry it is written once.
fn perhaps_same_secret(cx: &Lowering<'_>, drafts: &[Draft]) {
    let mut selected: BTreeMap<_, Vec<Selected<'_>>> = BTreeMap::new();
    for draft in drafts {
        for selection in &draft.selections {
            let like = selection.value.like();
            let all = selected.entry((&like.cluster, &like.name)).or_default();
            all.push(Selected { draft, selection });
        }
    }
    for all in selected.values() {
        for (index, one) in all.iter().enumerate() {
            let mut before = all[..index].iter();
            let other = before.find(|other| one.quarrels_with(other));
            if let Some(other) = other {
                tell_perhaps(cx, one.selection.at, other.selection.at);
            }
        }
    }
    for draft in drafts {
        for target in &draft.kubernetes {
            let KubernetesTarget { cluster, name, .. } = &target.value;
            let mut all = selected.get(&(cluster, name)).into_iter().flatten();
            let other =
                all.find(|other| other.may_find(target, (&draft.name.value, &draft.keys.all)));
            if let Some(other) = other {
                tell_perhaps(cx, other.selection.at, target.at);
            }
        }
    }
}

/// What one entry selects.
struct Selected<'a> {
    draft: &'a Draft,
    selection: &'a At<Selection>,
}

impl Selected<'_> {
    fn quarrels_with(&self, other: &Self) -> bool {
        let (one, another) = (&self.selection.value, &other.selection.value);
        self.draft.name.value != other.draft.name.value
            && one.selector.may_meet(&another.selector)
            && self.differs_from(another.like(), &other.draft.keys.all)
    }

    /// Whether it may find a target of another entry.
    fn may_find(
        &self,
        target: &At<KubernetesTarget>,
        (entry, keys): (&EntryName, &[At<SecretKey>]),
    ) -> bool {
        let named = Selector::named(&target.value.namespace);
        self.draft.name.value != *entry
            && self.selection.value.selector.may_meet(&named)
            && self.differs_from(&target.value, keys)
    }

    fn differs_from(&self, other: &KubernetesTarget, keys: &[At<SecretKey>]) -> bool {
        let own = (self.selection.value.like(), &self.draft.keys.all[..]);
        quarrel(own, (other, keys)).is_some()
    }
}

fn tell_perhaps(cx: &Lowering<'_>, at: Place, other: Place) {
    let message = "two entries write the same Secret in any namespace that both name or select";
    cx.problems.push(
        Problem::error(at, message)
            .help("let one selector exclude the other's namespaces: `team!=payments`, or `kubernetes.io/metadata.name!=app`")
            .other(other, "the other one is here"),
    );
}

/// What two targets of one Secret cannot agree about.
#[derive(Clone, Copy)]
enum Quarrel {
    Whole,
    Type,
    Metadata,
}

fn quarrel(
    (a, a_keys): (&KubernetesTarget, &[At<SecretKey>]),
    (b, b_keys): (&KubernetesTarget, &[At<SecretKey>]),
) -> Option<Quarrel> {
    if !share(a, a_keys, b, b_keys) {
        Some(Quarrel::Whole)
    } else if made_differently(a, b) {
        Some(Quarrel::Type)
    } else if differ(a, b) {
        Some(Quarrel::Metadata)
    } else {
        None
    }
}

fn made_differently(a: &KubernetesTarget, b: &KubernetesTarget) -> bool {
    let both_make = a.creation_policy.may_create() && b.creation_policy.may_create();
    both_make && a.secret_type != b.secret_type
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
    !a.creation_policy.is_whole() && !b.creation_policy.is_whole() && disjoint(a_keys, b_keys)
}

/// Two targets at one path, or one below the other, which cannot be both a file and a directory.
fn same_path(cx: &Lowering<'_>, files: &[&At<FileTarget>]) {
    let mut first: BTreeMap<&Path, &At<FileTarget>> = BTreeMap::new();
    for file in files {
        if let Some(other) = first.get(file.value.path.as_path()) {
            cx.problems.push(
                Problem::error(file.at, "two targets write the same file")
                    .other(other.at, "the other one is here"),
            );
        } else {
            first.insert(&file.value.path, file);
        }
    }
    for file in files {
        let mut above = file.value.path.ancestors().skip(1);
        if let Some(other) = above.find_map(|path| first.get(path)) {
            let (message, there) = if other.value.format == FileFormat::Directory {
                (
                    "this path is below a directory that is written as a whole",
                    "that directory is here",
                )
            } else {
                (
                    "this path is below a path that is written as a file",
                    "that file is here",
                )
            };
            cx.problems
                .push(Problem::error(file.at, message).other(other.at, there));
        }
    }
}
