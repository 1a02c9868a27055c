//! What is not there, and what the run does without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::entry::is_akin;
use super::{Answers, Entry, Item, Run, deliver, entry, read_of};
use crate::config::{Find, OnMissing, Source, Version};
use crate::decide::found;
use crate::decide::missing::{self, DeletionPolicy, Gone, Proof, Standing, Verdict};
use crate::failure::{Failure, Reason};
use crate::names::{RemoteKey, SecretKey};
use crate::report::Stage;
use crate::secret::Payload;
use crate::state::{FoundId, State};
use crate::store::{Answer, Content, Identity, Read};
use crate::target::holdings::Holdings;

const CERTAIN_AFTER: &str =
    "once two direct reads have said so, at least ten minutes and an interval apart";

const NEVER_CERTAIN: &str = "that it was deleted can never be proven of a file store, or of tags alone, so everything stays";

const HELD: &str = "that is certain, but more than three targets and a fifth of all would lose something within an hour, so it is held";

/// Where content comes from: an item of the entry, of a `find` one of its matches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub item: usize,
    pub found: Option<RemoteKey>,
}

/// What becomes of the targets of an entry, each by its own policy.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What is done without, and the targets that are written so.
    pub writes: Vec<(Absences, Vec<usize>)>,
    /// These stay as they are, and why.
    pub stays: Vec<(usize, Failure)>,
    /// All that these were made of is gone, and they go with it.
    pub goes: Vec<usize>,
    /// These went so earlier.
    pub away: Vec<usize>,
    /// What is gone and not out of every target yet: it would be missed no more, once it is forgotten.
    missed: BTreeSet<Slot>,
}

impl Plan {
    fn of_all(run: &Run) -> Self {
        Self {
            writes: vec![(Absences::default(), run.ours.clone())],
            ..Self::default()
        }
    }

    /// Why some target keeps the last value of something.
    pub(super) fn why(&self) -> Option<&Failure> {
        self.writes
            .iter()
            .find_map(|(absences, _)| absences.why.as_ref())
    }

    /// Whether it concerns every target in the same way, and all of them are written; not where another machine writes
    /// some.
    pub(super) fn writes_all(&self, run: &Run) -> bool {
        run.ours.len() == run.entry.targets.len()
            && self.stays.is_empty()
            && self.goes.is_empty()
            && self.away.is_empty()
    }

    fn write(&mut self, absences: Absences, target: usize) {
        let same = |(known, _): &&mut (Absences, Vec<usize>)| {
            (&known.dropped, &known.kept) == (&absences.dropped, &absences.kept)
        };
        match self.writes.iter_mut().find(same) {
            Some((_, targets)) => targets.push(target),
            None => self.writes.push((absences, vec![target])),
        }
    }

    /// Of what is gone: everything that some target was not written without.
    fn miss(&mut self, run: &Run, absent: &[Absent]) {
        let all_written = self.writes_all(run);
        let is_out = |slot: &Slot| {
            let mut writes = self.writes.iter();
            all_written && writes.all(|(absences, _)| absences.dropped.contains(slot))
        };
        let missed = absent.iter().map(|absent| &absent.slot);
        self.missed = missed.filter(|slot| !is_out(slot)).cloned().collect();
    }
}

/// What the run does without.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// It leaves these out.
    pub dropped: BTreeSet<Slot>,
    /// Of these it keeps the last value.
    pub kept: BTreeSet<Slot>,
    /// Why something is kept.
    pub why: Option<Failure>,
}

impl Absences {
    /// The names of what an item's `find` matched and the run does without.
    pub(super) fn names(&self, item: usize) -> BTreeSet<String> {
        let slots = self.dropped.iter().chain(&self.kept);
        let own = slots.filter(|slot| slot.item == item);
        let names = own.filter_map(|slot| slot.found.as_ref());
        names.map(ToString::to_string).collect()
    }
}

/// One slot whose secret is not there.
struct Absent {
    slot: Slot,
    on_missing: OnMissing,
    standing: Standing,
    failure: Failure,
    /// A `find` lists it no longer.
    lost: bool,
    proving: Proving,
}

/// Whether it can become certain at all that a secret is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proving {
    Possible,
    /// What was delivered of it has no ARN to ask for: it came from a file store, or is made of tags alone.
    Impossible,
}

impl Proving {
    fn of(run: &Run, read: &Read) -> Self {
        let delivered = run.delivered.get(read);
        if delivered.is_none_or(|version| proof_of(read, &version.identity).is_some()) {
            Self::Possible
        } else {
            Self::Impossible
        }
    }
}

