//! Small worlds of one entry: whatever happened to it, something moves it on, and nothing spins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{EntryState, Occasion, Recalled, Rest, Wish, Work};
use crate::assemble::json_format::JsonFormat;
use crate::config::{self, RefreshPolicy, Source, Version};
use crate::daemon::times::Now;
use crate::decide::change as version;
use crate::decide::missing::Gone;
use crate::failure::{Failure, Reason};
use crate::leader::Since;
use crate::names::{
    AccountId, ClusterName, EntryName, Instance, Namespace, ObjectName, RemoteKey, StoreName,
};
use crate::report::{Condition, Stage};
use crate::schedule::rhythm::Rhythm;
use crate::secret::Fingerprint;
use crate::store::{Identity, Match, Read};
use crate::sync::{Entry, Heard, Proofs, Said, Which};
use crate::target::Target;

const INTERVAL: Duration = Duration::from_secs(10);

fn read() -> Read {
    Read::new(
        StoreName::new("s").unwrap(),
        Source::Value {
            key: RemoteKey::new("k").unwrap(),
            version: Version::Current,
        },
    )
}

fn entry(targets: usize, now: Instant) -> EntryState {
    let store = StoreName::new("s").unwrap();
    let entry = Entry {
        name: EntryName::new("e").unwrap(),
        configuration: Fingerprint::from_bytes([1; 32]),
        refresh_policy: RefreshPolicy::Periodic,
        suspended: false,
        store,
        refresh_interval: INTERVAL,
        max_stale: Duration::from_mins(1),
        reads: vec![read()],
        items: Vec::new(),
        json_format: JsonFormat::Raw,
        templates: None,
        targets: Vec::new(),
        selected: Vec::new(),
    };
    let mut state = EntryState::new(Arc::new(entry), Rhythm::new(INTERVAL, now, 0), now);
    state.targets = (0..targets).map(|_| super::TargetState::new()).collect();
    state
}

fn heard(version: u8) -> Heard {
    let identity = Identity::Version {
        arn: "arn".into(),
        version_id: version.to_string().into(),
    };
    Heard::new(Said::Version(identity), Proofs::new())
}

fn failure(reason: Reason) -> Failure {
    Failure::new(reason, "x")
}

/// As after a run that delivered version `version` everywhere.
fn delivered(state: &mut EntryState, version: u8, now: Instant) {
    state.tried = true;
    state.unfinished = false;
    state.attempted = [(read(), heard(version))].into();
    state.last_success = Some((now, jiff::Timestamp::UNIX_EPOCH));
    state.check = Some(now + INTERVAL);
    state
        .targets
        .iter_mut()
        .for_each(super::TargetState::succeed);
}

