//! What no entry writes any more: listed, and taken away where somebody asks for it or `daemon.prune` is set
//! (design 7.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::removals::Loser;
use super::{Done, Due, Engine, Mode, Task, office};
use crate::config::CreationPolicy;
use crate::daemon::ask::Prune;
use crate::daemon::entries::Streak;
use crate::daemon::times::Now;
use crate::decide::state::Turn;
use crate::failure::{Failure, Reason};
use crate::kube::Tenure;
use crate::logging::AUDIT;
use crate::names::EntryName;
use crate::report::{Fact, TargetKind, WriteResult};
use crate::state::{LeftBehind, LeftTarget, SecretId, SecretPart};
use crate::status::{Held, Leftovers, Orphan, OrphanFate, PruneEnd, PrunedOrphan, Trouble};
use crate::sync::orphan;
use crate::target::Target;
use crate::target::kubernetes::removal::Removed;

/// Orphans that are taken away at a time.
const AT_ONCE: usize = 8;

/// What is held, or failed, is tried again after this at the latest.
const AGAIN: Duration = Duration::from_hours(1);

/// How one removal ended.
pub(super) type Pruned = (SecretPart, Result<Removed, Failure>);

/// Removals under way, and who waits for them.
#[derive(Debug)]
pub(super) struct Pruning {
    cause: Cause,
    parts: Vec<SecretPart>,
    answer: Option<(oneshot::Sender<Leftovers>, Leftovers)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Asked,
    Time,
}

/// The orphans in clusters, and since when each is known to be one: by a clock that nobody sets, and of this boot only.
/// What was left, taken up and left again begins anew.
#[derive(Debug)]
pub(super) struct Orphans {
    /// How long one stays before it is taken away by itself.
    after: Option<Duration>,
    known: BTreeMap<Key, Known>,
}

type Key = (SecretPart, Timestamp);

#[derive(Debug)]
struct Known {
    since: Instant,
    /// Not before that; what is under way, or is not to be done, has none.
    next: Option<Instant>,
    trouble: Option<Streak>,
}

#[derive(Serialize, Deserialize)]
struct RawOrphans {
    boot: i64,
    /// Secret, entry, when it was left in seconds, milliseconds since the boot.
    known: Vec<(String, String, i64, u64)>,
}

impl Orphans {
    pub(super) fn recalled(after: Option<Duration>, bytes: Option<&[u8]>, now: &Now) -> Self {
        let raw = bytes.and_then(|bytes| serde_json::from_slice::<RawOrphans>(bytes).ok());
        let raw = raw.filter(|raw| now.is_same_boot(raw.boot));
        let known = raw.into_iter().flat_map(|raw| raw.known);
        let known = known.filter_map(|(id, entry, left, since)| {
            let part = SecretPart {
                id: SecretId::parse(&id)?,
                entry: EntryName::new(entry).ok()?,
            };
            let since = now.at_boot_plus(since)?;
            let left = Timestamp::from_second(left).ok()?;
            Some(((part, left), Known::new(since, after)))
        });
        Self {
            after,
            known: known.collect(),
        }
    }

