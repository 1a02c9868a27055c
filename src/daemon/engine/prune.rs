//! What no entry writes any more: listed, and taken away where somebody asks for it or `daemon.prune` is set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::left::Left;
use super::removals::Loser;
use super::{Done, Due, Engine, Mode, Task, office};
use crate::config::CreationPolicy;
use crate::daemon::ask::Prune;
use crate::daemon::entries::Streak;
use crate::daemon::times::Now;
use crate::decide::state::Turn;
use crate::failure::{Failure, Reason};
use crate::kube::{Client, Tenure};
use crate::logging::AUDIT;
use crate::names::EntryName;
use crate::report::{Fact, TargetKind, WriteResult};
use crate::state::{SecretPart, State};
use crate::status::{Held, Leftovers, Orphan, OrphanFate, PruneEnd, PrunedOrphan, Trouble};
use crate::sync::orphan;
use crate::target::Target;
use crate::target::file::{LeftFile, Removed as RemovedFile};
use crate::target::kubernetes::removal::Removed;

/// Orphans that are taken away at a time.
const AT_ONCE: usize = 8;

/// What is held, or failed, is tried again after this at the latest.
const AGAIN: Duration = Duration::from_hours(1);

/// How one removal ended.
pub(super) type Pruned = (Left, Result<Removed, Failure>);

/// Removals under way, and who waits for them.
#[derive(Debug)]
pub(super) struct Pruning {
    cause: Cause,
    parts: Vec<Left>,
    answer: Option<(oneshot::Sender<Leftovers>, Leftovers)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Asked,
    Time,
}

/// The orphans, and since when each is known to be one: by a clock that nobody sets, and of this boot only.
/// What was left, taken up and left again begins anew.
#[derive(Debug)]
pub(super) struct Orphans {
    /// How long one stays before it is taken away by itself.
    after: Option<Duration>,
    known: BTreeMap<Key, Known>,
}

type Key = (Left, Timestamp);

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
    known: Vec<RawOrphan>,
    /// The same of files: path, entry.
    #[serde(default)]
    files: Vec<RawOrphan>,
}

type RawOrphan = (String, String, i64, u64);

/// What takes away one of them.
enum Removal {
    Secret(SecretPart, Option<Client>),
    File(LeftFile),
}

impl Removal {
    async fn carry_out(self, state: &Arc<State>) -> Result<Removed, Failure> {
        match self {
            Self::Secret(part, client) => orphan::remove(&part, client.as_ref(), state).await,
            Self::File(file) => Ok(match orphan::remove_file(&file, state).await? {
                RemovedFile::Deleted => Removed::Deleted,
                RemovedFile::AlreadyGone => Removed::AlreadyGone,
            }),
        }
    }
}

