//! What is gone, through engine and runs, over paused time: the engine's own bookkeeping decides when, real files show
//! what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::super::Task;
use super::*;
use crate::assemble::Templates;
use crate::assemble::template::Template;
use crate::aws::Aws;
use crate::config::{AwsAuth, AwsRole, AwsStore, Fetch, Find, Rates, Source, Version};
use crate::failure::Failure;
use crate::names::{AccountId, RoleArn};
use crate::report::Condition;
use crate::secret::SecretBytes;
use crate::store::desk::Seen;
use crate::store::{Answer, Content, Identity, Match};

const INTERVAL: Duration = Duration::from_mins(5);

/// What the store would answer.
type World = BTreeMap<Read, Result<Told, Reason>>;

#[derive(Clone)]
enum Told {
    Value(&'static str, u8),
    Listed(Vec<&'static str>),
}

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}-abcdef")
}

fn read_of_source(source: Source) -> Read {
    Read::new(StoreName::new("local").unwrap(), source)
}

fn value(key: &str) -> Read {
    read_of_source(Source::Value {
        key: RemoteKey::new(key).unwrap(),
        version: Version::Current,
    })
}

fn tags(name: &str) -> Read {
    read_of_source(Source::Metadata {
        key: RemoteKey::new(arn(name)).unwrap(),
    })
}

fn find() -> Read {
    read_of_source(Source::Find(Box::new(Find {
        tags: [("team".to_owned(), "pay".to_owned())].into(),
        ..Find::default()
    })))
}

fn answer(read: &Read, told: &Told) -> Answer {
    match told {
        Told::Value(text, version) => {
            let key = match &read.source {
                Source::Value { key, .. } | Source::Metadata { key } => key.as_str(),
                Source::Find(_) => panic!("a find has no value"),
            };
            let arn = if key.starts_with("arn:") {
                key.to_owned()
            } else {
                arn(key)
            };
            Answer {
                identity: Identity::Version {
                    arn: arn.into(),
                    version_id: version.to_string().into(),
                },
                created: None,
                content: Content::Value(SecretBytes::new(text.as_bytes().to_vec())),
            }
        }
        Told::Listed(names) => Answer {
            identity: Identity::Arns(names.iter().map(|name| arn(name)).collect()),
            created: None,
            content: Content::Matches(
                names
                    .iter()
                    .map(|name| Match {
                        name: RemoteKey::new(*name).unwrap(),
                        arn: RemoteKey::new(arn(name)).unwrap(),
                    })
                    .collect(),
            ),
        },
    }
}

struct Scene {
    engine: Engine,
    world: World,
    /// Whether it is known who was told that something is gone.
    witness: bool,
    dir: PathBuf,
    home: tempfile::TempDir,
}

fn item(key: &str, read: usize, on_missing: OnMissing) -> Item {
    Item::One {
        secret_key: SecretKey::new(key).unwrap(),
        property: None,
        decoding: Decoding::None,
        on_missing,
        read,
    }
}

/// A store whose account is proven by its role.
fn store(state: &State, reporter: &Reporter) -> (StoreName, Store) {
    let role = "arn:aws:iam::123456789012:role/read";
    let spec = AwsStore {
        region: Some("eu-west-1".into()),
        account: None,
        fetch: Fetch::Auto,
        requests_per_second: Rates::SECRETS_MANAGER,
        endpoint_url: Some("http://127.0.0.1:9".into()),
        auth: AwsAuth {
            role: Some(AwsRole {
                arn: RoleArn::new(role).unwrap(),
                external_id: None,
                session_name: None,
                session_tags: BTreeMap::new(),
                transitive_tag_keys: Vec::new(),
            }),
            ..AwsAuth::DEFAULT
        },
    };
    let name = StoreName::new("local").unwrap();
    let store = Store::new(
        &name,
        &config::Store::SecretsManager(spec),
        (&Aws::default(), state.fingerprint_key()),
        reporter.clone(),
    );
    (name, store)
}

fn json_entry(name: &str, dir: &Path, state: &Arc<State>) -> Entry {
    let mut entry = entry(name, dir, state);
    let target = config::FileTarget {
        path: dir.join(name),
        format: config::FileFormat::Json,
        mode: 0o600,
        dir_mode: 0o700,
        owner: None,
        group: None,
        adopt: false,
        deletion_policy: config::DeletionPolicy::Retain,
        check: None,
        on_change: None,
    };
    entry.targets = vec![Target::file(target, &entry.name, state, &Seats::default())];
    entry.refresh_interval = INTERVAL;
    entry.max_stale = Duration::from_hours(24);
    entry
}