/// The read by the complete ARN of what `read` once answered with.
pub fn proof_of(read: &Read, identity: &Identity) -> Option<Read> {
    let Source::Value { key, version } = &read.source else {
        return None;
    };
    let (Identity::Version { arn, .. } | Identity::Parameter { arn, .. }) = identity else {
        return None;
    };
    if key.as_str() == &**arn && *version == Version::Current {
        return Some(read.clone());
    }
    Some(Read::new(
        read.store.clone(),
        Source::Value {
            key: RemoteKey::new(Arc::clone(arn)).ok()?,
            version: Version::Current,
        },
    ))
}

/// How it is seen whether a secret that a `find` no longer lists is gone: by what is said of it, its tags included.
fn proof_of_lost(find: &Read, arn: &str) -> Option<Read> {
    Some(Read::new(
        find.store.clone(),
        Source::Metadata {
            key: RemoteKey::new(arn).ok()?,
        },
    ))
}

/// The direct reads for everything that a `find` lists no longer, where the entry can do without.
pub fn proofs_of_lost(
    entry: &Entry,
    find: &Read,
    listed: &BTreeSet<String>,
    state: &State,
) -> BTreeSet<Read> {
    if !entry.tolerates_lost(find) {
        return BTreeSet::new();
    }
    let lost = lost(entry, find, listed, state);
    lost.iter()
        .filter_map(|arn| proof_of_lost(find, arn))
        .collect()
}

/// What was delivered from a `find` and is not among these.
fn lost(entry: &Entry, find: &Read, listed: &BTreeSet<String>, state: &State) -> Vec<String> {
    let Some((_, id)) = entry.finds().find(|(read, _)| *read == find) else {
        return Vec::new();
    };
    let known = state.found(&id);
    let known = known.unwrap_or_else(|| inherited(entry, find, &id, state));
    found::lost(&known, listed)
}

/// A `find` that was changed asks another question. Of what its predecessors found, it still has to find what it asks
/// for: else an edit would let go without proof what vanished meanwhile.
fn inherited(entry: &Entry, find: &Read, id: &FoundId, state: &State) -> BTreeSet<String> {
    let Source::Find(asked) = &find.source else {
        return BTreeSet::new();
    };
    let present: BTreeSet<FoundId> = entry.finds().map(|(_, id)| id).collect();
    let before = state.found_by(&entry.name).into_iter();
    let before = before
        .filter(|(known, _)| !present.contains(known) && is_akin(&known.question, &id.question));
    let arns = before.flat_map(|(_, arns)| arns);
    arns.filter(|arn| is_asked_for(asked, found::name_of(arn)))
        .collect()
}

/// By its name. A path that is no whole level of a hierarchy is taken for one: that can only leave something out.
fn is_asked_for(find: &Find, name: &str) -> bool {
    let below = |path: &String| {
        let rest = name.strip_prefix(path.as_str());
        let hierarchical = name.starts_with('/') && !path.ends_with('/');
        rest.is_some_and(|rest| !hierarchical || rest.starts_with('/'))
    };
    find.path.as_ref().is_none_or(below) && find.names(name)
}

/// The ARNs of what a `find` lost and that is not out of every target yet.
pub(super) fn missed_of(
    run: &Run,
    find: &Read,
    (listed, plan): (&BTreeSet<String>, &Plan),
) -> BTreeSet<String> {
    let is_missed = |arn: &String| {
        let slots = plan.missed.iter();
        let mut own =
            slots.filter(|slot| run.entry.reads[run.entry.items[slot.item].read()] == *find);
        let name = found::name_of(arn);
        own.any(|slot| slot.found.as_ref().is_some_and(|it| it.as_str() == name))
    };
    let lost = lost(&run.entry, find, listed, &run.state);
    lost.into_iter().filter(is_missed).collect()
}

/// Whether tags say that a secret is no longer what a `find` asks for.
pub fn matches_no_longer(find: &Read, tags: &Read, answer: &Answer) -> bool {
    let (Source::Find(find), Source::Metadata { .. }) = (&find.source, &tags.source) else {
        return false;
    };
    let Content::Value(value) = &answer.content else {
        return false;
    };
    // What cannot be read proves nothing.
    let tags: Option<BTreeMap<String, String>> = serde_json::from_slice(value.expose()).ok();
    tags.is_some_and(|tags| {
        find.tags
            .iter()
            .any(|(key, value)| tags.get(key) != Some(value))
    })
}

