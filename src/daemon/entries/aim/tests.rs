use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::assemble::json_format::JsonFormat;
use crate::config::{self, RefreshPolicy};
use crate::daemon::entries::{Recalled, Rest};
use crate::daemon::territory::tests::target;
use crate::daemon::times::Now;
use crate::failure::{Failure, Reason};
use crate::kube::Client;
use crate::names::{ClusterName, EntryName, Instance, ObjectName, StoreName};
use crate::schedule::rhythm::Rhythm;
use crate::secret::Fingerprint;
use crate::selector::Selector;
use crate::state::State;
use crate::store::Identity;
use crate::sync::Said;

const INTERVAL: Duration = Duration::from_mins(1);

/// Makes entries whose targets are namespaces of one cluster.
pub(in crate::daemon) struct Maker {
    _dir: TempDir,
    state: Arc<State>,
    client: Arc<Client>,
}

impl Maker {
    pub(in crate::daemon) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(dir.path()).unwrap());
        let access = config::ClusterAccess::Kubeconfig {
            path: "/nowhere".into(),
            context: None,
            tls: config::Tls::Verified,
        };
        let cluster = config::Cluster::of(access);
        let name = ClusterName::new("main").unwrap();
        let client = Arc::new(Client::new(
            name,
            cluster,
            Reporter::new(|_| {}),
            crate::kube::Tenure::always(),
        ));
        Self {
            _dir: dir,
            state,
            client,
        }
    }

    fn target(&self, namespace: &str, more: impl FnOnce(&mut config::KubernetesTarget)) -> Target {
        let mut spec = target("main", namespace);
        more(&mut spec);
        let (name, instance) = (EntryName::new("e").unwrap(), Instance::new("i").unwrap());
        Target::kubernetes(spec, &name, &instance, &self.client, &self.state)
    }

    pub(in crate::daemon) fn entry(&self, namespaces: &[&str], standing: Standing) -> Entry {
        let targets = namespaces.iter().map(|it| self.target(it, |_| {}));
        Entry {
            name: EntryName::new("e").unwrap(),
            configuration: Fingerprint::from_bytes([1; 32]),
            refresh_policy: RefreshPolicy::Periodic,
            suspended: false,
            store: StoreName::new("s").unwrap(),
            refresh_interval: INTERVAL,
            max_stale: INTERVAL,
            reads: Vec::new(),
            items: Vec::new(),
            json_format: JsonFormat::Raw,
            templates: None,
            targets: targets.collect(),
            selected: vec![Selected {
                cluster: ClusterName::new("main").unwrap(),
                selector: Selector::parse("team=x").unwrap(),
                name: ObjectName::new("db").unwrap(),
                standing,
            }],
        }
    }

    fn found(&self, namespaces: &[&str]) -> Entry {
        self.entry(namespaces, Standing::Found(namespaces.len()))
    }
}

fn state_of(entry: Entry) -> EntryState {
    let now = Instant::now();
    EntryState::new(Arc::new(entry), Rhythm::new(INTERVAL, now, 0), now)
}

/// As after a run that delivered everywhere.
fn delivered(state: &mut EntryState) {
    (state.tried, state.unfinished) = (true, false);
    state.targets.iter_mut().for_each(TargetState::succeed);
}

fn read() -> Read {
    Read::new(
        StoreName::new("s").unwrap(),
        config::Source::Value {
            key: crate::names::RemoteKey::new("k").unwrap(),
            version: config::Version::Current,
        },
    )
}

fn heard(version: &str) -> few::Map<Read, Heard> {
    let identity = Identity::Version {
        arn: "arn".into(),
        version_id: version.into(),
    };
    let said = Said::Version(identity);
    let proofs = crate::sync::Proofs::new();
    [(read(), Heard::new(said, proofs))].into()
}

