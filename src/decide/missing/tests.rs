use super::*;
use crate::names::RemoteKey;

const INTERVAL: Duration = Duration::from_hours(1);

use DeletionPolicy::{Delete, Merge, Retain};
use OnMissing::{Drop, Fail, KeepLast};

fn account(last: char) -> AccountId {
    AccountId::new(format!("12345678901{last}")).unwrap()
}

fn there(on_missing: OnMissing) -> Source {
    let standing = Standing::There;
    Source {
        standing,
        on_missing,
    }
}

fn missing(on_missing: OnMissing, gone: Gone, proof: Proof) -> Source {
    let standing = Standing::Missing { gone, proof };
    Source {
        standing,
        on_missing,
    }
}

fn unconfirmed(on_missing: OnMissing) -> Source {
    missing(on_missing, Gone::NotFound, Proof::None)
}

fn confirmed(on_missing: OnMissing) -> Source {
    missing(on_missing, Gone::NotFound, Proof::Confirmed)
}

fn never(on_missing: OnMissing) -> Source {
    missing(on_missing, Gone::NotFound, Proof::NeverThere)
}

fn nothing(because: &[usize]) -> Verdict {
    Verdict::Nothing {
        because: because.to_vec(),
    }
}

fn write(dropped: &[usize], kept: &[usize], removed: &[usize]) -> Verdict {
    Verdict::Write {
        dropped: dropped.to_vec(),
        kept: kept.to_vec(),
        removed: removed.to_vec(),
        completeness: if kept.is_empty() {
            Completeness::Fresh
        } else {
            Completeness::Partial
        },
    }
}

#[test]
fn every_row_of_the_table_beside_a_source_that_is_there() {
    // The source, and what becomes of a target under `retain`, `merge` and `delete`.
    let failed = |on_missing| Source {
        standing: Standing::Failed,
        on_missing,
    };
    let (way, kept) = (nothing(&[1]), write(&[], &[1], &[]));
    let (dropped, removed) = (write(&[1], &[], &[]), write(&[], &[], &[1]));
    let rows = [
        (failed(Fail), [&way, &way, &way]),
        (failed(KeepLast), [&way, &way, &way]),
        (failed(Drop), [&way, &way, &way]),
        (unconfirmed(Fail), [&way, &way, &way]),
        (unconfirmed(KeepLast), [&kept, &kept, &kept]),
        (unconfirmed(Drop), [&way, &way, &way]),
        (confirmed(Fail), [&way, &removed, &way]),
        (confirmed(KeepLast), [&kept, &removed, &kept]),
        (confirmed(Drop), [&dropped, &dropped, &dropped]),
        (never(Fail), [&way, &way, &way]),
        (never(KeepLast), [&kept, &kept, &kept]),
        (never(Drop), [&dropped, &dropped, &dropped]),
    ];
    for (source, verdicts) in rows {
        for (policy, verdict) in [Retain, Merge, Delete].into_iter().zip(verdicts) {
            let sources = [there(Fail), source];
            assert_eq!(&decide(&sources, policy), verdict, "{source:?}, {policy:?}");
        }
    }
}

#[test]
fn a_target_goes_only_when_every_source_is_confirmed_and_the_policy_says_so() {
    let any = [Fail, KeepLast, Drop];
    for (a, b) in any.iter().flat_map(|a| any.iter().map(move |b| (*a, *b))) {
        let gone = [confirmed(a), confirmed(b)];
        assert_eq!(decide(&gone, Delete), Verdict::DeleteTarget);
        for policy in [Retain, Merge] {
            assert_ne!(decide(&gone, policy), Verdict::DeleteTarget);
        }
        for other in [unconfirmed(b), never(b), there(b)] {
            assert_ne!(
                decide(&[confirmed(a), other], Delete),
                Verdict::DeleteTarget
            );
        }
    }
}

#[test]
fn without_a_source_nothing_is_written_or_deleted() {
    for policy in [Retain, Merge, Delete] {
        assert_eq!(decide(&[], policy), nothing(&[]));
    }
}

