//! Which targets no entry writes any more, and since when: by a clock that nobody sets, and of this boot only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::CreationPolicy;
use crate::daemon::engine::left::Left;
use crate::daemon::engine::removals::Loser;
use crate::daemon::engine::{Due, Engine, Mode};
use crate::daemon::entries::Streak;
use crate::daemon::times::Now;
use crate::report::{Fact, TargetKind};
use crate::status::{Held, Orphan, OrphanFate};
use crate::target::Target;

/// The orphans, and since when each is known to be one: by a clock that nobody sets, and of this boot only.
/// What was left, taken up and left again begins anew.
#[derive(Debug)]
pub(in crate::daemon::engine) struct Orphans {
    /// How long one stays before it is taken away by itself.
    after: Option<Duration>,
    pub(super) known: BTreeMap<Key, Known>,
}

pub(super) type Key = (Left, Timestamp);

#[derive(Debug)]
pub(super) struct Known {
    since: Instant,
    /// Not before that; what is under way, or is not to be done, has none.
    pub(super) next: Option<Instant>,
    pub(super) trouble: Option<Streak>,
}

#[derive(Serialize, Deserialize)]
struct RawOrphans {
    boot: i64,
    /// Secret, entry, when it was left in seconds, milliseconds since the boot.
    known: Vec<RawOrphan>,
    /// The same of files: path, entry.
    #[serde(default)]
    files: Vec<RawOrphan>,
}

type RawOrphan = (String, String, i64, u64);

impl Orphans {
    pub(in crate::daemon::engine) fn recalled(
        after: Option<Duration>,
        bytes: Option<&[u8]>,
        now: &Now,
    ) -> Self {
        let raw = bytes.and_then(|bytes| serde_json::from_slice::<RawOrphans>(bytes).ok());
        let raw = raw.filter(|raw| now.is_same_boot(raw.boot));
        let known = raw.into_iter().flat_map(|raw| {
            let secrets = raw.known.into_iter();
            let secrets = secrets.map(|raw| (TargetKind::Kubernetes, raw));
            let files = raw.files.into_iter();
            secrets.chain(files.map(|raw| (TargetKind::File, raw)))
        });
        let known = known.filter_map(|(kind, (target, entry, at, since))| {
            let left = Left::from_texts(kind, &target, &entry)?;
            let since = now.at_boot_plus(since)?;
            let at = Timestamp::from_second(at).ok()?;
            Some(((left, at), Known::new(since, after)))
        });
        Self {
            after,
            known: known.collect(),
        }
    }

    /// Another configuration says so from now on.
    pub(in crate::daemon::engine) fn renew(&mut self, after: Option<Duration>) {
        if after == self.after {
            return;
        }
        self.after = after;
        for known in self.known.values_mut() {
            known.next = after.map(|after| known.since + after);
        }
    }
}

impl Known {
    fn new(since: Instant, after: Option<Duration>) -> Self {
        Self {
            since,
            next: after.map(|after| since + after),
            trouble: None,
        }
    }
}

impl Engine {
    pub(in crate::daemon::engine) fn orphans_to_bytes(&self, now: &Now) -> Vec<u8> {
        let known_of = |kind: TargetKind| {
            let known = self.orphans.known.iter();
            let known = known.filter(|((left, _), _)| left.kind() == kind);
            let known = known.filter_map(|((left, at), known)| {
                let since = now.since_boot(known.since)?;
                let (target, entry) = left.to_texts()?;
                Some((target, entry, at.as_second(), since))
            });
            known.collect()
        };
        let raw = RawOrphans {
            boot: now.boot(),
            known: known_of(TargetKind::Kubernetes),
            files: known_of(TargetKind::File),
        };
        serde_json::to_vec(&raw)
            .expect("this structure has no maps and no floats, so JSON can hold it")
    }

    /// Another configuration, or something was taken away.
    pub(in crate::daemon::engine) fn look_for_orphans(&mut self) {
        let now = Instant::now();
        let left = self.state.left_behind();
        self.reporter.record(&Fact::TargetsOrphaned(left.len()));
        let mut before = std::mem::take(&mut self.orphans.known);
        let mut gained = false;
        for left in left {
            let since = left.since;
            let key = (Left::of(left), since);
            let known = before.remove(&key).unwrap_or_else(|| {
                gained = true;
                Known::new(now, self.orphans.after)
            });
            self.orphans.known.insert(key, known);
        }
        // What is no orphan any more asks anew when it is one again.
        for (part, _) in before.keys() {
            self.brake.withdraw(&Loser::Orphan(part.clone()));
        }
        if gained || !before.is_empty() {
            self.unsaved.orphans();
            self.unsaved.brake();
        }
        self.set_prune_time();
    }

    pub(in crate::daemon::engine) fn set_prune_time(&mut self) {
        let known = self.orphans.known.iter();
        let ours = known.filter(|((left, _), _)| self.is_ours_to_prune(left));
        let next = ours.filter_map(|(_, known)| known.next).min();
        match next.filter(|_| self.mode == Mode::Forever) {
            Some(next) => self.schedule.set(Due::Prune, next),
            None => self.schedule.cancel(&Due::Prune),
        }
    }

    pub(super) fn is_removable(&self, part: &Left) -> bool {
        match self.fate(part) {
            OrphanFate::Delete | OrphanFate::GiveBack | OrphanFate::Release => true,
            OrphanFate::NoCluster => false,
        }
    }

    pub(super) fn fate(&self, left: &Left) -> OrphanFate {
        let Left::Secret(part) = left else {
            return OrphanFate::Delete;
        };
        let record = self.state.orphan(part);
        let author = record.and_then(|(record, _)| record.delivered_as());
        let policy = author.map(|author| author.policy);
        if policy == Some(CreationPolicy::Orphan) {
            return OrphanFate::Release;
        }
        if !self.clusters.contains_key(&part.id.cluster) {
            return OrphanFate::NoCluster;
        }
        match policy {
            Some(CreationPolicy::Owner | CreationPolicy::Orphan) => OrphanFate::Delete,
            Some(CreationPolicy::Merge | CreationPolicy::CreateOrMerge) | None => {
                OrphanFate::GiveBack
            }
        }
    }

    /// A directory of files, of which what we made goes.
    pub(super) fn is_set(&self, left: &Left) -> bool {
        match left {
            Left::Secret(_) => false,
            Left::File(path, _) => {
                let record = self.state.file(path);
                record.is_some_and(|record| !record.generations.is_empty())
            }
        }
    }

    pub(super) fn sets_among(&self, parts: &[Left]) -> BTreeSet<Left> {
        let sets = parts.iter().filter(|part| self.is_set(part));
        sets.cloned().collect()
    }

    pub(super) fn list_orphans(&self) -> Vec<Orphan> {
        let left = self.state.left_behind().into_iter();
        left.map(|left| {
            let since = Some(left.since);
            let left = Left::of(left);
            Orphan {
                kind: left.kind(),
                target: left.to_string(),
                entry: left.entry().to_string(),
                since,
                set: self.is_set(&left),
                fate: self.fate(&left),
            }
        })
        .collect()
    }

    pub(in crate::daemon::engine) fn list_held(&self) -> Vec<Held> {
        let held = self.held_entries().into_iter();
        held.filter_map(|(name, targets)| {
            let entry = self.entries.get(&name)?;
            let own: BTreeSet<String> = entry.entry.targets.iter().map(Target::to_string).collect();
            let targets = targets.into_iter();
            Some(Held {
                entry: name.to_string(),
                targets: targets.filter(|target| own.contains(target)).collect(),
            })
        })
        .collect()
    }
}