    /// Another configuration says so from now on.
    pub(super) fn renew(&mut self, after: Option<Duration>) {
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
    pub(super) fn orphans_to_bytes(&self, now: &Now) -> Vec<u8> {
        let known = self.orphans.known.iter();
        let known = known.filter_map(|((part, left), known)| {
            let since = now.since_boot(known.since)?;
            let (id, entry) = (part.id.to_string(), part.entry.to_string());
            Some((id, entry, left.as_second(), since))
        });
        let raw = RawOrphans {
            boot: now.boot(),
            known: known.collect(),
        };
        serde_json::to_vec(&raw)
            .expect("this structure has no maps and no floats, so JSON can hold it")
    }

    /// Another configuration, or something was taken away.
    pub(super) fn look_for_orphans(&mut self) {
        let now = Instant::now();
        let left = self.state.left_behind();
        self.reporter.record(&Fact::TargetsOrphaned(left.len()));
        let mut before = std::mem::take(&mut self.orphans.known);
        let mut gained = false;
        for LeftBehind {
            target,
            entry,
            since,
        } in left
        {
            let LeftTarget::Secret(id) = target else {
                continue;
            };
            let key = (SecretPart { id, entry }, since);
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

    pub(super) fn set_prune_time(&mut self) {
        let next = self.orphans.known.values().filter_map(|it| it.next).min();
        let prunes = self.mode == Mode::Forever && self.turn() == Turn::Ours;
        match next.filter(|_| prunes) {
            Some(next) => self.schedule.set(Due::Prune, next),
            None => self.schedule.cancel(&Due::Prune),
        }
    }

    /// `daemon.prune`: what was left long enough ago goes.
    pub(super) fn prune_due(&mut self, now: Instant) {
        let mut due = Vec::new();
        for ((part, _), known) in &mut self.orphans.known {
            if known.next.is_some_and(|next| next <= now) {
                // Until that is over, and where it is held.
                known.next = Some(now + AGAIN);
                due.push(part.clone());
            }
        }
        let due: Vec<SecretPart> = due
            .into_iter()
            .filter(|part| self.is_removable(part))
            .collect();
        let (parts, _) = self.ask_for_orphans(due);
        self.take_away(Pruning {
            cause: Cause::Time,
            parts,
            answer: None,
        });
        self.set_prune_time();
    }

    /// Somebody wants to know what is left, or to have it taken away.
    pub(super) fn prune(&mut self, what: Prune, reply: oneshot::Sender<Leftovers>) {
        let mut leftovers = Leftovers::default();
        let asks = what != Prune::List;
        leftovers.standby = self.standby().filter(|_| asks);
        let parts = match what {
            Prune::List => Vec::new(),
            Prune::All | Prune::Named(_) if leftovers.standby.is_some() => Vec::new(),
            Prune::All => {
                let orphans = self.orphans.known.keys().map(|(part, _)| part.clone());
                let orphans = orphans.filter(|part| self.is_removable(part)).collect();
                let (parts, held) = self.ask_for_orphans(orphans);
                leftovers.pruned = held
                    .iter()
                    .map(|part| ended(part, PruneEnd::Held))
                    .collect();
                parts
            }
            Prune::Named(names) => self.prune_named(names, &mut leftovers),
        };
        self.take_away(Pruning {
            cause: Cause::Asked,
            parts,
            answer: Some((reply, leftovers)),
        });
    }

    /// What goes by these names, of an entry or a target. Whoever names it has looked at it.
    fn prune_named(&mut self, names: Vec<String>, leftovers: &mut Leftovers) -> Vec<SecretPart> {
        let mut parts = Vec::new();
        let left = self.list_orphans();
        for name in names {
            let is_it = |orphan: &&Orphan| orphan.entry == name || orphan.target == name;
            let mut known = left.iter().any(|orphan| is_it(&orphan));
            let refused = left.iter().filter(is_it).filter_map(refusal);
            leftovers.pruned.extend(refused);
            let orphans = self.orphans.known.keys().map(|(part, _)| part);
            let orphans = orphans.filter(|part| {
                let is_it = part.entry.as_str() == name || part.id.to_string() == name;
                is_it && self.is_removable(part)
            });
            parts.extend(orphans.cloned());
            if let Ok(entry) = EntryName::new(name.as_str())
                && self.let_go_held(&entry)
            {
                leftovers.released.push(name.clone());
                known = true;
            }
            if !known {
                leftovers.unknown.push(name);
            }
        }
        parts.sort();
        parts.dedup();
        let now = Instant::now();
        // It counts as any other removal.
        for part in &parts {
            let id = Loser::Orphan(part.clone());
            self.brake.hold([id.clone()]);
            self.brake.release(|it| *it == id, now);
        }
        let (parts, _) = self.ask_for_orphans(parts);
        parts
    }

    /// Which of these the brake lets go, and the others.
    fn ask_for_orphans(&mut self, parts: Vec<SecretPart>) -> (Vec<SecretPart>, Vec<SecretPart>) {
        // What is only forgotten destroys nothing.
        let (mut may, asks): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|part| self.fate(part) == OrphanFate::Release);
        if asks.is_empty() {
            return (may, Vec::new());
        }
        let ids = asks.into_iter().map(Loser::Orphan);
        let answer = self.brake.ask(self.all_targets(), ids, Instant::now());
        self.unsaved.brake();
        let part = |id: Loser| match id {
            Loser::Orphan(part) => Some(part),
            Loser::Target(..) => None,
        };
        may.extend(answer.allowed.into_iter().filter_map(part));
        (may, answer.held.into_iter().filter_map(part).collect())
    }

    fn take_away(&mut self, pruning: Pruning) {
        if self.draining {
            let stopping = |part: &SecretPart| {
                let failure = Failure::new(Reason::Io, "secretsyncd is stopping");
                let failure = failure.with_help("ask again once it runs");
                (part.clone(), Err(failure))
            };
            let pruned = pruning.parts.iter().map(stopping).collect();
            return self.pruned(pruning, pruned);
        }
        if pruning.parts.is_empty() {
            return self.pruned(pruning, Vec::new());
        }
        let tenure = self.tenure.clone().unwrap_or_else(Tenure::never);
        let work = pruning.parts.iter().map(|part| {
            let client = self.clusters.get(&part.id.cluster);
            (part.clone(), client.map(|client| client.under(&tenure)))
        });
        let work: Vec<_> = work.collect();
        let state = Arc::clone(&self.state);
        let task = self.tasks.spawn(async move {
            let removals = stream::iter(work).map(|(part, client)| {
                let state = Arc::clone(&state);
                async move {
                    let removed = orphan::remove(&part, client.as_ref(), &state).await;
                    (part, removed)
                }
            });
            Done::Pruned(removals.buffer_unordered(AT_ONCE).collect().await)
        });
        self.running.insert(task.id(), Task::Prune(pruning));
    }

    /// What was to be taken away is, or is not.
    pub(super) fn pruned(&mut self, pruning: Pruning, pruned: Vec<Pruned>) {
        let missing = pruning
            .parts
            .iter()
            .filter(|part| !pruned.iter().any(|(done, _)| done == *part));
        let broken_off = |part: &SecretPart| {
            let failure = super::panicked("the removal");
            (part.clone(), Err(failure))
        };
        let missing: Vec<Pruned> = missing.map(broken_off).collect();
        let mut ends = Vec::new();
        for (part, result) in pruned.into_iter().chain(missing) {
            self.tell_pruned(&part, &result, pruning.cause);
            ends.push(ended(&part, end_of(result)));
        }
        self.look_for_orphans();
        let Some((reply, mut leftovers)) = pruning.answer else {
            return;
        };
        leftovers.pruned.extend(ends);
        leftovers
            .pruned
            .sort_by(|a, b| (&a.target, &a.entry).cmp(&(&b.target, &b.entry)));
        leftovers.orphans = self.list_orphans();
        leftovers.held = self.list_held();
        // Whoever asked may have gone.
        let _ = reply.send(leftovers);
    }

    fn tell_pruned(&mut self, part: &SecretPart, result: &Result<Removed, Failure>, cause: Cause) {
        let (what, counted) = match result {
            Ok(Removed::Deleted) => ("deleted", Some(WriteResult::Deleted)),
            Ok(Removed::GivenBack) => ("our keys removed", Some(WriteResult::Updated)),
            Ok(Removed::Released) => ("left to others", None),
            Ok(Removed::AlreadyGone) => ("found gone", None),
            Ok(Removed::Raced) => return,
            Err(failure) => return self.not_pruned(part, failure, cause),
        };
        if let Some(result) = counted {
            let target = TargetKind::Kubernetes;
            self.reporter
                .record(&Fact::TargetWritten { target, result });
        }
        let cause = match cause {
            Cause::Asked => "prune",
            Cause::Time => "daemon.prune",
        };
        tracing::info!(
            target: AUDIT, entry = %part.entry, target.kind = %TargetKind::Kubernetes, target.name = %part.id,
            cause, "{what}"
        );
    }

    fn not_pruned(&mut self, part: &SecretPart, failure: &Failure, cause: Cause) {
        let mut known = self.orphans.known.iter_mut();
        let Some((_, known)) = known.find(|((known, _), _)| known == part) else {
            return;
        };
        let streak = Streak::next(known.trouble.as_ref(), failure.clone());
        if cause == Cause::Time {
            known.next = Some(Instant::now() + streak.wait(AGAIN));
            if streak.loud {
                tracing::warn!(
                    entry = %part.entry, target.name = %part.id, reason = %failure.reason,
                    failures = streak.count, help = failure.help(), "an orphan was not removed: {failure}"
                );
            }
        }
        known.trouble = Some(streak);
    }

    fn is_removable(&self, part: &SecretPart) -> bool {
        match self.fate(part) {
            OrphanFate::Delete | OrphanFate::GiveBack | OrphanFate::Release => true,
            OrphanFate::NoCluster | OrphanFate::NotYet => false,
        }
    }

    fn fate(&self, part: &SecretPart) -> OrphanFate {
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

    fn list_orphans(&self) -> Vec<Orphan> {
        let left = self.state.left_behind().into_iter();
        left.map(|left| {
            let entry = left.entry;
            let (kind, target, fate) = match left.target {
                LeftTarget::File(path) => {
                    let path = path.display().to_string();
                    (TargetKind::File, path, OrphanFate::NotYet)
                }
                LeftTarget::Secret(id) => {
                    let text = id.to_string();
                    let part = SecretPart {
                        id,
                        entry: entry.clone(),
                    };
                    (TargetKind::Kubernetes, text, self.fate(&part))
                }
            };
            Orphan {
                kind,
                target,
                entry: entry.to_string(),
                since: Some(left.since),
                fate,
            }
        })
        .collect()
    }

    fn list_held(&self) -> Vec<Held> {
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

    /// Where no daemon runs: the same, without anything else that an engine does.
    pub(in crate::daemon) async fn prune_alone(&mut self, what: Prune) -> Option<Leftovers> {
        // What it knows of entries is none of its business.
        self.unsaved = super::Unsaved::default();
        self.unsaved.orphans();
        self.alone = true;
        // What others did since is in the Secrets, and each is looked at before it goes.
        self.tenure = office::offered(&self.lead).map(|(tenure, _)| tenure);
        let (reply, answer) = oneshot::channel();
        self.prune(what, reply);
        loop {
            self.save();
            let Some(ended) = self.tasks.join_next_with_id().await else {
                break;
            };
            self.ended(ended);
        }
        answer.await.ok()
    }
}

/// Why something that is named cannot be taken away.
fn refusal(orphan: &Orphan) -> Option<PrunedOrphan> {
    let (fact, help) = match orphan.fate {
        OrphanFate::Delete | OrphanFate::GiveBack | OrphanFate::Release => return None,
        OrphanFate::NoCluster => (
            "its cluster is not configured any more, so nothing there can be removed",
            "configure the cluster again, without any target, and ask once more",
        ),
        OrphanFate::NotYet => ("this release does not remove files", "remove it by hand"),
    };
    let failure = Failure::new(Reason::Invalid, fact).with_help(help);
    Some(PrunedOrphan {
        target: orphan.target.clone(),
        entry: orphan.entry.clone(),
        end: PruneEnd::Failed(Trouble::from(&failure)),
    })
}

fn ended(part: &SecretPart, end: PruneEnd) -> PrunedOrphan {
    PrunedOrphan {
        target: part.id.to_string(),
        entry: part.entry.to_string(),
        end,
    }
}

fn end_of(result: Result<Removed, Failure>) -> PruneEnd {
    match result {
        Ok(Removed::Deleted) => PruneEnd::Deleted,
        Ok(Removed::GivenBack) => PruneEnd::GivenBack,
        Ok(Removed::Released) => PruneEnd::Released,
        // It was looked at until it was still.
        Ok(Removed::AlreadyGone | Removed::Raced) => PruneEnd::AlreadyGone,
        Err(failure) => PruneEnd::Failed(Trouble::from(&failure)),
    }
}