#[test]
fn the_last_keys_are_never_left_out() {
    assert_eq!(decide(&[confirmed(Drop)], Retain), nothing(&[0]));
    assert_eq!(decide(&[confirmed(Fail)], Merge), nothing(&[0]));
    let both = [confirmed(Drop), confirmed(KeepLast)];
    assert_eq!(decide(&both, Merge), nothing(&[0, 1]));
    // Of what never was, no last value can be kept.
    let none = [confirmed(Drop), never(KeepLast)];
    assert_eq!(decide(&none, Retain), nothing(&[0, 1]));
    assert_eq!(decide(&[never(Drop)], Delete), nothing(&[0]));
    let last = [confirmed(Drop), unconfirmed(KeepLast)];
    assert_eq!(decide(&last, Retain), write(&[0], &[1], &[]));
}

#[test]
fn all_that_is_in_the_way_is_named() {
    let failed = Source {
        standing: Standing::Failed,
        on_missing: Drop,
    };
    let sources = [unconfirmed(Fail), there(Fail), failed, confirmed(Drop)];
    assert_eq!(decide(&sources, Retain), nothing(&[0, 2]));
}

#[test]
fn only_what_was_not_found_never_was() {
    for gone in [Gone::PendingDeletion, Gone::NoValue, Gone::NoLongerMatches] {
        let source = missing(Drop, gone, Proof::NeverThere);
        assert_eq!(decide(&[there(Fail), source], Retain), nothing(&[1]));
    }
}

#[test]
fn only_three_reasons_say_that_a_secret_is_missing() {
    let key = || RemoteKey::new("prod/db").unwrap();
    let value = |version| config::Source::Value {
        key: key(),
        version,
    };
    let missing = |asked: config::Source| -> Vec<Reason> {
        let reasons = Reason::ALL.iter().copied();
        reasons
            .filter(|it| Gone::of(*it, &asked).is_some())
            .collect()
    };
    let gone = [Reason::NotFound, Reason::PendingDeletion];
    let three = [Reason::NotFound, Reason::NoValue, Reason::PendingDeletion];
    assert_eq!(missing(value(Version::Current)), three);
    // There, an absent stage, label or version is `no_value`.
    assert_eq!(missing(value(Version::Stage("AWSPREVIOUS".into()))), gone);
    assert_eq!(missing(value(Version::Id("7".into()))), gone);
    assert_eq!(missing(config::Source::Metadata { key: key() }), gone);
    let find = config::Source::Find(Box::default());
    assert_eq!(missing(find), []);
}

#[tokio::test(start_paused = true)]
async fn two_equal_answers_far_enough_apart_confirm() {
    let start = Instant::now();
    let not_found = || Some((Gone::NotFound, account('2')));
    let minute = Duration::from_mins(1);
    for (interval, apart) in [(minute, minute * 10), (INTERVAL, INTERVAL)] {
        let first = Evidence::next(None, not_found(), start).unwrap();
        assert!(!first.is_confirmed(interval));
        assert_eq!(first.confirmed_at(interval), start + apart);
        let early = start + apart - Duration::from_nanos(1);
        let second = Evidence::next(Some(first), not_found(), early).unwrap();
        assert_eq!(second.proof(interval), Proof::None);
        let third = Evidence::next(Some(second), not_found(), start + apart).unwrap();
        assert_eq!(third.proof(interval), Proof::Confirmed);
    }
}

#[tokio::test(start_paused = true)]
async fn any_other_answer_between_begins_anew() {
    let start = Instant::now();
    let answer = |gone| Some((gone, account('2')));
    let first = Evidence::next(None, answer(Gone::NotFound), start);
    let between = [
        None,
        answer(Gone::PendingDeletion),
        answer(Gone::NoValue),
        answer(Gone::NoLongerMatches),
        Some((Gone::NotFound, account('3'))),
    ];
    for other in between {
        let then = Evidence::next(first.clone(), other.clone(), start + INTERVAL);
        assert!(then.as_ref().is_none_or(|it| !it.is_confirmed(INTERVAL)));
        let back = Evidence::next(then, answer(Gone::NotFound), start + INTERVAL * 2).unwrap();
        assert!(!back.is_confirmed(INTERVAL), "{other:?}");
        assert_eq!(back.confirmed_at(INTERVAL), start + INTERVAL * 3);
    }
}