impl Orphans {
    pub(super) fn recalled(after: Option<Duration>, bytes: Option<&[u8]>, now: &Now) -> Self {
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

pub(super) fn swept(path: &Path, done: Option<Done>) {
    let result = match done {
        Some(Done::Swept(result)) => result,
        Some(_) | None => Err(super::panicked("clearing leftovers")),
    };
    if let Err(failure) = result {
        tracing::warn!(
            path = %path.display(), reason = %failure.reason, help = failure.help(),
            "what an earlier write left there stays: {failure}"
        );
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

    /// At the start: what earlier writes left beside files that no entry writes any more. The files themselves stay.
    pub(super) fn sweep_left(&mut self) {
        for left in self.state.left_behind() {
            let Left::File(path, entry) = Left::of(left) else {
                continue;
            };
            let state = Arc::clone(&self.state);
            let file = LeftFile::new(path.clone(), entry, state, &self.seats);
            if file.has_leftovers() {
                let swept = async move { Done::Swept(file.sweep().await) };
                let task = self.tasks.spawn(swept);
                self.running.insert(task.id(), Task::Sweep(path));
            }
        }
    }

    /// Another configuration, or something was taken away.
    pub(super) fn look_for_orphans(&mut self) {
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

    pub(super) fn set_prune_time(&mut self) {
        let known = self.orphans.known.iter();
        let ours = known.filter(|((left, _), _)| self.is_ours_to_prune(left));
        let next = ours.filter_map(|(_, known)| known.next).min();
        match next.filter(|_| self.mode == Mode::Forever) {
            Some(next) => self.schedule.set(Due::Prune, next),
            None => self.schedule.cancel(&Due::Prune),
        }
    }

    /// `daemon.prune`: what was left long enough ago goes.
    pub(super) fn prune_due(&mut self, now: Instant) {
        let mut due = Vec::new();
        let clusters = self.turn();
        for ((part, _), known) in &mut self.orphans.known {
            let ours = part.kind() == TargetKind::File || clusters == Turn::Ours;
            if ours && known.next.is_some_and(|next| next <= now) {
                // Until that is over, and where it is held.
                known.next = Some(now + AGAIN);
                due.push(part.clone());
            }
        }
        let due: Vec<Left> = due
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
        let mut leftovers = Leftovers {
            standby: self.standby().filter(|_| self.is_about_clusters(&what)),
            ..Leftovers::default()
        };
        let parts = match what {
            Prune::List => Vec::new(),
            Prune::All => {
                let orphans = self.orphans.known.keys().map(|(part, _)| part.clone());
                let orphans = orphans.filter(|part| self.is_removable(part));
                let orphans = orphans.filter(|part| self.is_ours_to_prune(part)).collect();
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
    fn prune_named(&mut self, names: Vec<String>, leftovers: &mut Leftovers) -> Vec<Left> {
        let mut parts = Vec::new();
        let left = self.list_orphans();
        for name in names {
            let is_it = |orphan: &&Orphan| orphan.entry == name || orphan.target == name;
            let mut known = left.iter().any(|orphan| is_it(&orphan));
            let refused = left.iter().filter(is_it).filter_map(refusal);
            leftovers.pruned.extend(refused);
            let orphans = self.orphans.known.keys().map(|(part, _)| part);
            let orphans = orphans.filter(|part| {
                let is_it = part.entry().as_str() == name || part.to_string() == name;
                is_it && self.is_removable(part) && self.is_ours_to_prune(part)
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
    fn ask_for_orphans(&mut self, parts: Vec<Left>) -> (Vec<Left>, Vec<Left>) {
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
            let stopping = |part: &Left| {
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
        let parts = pruning.parts.iter();
        let work: Vec<_> = parts
            .map(|left| (left.clone(), self.removal_of(left)))
            .collect();
        let state = Arc::clone(&self.state);
        let task = self.tasks.spawn(async move {
            let removals = stream::iter(work).map(|(left, removal)| {
                let state = Arc::clone(&state);
                async move { (left, removal.carry_out(&state).await) }
            });
            Done::Pruned(removals.buffer_unordered(AT_ONCE).collect().await)
        });
        self.running.insert(task.id(), Task::Prune(pruning));
    }

    fn removal_of(&self, left: &Left) -> Removal {
        match left {
            Left::Secret(part) => {
                let tenure = self.tenure.clone().unwrap_or_else(Tenure::never);
                let client = self.clusters.get(&part.id.cluster);
                let client = client.map(|client| client.under(&tenure));
                Removal::Secret(part.clone(), client)
            }
            Left::File(path, entry) => {
                let state = Arc::clone(&self.state);
                let file = LeftFile::new(path.clone(), entry.clone(), state, &self.seats);
                Removal::File(file)
            }
        }
    }

    /// Whether something in clusters is to be taken away.
    fn is_about_clusters(&self, what: &Prune) -> bool {
        let left_in = |kind: TargetKind| {
            let known = self.orphans.known.keys().map(|(left, _)| left);
            known.filter(move |left| left.kind() == kind)
        };
        let is =
            |left: &Left, name: &String| left.entry().as_str() == name || left.to_string() == *name;
        match what {
            Prune::List => false,
            Prune::All => left_in(TargetKind::Kubernetes).next().is_some(),
            Prune::Named(names) => names.iter().any(|name| {
                let secret = left_in(TargetKind::Kubernetes).any(|left| is(left, name));
                // What is neither may be an entry of which something is held.
                secret || !left_in(TargetKind::File).any(|left| is(left, name))
            }),
        }
    }

    /// Whoever leads removes from clusters; what is on its own disks, each machine.
    fn is_ours_to_prune(&self, left: &Left) -> bool {
        match left {
            Left::Secret(_) => self.turn() == Turn::Ours,
            Left::File(..) => true,
        }
    }

    /// What was to be taken away is, or is not.
    pub(super) fn pruned(&mut self, pruning: Pruning, pruned: Vec<Pruned>) {
        let missing = pruning
            .parts
            .iter()
            .filter(|part| !pruned.iter().any(|(done, _)| done == *part));
        let broken_off = |part: &Left| {
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

    fn tell_pruned(&mut self, part: &Left, result: &Result<Removed, Failure>, cause: Cause) {
        let (what, counted) = match result {
            Ok(Removed::Deleted) => ("deleted", Some(WriteResult::Deleted)),
            Ok(Removed::GivenBack) => ("our keys removed", Some(WriteResult::Updated)),
            Ok(Removed::Released) => ("left to others", None),
            Ok(Removed::AlreadyGone) => ("found gone", None),
            Ok(Removed::Raced) => return,
            Err(failure) => return self.not_pruned(part, failure, cause),
        };
        if let Some(result) = counted {
            let target = part.kind();
            self.reporter
                .record(&Fact::TargetWritten { target, result });
        }
        let cause = match cause {
            Cause::Asked => "prune",
            Cause::Time => "daemon.prune",
        };
        tracing::info!(
            target: AUDIT, entry = %part.entry(), target.kind = %part.kind(), target.name = %part,
            cause, "{what}"
        );
    }

    fn not_pruned(&mut self, part: &Left, failure: &Failure, cause: Cause) {
        let mut known = self.orphans.known.iter_mut();
        let Some((_, known)) = known.find(|((known, _), _)| known == part) else {
            return;
        };
        let streak = Streak::next(known.trouble.as_ref(), failure.clone());
        if cause == Cause::Time {
            known.next = Some(Instant::now() + streak.wait(AGAIN));
            if streak.loud {
                tracing::warn!(
                    entry = %part.entry(), target.name = %part, reason = %failure.reason,
                    failures = streak.count, help = failure.help(), "an orphan was not removed: {failure}"
                );
            }
        }
        known.trouble = Some(streak);
    }

    fn is_removable(&self, part: &Left) -> bool {
        match self.fate(part) {
            OrphanFate::Delete | OrphanFate::GiveBack | OrphanFate::Release => true,
            OrphanFate::NoCluster => false,
        }
    }

    fn fate(&self, left: &Left) -> OrphanFate {
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

    fn list_orphans(&self) -> Vec<Orphan> {
        let left = self.state.left_behind().into_iter();
        left.map(|left| {
            let since = Some(left.since);
            let left = Left::of(left);
            Orphan {
                kind: left.kind(),
                target: left.to_string(),
                entry: left.entry().to_string(),
                since,
                fate: self.fate(&left),
            }
        })
        .collect()
    }

    pub(super) fn list_held(&self) -> Vec<Held> {
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
    };
    let failure = Failure::new(Reason::Invalid, fact).with_help(help);
    Some(PrunedOrphan {
        target: orphan.target.clone(),
        entry: orphan.entry.clone(),
        end: PruneEnd::Failed(Trouble::from(&failure)),
    })
}

fn ended(part: &Left, end: PruneEnd) -> PrunedOrphan {
    PrunedOrphan {
        target: part.to_string(),
        entry: part.entry().to_string(),
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
