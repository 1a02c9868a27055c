//! One entry, its sources and targets, and a caller of the judges as the daemon is one.

use std::time::Duration;

use tokio::time::Instant;

use super::setting::{Answer, Crowd, OTHERS, Setting, Step};
use crate::decide::brake::Brake;
use crate::decide::missing::{
    DeletionPolicy, Evidence, Gone, Proof, Source, Standing, Verdict, decide,
};
use crate::names::AccountId;

/// [`Evidence::next`].
type Next = fn(Option<Evidence>, Option<(Gone, AccountId)>, Instant) -> Option<Evidence>;

/// What is asked of the code under test, so that wrong rules can be put in its place.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) next: Next,
    pub(super) is_confirmed: fn(&Evidence, Duration, Instant) -> bool,
    pub(super) decide: fn(&[Source], DeletionPolicy) -> Verdict,
    /// Whether one target of so many may lose something.
    pub(super) may_remove: fn(&mut Brake<u8>, usize, u8, Instant) -> bool,
    /// Whether answers are evidence, by whether the secret was ever read.
    pub(super) is_evidence: fn(bool) -> bool,
}

impl Rules {
    pub(super) const RIGHT: Rules = Rules {
        next: Evidence::next,
        is_confirmed: |evidence, interval, _| evidence.is_confirmed(interval),
        decide,
        may_remove: |brake, targets, id, now| brake.ask(targets, [id], now).held.is_empty(),
        is_evidence: |was_read| was_read,
    };
}

#[derive(Clone, Debug)]
pub(super) struct World {
    start: Instant,
    /// Minutes since the start.
    pub(super) now: u64,
    pub(super) sources: Vec<Secret>,
    /// Whether a target has the key of a source.
    pub(super) holds: Vec<Vec<bool>>,
    brake: Brake<u8>,
    /// When a person last released a target that was held.
    pub(super) released: Vec<Option<u64>>,
    /// When something was last removed from a target, and whether a person had released it. Those of [`OTHERS`] last.
    pub(super) removed: Vec<Option<(u64, bool)>>,
}

/// A source: what the caller remembers of it, and what really was.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    was_read: bool,
    evidence: Option<Evidence>,
    /// Whether it was read before all this.
    pub(super) read_before: bool,
    pub(super) answers: Vec<(u64, Answer)>,
}

impl World {
    /// Everything that may have been before the first step.
    pub(super) fn all(setting: &Setting) -> Vec<Self> {
        let sources = setting.on_missing.len();
        let start = Instant::now();
        let reads = super::combinations(&[false, true], sources);
        let rows = super::combinations(&[false, true], sources);
        let holds =
            super::combinations(&(0..rows.len()).collect::<Vec<_>>(), setting.policies.len());
        let mut brake = Brake::new();
        let mut removed = vec![None; setting.policies.len()];
        if setting.crowd == Crowd::TwoRemovedNow {
            assert!(brake.ask(setting.targets(), OTHERS, start).held.is_empty());
            removed.extend(OTHERS.map(|_| Some((0, false))));
        }
        let both = reads
            .iter()
            .flat_map(|reads| holds.iter().map(move |holds| (reads, holds)));
        both.map(|(reads, holds)| Self {
            start,
            now: 0,
            sources: reads.iter().map(|read| Secret::new(*read)).collect(),
            holds: holds.iter().map(|row| rows[*row].clone()).collect(),
            brake: brake.clone(),
            released: vec![None; setting.policies.len()],
            removed: removed.clone(),
        })
        .collect()
    }

    /// One run of the entry.
    pub(super) fn after(&self, rules: &Rules, setting: &Setting, step: &Step) -> Self {
        let mut world = self.clone();
        world.now += step.minutes;
        let now = world.instant();
        if step.release {
            for id in world.brake.release(|_| true, now) {
                world.released[usize::from(id)] = Some(world.now);
            }
        }
        for (secret, answer) in world.sources.iter_mut().zip(&step.answers) {
            secret.answer(rules, *answer, world.now, now);
        }
        let sources: Vec<Source> = (0..step.answers.len())
            .map(|index| world.source(rules, setting, index))
            .collect();
        for target in 0..setting.policies.len() {
            let verdict = (rules.decide)(&sources, setting.policies[target]);
            world.carry_out(rules, setting, target, verdict);
        }
        let all_there = step.answers.iter().all(|it| *it == Answer::Value);
        for target in 0..setting.policies.len() {
            if all_there {
                world.brake.withdraw(&id(target));
                world.released[target] = None;
            }
            let lost = |(before, after): (&bool, &bool)| *before && !*after;
            if self.holds[target]
                .iter()
                .zip(&world.holds[target])
                .any(lost)
            {
                let recent = |at: u64| world.now - at < 60;
                // What a person let go may go again within the hour: a target counts once.
                let by_person = world.released[target].is_some_and(recent)
                    || world.removed[target].is_some_and(|(at, person)| person && recent(at));
                world.removed[target] = Some((world.now, by_person));
                world.released[target] = None;
            }
        }
        world
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_mins(self.now)
    }

