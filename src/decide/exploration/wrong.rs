//! The exploration finds what is wrong: each of these rules breaks the promise, and is caught.

use std::time::Duration;

use super::promise::{EMPTIED, HELD, OVER, UNPROVEN, WRITTEN};
use super::setting::Setting;
use super::world::Rules;
use super::{crowded, explore, one_source, two_sources};
use crate::decide::missing::{
    Completeness, DeletionPolicy, Evidence, Gone, OnMissing, Proof, Source, Standing, Verdict,
    decide,
};

const TEN: Duration = Duration::from_mins(10);

/// In one setting at least, the rules break the promise in that way.
fn is_caught(broken: &str, rules: &Rules, settings: &[Setting]) {
    let mut settings = settings.iter();
    let is_found = settings.any(|setting| explore(rules, setting, &[broken]).is_err());
    assert!(is_found, "never: {broken}");
}

/// The same sources, each with its standing changed.
fn seen_as(sources: &[Source], standing: fn(Standing) -> Standing) -> Vec<Source> {
    let changed = sources.iter().map(|source| Source {
        standing: standing(source.standing),
        ..*source
    });
    changed.collect()
}

fn with_decide(decide: fn(&[Source], DeletionPolicy) -> Verdict) -> Rules {
    Rules {
        decide,
        ..Rules::RIGHT
    }
}

#[test]
fn a_proof_that_is_none_is_caught() {
    let one_read_is_enough = Rules {
        is_confirmed: |_, _, _| true,
        ..Rules::RIGHT
    };
    is_caught(UNPROVEN, &one_read_is_enough, &one_source());
    let never_below_ten_minutes = Rules {
        is_confirmed: |evidence, interval, now| {
            now + interval.max(TEN) >= evidence.confirmed_at(interval) + interval
        },
        ..Rules::RIGHT
    };
    is_caught(UNPROVEN, &never_below_ten_minutes, &one_source());
    let any_interval = Rules {
        is_confirmed: |evidence, _, _| evidence.is_confirmed(TEN),
        ..Rules::RIGHT
    };
    is_caught(UNPROVEN, &any_interval, &one_source());
    let by_name = Rules {
        is_evidence: |_| true,
        ..Rules::RIGHT
    };
    is_caught(UNPROVEN, &by_name, &one_source());
}

#[test]
fn evidence_that_forgets_nothing_is_caught() {
    let through_trouble = Rules {
        next: |before, gone, now| match gone {
            None => before,
            Some(_) => Evidence::next(before, gone, now),
        },
        ..Rules::RIGHT
    };
    is_caught(UNPROVEN, &through_trouble, &one_source());
    let of_any_account = Rules {
        next: |before, gone, now| {
            let account = before.as_ref().map(|it| it.account().clone());
            let gone = gone.map(|(gone, asked)| (gone, account.unwrap_or(asked)));
            Evidence::next(before, gone, now)
        },
        ..Rules::RIGHT
    };
    is_caught(UNPROVEN, &of_any_account, &one_source());
    let of_any_kind = Rules {
        next: |before, gone, now| {
            let gone = gone.map(|(_, account)| (Gone::NotFound, account));
            Evidence::next(before, gone, now)
        },
        ..Rules::RIGHT
    };
    is_caught(UNPROVEN, &of_any_kind, &one_source());
}