fn two_reads(name: &str, entry: &mut Entry, on_missing: OnMissing) {
    let own = name.replace('e', "b");
    entry.reads = vec![value("a"), value(&own)];
    entry.items = vec![item("a", 0, OnMissing::Fail), item("b", 1, on_missing)];
}

impl Scene {
    /// Entries that read `a`, and one of `b0`, `b1`, ... each, with that for what is missing.
    async fn new(entries: usize, on_missing: OnMissing) -> Self {
        let names: Vec<String> = (0..entries).map(|n| format!("e{n}")).collect();
        let mut scene = Self::with(&names, |name, entry| two_reads(name, entry, on_missing));
        scene.says(&value("a"), Ok(Told::Value("1", 1)));
        for n in 0..entries {
            scene.says(&value(&format!("b{n}")), Ok(Told::Value("2", 1)));
        }
        scene.first_pass().await;
        scene
    }

    /// An entry over a `find` that matches `x` and `y`.
    async fn finding(on_missing: OnMissing) -> Self {
        let mut scene = Self::with(&["e0".to_owned()], |_, entry| {
            entry.reads = vec![find()];
            entry.items = vec![Item::Found {
                shape: Shape::default(),
                on_missing,
                read: 0,
            }];
        });
        scene.says(&find(), Ok(Told::Listed(vec!["x", "y"])));
        for name in ["x", "y"] {
            scene.says(&value(&arn(name)), Ok(Told::Value(name, 1)));
            scene.says(&tags(name), Ok(Told::Value(r#"{"team":"pay"}"#, 1)));
        }
        scene.first_pass().await;
        scene
    }

    fn with(names: &[String], shape: impl Fn(&str, &mut Entry)) -> Self {
        Self::at(tempfile::tempdir().unwrap(), names, shape)
    }

    /// Everything is on disk.
    async fn keep(&mut self) {
        self.engine.save();
        while let Some(ended) = self.engine.tasks.join_next_with_id().await {
            self.engine.ended(ended);
        }
    }

    /// As [`Self::new`], in another process.
    async fn again(mut self, on_missing: OnMissing) -> Self {
        self.keep().await;
        let names: Vec<String> = self
            .engine
            .entries
            .keys()
            .map(ToString::to_string)
            .collect();
        drop(self.engine);
        let mut scene = Self::at(self.home, &names, |name, entry| {
            two_reads(name, entry, on_missing);
        });
        scene.world = self.world;
        scene.engine.start_first_pass();
        scene.settle().await;
        scene
    }

    fn at(home: tempfile::TempDir, names: &[String], shape: impl Fn(&str, &mut Entry)) -> Self {
        let shape = |name: &str, entry: &mut Entry, _: &Arc<State>| shape(name, entry);
        Self::beside(home, names, (shape, BTreeMap::new(), None))
    }

    /// As [`Self::at`], with clusters and `daemon.prune`.
    fn beside(
        home: tempfile::TempDir,
        names: &[String],
        (shape, clusters, prune): (
            impl Fn(&str, &mut Entry, &Arc<State>),
            BTreeMap<crate::names::ClusterName, Arc<crate::kube::Client>>,
            Option<Duration>,
        ),
    ) -> Self {
        let dir = home.path().canonicalize().unwrap();
        let state = Arc::new(State::open(&dir.join("state")).unwrap());
        let reporter = Reporter::new(|_| {});
        let store = store(&state, &reporter);
        let entries = names.iter().map(|name| {
            let mut entry = json_entry(name, &dir, &state);
            shape(name, &mut entry, &state);
            entry
        });
        let mut supply = supply(&state, store, entries.collect());
        supply.clusters = clusters;
        supply.prune = prune;
        let engine = Engine::new(Parts {
            seats: Seats::default(),
            instance: Instance::new("test").unwrap(),
            supply,
            state,
            reporter,
            pulse: Arc::default(),
            pauses: crate::kube::Pauses::default().listen(),
            reload: Arc::default(),
            lead: crate::daemon::leading::Lead::default(),
            mode: Mode::Forever,
        });
        Self {
            engine,
            world: World::new(),
            witness: true,
            dir,
            home,
        }
    }

    fn says(&mut self, read: &Read, told: Result<Told, Reason>) {
        self.world.insert(read.clone(), told);
    }

    fn is_gone(&mut self, read: &Read) {
        self.says(read, Err(Reason::NotFound));
    }

    async fn first_pass(&mut self) {
        self.engine.start_first_pass();
        self.settle().await;
        self.round().await;
    }

    fn result(&self, read: &Read) -> Result<Answer, Failure> {
        match &self.world[read] {
            Ok(told) => Ok(answer(read, told)),
            Err(reason) => {
                let mut failure = Failure::new(*reason, format!("no `{}`", read.source));
                failure.witness = self
                    .witness
                    .then(|| AccountId::new("123456789012").unwrap());
                Err(failure)
            }
        }
    }

    /// Runs get their answers until none is under way.
    async fn settle(&mut self) {
        let is_work = |task: &Task| !matches!(task, Task::Call { .. });
        for turn in 0.. {
            assert!(turn < 1000, "one run follows the other");
            if !self.engine.running.values().any(is_work) {
                break;
            }
            tokio::select! {
                Some(want) = self.engine.wants.recv() => {
                    let state = self.engine.reads.get(&want.read);
                    let failing = state.and_then(|state| state.failing.as_ref());
                    // As the engine has it: one that fails is not asked again before its time.
                    let result = match failing {
                        Some(streak) => Err(streak.failure.clone()),
                        None => self.result(&want.read),
                    };
                    let news = failing.is_none() && state.is_some() && result.is_err();
                    if let (true, Err(failure)) = (news, &result) {
                        // Asked for by the run, it fails for everybody.
                        self.engine.call_ended(&want.read, Err(failure.clone()));
                    }
                    let seen = result.map(|answer| Seen {
                        answer: Arc::new(answer),
                        before: None,
                    });
                    let _ = want.reply.send(seen);
                }
                Some(ended) = self.engine.tasks.join_next_with_id() => self.engine.ended(ended),
            }
        }
        self.engine.settle_all();
    }

    /// Every read comes round once.
    async fn round(&mut self) {
        let mut reads: BTreeSet<Read> = self.engine.reads.keys().cloned().collect();
        while let Some(read) = reads.pop_first() {
            if self.engine.reads.contains_key(&read) {
                self.engine.call_ended(&read, self.result(&read));
                self.settle().await;
            }
        }
    }

    async fn later(&mut self, by: Duration) {
        tokio::time::advance(by).await;
        self.round().await;
    }

    fn file(&self, entry: usize) -> String {
        std::fs::read_to_string(self.dir.join(format!("e{entry}"))).unwrap_or_default()
    }

    fn state(&self, entry: usize) -> Condition {
        self.entry(entry).condition
    }

    fn entry(&self, entry: usize) -> &crate::daemon::entries::EntryState {
        &self.engine.entries[&EntryName::new(format!("e{entry}")).unwrap()]
    }

    fn trouble(&self, entry: usize) -> String {
        let failure = self.entry(entry).shown_failure();
        failure.map(ToString::to_string).unwrap_or_default()
    }
}

const BOTH: &str = "{\"a\":\"1\",\"b\":\"2\"}\n";
const A_ALONE: &str = "{\"a\":\"1\"}\n";

#[tokio::test(start_paused = true)]
async fn what_fails_without_proof_leaves_everything() {
    let mut scene = Scene::new(1, OnMissing::Fail).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Fresh)
    );
    scene.is_gone(&value("b0"));
    for _ in 0..5 {
        scene.later(INTERVAL).await;
    }
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Failing)
    );
    assert!(
        !scene.engine.reads.contains_key(&value(&arn("b0"))),
        "nobody asks for a proof"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_goes_after_two_direct_answers_ten_minutes_apart() {
    let mut scene = Scene::new(1, OnMissing::Drop).await;
    scene.is_gone(&value("b0"));
    scene.is_gone(&value(&arn("b0")));
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Failing)
    );
    assert!(
        scene
            .trouble(0)
            .contains("it is left out once two direct reads"),
        "{}",
        scene.trouble(0)
    );
    scene.later(INTERVAL).await;
    scene.later(INTERVAL).await;
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (A_ALONE, Condition::Fresh)
    );
    // Back again, and gone again: everything begins anew.
    scene.says(&value("b0"), Ok(Told::Value("3", 2)));
    scene.later(INTERVAL).await;
    assert_eq!(scene.file(0), BOTH.replace('2', "3"));
    assert!(
        !scene.engine.reads.contains_key(&value(&arn("b0"))),
        "the proof is given up"
    );
    scene.is_gone(&value("b0"));
    scene.later(INTERVAL).await;
    assert_eq!(scene.file(0), BOTH.replace('2', "3"));
}