/// Decides what becomes of each target; an error where all of them stay as they are.
pub(super) async fn judge(run: &Run, answers: &Answers) -> Result<Plan, (Stage, Failure)> {
    let (there, absent) = standings(run, answers);
    if absent.is_empty() {
        return Ok(Plan::of_all(run));
    }
    // A target that cannot be looked at is tried again by itself.
    let absent = never_there(run, answers, absent)
        .await
        .map_err(|failure| (Stage::Apply, failure))?;
    let scene = Scene {
        silent: is_silent(run, answers, &absent),
        there,
        absent,
    };
    let mut plan = Plan::default();
    for &index in &run.ours {
        let target = &run.entry.targets[index];
        let away = run.away.contains(&index);
        match scene.fate(target.deletion_policy(), away) {
            Fate::Write(absences) => plan.write(absences, index),
            Fate::Stay(failure) => plan.stays.push((index, failure)),
            Fate::Away => plan.away.push(index),
            Fate::Go if away => plan.away.push(index),
            Fate::Go if run.may_go.contains(&index) => plan.goes.push(index),
            Fate::Go => plan.stays.push((index, held(&scene.absent[0]))),
        }
    }
    if plan.writes.is_empty() && plan.goes.is_empty() && plan.away.is_empty() {
        let first = plan.stays.into_iter().next();
        let failure = first.map_or_else(nothing_left, |(_, failure)| failure);
        return Err((Stage::Fetch, failure));
    }
    plan.miss(run, &scene.absent);
    Ok(plan)
}

/// How the sources of an entry stand; at least one is not there.
struct Scene {
    there: usize,
    absent: Vec<Absent>,
    /// A `find` lists nothing and has lost nothing: that is no word of anything.
    silent: bool,
}

/// What becomes of one target.
enum Fate {
    Write(Absences),
    Stay(Failure),
    Go,
    /// It stays away.
    Away,
}

impl Scene {
    fn fate(&self, policy: DeletionPolicy, away: bool) -> Fate {
        let absent = self.absent.iter().map(|absent| {
            let mut source = missing::Source {
                standing: absent.standing,
                on_missing: absent.on_missing,
            };
            if away && absent.lost && self.there > 0 {
                // That went with the target, and with what is found instead, it begins anew.
                source.on_missing = OnMissing::Drop;
            }
            source
        });
        let there = missing::Source {
            standing: Standing::There,
            on_missing: OnMissing::Fail,
        };
        let sources: Vec<_> = absent.chain((0..self.there).map(|_| there)).collect();
        match missing::decide(&sources, policy) {
            Verdict::Nothing { .. } if away && self.is_all_missing() => Fate::Away,
            Verdict::Nothing { because } => Fate::Stay(self.refusal(&because, policy)),
            Verdict::DeleteTarget if self.silent => Fate::Stay(nothing_left()),
            Verdict::DeleteTarget => Fate::Go,
            Verdict::Write {
                mut dropped,
                kept,
                removed,
                completeness: _,
            } => {
                dropped.extend(removed);
                Fate::Write(self.absences(&dropped, &kept))
            }
        }
    }

    /// What was proven once and is to be proven anew, after a boot for example.
    fn is_all_missing(&self) -> bool {
        let missing = |absent: &Absent| matches!(absent.standing, Standing::Missing { .. });
        self.there == 0 && self.absent.iter().all(missing)
    }

    fn refusal(&self, because: &[usize], policy: DeletionPolicy) -> Failure {
        let first = because.first().and_then(|index| self.absent.get(*index));
        match first {
            None => nothing_left(),
            // Until everything is gone, it is as if the policy were to retain.
            Some(absent) if policy == DeletionPolicy::Delete && self.there > 0 => {
                refused(absent, DeletionPolicy::Retain)
            }
            Some(absent) => refused(absent, policy),
        }
    }

    fn absences(&self, dropped: &[usize], kept: &[usize]) -> Absences {
        let slots = |indices: &[usize]| {
            let absent = indices.iter().filter_map(|index| self.absent.get(*index));
            absent.map(|absent| absent.slot.clone()).collect()
        };
        let why = kept.first().and_then(|index| self.absent.get(*index));
        Absences {
            dropped: slots(dropped),
            kept: slots(kept),
            why: why.map(|absent| {
                let mut failure = absent.failure.clone();
                failure
                    .fact
                    .push_str("; where a target has its last value, that is kept");
                failure
            }),
        }
    }
}

