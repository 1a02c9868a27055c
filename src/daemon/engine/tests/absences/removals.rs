//! What goes by the policy of a target, and what no entry writes any more: through engine, runs and a cluster's API.

mod api;
mod orphans;

use super::*;
use crate::config::{CreationPolicy, DeletionPolicy, DriftPolicy};
use crate::daemon::entries::Work;
use crate::decide::{Drift, Effect};
use crate::kube::Client;
use crate::kube::tests::Server;
use crate::names::{ClusterName, Namespace, ObjectName};
use crate::secret::Fingerprint;
use crate::state::{SecretId, SecretPart};

use api::{Api, Kept};

/// One cluster, and entries that write to it.
struct Play {
    scene: Scene,
    api: Api,
    server: Server,
    cast: Cast,
}

/// Which targets each entry has: the policies of one Secret each.
#[derive(Clone)]
struct Cast {
    names: Vec<String>,
    targets: Vec<(CreationPolicy, DeletionPolicy)>,
    prune: Option<Duration>,
}

fn cluster() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

fn id(name: &str) -> SecretId {
    SecretId {
        cluster: cluster(),
        namespace: Namespace::new("app").unwrap(),
        name: ObjectName::new(name).unwrap(),
    }
}

fn part(name: &str, entry: &str) -> SecretPart {
    SecretPart {
        id: id(name),
        entry: EntryName::new(entry).unwrap(),
    }
}

impl Cast {
    fn of(entries: usize, targets: &[(CreationPolicy, DeletionPolicy)]) -> Self {
        Self {
            names: (0..entries).map(|n| format!("e{n}")).collect(),
            targets: targets.to_vec(),
            prune: None,
        }
    }

    /// The Secret of the target of that place; `t0` is that of the first.
    fn secret(entry: &str, index: usize) -> String {
        format!("{entry}-t{index}")
    }

    fn shape(&self, name: &str, entry: &mut Entry, at: (&Arc<Client>, &Arc<State>)) {
        let own = |key: &str| name.replace('e', key);
        entry.reads = vec![value(&own("a")), value(&own("b"))];
        entry.items = vec![item("a", 0, OnMissing::Fail), item("b", 1, OnMissing::Fail)];
        let targets = self.targets.iter().enumerate();
        entry.targets = targets
            .map(|(index, policies)| target(entry, index, *policies, at))
            .collect();
    }

    fn scene(&self, home: tempfile::TempDir, client: &Arc<Client>) -> Scene {
        let shape = |name: &str, entry: &mut Entry, state: &Arc<State>| {
            self.shape(name, entry, (client, state));
        };
        let clusters = [(cluster(), Arc::clone(client))].into();
        Scene::beside(home, &self.names, (shape, clusters, self.prune))
    }
}

fn target(
    entry: &Entry,
    index: usize,
    (creation_policy, deletion_policy): (CreationPolicy, DeletionPolicy),
    (client, state): (&Arc<Client>, &Arc<State>),
) -> Target {
    let spec = config::KubernetesTarget {
        cluster: cluster(),
        namespace: Namespace::new("app").unwrap(),
        name: ObjectName::new(Cast::secret(entry.name.as_str(), index)).unwrap(),
        secret_type: "Opaque".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        creation_policy,
        deletion_policy,
        immutable: false,
        drift: DriftPolicy::Refresh,
        restart: Vec::new(),
        adopt: false,
    };
    let instance = Instance::new("test").unwrap();
    Target::kubernetes(spec, &entry.name, &instance, client, state)
}

impl Play {
    async fn new(cast: Cast) -> Self {
        let server = Server::start().await;
        let api = Api::default();
        server.answer_by(api.answering());
        let client = Arc::new(server.client());
        let scene = cast.scene(tempfile::tempdir().unwrap(), &client);
        let mut play = Self {
            scene,
            api,
            server,
            cast,
        };
        for n in 0..play.cast.names.len() {
            play.is_there(n, 1);
        }
        play.scene.first_pass().await;
        play
    }

    fn is_there(&mut self, n: usize, version: u8) {
        for key in ["a", "b"] {
            let read = value(&format!("{key}{n}"));
            self.scene.says(&read, Ok(Told::Value("1", version)));
            let read = value(&arn(&format!("{key}{n}")));
            self.scene.says(&read, Ok(Told::Value("1", version)));
        }
    }

