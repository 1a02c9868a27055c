//! Orphans: what is listed, and what is taken away.

use tokio::sync::oneshot;

use super::*;
use crate::daemon::ask::Prune;
use crate::state::SecretParts;
use crate::status::{Leftovers, OrphanFate, PruneEnd};
use crate::target::kubernetes::removal::Removed;

const RETAINED: (CreationPolicy, DeletionPolicy) = (CreationPolicy::Owner, DeletionPolicy::Retain);

/// The same process as one without these entries.
async fn without(play: Play, entries: &[usize], prune: Option<Duration>) -> Play {
    let gone: Vec<String> = entries.iter().map(|n| format!("e{n}")).collect();
    let names = play.cast.names.iter().filter(|name| !gone.contains(name));
    let cast = Cast {
        names: names.cloned().collect(),
        prune,
        ..play.cast.clone()
    };
    let parts = cast.names.iter().flat_map(|name| {
        let targets = 0..cast.targets.len();
        targets.map(|index| part(&Cast::secret(name, index), name))
    });
    let parts: SecretParts = parts.collect();
    play.scene
        .engine
        .state
        .keep_only_secrets(Arc::new(parts))
        .unwrap();
    play.again(cast).await
}

async fn prune(play: &mut Play, what: Prune) -> Leftovers {
    let (reply, mut answer) = oneshot::channel();
    play.scene.engine.prune(what, reply);
    play.scene.settle().await;
    answer.try_recv().expect("everything has ended")
}

fn ends(leftovers: &Leftovers) -> Vec<String> {
    let pruned = leftovers.pruned.iter();
    pruned
        .map(|pruned| {
            let end = match &pruned.end {
                PruneEnd::Failed(trouble) => trouble.message.clone(),
                end @ (PruneEnd::Deleted
                | PruneEnd::GivenBack
                | PruneEnd::Released
                | PruneEnd::AlreadyGone
                | PruneEnd::Held) => format!("{end:?}"),
            };
            format!("{}: {end}", pruned.target)
        })
        .collect()
}

#[tokio::test]
async fn what_an_entry_left_is_listed_and_goes_when_it_is_asked_for() {
    let play = Play::new(Cast::of(2, &[RETAINED])).await;
    let mut play = without(play, &[0], None).await;
    let listed = prune(&mut play, Prune::List).await;
    assert_eq!(listed.orphans.len(), 1);
    assert_eq!(listed.orphans[0].target, "prod/app/e0-t0");
    assert_eq!(listed.orphans[0].fate, OrphanFate::Delete);
    whole(&play);
    let unknown = prune(&mut play, Prune::Named(vec!["e1".to_owned()])).await;
    assert_eq!(unknown.unknown, ["e1"], "it is configured");
    let done = prune(&mut play, Prune::All).await;
    assert_eq!(ends(&done), ["prod/app/e0-t0: Deleted"]);
    assert!(done.orphans.is_empty());
    assert_eq!(play.api.deletes(), ["e0-t0"]);
    assert_eq!(play.secret(1, 0).as_deref(), Some(BOTH_KEYS));
}

#[tokio::test]
async fn what_is_not_ours_any_more_is_left_and_named() {
    let play = Play::new(Cast::of(2, &[RETAINED])).await;
    let mut play = without(play, &[0, 1], None).await;
    play.api.change(|kept| {
        let secret = kept.secrets.get_mut("e0-t0").unwrap();
        let keys = ["a".to_owned()].into();
        secret.others.insert("kubectl-edit".to_owned(), keys);
        // Somebody deleted the other one and made it anew.
        kept.make("e1-t0");
    });
    let done = prune(&mut play, Prune::All).await;
    let ends = ends(&done);
    assert!(ends[0].contains("`kubectl-edit` has content"), "{ends:?}");
    assert_eq!(ends[1], "prod/app/e1-t0: AlreadyGone");
    assert_eq!(play.api.deletes(), Vec::<String>::new());
    assert_eq!(done.orphans.len(), 1, "the other one is none of ours");
}

#[tokio::test]
async fn merged_keys_are_given_back_and_orphans_by_policy_are_released() {
    let policies = [
        (CreationPolicy::CreateOrMerge, DeletionPolicy::Retain),
        (CreationPolicy::Orphan, DeletionPolicy::Retain),
    ];
    let play = Play::new(Cast::of(1, &policies)).await;
    play.api.change(|kept| {
        let secret = kept.secrets.get_mut("e0-t0").unwrap();
        secret.data.insert("theirs".to_owned(), "eA==".to_owned());
    });
    let mut play = without(play, &[0], None).await;
    let listed = prune(&mut play, Prune::List).await;
    let fates: Vec<_> = listed.orphans.iter().map(|it| it.fate).collect();
    assert_eq!(fates, [OrphanFate::GiveBack, OrphanFate::Release]);
    let done = prune(&mut play, Prune::Named(vec!["e0".to_owned()])).await;
    assert_eq!(
        ends(&done),
        ["prod/app/e0-t0: GivenBack", "prod/app/e0-t1: Released"]
    );
    assert_eq!(play.secret(0, 0).as_deref(), Some("theirs=eA=="));
    assert_eq!(play.secret(0, 1).as_deref(), Some(BOTH_KEYS));
    assert_eq!(play.api.deletes(), Vec::<String>::new());
    assert!(done.orphans.is_empty());
}