#[tokio::test(start_paused = true)]
async fn another_answer_in_between_begins_the_proof_anew() {
    for between in [
        Err(Reason::AccessDenied),
        Err(Reason::Throttled),
        Ok(Told::Value("2", 1)),
    ] {
        let mut scene = Scene::new(1, OnMissing::Drop).await;
        scene.is_gone(&value("b0"));
        scene.is_gone(&value(&arn("b0")));
        scene.later(INTERVAL).await;
        scene.later(INTERVAL).await;
        scene.says(&value(&arn("b0")), between);
        scene.later(INTERVAL).await;
        scene.is_gone(&value(&arn("b0")));
        scene.later(INTERVAL).await;
        scene.later(INTERVAL).await;
        assert_eq!(scene.file(0), BOTH);
        scene.later(INTERVAL).await;
        assert_eq!(scene.file(0), A_ALONE);
    }
}

/// As every match of a `find`, which is read by its ARN.
#[tokio::test(start_paused = true)]
async fn another_answer_of_an_arn_begins_its_own_proof_anew() {
    let mut scene = Scene::finding(OnMissing::Drop).await;
    let y = value(&arn("y"));
    scene.later(INTERVAL).await;
    scene.is_gone(&y);
    scene.later(INTERVAL).await;
    scene.later(INTERVAL).await;
    scene.says(&y, Err(Reason::AccessDenied));
    scene.later(INTERVAL).await;
    scene.is_gone(&y);
    scene.later(INTERVAL).await;
    scene.later(INTERVAL).await;
    assert_eq!(scene.file(0), FOUND);
    scene.later(INTERVAL).await;
    assert_eq!(scene.file(0), "{\"x\":\"x\"}\n");
}