    fn says(&mut self, key: &str, why: Reason) {
        self.scene.says(&value(key), Err(why));
        self.scene.says(&value(&arn(key)), Err(why));
    }

    fn goes(&mut self, key: &str) {
        self.says(key, Reason::NotFound);
    }

    /// Everything of an entry is gone.
    fn all_goes(&mut self, n: usize) {
        self.goes(&format!("a{n}"));
        self.goes(&format!("b{n}"));
    }

    /// Time passes; then every read comes round, and sockets have real time.
    async fn later(&mut self, by: Duration) {
        tokio::time::pause();
        tokio::time::advance(by).await;
        tokio::time::resume();
        self.scene.round().await;
    }

    /// Long enough for two reads to prove what both say.
    async fn proven(&mut self) {
        for _ in 0..4 {
            self.later(INTERVAL).await;
        }
    }

    /// In another process, with perhaps other entries.
    async fn again(mut self, cast: Cast) -> Self {
        self.scene.keep().await;
        let client = Arc::new(self.server.client());
        let Scene {
            engine,
            world,
            home,
            ..
        } = self.scene;
        drop(engine);
        let mut scene = cast.scene(home, &client);
        scene.world = world;
        scene.engine.start_first_pass();
        scene.settle().await;
        Self {
            scene,
            cast,
            ..self
        }
    }

    fn secret(&self, n: usize, index: usize) -> Option<String> {
        let data = self.api.data(&Cast::secret(&format!("e{n}"), index))?;
        let pairs = data.iter().map(|(key, value)| format!("{key}={value}"));
        Some(pairs.collect::<Vec<_>>().join(" "))
    }

    fn away(&self, n: usize) -> Option<jiff::Timestamp> {
        self.scene.entry(n).targets[0].away
    }
}

const OWNED: (CreationPolicy, DeletionPolicy) = (CreationPolicy::Owner, DeletionPolicy::Delete);
const BOTH_KEYS: &str = "a=MQ== b=MQ==";