    fn source(&self, rules: &Rules, setting: &Setting, index: usize) -> Source {
        let secret = &self.sources[index];
        let answer = secret.answers.last().expect("it has just answered").1;
        let held = self.holds.iter().any(|keys| keys[index]);
        let standing = match (answer, answer.gone()) {
            (Answer::Value, _) => Standing::There,
            (_, None) => Standing::Failed,
            (_, Some(gone)) => {
                let confirmed = secret.evidence.as_ref().is_some_and(|evidence| {
                    (rules.is_confirmed)(evidence, setting.interval, self.instant())
                });
                let proof = if confirmed {
                    Proof::Confirmed
                } else if !secret.was_read && !held {
                    Proof::NeverThere
                } else {
                    Proof::None
                };
                Standing::Missing { gone, proof }
            }
        };
        Source {
            standing,
            on_missing: setting.on_missing[index],
        }
    }

    fn carry_out(&mut self, rules: &Rules, setting: &Setting, target: usize, verdict: Verdict) {
        let before = self.holds[target].clone();
        let deletes = verdict == Verdict::DeleteTarget;
        let after: Vec<bool> = match verdict {
            Verdict::Nothing { .. } => return,
            Verdict::DeleteTarget => vec![false; before.len()],
            Verdict::Write {
                dropped,
                kept,
                removed,
                completeness: _,
            } => (0..before.len())
                .map(|index| {
                    let goes = dropped.contains(&index) || removed.contains(&index);
                    let stays = kept.contains(&index);
                    !goes && (before[index] || !stays)
                })
                .collect(),
        };
        if after.iter().all(|held| !held) && !deletes {
            // An empty set of keys is never written (6.1): assembling refuses it, whatever was decided.
            return;
        }
        let loses = before.iter().zip(&after).any(|(was, is)| *was && !is);
        let now = self.instant();
        if !loses || (rules.may_remove)(&mut self.brake, setting.targets(), id(target), now) {
            self.holds[target] = after;
        }
    }

    pub(super) fn is_held(&self, target: usize) -> bool {
        self.brake.held(self.instant()).any(|it| *it == id(target))
    }

    /// Two worlds with the same key have the same future.
    pub(super) fn key(&self, setting: &Setting) -> Key {
        let hour = |at: u64| (self.now - at).min(60);
        let brake = match setting.crowd {
            // Too few targets for the brake.
            Crowd::Alone => Vec::new(),
            Crowd::TwoRemovedNow => (0..self.removed.len())
                .map(|index| BrakeKey {
                    removed: self.removed[index].map(|(at, by_person)| (hour(at), by_person)),
                    released: self.released.get(index).copied().flatten().map(hour),
                    held: index < self.holds.len() && self.is_held(index),
                })
                .collect(),
        };
        Key {
            sources: self
                .sources
                .iter()
                .map(|secret| secret.key(self, setting))
                .collect(),
            holds: self.holds.clone(),
            brake,
        }
    }
}

fn id(target: usize) -> u8 {
    u8::try_from(target).unwrap()
}

#[derive(PartialEq, Eq, Hash)]
pub(super) struct Key {
    sources: Vec<SecretKey>,
    holds: Vec<Vec<bool>>,
    brake: Vec<BrakeKey>,
}

#[derive(PartialEq, Eq, Hash)]
struct SecretKey {
    was_read: bool,
    /// What is missing, for whom, and how long until a read may confirm it.
    evidence: Option<(Gone, AccountId, Duration)>,
    /// The last answer, and for how long it has been the only one.
    answers: Option<(Answer, u64)>,
}

#[derive(PartialEq, Eq, Hash)]
struct BrakeKey {
    removed: Option<(u64, bool)>,
    released: Option<u64>,
    held: bool,
}

impl Secret {
    fn new(read: bool) -> Self {
        Self {
            was_read: read,
            evidence: None,
            read_before: read,
            answers: Vec::new(),
        }
    }

    fn answer(&mut self, rules: &Rules, answer: Answer, minute: u64, now: Instant) {
        let gone = answer.gone().zip(answer.account());
        if (rules.is_evidence)(self.was_read) {
            self.evidence = (rules.next)(self.evidence.take(), gone, now);
        }
        self.was_read |= answer == Answer::Value;
        self.answers.push((minute, answer));
    }

    fn key(&self, world: &World, setting: &Setting) -> SecretKey {
        let evidence = self.evidence.as_ref().map(|evidence| {
            let at = evidence.confirmed_at(setting.interval);
            let wait = at.saturating_duration_since(world.instant());
            (evidence.gone(), evidence.account().clone(), wait)
        });
        let answers = self.answers.last().map(|(_, last)| {
            let alike = self.answers.iter().rev();
            let alike = alike.take_while(|(_, answer)| answer == last);
            let since = alike.last().expect("the last is like itself").0;
            (*last, (world.now - since).min(15))
        });
        SecretKey {
            was_read: self.was_read,
            evidence,
            answers,
        }
    }
}