#[test]
fn a_table_with_a_wrong_row_is_caught() {
    let unconfirmed = with_decide(|sources, policy| {
        let as_confirmed = |standing| match standing {
            Standing::Missing { gone, .. } => Standing::Missing {
                gone,
                proof: Proof::Confirmed,
            },
            Standing::There | Standing::Failed => standing,
        };
        decide(&seen_as(sources, as_confirmed), policy)
    });
    is_caught(UNPROVEN, &unconfirmed, &two_sources());
    let trouble_is_there = with_decide(|sources, policy| {
        let as_there = |standing| match standing {
            Standing::Failed => Standing::There,
            Standing::There | Standing::Missing { .. } => standing,
        };
        decide(&seen_as(sources, as_there), policy)
    });
    is_caught(WRITTEN, &trouble_is_there, &two_sources());
    let retain_is_merge = with_decide(|sources, policy| {
        let policy = match policy {
            DeletionPolicy::Retain | DeletionPolicy::Merge => DeletionPolicy::Merge,
            DeletionPolicy::Delete => policy,
        };
        decide(sources, policy)
    });
    is_caught(UNPROVEN, &retain_is_merge, &two_sources());
    let delete_is_merge = with_decide(|sources, policy| {
        let verdict = decide(sources, policy);
        let stops = matches!(verdict, Verdict::Nothing { .. });
        if stops && policy == DeletionPolicy::Delete {
            decide(sources, DeletionPolicy::Merge)
        } else {
            verdict
        }
    });
    is_caught(UNPROVEN, &delete_is_merge, &two_sources());
}

#[test]
fn a_table_that_deletes_too_soon_or_too_much_is_caught() {
    let one_is_enough = with_decide(|sources, policy| {
        let gone = sources.iter().any(|source| {
            let one = std::slice::from_ref(source);
            decide(one, policy) == Verdict::DeleteTarget
        });
        if gone {
            Verdict::DeleteTarget
        } else {
            decide(sources, policy)
        }
    });
    is_caught(UNPROVEN, &one_is_enough, &two_sources());
    let deletes_what_is_empty = with_decide(|sources, policy| {
        let verdict = decide(sources, policy);
        match &verdict {
            Verdict::Nothing { because } if because.len() == sources.len() => Verdict::DeleteTarget,
            Verdict::Nothing { .. } | Verdict::Write { .. } | Verdict::DeleteTarget => verdict,
        }
    });
    is_caught(UNPROVEN, &deletes_what_is_empty, &two_sources());
    let merge_is_delete = with_decide(|sources, policy| {
        let verdict = decide(sources, DeletionPolicy::Delete);
        if policy == DeletionPolicy::Merge && verdict == Verdict::DeleteTarget {
            verdict
        } else {
            decide(sources, policy)
        }
    });
    is_caught(EMPTIED, &merge_is_delete, &two_sources());
    let writes_the_rest = with_decide(|sources, policy| match decide(sources, policy) {
        Verdict::Nothing { because } => Verdict::Write {
            dropped: Vec::new(),
            kept: because,
            removed: Vec::new(),
            completeness: Completeness::Partial,
        },
        verdict @ (Verdict::Write { .. } | Verdict::DeleteTarget) => verdict,
    });
    is_caught(WRITTEN, &writes_the_rest, &two_sources());
    let never_was = with_decide(|sources, policy| {
        let as_not_found = |standing| match standing {
            Standing::Missing { proof, .. } => Standing::Missing {
                gone: Gone::NotFound,
                proof,
            },
            Standing::There | Standing::Failed => standing,
        };
        decide(&seen_as(sources, as_not_found), policy)
    });
    is_caught(WRITTEN, &never_was, &two_sources());
    let fail_is_drop = with_decide(|sources, policy| {
        let dropping = sources.iter().map(|source| Source {
            on_missing: OnMissing::Drop,
            ..*source
        });
        decide(&dropping.collect::<Vec<_>>(), policy)
    });
    is_caught(UNPROVEN, &fail_is_drop, &two_sources());
}

#[test]
fn a_brake_that_does_not_hold_is_caught() {
    let none = Rules {
        may_remove: |_, _, _, _| true,
        ..Rules::RIGHT
    };
    is_caught(OVER, &none, &crowded());
    let forgetful = Rules {
        may_remove: |brake, targets, id, now| {
            brake.withdraw(&id);
            brake.ask(targets, [id], now).held.is_empty()
        },
        ..Rules::RIGHT
    };
    is_caught(HELD, &forgetful, &crowded());
}