#[tokio::test]
async fn more_than_the_brake_allows_is_held_but_for_what_is_named() {
    let play = Play::new(Cast::of(6, &[RETAINED])).await;
    let mut play = without(play, &[0, 1, 2, 3, 4], None).await;
    let done = prune(&mut play, Prune::All).await;
    let held = done
        .pruned
        .iter()
        .filter(|it| matches!(it.end, PruneEnd::Held));
    assert_eq!(held.count(), 2);
    assert_eq!(play.api.deletes().len(), 3);
    // The brake is remembered.
    let cast = play.cast.clone();
    let mut play = play.again(cast).await;
    let again = prune(&mut play, Prune::All).await;
    assert_eq!(again.orphans.len(), 2);
    assert_eq!(play.api.deletes().len(), 3);
    let name = again.orphans[0].target.clone();
    let named = prune(&mut play, Prune::Named(vec![name])).await;
    assert_eq!(named.orphans.len(), 1);
    assert_eq!(play.api.deletes().len(), 4);
}

#[tokio::test]
async fn by_itself_an_orphan_goes_after_its_time_and_not_before() {
    let whole_time = Duration::from_mins(10);
    let play = Play::new(Cast::of(2, &[RETAINED])).await;
    let mut play = without(play, &[0], Some(whole_time)).await;
    let half = whole_time / 2;
    play.later(half).await;
    play.scene.engine.start_due();
    play.scene.settle().await;
    whole(&play);
    // Half of it is remembered over a restart.
    let cast = play.cast.clone();
    let mut play = play.again(cast).await;
    play.later(Duration::from_mins(4)).await;
    play.scene.engine.start_due();
    play.scene.settle().await;
    whole(&play);
    play.later(Duration::from_mins(2)).await;
    play.scene.engine.start_due();
    play.scene.settle().await;
    assert_eq!(play.api.deletes(), ["e0-t0"]);
    assert_eq!(play.secret(1, 0).as_deref(), Some(BOTH_KEYS));
}

#[tokio::test]
async fn what_is_written_again_is_no_orphan_even_in_the_last_moment() {
    let play = Play::new(Cast::of(1, &[RETAINED])).await;
    let mut play = without(play, &[0], None).await;
    let (reply, answer) = oneshot::channel();
    play.scene.engine.prune(Prune::All, reply);
    // A reload says so before the task has begun.
    let parts = [part("e0-t0", "e0")].into();
    play.scene
        .engine
        .state
        .keep_only_secrets(Arc::new(parts))
        .unwrap();
    play.scene.settle().await;
    let done = answer.await.unwrap();
    assert!(
        ends(&done)[0].contains("an entry writes it again"),
        "{done:?}"
    );
    whole(&play);
}

#[tokio::test]
async fn without_its_cluster_an_orphan_stays_and_says_so() {
    let play = Play::new(Cast::of(1, &[RETAINED])).await;
    let mut play = without(play, &[0], None).await;
    play.scene.engine.clusters.clear();
    let listed = prune(&mut play, Prune::All).await;
    assert_eq!(listed.orphans[0].fate, OrphanFate::NoCluster);
    assert!(listed.pruned.is_empty());
    let named = prune(&mut play, Prune::Named(vec!["e0".to_owned()])).await;
    assert!(
        ends(&named)[0].contains("not configured any more"),
        "{named:?}"
    );
    whole(&play);
}

/// Bug: of two who asked at once, the second was told that an entry writes again what the first had removed.
#[tokio::test]
async fn what_somebody_else_has_removed_meanwhile_is_gone_and_no_failure() {
    let play = Play::new(Cast::of(1, &[RETAINED])).await;
    let mut play = without(play, &[0], None).await;
    let done = prune(&mut play, Prune::All).await;
    assert_eq!(ends(&done), ["prod/app/e0-t0: Deleted"]);
    let state = &play.scene.engine.state;
    let again = crate::sync::orphan::remove(&part("e0-t0", "e0"), None, state).await;
    assert_eq!(again, Ok(Removed::AlreadyGone));
}