/// Else a kept value would be replaced by that of a stale replica.
#[tokio::test(start_paused = true)]
async fn what_is_gone_keeps_its_place_among_versions() {
    let mut scene = Scene::new(1, OnMissing::KeepLast).await;
    scene.is_gone(&value("b0"));
    scene.later(INTERVAL).await;
    assert!(scene.entry(0).delivered.contains_key(&value("b0")));
    assert_eq!(scene.entry(0).undelivered, None);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_told_to_another_account_proves_nothing() {
    let mut scene = Scene::new(1, OnMissing::Drop).await;
    scene.witness = false;
    scene.is_gone(&value("b0"));
    scene.is_gone(&value(&arn("b0")));
    for _ in 0..5 {
        scene.later(INTERVAL).await;
    }
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Failing)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_has_its_last_value_beside_what_is_new() {
    let mut scene = Scene::new(1, OnMissing::KeepLast).await;
    scene.is_gone(&value("b0"));
    scene.is_gone(&value(&arn("b0")));
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Partial)
    );
    assert!(
        scene.trouble(0).contains("its last value, that is kept"),
        "{}",
        scene.trouble(0)
    );
    scene.says(&value("a"), Ok(Told::Value("9", 2)));
    for _ in 0..4 {
        scene.later(INTERVAL).await;
    }
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        ("{\"a\":\"9\",\"b\":\"2\"}\n", Condition::Partial)
    );
    scene.says(&value("b0"), Ok(Told::Value("4", 2)));
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        ("{\"a\":\"9\",\"b\":\"4\"}\n", Condition::Fresh)
    );
}

#[tokio::test(start_paused = true)]
async fn a_value_that_somebody_else_wrote_is_not_kept() {
    let mut scene = Scene::new(1, OnMissing::KeepLast).await;
    std::fs::write(scene.dir.join("e0"), "{\"a\":\"1\",\"b\":\"theirs\"}\n").unwrap();
    scene.is_gone(&value("b0"));
    scene.later(INTERVAL).await;
    assert_eq!(scene.file(0), "{\"a\":\"1\",\"b\":\"theirs\"}\n");
    assert_eq!(scene.state(0), Condition::Failing);
    assert!(
        scene.trouble(0).contains("cannot be told"),
        "{}",
        scene.trouble(0)
    );
}