fn whole(play: &Play) {
    assert_eq!(play.secret(0, 0).as_deref(), Some(BOTH_KEYS));
    assert_eq!(play.api.deletes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_secret_goes_when_all_its_sources_are_proven_gone_and_comes_back_with_them() {
    let mut play = Play::new(Cast::of(1, &[OWNED])).await;
    whole(&play);
    play.goes("b0");
    play.proven().await;
    play.proven().await;
    whole(&play);
    assert_eq!(play.scene.state(0), Condition::Failing);
    play.goes("a0");
    for _ in 0..3 {
        play.later(INTERVAL).await;
        whole(&play);
    }
    let trouble = play.scene.trouble(0);
    assert!(trouble.contains("at least ten minutes"), "{trouble}");
    play.later(INTERVAL).await;
    assert_eq!(play.api.deletes(), ["e0-t0"]);
    assert_eq!(play.secret(0, 0), None);
    assert_eq!(
        play.scene.state(0),
        Condition::Fresh,
        "{}",
        play.scene.trouble(0)
    );
    assert!(play.away(0).is_some());
    let state = &play.scene.engine.state;
    assert_eq!(state.secret(&part("e0-t0", "e0")), None, "it is forgotten");
    // It stays so, and costs no look at the cluster.
    let looks = play.api.0.lock().unwrap().looks;
    play.proven().await;
    assert_eq!(play.api.0.lock().unwrap().looks, looks);
    assert_eq!(play.scene.state(0), Condition::Fresh);
    play.is_there(0, 2);
    play.later(INTERVAL).await;
    play.later(INTERVAL).await;
    assert_eq!(play.secret(0, 0).as_deref(), Some(BOTH_KEYS));
    assert_eq!(play.away(0), None);
    assert_eq!(play.scene.state(0), Condition::Fresh);
}

/// What becomes of the entry while the run that is to delete its Secret waits.
async fn before_the_delete(change: impl Fn(&mut Scene)) -> (Play, usize) {
    let mut play = Play::new(Cast::of(1, &[OWNED])).await;
    play.all_goes(0);
    for _ in 0..3 {
        play.later(INTERVAL).await;
    }
    whole(&play);
    tokio::time::pause();
    tokio::time::advance(INTERVAL).await;
    tokio::time::resume();
    let name = EntryName::new("e0").unwrap();
    let reads: BTreeSet<Read> = play.scene.engine.reads.keys().cloned().collect();
    let mut changed = 0;
    for read in reads {
        let result = play.scene.result(&read);
        play.scene.engine.call_ended(&read, result);
        let entry = play.scene.engine.entries.get(&name);
        let began = entry.is_some_and(|entry| entry.work == Work::UnderWay);
        if began && !play.scene.engine.may_go(&name).is_empty() {
            changed += 1;
            change(&mut play.scene);
        }
        play.scene.settle().await;
    }
    (play, changed)
}

#[tokio::test]
async fn a_run_deletes_nothing_for_an_entry_that_was_dismissed_meanwhile() {
    let (play, changed) = before_the_delete(|_| {}).await;
    assert!(changed > 0);
    assert_eq!(
        play.api.deletes(),
        ["e0-t0"],
        "else there is nothing to see"
    );
    let (play, changed) = before_the_delete(|scene| {
        let state = Arc::clone(&scene.engine.state);
        let store = store(&state, &Reporter::new(|_| {}));
        let mut none = supply(&state, store, Vec::new());
        none.clusters.clone_from(&scene.engine.clusters);
        scene.engine.renew(none);
    })
    .await;
    assert_eq!(changed, 1);
    whole(&play);
    // The ledger alone says so as well.
    let (play, changed) = before_the_delete(|scene| {
        scene
            .engine
            .state
            .keep_only_secrets(Arc::new([].into()))
            .unwrap();
    })
    .await;
    assert!(changed > 0);
    whole(&play);
    let trouble = play.scene.trouble(0);
    assert!(trouble.contains("another one since"), "{trouble}");
}

/// The entry has that policy now, and is changed like that.
fn configured(scene: &mut Scene, policy: DeletionPolicy, change: impl Fn(&mut Entry)) {
    let state = Arc::clone(&scene.engine.state);
    let client = Arc::clone(&scene.engine.clusters[&cluster()]);
    let mut entry = json_entry("e0", &scene.dir, &state);
    let cast = Cast::of(1, &[(CreationPolicy::Owner, policy)]);
    cast.shape("e0", &mut entry, (&client, &state));
    change(&mut entry);
    let store = store(&state, &Reporter::new(|_| {}));
    let mut next = supply(&state, store, vec![entry]);
    next.clusters.clone_from(&scene.engine.clusters);
    scene.engine.renew(next);
}

#[tokio::test]
async fn a_delete_under_way_is_not_made_once_the_policy_is_to_retain() {
    let (play, changed) = before_the_delete(|scene| {
        configured(scene, DeletionPolicy::Retain, |entry| {
            entry.configuration = Fingerprint::from_bytes([9; 32]);
        });
    })
    .await;
    assert_eq!(changed, 1);
    whole(&play);
}

#[tokio::test]
async fn a_delete_under_way_is_not_made_once_the_entry_is_suspended() {
    let (play, changed) = before_the_delete(|scene| {
        configured(scene, DeletionPolicy::Delete, |entry| {
            entry.suspended = true;
        });
    })
    .await;
    assert_eq!(changed, 1);
    whole(&play);
    assert_eq!(play.scene.state(0), Condition::Suspended);
}

#[tokio::test]
async fn no_other_answer_ever_deletes() {
    for why in [
        Reason::AccessDenied,
        Reason::Throttled,
        Reason::Network,
        Reason::Timeout,
        Reason::Malformed,
        Reason::Kms,
        Reason::Credentials,
    ] {
        let mut play = Play::new(Cast::of(1, &[OWNED])).await;
        // One is gone, and the other cannot be read.
        play.goes("a0");
        play.says("b0", why);
        for _ in 0..12 {
            play.later(INTERVAL).await;
        }
        whole(&play);
        // In between, both were gone once.
        play.goes("b0");
        play.later(INTERVAL).await;
        play.says("b0", why);
        play.says("a0", why);
        play.later(INTERVAL).await;
        play.all_goes(0);
        play.later(INTERVAL).await;
        play.later(INTERVAL).await;
        whole(&play);
    }
}

#[tokio::test]
async fn without_the_account_that_says_so_nothing_goes() {
    let mut play = Play::new(Cast::of(1, &[OWNED])).await;
    play.scene.witness = false;
    play.all_goes(0);
    for _ in 0..12 {
        play.later(INTERVAL).await;
    }
    whole(&play);
}

#[tokio::test]
async fn what_is_not_ours_alone_stays_and_is_named() {
    type Change = fn(&mut Kept);
    let cases: [(&str, Change); 4] = [
        ("`kubectl-edit` has content", |kept| {
            let secret = kept.secrets.get_mut("e0-t0").unwrap();
            let keys = ["a".to_owned()].into();
            secret.others.insert("kubectl-edit".to_owned(), keys);
        }),
        ("the key `theirs`", |kept| {
            let secret = kept.secrets.get_mut("e0-t0").unwrap();
            secret.data.insert("theirs".to_owned(), "eA==".to_owned());
        }),
        ("another entry", |kept| {
            let secret = kept.secrets.get_mut("e0-t0").unwrap();
            let entry = "secretsyncd/entry".to_owned();
            secret.annotations.insert(entry, "other".to_owned());
        }),
        ("made another one", |kept| {
            let before = kept.secrets["e0-t0"].clone();
            let made = kept.make("e0-t0").uid.clone();
            let secret = kept.secrets.get_mut("e0-t0").unwrap();
            *secret = before;
            secret.uid = made;
        }),
    ];
    for (said, change) in cases {
        let mut play = Play::new(Cast::of(1, &[OWNED])).await;
        play.api.change(change);
        play.all_goes(0);
        play.proven().await;
        assert_eq!(play.api.deletes(), Vec::<String>::new(), "{said}");
        let trouble = play.scene.trouble(0);
        assert!(trouble.contains(said), "{said}: {trouble}");
        assert_eq!(play.scene.state(0), Condition::Failing);
    }
}

#[tokio::test]
async fn a_secret_that_changes_between_judge_and_delete_is_judged_again() {
    let mut play = Play::new(Cast::of(1, &[OWNED])).await;
    play.api.change(|kept| {
        kept.before_delete = Some(|kept, name| {
            kept.secrets.remove(name);
        });
    });
    play.all_goes(0);
    play.proven().await;
    assert!(play.away(0).is_some(), "{}", play.scene.trouble(0));

    let mut play = Play::new(Cast::of(1, &[OWNED])).await;
    play.api.change(|kept| {
        kept.before_delete = Some(|kept, name| {
            kept.make(name)
                .data
                .insert("x".to_owned(), "eA==".to_owned());
        });
    });
    play.all_goes(0);
    play.proven().await;
    assert_eq!(play.secret(0, 0).as_deref(), Some("x=eA=="));
    assert!(play.scene.trouble(0).contains("made another one"));
    assert_eq!(play.away(0), None);
}

#[tokio::test]
async fn a_delete_that_is_denied_is_named_and_tried_again_and_keeps_nobody() {
    let mut play = Play::new(Cast::of(2, &[OWNED])).await;
    play.api.change(|kept| kept.refuse = Some(403));
    play.all_goes(0);
    play.proven().await;
    let failure = play.scene.entry(0).shown_failure().unwrap().clone();
    assert_eq!(failure.reason, Reason::TargetDenied);
    assert!(
        failure.help().contains("`delete` on `secrets`"),
        "{}",
        failure.help()
    );
    assert_eq!(play.secret(0, 0).as_deref(), Some(BOTH_KEYS));
    assert_eq!(play.scene.state(1), Condition::Fresh);
    play.scene.says(&value("a1"), Ok(Told::Value("2", 2)));
    play.later(INTERVAL).await;
    assert_eq!(play.secret(1, 0).as_deref(), Some("a=Mg== b=MQ=="));
    play.api.change(|kept| kept.refuse = None);
    play.proven().await;
    assert_eq!(play.secret(0, 0), None);
    assert_eq!(play.scene.state(0), Condition::Fresh);
}

#[tokio::test]
async fn each_target_goes_by_its_own_policy() {
    let policies = [
        (CreationPolicy::Owner, DeletionPolicy::Retain),
        (CreationPolicy::Owner, DeletionPolicy::Merge),
        OWNED,
    ];
    let mut play = Play::new(Cast::of(1, &policies)).await;
    play.goes("b0");
    play.proven().await;
    let all = |play: &Play| [0, 1, 2].map(|index| play.secret(0, index).unwrap_or_default());
    assert_eq!(all(&play), [BOTH_KEYS, "a=MQ==", BOTH_KEYS]);
    assert_eq!(play.scene.state(0), Condition::Failing);
    let stands = |play: &Play| {
        let entry = play.scene.entry(0);
        [0, 1, 2].map(|index| entry.targets[index].trouble.is_none())
    };
    assert_eq!(stands(&play), [false, true, false]);
    // Those that wait are not tried again and again.
    let writes = play.api.0.lock().unwrap().writes.len();
    play.proven().await;
    assert_eq!(play.api.0.lock().unwrap().writes.len(), writes);
    play.goes("a0");
    play.proven().await;
    assert_eq!(
        all(&play),
        [BOTH_KEYS, "a=MQ==", ""],
        "nothing empty is written"
    );
    assert_eq!(play.api.deletes(), ["e0-t2"]);
    play.is_there(0, 2);
    play.later(INTERVAL).await;
    play.later(INTERVAL).await;
    assert_eq!(all(&play), [BOTH_KEYS; 3]);
    assert_eq!(play.scene.state(0), Condition::Fresh);
}

#[tokio::test]
async fn what_went_stays_away_over_a_restart() {
    let mut play = Play::new(Cast::of(1, &[OWNED])).await;
    play.all_goes(0);
    play.later(INTERVAL).await;
    play.later(INTERVAL).await;
    let cast = play.cast.clone();
    let mut play = play.again(cast.clone()).await;
    whole(&play);
    play.proven().await;
    assert_eq!(play.api.deletes(), ["e0-t0"], "the proof goes on");
    let since = play.away(0);
    let mut play = play.again(cast).await;
    play.proven().await;
    assert_eq!(
        (play.away(0), play.scene.state(0)),
        (since, Condition::Fresh)
    );
    assert_eq!(play.api.deletes().len(), 1);
}

#[tokio::test]
async fn thirty_deletions_at_once_are_held_until_one_is_let_go() {
    let mut play = Play::new(Cast::of(30, &[OWNED])).await;
    for n in 0..30 {
        play.all_goes(n);
    }
    play.proven().await;
    play.proven().await;
    assert_eq!(play.api.deletes().len(), 6, "a fifth of all");
    let is_held = |play: &Play, n: usize| play.scene.trouble(n).contains("so it is held");
    let held: Vec<usize> = (0..30).filter(|n| is_held(&play, *n)).collect();
    assert_eq!(held.len(), 24);
    let cast = play.cast.clone();
    let mut play = play.again(cast.clone()).await;
    play.proven().await;
    assert_eq!(play.api.deletes().len(), 6);
    let first = EntryName::new(format!("e{}", held[0])).unwrap();
    assert!(play.scene.engine.let_go_held(&first));
    play.scene.settle().await;
    assert_eq!(play.api.deletes().len(), 7);
    assert_eq!(play.scene.state(held[0]), Condition::Fresh);
    // An hour later, what is held stays held.
    play.later(Duration::from_hours(2)).await;
    play.proven().await;
    assert_eq!(play.api.deletes().len(), 7);
    // Let go where no daemon runs: it goes when one does.
    play.scene.engine.alone = true;
    let second = EntryName::new(format!("e{}", held[1])).unwrap();
    assert!(play.scene.engine.let_go_held(&second));
    assert_eq!(play.api.deletes().len(), 7);
    let mut play = play.again(cast).await;
    play.proven().await;
    assert_eq!(play.api.deletes().len(), 8);
    assert_eq!(play.scene.state(held[1]), Condition::Fresh);
}

/// Bug: what was fought over and then went by its policy was called contested until somebody said `sync`.
#[tokio::test]
async fn a_fight_is_over_when_its_target_goes() {
    let mut play = Play::new(Cast::of(1, &[OWNED])).await;
    let name = EntryName::new("e0").unwrap();
    let entry = play.scene.engine.entries.get_mut(&name).unwrap();
    for _ in 0..3 {
        let drift = Effect::Repaired(Drift::Content);
        let _ = entry.targets[0].did(drift, INTERVAL, Instant::now());
    }
    assert!(entry.targets[0].repairs.is_contested());
    play.all_goes(0);
    play.proven().await;
    assert!(play.away(0).is_some());
    assert!(!play.scene.entry(0).targets[0].repairs.is_contested());
}