#[tokio::test(start_paused = true)]
async fn a_broken_target_does_not_keep_a_new_version_from_the_others() {
    let now = Instant::now();
    let mut state = entry(2, now);
    delivered(&mut state, 1, now);
    state.targets[1].fail(failure(Reason::Network), INTERVAL, now);
    assert_eq!(
        state.answered(&read(), &heard(2), false, now),
        Wish::Run(Which::All)
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_taken_off_leaves_the_other_targets_and_what_is_delivered_as_they_are() {
    let now = Instant::now();
    let mut state = entry(2, now);
    delivered(&mut state, 1, now);
    state.begin_strike(7, 1);
    assert!(state.is_done() && state.healthy() == [0]);
    assert_eq!(
        state.answered(&read(), &heard(2), false, now),
        Wish::Run(Which::All)
    );
    assert_eq!(state.late_after(now), None, "nothing is delivered there");
    let (_, behind) = state.catches_up(7).unwrap();
    assert!(!behind && state.healthy() == [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_a_target_misses_while_its_record_is_taken_off_is_made_up_for() {
    let now = Instant::now();
    for which in [Which::All, Which::Retry(vec![0])] {
        let mut state = entry(2, now);
        delivered(&mut state, 1, now);
        state.begin_strike(7, 1);
        let (begun, ours) = state.begin_run(which.clone()).unwrap();
        assert_eq!((&begun, &ours[..]), (&which, &[0][..]));
        // A retry of another one is no look at this one.
        assert_eq!(state.is_done(), which != Which::All);
        state.attempt([(read(), heard(2))].into());
        state.work = Work::Idle;
        assert!(!state.is_done(), "it does not hold what is new");
        let (_, behind) = state.catches_up(7).unwrap();
        assert!(behind);
    }
    let mut state = entry(1, now);
    delivered(&mut state, 1, now);
    state.begin_strike(7, 0);
    state.look_past_strikes();
    assert!(!state.is_done(), "nobody has looked at it");
    let (_, behind) = state.catches_up(7).unwrap();
    assert!(behind);
}

#[tokio::test(start_paused = true)]
async fn somebodys_mistake_waits_for_the_next_answer_and_trouble_for_a_timer() {
    let now = Instant::now();
    let mut state = entry(2, now);
    delivered(&mut state, 1, now);
    state.targets[0].fail(failure(Reason::Conflict), INTERVAL, now);
    assert_eq!(state.timer(now), state.check);
    assert_eq!(
        state.answered(&read(), &heard(1), false, now),
        Wish::Nothing
    );
    let later = now + INTERVAL.mul_f64(0.9);
    assert_eq!(
        state.answered(&read(), &heard(1), false, later),
        Wish::Run(Which::Retry(vec![0]))
    );
    state.targets[1].fail(failure(Reason::Network), INTERVAL, now);
    let timer = state.timer(now).unwrap();
    assert!(timer >= now + Duration::from_secs(1) && timer <= now + INTERVAL);
}

/// Bug: a timer for one target tried the other along, which then read the source.
#[tokio::test(start_paused = true)]
async fn a_timer_does_not_try_what_waits_for_an_answer() {
    let now = Instant::now();
    let mut state = entry(2, now);
    delivered(&mut state, 1, now);
    state.targets[0].fail(failure(Reason::Conflict), INTERVAL, now);
    state.targets[1].fail(failure(Reason::Network), INTERVAL, now);
    let later = now + INTERVAL;
    let retry = |targets: &[usize]| Wish::Run(Which::Retry(targets.to_vec()));
    assert_eq!(state.wish(later, Occasion::Timer), retry(&[1]));
    assert_eq!(state.wish(later, Occasion::Answer), retry(&[0, 1]));
}

#[tokio::test(start_paused = true)]
async fn content_that_does_not_fit_is_tried_again_only_when_it_changes() {
    let now = Instant::now();
    let mut state = entry(1, now);
    delivered(&mut state, 1, now);
    state.fail(Stage::Assemble, failure(Reason::Invalid), now);
    let later = now + INTERVAL * 10;
    assert_eq!(state.timer(now), None);
    assert_eq!(
        state.answered(&read(), &heard(1), false, later),
        Wish::Nothing
    );
    assert_eq!(
        state.answered(&read(), &heard(2), false, later),
        Wish::Run(Which::All)
    );
}

/// Bug: after a restart the version of the last target counted, and an older one that the others have no more was written.
#[tokio::test(start_paused = true)]
async fn the_newest_version_of_any_target_counts() {
    let mut state = entry(3, Instant::now());
    for (index, made) in [(0, 10), (1, 20), (2, 10)] {
        let Said::Version(identity) = heard(made).said.clone() else {
            panic!("a version")
        };
        let version = crate::decide::change::Version::new(
            identity,
            jiff::Timestamp::from_second(i64::from(made)).ok(),
        );
        state.targets[index].delivered.insert(read(), version);
    }
    let newest = state.newest_delivered();
    assert_eq!(
        newest.get(&read()).unwrap().created,
        jiff::Timestamp::from_second(20).ok()
    );
}

#[tokio::test(start_paused = true)]
async fn the_worst_of_entry_and_target_is_shown() {
    let now = Instant::now();
    let mut state = entry(2, now);
    assert_eq!(state.target_condition(0, now), Condition::Pending);
    delivered(&mut state, 1, now);
    assert_eq!(state.target_condition(0, now), Condition::Fresh);
    state.targets[1].fail(failure(Reason::Io), INTERVAL, now);
    assert_eq!(state.target_condition(0, now), Condition::Fresh);
    assert_eq!(state.target_condition(1, now), Condition::Failing);
    let late = now + Duration::from_mins(1);
    assert_eq!(state.target_condition(0, late), Condition::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_retried_every_time_does_not_keep_the_others_from_being_looked_at() {
    let now = Instant::now();
    let mut state = entry(2, now);
    delivered(&mut state, 1, now);
    state.targets[1].fail(failure(Reason::Conflict), INTERVAL, now);
    let later = now + INTERVAL;
    assert_eq!(
        state.answered(&read(), &heard(1), false, later),
        Wish::Run(Which::All)
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_find_matches_is_read_and_what_it_loses_is_not() {
    let now = Instant::now();
    let mut state = entry(1, now);
    let find = Read::new(read().store.clone(), Source::Find(Box::default()));
    let found = |name: &str| Match {
        name: RemoteKey::new(name).unwrap(),
        arn: RemoteKey::new(name).unwrap(),
    };
    // One of them is a read of the entry itself.
    let (gained, lost) = state.found(&find, &[found("k"), found("a")]);
    assert_eq!((gained.len(), lost.len()), (1, 0));
    assert_eq!(state.reads().count(), 2);
    let streak = super::Streak::next(None, failure(Reason::NotFound));
    state.failing_reads = BTreeMap::from([(gained[0].clone(), streak)]).into();
    let (gained, lost) = state.found(&find, &[found("b")]);
    assert_eq!((gained.len(), lost.len()), (1, 1));
    assert!(
        state.failing_reads.is_empty(),
        "what is lost fails no longer"
    );
    assert!(state.reads().any(|it| *it == read()));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Answer(u8, bool),
    FailRead,
    FailTarget(usize, u8),
    Deliver(u8),
    FailAssembly(bool),
    Drift,
    NotRead,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u64..20).prop_map(Step::Wait),
        (0_u8..3, any::<bool>()).prop_map(|(version, doubted)| Step::Answer(version, doubted)),
        Just(Step::FailRead),
        (0_usize..2, 0_u8..3).prop_map(|(target, reason)| Step::FailTarget(target, reason)),
        (0_u8..3).prop_map(Step::Deliver),
        any::<bool>().prop_map(Step::FailAssembly),
        Just(Step::Drift),
        Just(Step::NotRead),
    ]
}

proptest! {
    /// A timer that is set starts something when it comes due: otherwise the loop would spin. And an answer that is
    /// not doubted, once every read is well, moves whatever is unfinished.
    #[test]
    fn nothing_spins_and_nothing_is_stuck(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .start_paused(true)
            .enable_time()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let mut now = Instant::now();
        let mut state = entry(2, now);
        delivered(&mut state, 0, now);
        for step in steps {
            match step {
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Answer(version, doubted) => {
                    let _ = state.answered(&read(), &heard(version), doubted, now);
                }
                Step::FailRead => {
                    let streak = super::Streak::next(state.failing_reads.get(&read()), failure(Reason::Network));
                    state.failing_reads = BTreeMap::from([(read(), streak)]).into();
                }
                Step::FailTarget(target, reason) => {
                    let reason = [Reason::Network, Reason::Conflict, Reason::Io][usize::from(reason)];
                    state.targets[target].fail(failure(reason), INTERVAL, now);
                }
                Step::Deliver(version) => delivered(&mut state, version, now),
                Step::FailAssembly(panic) => {
                    let reason = if panic { Reason::Panic } else { Reason::Invalid };
                    state.fail(Stage::Assemble, failure(reason), now);
                }
                Step::Drift => state.unfinished = true,
                Step::NotRead => state.not_read(now),
            }
            prop_assert_eq!(state.work, Work::Idle);
            if let Some(timer) = state.timer(now) {
                let at = timer.max(now);
                let waits_for_answers = state.check.is_some_and(|check| check == timer);
                prop_assert!(waits_for_answers || state.wish(at, Occasion::Timer) != Wish::Nothing);
            }
        }
        let unfinished = state.unfinished;
        let wish = state.answered(&read(), &heard(0), false, now);
        prop_assert!(!unfinished || wish == Wish::Run(Which::All));
    }
}

/// An entry for one Secret, which was delivered.
async fn in_a_cluster(now: Instant) -> (EntryState, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let state = crate::state::State::open(&home.path().canonicalize().unwrap().join("state"));
    let state = Arc::new(state.unwrap());
    let server = crate::kube::tests::Server::start().await;
    let spec = config::KubernetesTarget {
        cluster: ClusterName::new("prod").unwrap(),
        namespace: Namespace::new("app").unwrap(),
        name: ObjectName::new("db").unwrap(),
        secret_type: "Opaque".into(),
        labels: [].into(),
        annotations: [].into(),
        creation_policy: config::CreationPolicy::Owner,
        deletion_policy: config::DeletionPolicy::Delete,
        immutable: false,
        adopt: false,
        drift: config::DriftPolicy::Refresh,
        restart: Vec::new(),
    };
    let mut known = entry(1, now);
    let mut bare = Arc::try_unwrap(known.entry).unwrap();
    let instance = Instance::new("prod").unwrap();
    let client = Arc::new(server.client());
    bare.targets = vec![Target::kubernetes(
        spec, &bare.name, &instance, &client, &state,
    )];
    known.entry = Arc::new(bare);
    delivered(&mut known, 1, now);
    let identity = Identity::Version {
        arn: "arn".into(),
        version_id: "1".into(),
    };
    let version = version::Version::new(identity, None);
    known.targets[0].delivered.insert(read(), version);
    known.delivered = known.newest_delivered();
    known.last_success = Some((now, jiff::Timestamp::UNIX_EPOCH));
    (known, home)
}

#[tokio::test]
async fn what_a_target_holds_and_what_was_heard_are_one_in_memory_after_a_restart() {
    let now = Instant::now();
    let (known, _home) = in_a_cluster(now).await;
    let mut next = EntryState::new(Arc::clone(&known.entry), known.rhythm, now);
    let now = Now::read();
    let recalled = next.recall(&known.to_raw(&now).to_bytes(), &now);
    assert_eq!(recalled, Recalled::AsItWas);
    let held = next.targets[0].delivered.get(&read()).unwrap();
    assert_eq!(Some(held), known.targets[0].delivered.get(&read()));
    let Identity::Version { arn: held, .. } = &held.identity else {
        panic!("{held:?}");
    };
    let heard = &next.attempted.get(&read()).unwrap().said;
    assert!(
        matches!(heard, Said::Version(Identity::Version { arn, .. }) if Arc::ptr_eq(arn, held))
    );
}

#[tokio::test]
async fn what_was_known_in_an_earlier_term_proves_nothing_in_the_next() {
    let now = Instant::now();
    let (mut state, _home) = in_a_cluster(now).await;
    let proof = || [read()].into();
    let _ = state.prove(&read(), proof());
    let gone = Some((Gone::NotFound, AccountId::new("123456789012").unwrap()));
    state.take_evidence(&read(), &read(), gone, now);
    state.without = BTreeSet::from([read()]).into();
    state.allowed = BTreeSet::from([read()]).into();
    state.targets[0].trouble = Some(super::Streak::next(None, failure(Reason::Network)));
    assert!(state.end_term());
    assert_eq!(state.rest(), Some(Rest::StandsBy));
    assert_eq!(state.target_condition(0, now), Condition::Pending);
    assert!(state.wanted().is_empty() && state.healthy().is_empty());
    assert!(state.shown_failure().is_none());
    assert!(state.begin_term(Since::Others));
    assert_eq!(state.rest(), None);
    assert!(state.without.is_empty() && state.evidence.is_empty() && state.allowed.is_empty());
    assert!(!state.has_questions() && !state.tried && state.unfinished);
    // Which version it delivered itself is known: an older one is still doubted.
    assert!(!state.delivered.is_empty() && state.last_success.is_some());
    assert_eq!(state.wanted(), proof());
}

#[tokio::test]
async fn what_was_removed_is_known_to_be_away_only_while_nobody_else_led() {
    let now = Instant::now();
    for (since, is_away) in [(Since::NobodyElse, true), (Since::Others, false)] {
        let (mut state, _home) = in_a_cluster(now).await;
        state.targets[0].away = Some(jiff::Timestamp::UNIX_EPOCH);
        assert!(state.end_term());
        assert!(state.ripe().is_empty() && state.healthy().is_empty());
        assert!(state.begin_term(since));
        assert_eq!(!state.away().is_empty(), is_away, "{since:?}");
    }
}

#[tokio::test]
async fn a_fight_is_over_for_the_machine_that_stands_by() {
    let now = Instant::now();
    let (mut state, _home) = in_a_cluster(now).await;
    let repaired = crate::decide::Effect::Repaired(crate::decide::Drift::Content);
    for _ in 0..4 {
        let _ = state.targets[0].did(repaired, INTERVAL, now);
    }
    assert!(state.targets[0].repairs.is_contested() && !state.withheld(now).is_empty());
    assert!(state.end_term());
    assert!(!state.targets[0].repairs.is_contested() && state.withheld(now).is_empty());
    assert_eq!(state.target_condition(0, now), Condition::Pending);
}

#[tokio::test]
async fn a_restart_ends_no_fight() {
    let now = Now::read();
    let (mut state, _home) = in_a_cluster(now.instant).await;
    let repaired = crate::decide::Effect::Repaired(crate::decide::Drift::Content);
    let again = |state: &EntryState| {
        let mut next = EntryState::new(Arc::clone(&state.entry), state.rhythm, now.instant);
        assert_eq!(
            next.recall(&state.to_raw(&now).to_bytes(), &now),
            Recalled::AsItWas
        );
        next
    };
    // Each restart would begin to count anew.
    for _ in 0..3 {
        assert!(!state.targets[0].repairs.is_contested());
        let _ = state.targets[0].did(repaired, INTERVAL, now.instant);
        state = again(&state);
    }
    state.targets[0].fight = Some(Failure::new(Reason::Conflict, "x keeps changing it"));
    let state = again(&state);
    assert!(state.targets[0].repairs.is_contested());
    assert!(!state.withheld(now.instant).is_empty());
    assert_eq!(state.target_condition(0, now.instant), Condition::Contested);
    let shown = state.shown_failure().map(|failure| failure.fact.as_str());
    assert_eq!(shown, Some("x keeps changing it"));
    // What was put back long ago is no part of the next fight.
    let mut later = now;
    later.wall += Duration::from_hours(24);
    let (mut calm, _home) = in_a_cluster(now.instant).await;
    let _ = calm.targets[0].did(repaired, INTERVAL, now.instant);
    let mut next = EntryState::new(Arc::clone(&calm.entry), calm.rhythm, now.instant);
    let bytes = calm.to_raw(&now).to_bytes();
    assert_eq!(next.recall(&bytes, &later), Recalled::AsItWas);
    assert_eq!(next.targets[0].repairs.times(), []);
}

/// Thousands of both are kept in trees, in nodes of eleven with their names; the allocator's next sizes are a fifth and a
/// quarter larger.
#[test]
fn nodes_of_entries_fit_into_five_kibibytes_and_those_of_their_configuration_into_two() {
    let node = |pair: usize| 11 * pair + 2 * size_of::<usize>();
    let known = node(size_of::<(EntryName, EntryState)>());
    let configured = node(size_of::<(EntryName, config::Entry)>());
    assert!(known <= 5 << 10, "{known}");
    assert!(configured <= 2 << 10, "{configured}");
}