#[tokio::test(start_paused = true)]
async fn more_than_three_removals_in_an_hour_are_held() {
    let mut scene = Scene::new(6, OnMissing::Drop).await;
    for n in 0..6 {
        scene.is_gone(&value(&format!("b{n}")));
        scene.is_gone(&value(&arn(&format!("b{n}"))));
    }
    for _ in 0..20 {
        scene.later(INTERVAL).await;
    }
    let dropped = (0..6).filter(|n| scene.file(*n) == A_ALONE).count();
    assert_eq!(dropped, 3);
    let held = (0..6).filter(|n| scene.file(*n) == BOTH);
    for n in held.collect::<Vec<_>>() {
        assert_eq!(scene.state(n), Condition::Failing);
        assert!(
            scene.trouble(n).contains("it is held"),
            "{}",
            scene.trouble(n)
        );
        scene.says(&value(&format!("b{n}")), Ok(Told::Value("2", 2)));
        scene.later(INTERVAL).await;
        assert_eq!(
            (scene.file(n).as_str(), scene.state(n)),
            (BOTH, Condition::Fresh)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_never_was_is_left_out_at_once_and_taken_up_when_it_comes() {
    let mut scene = Scene::with(&["e0".to_owned()], |_, entry| {
        entry.reads = vec![value("a"), value("b0")];
        entry.items = vec![item("a", 0, OnMissing::Fail), item("b", 1, OnMissing::Drop)];
    });
    scene.says(&value("a"), Ok(Told::Value("1", 1)));
    scene.is_gone(&value("b0"));
    scene.first_pass().await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (A_ALONE, Condition::Fresh)
    );
    scene.says(&value("b0"), Ok(Told::Value("2", 1)));
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Fresh)
    );
}

/// As after a restart that lost all memory of what was read.
#[tokio::test(start_paused = true)]
async fn what_a_target_holds_is_never_taken_for_what_never_was() {
    let mut scene = Scene::with(&["e0".to_owned()], |_, entry| {
        entry.reads = vec![value("a"), value("b0")];
        entry.items = vec![item("a", 0, OnMissing::Fail), item("b", 1, OnMissing::Drop)];
    });
    std::fs::write(scene.dir.join("e0"), BOTH).unwrap();
    scene.says(&value("a"), Ok(Told::Value("1", 1)));
    scene.is_gone(&value("b0"));
    scene.first_pass().await;
    for _ in 0..5 {
        scene.later(INTERVAL).await;
    }
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Failing)
    );
}

/// As after a restart: nothing tells whether the value is in what a template made.
#[tokio::test(start_paused = true)]
async fn what_a_template_made_may_hold_anything() {
    let mut scene = Scene::with(&["e0".to_owned()], |_, entry| {
        entry.reads = vec![value("a"), value("b0")];
        entry.items = vec![item("a", 0, OnMissing::Fail), item("b", 1, OnMissing::Drop)];
        let template = Template::new("x", "{{ a }}{{ b | default('') }}").unwrap();
        let templates = Templates {
            data: [(SecretKey::new("x").unwrap(), template)].into(),
            ..Templates::default()
        };
        entry.templates = Some(templates.into());
    });
    std::fs::write(scene.dir.join("e0"), "{\"x\":\"12\"}\n").unwrap();
    scene.says(&value("a"), Ok(Told::Value("1", 1)));
    scene.is_gone(&value("b0"));
    scene.first_pass().await;
    scene.later(INTERVAL).await;
    assert_eq!(scene.file(0), "{\"x\":\"12\"}\n");
    assert!(
        scene
            .trouble(0)
            .contains("as far as is known it was never read"),
        "{}",
        scene.trouble(0)
    );
}

const FOUND: &str = "{\"x\":\"x\",\"y\":\"y\"}\n";

