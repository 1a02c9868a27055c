//! Files that go by the policy of their target, and files that no entry writes any more.

use std::fs;

use tokio::sync::oneshot;

use super::*;
use crate::config::DeletionPolicy;
use crate::daemon::ask::Prune;
use crate::status::{AdoptEnd, Adoption, Leftovers, PruneEnd};
use crate::sync::Which;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("e{n}")).collect()
}

fn shape(policy: DeletionPolicy) -> impl Fn(&str, &mut Entry, &Arc<State>) {
    move |name, entry, state| {
        two_reads(name, entry, OnMissing::Fail);
        let spec = config::FileTarget {
            path: entry.targets[0].to_string().into(),
            format: config::FileFormat::Json,
            mode: 0o600,
            dir_mode: 0o700,
            owner: None,
            group: None,
            adopt: false,
            check: None,
            on_change: None,
            deletion_policy: policy,
        };
        entry.targets = vec![Target::file(spec, &entry.name, state, &Seats::default())];
    }
}

impl Scene {
    /// Entries of one file each, under that policy and `daemon.prune_after`.
    fn of_files(
        home: tempfile::TempDir,
        names: &[String],
        (policy, prune): (DeletionPolicy, Option<Duration>),
    ) -> Self {
        Self::beside(home, names, (shape(policy), BTreeMap::new(), prune))
    }

    async fn delivered(count: usize, policy: DeletionPolicy) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut scene = Self::of_files(home, &names(count), (policy, None));
        scene.is_there(count, 1);
        scene.first_pass().await;
        scene
    }

    fn is_there(&mut self, count: usize, version: u8) {
        let mut keys = vec!["a".to_owned()];
        keys.extend((0..count).map(|n| format!("b{n}")));
        for key in keys {
            let told = if key == "a" { "1" } else { "2" };
            self.says(&value(&key), Ok(Told::Value(told, version)));
            self.says(&value(&arn(&key)), Ok(Told::Value(told, version)));
        }
    }

    fn goes(&mut self, key: &str) {
        self.is_gone(&value(key));
        self.is_gone(&value(&arn(key)));
    }

    /// Long enough for two reads to prove what both say.
    async fn proven(&mut self) {
        for _ in 0..4 {
            self.later(INTERVAL).await;
        }
    }

    /// In another process, with perhaps other entries.
    async fn without(mut self, left: &[String], prune: Option<Duration>) -> Self {
        self.keep().await;
        let paths = left.iter().map(|name| self.dir.join(name)).collect();
        self.engine.state.keep_only_files(paths).unwrap();
        let Self {
            engine,
            world,
            home,
            ..
        } = self;
        drop(engine);
        let mut scene = Self::of_files(home, left, (DeletionPolicy::Retain, prune));
        scene.world = world;
        scene.engine.start_first_pass();
        scene.settle().await;
        scene
    }

    async fn prune(&mut self, what: Prune) -> Leftovers {
        let (reply, mut answer) = oneshot::channel();
        self.engine.prune(what, reply);
        self.settle().await;
        answer.try_recv().expect("everything has ended")
    }

    fn count(&self) -> usize {
        let files = fs::read_dir(&self.dir).unwrap();
        let files = files.map(|entry| entry.unwrap().file_name());
        files
            .filter(|name| name.to_string_lossy().starts_with('e'))
            .count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_goes_when_all_its_sources_are_proven_gone_and_comes_back_with_them() {
    let mut scene = Scene::delivered(1, DeletionPolicy::Delete).await;
    assert_eq!(scene.file(0), BOTH);
    scene.goes("b0");
    scene.proven().await;
    scene.proven().await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Failing)
    );
    scene.goes("a");
    for _ in 0..3 {
        scene.later(INTERVAL).await;
        assert_eq!(scene.file(0), BOTH);
    }
    let trouble = scene.trouble(0);
    assert!(trouble.contains("the target goes"), "{trouble}");
    scene.later(INTERVAL).await;
    assert_eq!(scene.count(), 0, "{}", scene.trouble(0));
    assert_eq!(scene.state(0), Condition::Fresh);
    assert!(scene.entry(0).targets[0].away.is_some());
    let path = scene.dir.join("e0");
    assert_eq!(scene.engine.state.file(&path), None, "it is forgotten");
    // What somebody puts there now is theirs.
    scene.proven().await;
    assert_eq!(scene.state(0), Condition::Fresh);
    scene.is_there(1, 2);
    scene.later(INTERVAL).await;
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Fresh)
    );
    assert!(scene.entry(0).targets[0].away.is_none());
}