#[tokio::test(start_paused = true)]
async fn targets_that_stay_keep_their_state_wherever_they_stand() {
    let make = Maker::new();
    let mut state = state_of(make.found(&["b", "c", "d"]));
    delivered(&mut state);
    let failure = Failure::new(Reason::TargetDenied, "x");
    state.targets[1].fail(failure, INTERVAL, Instant::now());
    state.targets[2].shown = Condition::Fresh;
    let aimed = state.aim(make.found(&["a", "b", "c"]), Instant::now());
    assert_eq!(
        (aimed.joined, aimed.left),
        (vec![0], vec![(2, Condition::Fresh)])
    );
    assert_eq!(state.new_targets(), [0]);
    let troubled: Vec<bool> = state
        .targets
        .iter()
        .map(|it| it.trouble.is_some())
        .collect();
    assert_eq!(troubled, [false, false, true]);
    let tried: Vec<bool> = state.targets.iter().map(|it| it.tried).collect();
    assert_eq!(tried, [false, true, true]);
    assert!(!state.reaches_all());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_written_in_another_way_is_tried_again() {
    let make = Maker::new();
    let mut state = state_of(make.found(&["a", "b"]));
    delivered(&mut state);
    let mut other = make.found(&["a", "b"]);
    other.targets[1] = make.target("b", |spec| spec.adopt = true);
    assert!(!state.aims_at(&other));
    let aimed = state.aim(other, Instant::now());
    assert!(aimed.joined.is_empty() && aimed.left.is_empty());
    assert_eq!(state.new_targets(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_what_is_known_until_namespaces_are_listed() {
    let (make, now) = (Maker::new(), Now::read());
    let mut before = state_of(make.found(&["a", "b", "gone"]));
    delivered(&mut before);
    before.attempt(heard("1"));
    let bytes = before.to_raw(&now).to_bytes();
    let recalled = || {
        let mut state = state_of(make.entry(&[], Standing::Unknown));
        assert_eq!(state.recall(&bytes, &now), Recalled::AsItWas);
        assert!(state.targets.is_empty() && state.remembered.len() == 3);
        assert_eq!(state.rest(), None, "its reads go on");
        state
    };
    let mut state = recalled();
    let aimed = state.aim(make.found(&["a", "b", "new"]), Instant::now());
    assert_eq!(aimed.joined, [0, 1, 2]);
    assert_eq!(state.new_targets(), [2]);
    assert!(state.remembered.is_empty());
    // Kept once more before it was listed, nothing is lost.
    let again = recalled().to_raw(&now).to_bytes();
    assert_eq!(again, bytes);
    // What a run delivered elsewhere meanwhile, these do not hold.
    let mut state = recalled();
    state.attempt(heard("1"));
    let _ = state.aim(make.found(&["a"]), Instant::now());
    assert_eq!(state.new_targets(), [0_usize; 0]);
    let mut state = recalled();
    state.attempt(heard("2"));
    let _ = state.aim(make.found(&["a"]), Instant::now());
    assert_eq!(state.new_targets(), [0]);
}

#[tokio::test(start_paused = true)]
async fn under_another_configuration_a_restart_tries_what_is_found_anew() {
    let (make, now) = (Maker::new(), Now::read());
    let mut before = state_of(make.found(&["a"]));
    delivered(&mut before);
    let bytes = before.to_raw(&now).to_bytes();
    let mut changed = make.entry(&[], Standing::Unknown);
    changed.configuration = Fingerprint::from_bytes([2; 32]);
    let mut state = state_of(changed);
    assert_eq!(state.recall(&bytes, &now), Recalled::Changed);
    assert!(!state.tried && state.remembered.values().all(|it| !it.tried));
    assert_eq!(state.remembered.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_a_namespace_rests_and_is_not_stale_when_one_comes() {
    let make = Maker::new();
    let mut state = state_of(make.found(&[]));
    assert_eq!(state.rest(), Some(Rest::Nowhere));
    assert!(state.wanted().is_empty() && !state.reaches_all());
    tokio::time::advance(INTERVAL * 10).await;
    let _ = state.aim(make.found(&["a"]), Instant::now());
    assert_eq!(state.rest(), None);
    assert_eq!(
        state.target_condition(0, Instant::now()),
        Condition::Pending
    );
}

#[tokio::test(start_paused = true)]
async fn where_namespaces_cannot_be_followed_no_success_is_told() {
    let make = Maker::new();
    let failure = Failure::new(Reason::TargetDenied, "x");
    let failing = Standing::Failing {
        failure: failure.clone(),
        known: true,
    };
    let mut state = state_of(make.entry(&["a"], failing));
    delivered(&mut state);
    assert!(!state.reaches_all());
    assert_eq!(state.shown_failure(), Some(&failure));
    assert_eq!(
        state.tell_selected(&Reporter::new(|_| {})),
        Some(Condition::Failing)
    );
    let _ = state.aim(make.found(&["a"]), Instant::now());
    assert!(state.reaches_all());
    assert_eq!(state.tell_selected(&Reporter::new(|_| {})), None);
}