#[tokio::test(start_paused = true)]
async fn what_a_find_lost_is_left_out_once_its_arn_says_it_is_gone() {
    let mut scene = Scene::finding(OnMissing::Drop).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (FOUND, Condition::Fresh)
    );
    scene.says(&find(), Ok(Told::Listed(vec!["x"])));
    for _ in 0..5 {
        scene.later(INTERVAL).await;
    }
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (FOUND, Condition::Failing)
    );
    assert!(
        scene.trouble(0).contains("no longer lists `y`"),
        "{}",
        scene.trouble(0)
    );
    scene.says(&tags("y"), Err(Reason::PendingDeletion));
    for _ in 0..2 {
        scene.later(INTERVAL).await;
        assert_eq!(scene.file(0), FOUND);
    }
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        ("{\"x\":\"x\"}\n", Condition::Fresh)
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_find_lost_is_left_out_once_its_tags_no_longer_match() {
    let mut scene = Scene::finding(OnMissing::Drop).await;
    scene.says(&find(), Ok(Told::Listed(vec!["x"])));
    scene.says(&tags("y"), Ok(Told::Value(r#"{"team":"other"}"#, 2)));
    for _ in 0..3 {
        scene.later(INTERVAL).await;
        assert_eq!(scene.file(0), FOUND);
    }
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        ("{\"x\":\"x\"}\n", Condition::Fresh)
    );
}

#[tokio::test(start_paused = true)]
async fn of_what_a_find_lost_the_last_value_is_kept() {
    let mut scene = Scene::finding(OnMissing::KeepLast).await;
    scene.says(&find(), Ok(Told::Listed(vec!["x"])));
    scene.later(INTERVAL).await;
    assert_eq!(
        scene.state(0),
        Condition::Failing,
        "a list alone is no proof"
    );
    scene.is_gone(&tags("y"));
    scene.says(&value(&arn("x")), Ok(Told::Value("new", 2)));
    scene.later(INTERVAL).await;
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        ("{\"x\":\"new\",\"y\":\"y\"}\n", Condition::Partial)
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_spins_while_something_is_missing() {
    let mut scene = Scene::new(1, OnMissing::Drop).await;
    scene.is_gone(&value("b0"));
    scene.is_gone(&value(&arn("b0")));
    scene.later(INTERVAL).await;
    let now = Instant::now();
    let entry = scene.entry(0);
    assert!(entry.timer(now).is_none_or(|timer| timer > now));
}

/// A key of its own secret, where there is one, else of the other.
fn overridden(_: &str, entry: &mut Entry) {
    entry.reads = vec![value("a"), value("b0")];
    entry.items = vec![item("a", 0, OnMissing::Fail), item("a", 1, OnMissing::Drop)];
}

/// Bug: the target held the key, so what gives it besides counted as gone.
#[tokio::test(start_paused = true)]
async fn what_another_source_gives_besides_is_not_missed() {
    let mut scene = Scene::with(&["e0".to_owned()], overridden);
    scene.says(&value("a"), Ok(Told::Value("1", 1)));
    scene.is_gone(&value("b0"));
    scene.first_pass().await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (A_ALONE, Condition::Fresh),
        "{}",
        scene.trouble(0)
    );
    scene.says(&value("a"), Ok(Told::Value("new", 2)));
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        ("{\"a\":\"new\"}\n", Condition::Fresh),
        "{}",
        scene.trouble(0)
    );
}

/// As after a restart that lost all memory of what was read.
#[tokio::test(start_paused = true)]
async fn what_may_come_from_what_is_not_there_is_not_replaced_by_another_source() {
    let mut scene = Scene::with(&["e0".to_owned()], overridden);
    let delivered = "{\"a\":\"overridden\"}\n";
    std::fs::write(scene.dir.join("e0"), delivered).unwrap();
    scene.says(&value("a"), Ok(Told::Value("1", 1)));
    scene.is_gone(&value("b0"));
    scene.first_pass().await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (delivered, Condition::Failing)
    );
    assert!(
        scene.trouble(0).contains("it was never read"),
        "{}",
        scene.trouble(0)
    );
}