#[tokio::test(start_paused = true)]
async fn neither_another_policy_nor_another_answer_removes_a_file() {
    let mut retained = Scene::delivered(1, DeletionPolicy::Retain).await;
    retained.goes("a");
    retained.goes("b0");
    retained.proven().await;
    retained.proven().await;
    assert_eq!(retained.file(0), BOTH);
    for why in [Reason::AccessDenied, Reason::Throttled, Reason::Malformed] {
        let mut scene = Scene::delivered(1, DeletionPolicy::Delete).await;
        scene.goes("a");
        scene.says(&value("b0"), Err(why));
        scene.says(&value(&arn("b0")), Err(why));
        scene.proven().await;
        scene.proven().await;
        assert_eq!(scene.file(0), BOTH, "{why}");
    }
    // Nobody knows who said so.
    let mut scene = Scene::delivered(1, DeletionPolicy::Delete).await;
    scene.witness = false;
    scene.goes("a");
    scene.goes("b0");
    scene.proven().await;
    scene.proven().await;
    assert_eq!(scene.file(0), BOTH);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_somebody_changed_stays_and_is_named() {
    let mut scene = Scene::delivered(1, DeletionPolicy::Delete).await;
    scene.goes("a");
    scene.goes("b0");
    scene.later(INTERVAL).await;
    fs::write(scene.dir.join("e0"), "theirs").unwrap();
    scene.proven().await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        ("theirs", Condition::Failing)
    );
    let trouble = scene.trouble(0);
    assert!(
        trouble.contains("e0 does not hold what was delivered"),
        "{trouble}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_brake_holds_what_more_than_three_files_would_lose() {
    let mut scene = Scene::delivered(6, DeletionPolicy::Delete).await;
    assert_eq!(scene.count(), 6);
    scene.goes("a");
    (0..6).for_each(|n| scene.goes(&format!("b{n}")));
    scene.proven().await;
    scene.proven().await;
    assert_eq!(scene.count(), 3);
    let held = scene.prune(Prune::List).await.held;
    assert_eq!(held.len(), 3);
    let name = held[0].entry.clone();
    scene.prune(Prune::Named(vec![name])).await;
    assert_eq!(scene.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_no_entry_writes_goes_when_it_is_asked_for() {
    let scene = Scene::delivered(2, DeletionPolicy::Retain).await;
    let mut scene = scene.without(&names(1), None).await;
    let path = scene.dir.join("e1").display().to_string();
    let listed = scene.prune(Prune::List).await.orphans;
    assert_eq!(
        (listed.len(), listed[0].target.as_str()),
        (1, path.as_str())
    );
    assert_eq!(scene.count(), 2);
    let done = scene.prune(Prune::All).await;
    assert!(
        matches!(done.pruned[0].end, PruneEnd::Deleted),
        "{:?}",
        done.pruned
    );
    assert!(done.orphans.is_empty());
    assert_eq!((scene.file(0).as_str(), scene.count()), (BOTH, 1));
}

#[tokio::test(start_paused = true)]
async fn a_changed_orphan_stays_and_one_that_is_written_again_is_taken_over() {
    let scene = Scene::delivered(3, DeletionPolicy::Retain).await;
    let mut scene = scene.without(&names(1), None).await;
    fs::write(scene.dir.join("e1"), "theirs").unwrap();
    let names_left = vec!["e1".to_owned()];
    let done = scene.prune(Prune::Named(names_left)).await;
    let said = format!("{:?}", done.pruned);
    assert!(said.contains("does not hold what was delivered"), "{said}");
    assert_eq!(done.orphans.len(), 2, "it stays listed");
    assert_eq!(scene.file(1), "theirs");
    // The other one is configured again: it is no orphan, and ours.
    let mut scene = scene
        .without(&["e0".to_owned(), "e2".to_owned()], None)
        .await;
    scene.round().await;
    assert_eq!(scene.prune(Prune::List).await.orphans.len(), 1);
    assert_eq!(
        (scene.file(2).as_str(), scene.state(2)),
        (BOTH, Condition::Fresh)
    );
}

#[tokio::test(start_paused = true)]
async fn by_itself_an_orphaned_file_goes_after_its_time_and_under_the_brake() {
    let after = Duration::from_mins(10);
    let scene = Scene::delivered(6, DeletionPolicy::Retain).await;
    let mut scene = scene.without(&names(1), Some(after)).await;
    scene.later(after / 2).await;
    scene.engine.start_due();
    scene.settle().await;
    assert_eq!(scene.count(), 6);
    // Half of it is remembered over a restart.
    let mut scene = scene.without(&names(1), Some(after)).await;
    scene.later(after / 2 + Duration::from_secs(1)).await;
    scene.engine.start_due();
    scene.settle().await;
    assert_eq!(scene.count(), 3, "three of five");
    // Held over a restart, too.
    let mut scene = scene.without(&names(1), Some(after)).await;
    assert_eq!(scene.prune(Prune::All).await.orphans.len(), 2);
    assert_eq!((scene.file(0).as_str(), scene.count()), (BOTH, 3));
}

async fn adopt(scene: &mut Scene, names: &[&str]) -> Adoption {
    let (reply, mut answer) = oneshot::channel();
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    scene.engine.adopt_named(names, reply);
    scene.settle().await;
    answer.try_recv().expect("everything has ended")
}

#[tokio::test(start_paused = true)]
async fn a_file_of_somebody_else_is_taken_over_when_it_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let both = names(2);
    let mut scene = Scene::of_files(home, &both, (DeletionPolicy::Retain, None));
    for name in &both {
        fs::write(scene.dir.join(name), "{\"x\":\"theirs\"}").unwrap();
    }
    scene.is_there(2, 1);
    scene.first_pass().await;
    assert_eq!(scene.state(0), Condition::Failing);
    let unknown = adopt(&mut scene, &["e0", "nobody"]).await;
    assert_eq!((unknown.unknown.len(), unknown.targets.len()), (1, 0));
    let adoption = adopt(&mut scene, &["e0"]).await;
    assert_eq!(adoption.targets.len(), 1);
    assert_eq!(adoption.targets[0].end, AdoptEnd::Taken);
    assert_eq!(
        scene.file(0),
        "{\"x\":\"theirs\"}",
        "nothing is written yet"
    );
    let name = EntryName::new("e0").unwrap();
    scene.engine.start_run(&name, None, Which::All);
    scene.settle().await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Fresh)
    );
    assert_eq!(scene.file(1), "{\"x\":\"theirs\"}");
    let again = adopt(&mut scene, &["e0"]).await;
    assert_eq!(again.targets[0].end, AdoptEnd::Ours);
}