fn is_silent(run: &Run, answers: &Answers, absent: &[Absent]) -> bool {
    let items = run.entry.items.iter().enumerate();
    let mut finds = items.filter(|(_, item)| matches!(item, Item::Found { .. }));
    finds.any(|(index, item)| {
        let found = answers.matches(&run.entry.reads[item.read()]);
        found.is_empty() && !absent.iter().any(|absent| absent.slot.item == index)
    })
}

fn nothing_left() -> Failure {
    Failure::new(
        Reason::NotFound,
        "nothing is left of this entry's sources, and nothing empty is ever written",
    )
}

fn refused(absent: &Absent, policy: DeletionPolicy) -> Failure {
    let Standing::Missing { proof, .. } = absent.standing else {
        return absent.failure.clone();
    };
    if proof == Proof::Held {
        return held(absent);
    }
    let goes = match policy {
        _ if absent.on_missing == OnMissing::Drop => "it is left out",
        DeletionPolicy::Merge => "its keys go",
        DeletionPolicy::Delete => "the target goes, with everything else that it is made of,",
        DeletionPolicy::Retain => return absent.failure.clone(),
    };
    if absent.proving == Proving::Impossible {
        let fact = format!("{}; {NEVER_CERTAIN}", absent.failure.fact);
        return Failure::new(absent.failure.reason, fact).with_help(
            "put it back; what is to go, take out of the configuration and remove with `secretsyncd prune --apply`",
        );
    }
    let fact = format!("{}; {goes} {CERTAIN_AFTER}", absent.failure.fact);
    Failure::new(absent.failure.reason, fact)
        .with_help("wait, or put it back; where it may go at once, take it out of the entry")
}

/// Certain, and held by the brake.
fn held(absent: &Absent) -> Failure {
    let fact = format!("{}; {HELD}", absent.failure.fact);
    Failure::new(absent.failure.reason, fact).with_help(
        "look at what happened upstream; what is meant to go, let go with `secretsyncd prune --apply` and the name of \
         the entry",
    )
}

/// How many slots have their secret, and the others.
fn standings(run: &Run, answers: &Answers) -> (usize, Vec<Absent>) {
    let mut there = 0;
    let mut absent = Vec::new();
    let mut take = |run: &Run, slot: Slot, read: &Read, on_missing| match answers.missing.get(read)
    {
        None => there += 1,
        Some(failure) => absent.push(Absent {
            slot,
            on_missing,
            standing: standing(run, read, failure),
            failure: failure.clone(),
            lost: false,
            proving: Proving::of(run, read),
        }),
    };
    let mut gone = Vec::new();
    for (item, spec) in run.entry.items.iter().enumerate() {
        let read = &run.entry.reads[spec.read()];
        let Item::Found { on_missing, .. } = spec else {
            let found = None;
            take(run, Slot { item, found }, read, spec.on_missing());
            continue;
        };
        for found in answers.matches(read) {
            let slot = Slot {
                item,
                found: Some(found.name.clone()),
            };
            take(run, slot, &read_of(read, found), *on_missing);
        }
        gone.extend(lost_of(run, answers, (item, read), *on_missing));
    }
    absent.extend(gone);
    (there, absent)
}

fn standing(run: &Run, read: &Read, failure: &Failure) -> Standing {
    let Some(gone) = Gone::of(failure.reason, &read.source) else {
        return Standing::Failed;
    };
    let proofs = run.proofs.get(read).into_iter().flat_map(BTreeMap::values);
    // There is one direct read of what is gone, or none.
    let proof = proofs.map(|(_, proof)| *proof).next();
    Standing::Missing {
        gone,
        proof: proof.unwrap_or(Proof::None),
    }
}