/// Bug: a run ended at a read of which nobody knew that it failed, and another one began at once.
#[tokio::test(start_paused = true)]
async fn what_a_find_requires_again_fails_with_it() {
    let mut scene = Scene::with(&["e0".to_owned()], |_, entry| {
        entry.reads = vec![find(), value(&arn("x"))];
        let found = Item::Found {
            shape: Shape::default(),
            on_missing: OnMissing::Fail,
            read: 0,
        };
        entry.items = vec![found, item("own", 1, OnMissing::KeepLast)];
    });
    scene.says(&find(), Ok(Told::Listed(vec!["y"])));
    scene.says(&value(&arn("x")), Ok(Told::Value("x", 1)));
    scene.says(&value(&arn("y")), Ok(Told::Value("y", 1)));
    scene.first_pass().await;
    assert_eq!(scene.state(0), Condition::Fresh);
    scene.is_gone(&value(&arn("x")));
    scene.later(INTERVAL).await;
    assert_eq!(scene.state(0), Condition::Partial);
    scene.says(&find(), Ok(Told::Listed(vec!["x", "y"])));
    let find = find();
    scene.engine.call_ended(&find, scene.result(&find));
    scene.settle().await;
    assert_eq!(scene.state(0), Condition::Failing);
    assert!(scene.entry(0).failing_reads.contains_key(&value(&arn("x"))));
}

/// Bug: it was read on for ever, and what the brake held of it stayed held.
#[tokio::test(start_paused = true)]
async fn what_vanishes_from_a_list_while_in_question_is_read_no_more() {
    let mut scene = Scene::finding(OnMissing::Drop).await;
    scene.later(INTERVAL).await;
    scene.is_gone(&value(&arn("y")));
    scene.later(INTERVAL).await;
    assert!(scene.entry(0).is_in_question(&value(&arn("y"))));
    scene.says(&find(), Ok(Told::Listed(vec!["x"])));
    scene.is_gone(&tags("y"));
    scene.later(INTERVAL).await;
    assert!(!scene.entry(0).is_in_question(&value(&arn("y"))));
    assert!(!scene.engine.reads.contains_key(&value(&arn("y"))));
    for _ in 0..3 {
        scene.later(INTERVAL).await;
    }
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        ("{\"x\":\"x\"}\n", Condition::Fresh)
    );
}

