//! What becomes of one target while something is not there, and what is said of it.

use super::Absences;
use super::standing::{Absent, Proving};
use crate::config::OnMissing;
use crate::decide::missing::{self, DeletionPolicy, Proof, Standing, Verdict};
use crate::failure::{Failure, Reason};

const CERTAIN_AFTER: &str =
    "once two direct reads have said so, at least ten minutes and an interval apart";

const NEVER_CERTAIN: &str = "that it was deleted can never be proven of a file store, or of tags alone, so everything stays";

const UNREAD: &str = "as far as is known it was never read, so it cannot be proven that it was deleted, and everything stays";

const HELD: &str = "that is certain, but more than three targets and a fifth of all would lose something within an hour, so it is held";

/// How the sources of an entry stand; at least one is not there.
pub(super) struct Scene {
    pub(super) there: usize,
    pub(super) absent: Vec<Absent>,
    /// A `find` lists nothing and has lost nothing: that is no word of anything.
    pub(super) silent: bool,
}

/// What becomes of one target.
pub(super) enum Fate {
    Write(Absences),
    Stay(Failure),
    Go,
    /// It stays away.
    Away,
}

impl Scene {
    pub(super) fn fate(&self, policy: DeletionPolicy, away: bool) -> Fate {
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

pub(super) fn nothing_left() -> Failure {
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
    let say = |what: &str| {
        let fact = format!("{}; {what}", absent.failure.fact);
        Failure::new(absent.failure.reason, fact)
    };
    match absent.proving {
        Proving::Possible => say(&format!("{goes} {CERTAIN_AFTER}"))
            .with_help("wait, or put it back; where it may go at once, take it out of the entry"),
        Proving::Impossible => say(NEVER_CERTAIN).with_help(
            "put it back; what is to go, take out of the configuration and remove with `secretsyncd prune --apply`",
        ),
        Proving::Unread => say(UNREAD).with_help(
            "put it there, or correct the key; what is to be without it, take out of the configuration",
        ),
    }
}

/// Certain, and held by the brake.
pub(super) fn held(absent: &Absent) -> Failure {
    let fact = format!("{}; {HELD}", absent.failure.fact);
    Failure::new(absent.failure.reason, fact).with_help(
        "look at what happened upstream; what is meant to go, let go with `secretsyncd prune --apply` and the name of \
         the entry",
    )
}