/// A list is no proof that something is gone; a direct read is.
fn lost_of(
    run: &Run,
    answers: &Answers,
    (item, find): (usize, &Read),
    on_missing: OnMissing,
) -> Vec<Absent> {
    let Some(Identity::Arns(listed)) = answers.seen.get(find).map(|it| &it.answer.identity) else {
        return Vec::new();
    };
    let lost = lost(&run.entry, find, listed, &run.state);
    let absent = lost.into_iter().map(|arn| {
        let proof = proof_of_lost(find, &arn);
        let proofs = run.proofs.get(find);
        let said = proof.and_then(|proof| proofs?.get(&proof).copied());
        let name = found::name_of(&arn);
        let fact = match said {
            None => format!("`{}` no longer lists `{name}`, which was delivered", find.source),
            Some((Gone::NoLongerMatches, _)) => {
                format!("`{name}` no longer is what `{}` asks for", find.source)
            }
            Some(_) => format!("`{name}`, which `{}` listed, is gone", find.source),
        };
        Absent {
            slot: Slot {
                item,
                found: RemoteKey::new(name).ok(),
            },
            on_missing,
            standing: match said {
                // Nothing tells under which key it was delivered.
                Some(_) if on_missing == OnMissing::KeepLast && found::is_ambiguous(&arn) => {
                    Standing::Failed
                }
                None => Standing::Failed,
                Some((gone, proof)) => Standing::Missing { gone, proof },
            },
            failure: Failure::new(Reason::NotFound, fact).with_help(
                "everything keeps its content; put the secret or its tags back, or set `on_missing` of the `find`",
            ),
            lost: true,
            proving: Proving::Possible,
        }
    });
    absent.collect()
}

const NEVER_THERE: Standing = Standing::Missing {
    gone: Gone::NotFound,
    proof: Proof::NeverThere,
};

/// What was never read and that no target holds can be left out at once: nothing goes by that.
async fn never_there(
    run: &Run,
    answers: &Answers,
    mut absent: Vec<Absent>,
) -> Result<Vec<Absent>, Failure> {
    let mut candidates: Vec<usize> = Vec::new();
    for (index, absent) in absent.iter_mut().enumerate() {
        match may_never_have_been(run, absent) {
            // What every target holds was made without it.
            true if run.without.contains(read_of_slot(run, &absent.slot)) => {
                absent.standing = NEVER_THERE;
            }
            true => candidates.push(index),
            false => {}
        }
    }
    if candidates.is_empty() {
        return Ok(absent);
    }
    let targets = run.ours.iter().map(|index| &run.entry.targets[*index]);
    let held = targets.map(|target| {
        deliver::in_turn_soon(
            &run.entry,
            target,
            deliver::holdings(&run.entry, target, &run.state),
        )
    });
    let held = try_join_all(held).await?;
    let rest = the_rest(run, answers, &absent);
    for index in candidates {
        // Of what a template made, no target tells what it was made from.
        let keys = match &run.entry.templates {
            None => keys_of(&run.entry, &absent[index].slot),
            Some(_) => None,
        };
        let holds = |holdings: &Holdings| match &keys {
            Some(keys) => keys.iter().any(|key| may_lose(key, holdings, &rest)),
            None => *holdings != Holdings::Nothing,
        };
        if !held.iter().any(holds) {
            absent[index].standing = NEVER_THERE;
        }
    }
    Ok(absent)
}

/// What the sources that are there give without the others.
fn the_rest(run: &Run, answers: &Answers, absent: &[Absent]) -> Payload {
    let without = Absences {
        dropped: absent.iter().map(|absent| absent.slot.clone()).collect(),
        ..Absences::default()
    };
    // Where it is nothing that could be delivered, nothing is known of it.
    match &run.entry.templates {
        None => entry::assemble(&run.entry, answers, &without)
            .map_or_else(|_| Payload::default(), |content| content.data),
        Some(_) => Payload::default(),
    }
}

/// Whether the target would lose something by the rest alone. That another source gives the key, too, is no loss where
/// the target has just that value.
fn may_lose(key: &SecretKey, holdings: &Holdings, rest: &Payload) -> bool {
    let same = match holdings {
        Holdings::Something {
            delivered: Some(delivered),
            ..
        } => delivered.get(key).is_some() && delivered.get(key) == rest.get(key),
        Holdings::Nothing | Holdings::Unknown | Holdings::Something { .. } => false,
    };
    holdings.may_hold(key) && !same
}

fn may_never_have_been(run: &Run, absent: &Absent) -> bool {
    let read = read_of_slot(run, &absent.slot);
    let not_found = Standing::Missing {
        gone: Gone::NotFound,
        proof: Proof::None,
    };
    absent.standing == not_found
        && absent.on_missing == OnMissing::Drop
        && absent.slot.found.is_none()
        && !run.known.contains(read)
        && !run.delivered.contains_key(read)
}

fn read_of_slot<'a>(run: &'a Run, slot: &Slot) -> &'a Read {
    &run.entry.reads[run.entry.items[slot.item].read()]
}

/// The keys that would come from a slot; `None` where only its value tells.
pub(super) fn keys_of(entry: &Entry, slot: &Slot) -> Option<BTreeSet<SecretKey>> {
    entry.items[slot.item].keys(slot.found.as_ref())
}
