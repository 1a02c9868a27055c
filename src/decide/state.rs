//! How a target stands, and an entry by its targets.
//!
//! Pure. [`Condition`] is ordered worst first, so the worst of several is their minimum.

use std::time::Duration;

use crate::report::Condition;

/// What is known of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TargetFacts {
    pub turn: Turn,
    pub last: Try,
    /// Somebody else writes it again and again.
    pub contested: bool,
}

/// Whether a target is this machine's to write now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    Ours,
    /// This machine is the standby, or the selector matches no namespace: pending, and not counted.
    Waits,
}

/// How the last try of a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Try {
    /// None since it appeared.
    Never,
    /// Delivered, and in place.
    Delivered,
    /// An action or the delivery failed.
    Failed,
}

/// What the targets of an entry share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryFacts {
    /// Since its last success, or since it appeared where there was none.
    pub age: Duration,
    pub max_stale: Duration,
    pub sources: Sources,
}

/// How the sources of an entry stand, as far as one target's content needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sources {
    Good,
    /// Last values stand in for what is missing.
    Partial,
    /// A read fails, or the run made of them does.
    Failing,
}

impl EntryFacts {
    /// No success for `max_stale`.
    pub fn is_stale(&self) -> bool {
        self.age >= self.max_stale
    }
}

/// How one target stands. The trouble of its entry is its own too; a target that waits has none.
pub fn of_target(entry: EntryFacts, target: TargetFacts) -> Condition {
    match target.turn {
        Turn::Waits => return Condition::Pending,
        Turn::Ours => {}
    }
    let contested = if target.contested {
        Condition::Contested
    } else {
        Condition::Fresh
    };
    let stale = if entry.is_stale() {
        Condition::Stale
    } else {
        Condition::Fresh
    };
    let sources = match entry.sources {
        Sources::Good => Condition::Fresh,
        Sources::Partial => Condition::Partial,
        Sources::Failing => Condition::Failing,
    };
    let last = match target.last {
        Try::Never => Condition::Pending,
        Try::Delivered => Condition::Fresh,
        Try::Failed => Condition::Failing,
    };
    contested.min(stale).min(sources).min(last)
}

/// How an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    pub shown: Shown,
    /// The worst of the targets that count for `last_success`, `stale` and exit codes; `None` where none does.
    pub counted: Option<Condition>,
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Nothing at all happens; what its targets hold is not looked at.
    Suspended,
    Worst(Condition),
}

impl Standing {
    /// Whether `last_success` moves: something counts, and all that counts is fresh.
    pub fn is_success(self) -> bool {
        self.counted == Some(Condition::Fresh)
    }
}

/// `suspend` of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspend {
    No,
    Yes,
}

/// How an entry stands, by its targets and what [`of_target`] says of them. One without a target waits for a
/// namespace, and is pending.
pub fn of_entry(
    suspend: Suspend,
    targets: impl IntoIterator<Item = (Turn, Condition)>,
) -> Standing {
    if suspend == Suspend::Yes {
        return Standing {
            shown: Shown::Suspended,
            counted: None,
        };
    }
    let (mut all, mut counted) = (Vec::new(), Vec::new());
    for (turn, condition) in targets {
        all.push(condition);
        match turn {
            Turn::Ours => counted.push(condition),
            Turn::Waits => {}
        }
    }
    let worst = all.into_iter().min().unwrap_or(Condition::Pending);
    Standing {
        shown: Shown::Worst(worst),
        counted: counted.into_iter().min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{Contested, Failing, Fresh, Partial, Pending, Stale};

    const MINUTE: Duration = Duration::from_mins(1);

    const WELL: EntryFacts = EntryFacts {
        age: MINUTE,
        max_stale: Duration::from_mins(2),
        sources: Sources::Good,
    };

    fn target(last: Try) -> TargetFacts {
        TargetFacts {
            turn: Turn::Ours,
            last,
            contested: false,
        }
    }

    #[test]
    fn every_fact_has_its_condition_and_the_worst_is_shown() {
        let never = target(Try::Never);
        let delivered = target(Try::Delivered);
        let failed = target(Try::Failed);
        let contested = TargetFacts {
            contested: true,
            ..failed
        };
        let partial = EntryFacts {
            sources: Sources::Partial,
            ..WELL
        };
        let failing = EntryFacts {
            sources: Sources::Failing,
            ..WELL
        };
        let stale = EntryFacts {
            age: MINUTE * 2,
            ..failing
        };
        // The entry, and its targets never tried, delivered, failed, contested.
        let rows = [
            (WELL, [Pending, Fresh, Failing, Contested]),
            (partial, [Partial, Partial, Failing, Contested]),
            (failing, [Failing, Failing, Failing, Contested]),
            (stale, [Stale, Stale, Stale, Contested]),
        ];
        for (entry, conditions) in rows {
            let targets = [never, delivered, failed, contested];
            for (facts, condition) in targets.into_iter().zip(conditions) {
                assert_eq!(of_target(entry, facts), condition, "{entry:?} {facts:?}");
                let waits = TargetFacts {
                    turn: Turn::Waits,
                    ..facts
                };
                assert_eq!(of_target(entry, waits), Pending);
            }
        }
    }

    #[test]
    fn an_entry_shows_its_worst_target() {
        for worst in Condition::ALL {
            let ours = |condition: &Condition| (Turn::Ours, *condition);
            let from = Condition::ALL.iter().filter(|it| *it >= worst).map(ours);
            let standing = of_entry(Suspend::No, from);
            assert_eq!(standing.shown, Shown::Worst(*worst));
            assert_eq!(standing.counted, Some(*worst));
            assert_eq!(standing.is_success(), *worst == Fresh);
        }
    }

    #[test]
    fn what_waits_is_shown_and_does_not_count() {
        let waits = (Turn::Waits, Pending);
        let fresh = of_entry(Suspend::No, [(Turn::Ours, Fresh), waits]);
        assert_eq!(fresh.shown, Shown::Worst(Pending));
        assert!(fresh.is_success());
        let failing = of_entry(Suspend::No, [waits, (Turn::Ours, Failing)]);
        assert_eq!(failing.counted, Some(Failing));
        let none: &[(Turn, Condition)] = &[];
        for targets in [none, &[waits]] {
            let standing = of_entry(Suspend::No, targets.iter().copied());
            assert_eq!(standing.shown, Shown::Worst(Pending));
            assert_eq!(standing.counted, None);
            assert!(!standing.is_success());
        }
    }

    #[test]
    fn a_suspended_entry_is_nothing_else_and_succeeds_never() {
        let standing = of_entry(Suspend::Yes, [(Turn::Ours, Fresh)]);
        assert_eq!(standing.shown, Shown::Suspended);
        assert!(!standing.is_success());
    }
}