/// Bug: a changed `find` was another question, and what its first list lacked went without proof.
#[tokio::test(start_paused = true)]
async fn what_a_changed_find_still_asks_for_is_missed_when_it_is_not_listed() {
    let mut scene = Scene::finding(OnMissing::Fail).await;
    assert_eq!(scene.file(0), FOUND);
    let changed = |path: &str| {
        read_of_source(Source::Find(Box::new(Find {
            path: Some(path.to_owned()),
            tags: [("team".to_owned(), "pay".to_owned())].into(),
            ..Find::default()
        })))
    };
    for (path, lost, content) in [
        ("y", true, FOUND),
        // What it no longer asks for goes: that is a change.
        ("x", false, "{\"x\":\"x\"}\n"),
    ] {
        let find = changed(path);
        scene.says(&find, Ok(Told::Listed(vec!["x"])));
        let name = EntryName::new("e0").unwrap();
        let target = &scene.engine.entries[&name].entry;
        let mut entry = json_entry("e0", &scene.dir, &scene.engine.state);
        entry.items = vec![Item::Found {
            shape: Shape::default(),
            on_missing: OnMissing::Fail,
            read: 0,
        }];
        assert_eq!(target.name, entry.name);
        entry.reads = vec![find];
        entry.configuration = crate::secret::Fingerprint::from_bytes([path.as_bytes()[0]; 32]);
        let stores = scene.engine.stores.iter().map(|(name, slot)| {
            let supplied = Supplied {
                store: None,
                identity: slot.identity,
            };
            (name.clone(), supplied)
        });
        let supply = Supply {
            stores: stores.collect(),
            entries: vec![entry],
            clusters: BTreeMap::new(),
            prune: None,
        };
        let renewed = scene.engine.renew(supply);
        assert_eq!(renewed.changed, 1);
        scene.settle().await;
        scene.round().await;
        assert_eq!(scene.file(0), content, "{path}: {}", scene.trouble(0));
        let missed = scene.trouble(0).contains("no longer lists `y`");
        assert_eq!(missed, lost, "{path}: {}", scene.trouble(0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_proves_that_something_is_gone_outlives_a_restart() {
    let mut scene = Scene::new(1, OnMissing::Drop).await;
    scene.later(INTERVAL).await;
    scene.is_gone(&value("b0"));
    scene.is_gone(&value(&arn("b0")));
    // First its name, then its ARN.
    scene.later(INTERVAL).await;
    scene.later(INTERVAL).await;
    let mut scene = scene.again(OnMissing::Drop).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (BOTH, Condition::Failing)
    );
    // The first answer came ten minutes before this one, in the earlier life.
    scene.later(INTERVAL).await;
    assert_eq!(scene.file(0), BOTH);
    scene.later(INTERVAL).await;
    assert_eq!(
        (scene.file(0).as_str(), scene.state(0)),
        (A_ALONE, Condition::Fresh),
        "{}",
        scene.trouble(0)
    );
}

/// Bug: a hold was forgotten with the proof, and by a restart.
#[tokio::test(start_paused = true)]
async fn what_is_held_stays_held_over_a_lost_proof_and_a_restart() {
    let mut scene = Scene::new(5, OnMissing::Drop).await;
    scene.later(INTERVAL).await;
    let gone = |scene: &mut Scene| {
        for n in 0..5 {
            scene.is_gone(&value(&format!("b{n}")));
            scene.is_gone(&value(&arn(&format!("b{n}"))));
        }
    };
    gone(&mut scene);
    for _ in 0..4 {
        scene.later(INTERVAL).await;
    }
    let dropped = |scene: &Scene| (0..5).filter(|n| scene.file(*n) == A_ALONE).count();
    assert_eq!(dropped(&scene), 3);
    // The proof has to begin anew.
    for n in 0..5 {
        scene.says(&value(&format!("b{n}")), Err(Reason::Timeout));
        scene.says(&value(&arn(&format!("b{n}"))), Err(Reason::Timeout));
    }
    scene.later(INTERVAL).await;
    gone(&mut scene);
    let mut scene = scene.again(OnMissing::Drop).await;
    for _ in 0..20 {
        scene.later(INTERVAL).await;
    }
    assert_eq!(dropped(&scene), 3, "an hour later, too");
    // Once everything was back, a later removal asks anew.
    for n in 0..5 {
        scene.says(&value(&format!("b{n}")), Ok(Told::Value("2", 9)));
        scene.says(&value(&arn(&format!("b{n}"))), Ok(Told::Value("2", 9)));
    }
    scene.later(INTERVAL).await;
    scene.later(INTERVAL).await;
    assert_eq!((0..5).filter(|n| scene.file(*n) == BOTH).count(), 5);
    gone(&mut scene);
    for _ in 0..4 {
        scene.later(INTERVAL).await;
    }
    assert_eq!(dropped(&scene), 3);
}

/// Bug: what waited in a line of a store that was gone waited for ever, and the line came due for ever.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_store_that_goes_is_sent_away() {
    let mut scene = Scene::new(1, OnMissing::Fail).await;
    let (answer, waits) = tokio::sync::oneshot::channel();
    scene.engine.call(
        &value("a"),
        Some(answer),
        crate::schedule::line::Urgency::Now,
    );
    assert!(!scene.engine.lines.is_empty());
    let nothing = Supply {
        stores: BTreeMap::new(),
        entries: Vec::new(),
        clusters: BTreeMap::new(),
        prune: None,
    };
    assert_eq!(scene.engine.renew(nothing).removed, 1);
    assert!(waits.await.is_err(), "nobody answers");
    assert!(scene.engine.lines.is_empty() && scene.engine.reads.is_empty());
    assert_eq!(scene.engine.schedule.next(), None);
}

/// Bug: where the grid began in the future, by a clock that was set back since, what failed was never asked again.
#[tokio::test(start_paused = true)]
async fn what_failed_is_asked_again_after_a_restart_whatever_the_clock_did() {
    let mut scene = Scene::new(1, OnMissing::Fail).await;
    scene.says(&value("b0"), Err(Reason::AccessDenied));
    scene.later(INTERVAL).await;
    scene.keep().await;
    let grid = crate::clock::now() + Duration::from_hours(24);
    let grid = crate::state::Remember::Meta("grid", serde_json::to_vec(&grid).unwrap());
    scene.engine.state.remember(vec![grid]).unwrap();
    let scene = scene.again(OnMissing::Fail).await;
    assert_eq!(scene.state(0), Condition::Failing);
    let due = scene
        .engine
        .schedule
        .at(&super::super::Due::Read(value("b0")));
    let latest = Instant::now() + INTERVAL;
    assert!(due.is_some_and(|due| due <= latest), "{due:?}");
}

mod files;
mod removals;
