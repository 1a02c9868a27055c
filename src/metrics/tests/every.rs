//! Everything happens once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Family, Names, TABLES, families, loaded, metrics};
use crate::clock;
use crate::decide::Drift;
use crate::failure::Reason;
use crate::report::{
    ActionKind, ActionResult, ClusterVerb, Condition, Fact, Login, Outcome, RequestCode, Stage,
    StoreOperation, TargetKind, WriteResult,
};

const TOOK: Duration = Duration::from_millis(7);

/// One of each. `index` keeps it whole: who adds a fact is told there.
fn everything(names: &Names) -> Vec<Fact<'_>> {
    let (entry, store, cluster) = (&names.entry, &names.store, &names.cluster);
    let [mut facts, entries] = [requests(names), of_entry(names)];
    facts.extend(entries);
    let (target, at) = (TargetKind::File, clock::now());
    facts.extend([
        Fact::StorePaused {
            store,
            reason: Some(Reason::Network),
        },
        Fact::ClusterPaused {
            cluster,
            reason: Some(Reason::Timeout),
        },
        Fact::TargetWritten {
            target,
            result: WriteResult::Refused,
        },
        Fact::DriftRepaired {
            target,
            drift: Drift::ALL[0],
        },
        Fact::Action {
            kind: ActionKind::Signal,
            result: ActionResult::Failed,
            took: TOOK,
        },
        Fact::ActionsPending {
            kind: ActionKind::Signal,
            count: 1,
            oldest: Some(at),
        },
        Fact::Reloaded {
            successful: true,
            at,
        },
        Fact::CredentialsEnd {
            of: Login::Store(store),
            at: Some(at),
        },
        Fact::CredentialsEnd {
            of: Login::Cluster(cluster),
            at: Some(at),
        },
        Fact::DeletionsHeld(1),
        Fact::TargetsOrphaned(1),
        Fact::Leads(true),
        Fact::Lag(TOOK),
        Fact::Progress { at },
        Fact::EntryGone { entry },
    ]);
    facts
}

fn requests(names: &Names) -> Vec<Fact<'_>> {
    let (store, cluster) = (&names.store, &names.cluster);
    vec![
        Fact::StoreRequest {
            store,
            operation: StoreOperation::GetSecretValue,
            code: RequestCode::Status(200),
            took: TOOK,
        },
        Fact::ClusterRequest {
            cluster,
            verb: ClusterVerb::Apply,
            code: RequestCode::Network,
            took: TOOK,
        },
    ]
}

fn of_entry(names: &Names) -> Vec<Fact<'_>> {
    let (entry, store, at) = (&names.entry, &names.store, clock::now());
    let (target, now) = (TargetKind::Kubernetes, Some(Condition::Fresh));
    vec![
        Fact::Run {
            store,
            outcome: Outcome::Changed,
            took: Some(TOOK),
        },
        Fact::Stage {
            stage: Stage::Fetch,
            took: TOOK,
        },
        Fact::Failed {
            store,
            stage: Stage::Fetch,
            reason: Reason::Kms,
        },
        Fact::Propagated {
            store,
            target,
            took: TOOK,
        },
        Fact::EntryCondition {
            entry,
            store,
            was: None,
            now,
        },
        Fact::TargetCondition {
            target,
            cluster: Some(&names.cluster),
            was: None,
            now,
        },
        Fact::Success { entry, at },
        Fact::NextSync {
            entry,
            at: Some(at),
        },
        Fact::Undelivered {
            entry,
            created: Some(at),
        },
    ]
}

fn index(fact: &Fact<'_>) -> usize {
    match fact {
        Fact::StoreRequest { .. } => 0,
        Fact::StorePaused { .. } => 1,
        Fact::ClusterPaused { .. } => 2,
        Fact::ClusterRequest { .. } => 3,
        Fact::Run { .. } => 4,
        Fact::Stage { .. } => 5,
        Fact::Failed { .. } => 6,
        Fact::Propagated { .. } => 7,
        Fact::TargetWritten { .. } => 8,
        Fact::DriftRepaired { .. } => 9,
        Fact::Action { .. } => 10,
        Fact::ActionsPending { .. } => 11,
        Fact::EntryCondition { .. } => 12,
        Fact::TargetCondition { .. } => 13,
        Fact::Success { .. } => 14,
        Fact::NextSync { .. } => 15,
        Fact::EntryGone { .. } => 16,
        Fact::Undelivered { .. } => 17,
        Fact::Reloaded { .. } => 18,
        Fact::DeletionsHeld(_) => 19,
        Fact::TargetsOrphaned(_) => 20,
        Fact::CredentialsEnd { .. } => 21,
        Fact::Leads(_) => 22,
        Fact::Lag(_) => 23,
        Fact::Progress { .. } => 24,
    }
}

/// The page when everything has happened and no entry has gone yet.
fn full_page(per_secret: bool) -> String {
    let (metrics, names) = (metrics(per_secret), Names::new());
    let reporter = metrics.reporter();
    for fact in everything(&names) {
        if !matches!(fact, Fact::EntryGone { .. }) {
            reporter.record(&fact);
        }
    }
    metrics.text().unwrap()
}

/// The table of the README's last section on metrics.
fn documented() -> BTreeMap<String, Family> {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("\n## Every metric\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let families = rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, says] = cells[..] else {
            panic!("four cells: {row}");
        };
        assert!(says.len() > 10, "{row}");
        let prefix = if name.contains("`process_") {
            ""
        } else {
            "secretsyncd_"
        };
        let labels = labels.split('`').skip(1).step_by(2);
        let family = Family {
            kind: kind.to_owned(),
            labels: labels.map(str::to_owned).collect(),
        };
        (format!("{prefix}{}", name.trim_matches('`')), family)
    });
    families.collect()
}

#[test]
fn every_fact_is_among_everything() {
    let names = Names::new();
    let told: BTreeSet<usize> = everything(&names).iter().map(index).collect();
    assert_eq!(told, (0..=24).collect());
}

#[test]
fn the_readme_lists_every_family_with_its_type_and_labels_and_no_other() {
    let (found, documented) = (families(&full_page(true)), documented());
    for (name, family) in &found {
        assert_eq!(documented.get(name), Some(family), "{name}");
    }
    let names = |of: &BTreeMap<String, Family>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&documented), names(&found));
    let without = families(&full_page(false));
    let of_secrets: Vec<_> = found
        .iter()
        .filter(|(name, family)| family.labels.contains("secret") || !without.contains_key(*name))
        .collect();
    assert_eq!(of_secrets.len(), 4);
    assert!(
        of_secrets
            .iter()
            .all(|(name, _)| !without.contains_key(*name))
    );
}

/// Whatever is a time is either a time of this century or not there.
#[test]
fn what_never_happened_has_no_time() {
    let page = metrics(true).text().unwrap();
    let times = page
        .lines()
        .filter(|line| line.contains("timestamp_seconds"));
    let times: Vec<_> = times.filter(|line| !line.starts_with('#')).collect();
    assert!(
        matches!(times[..], [loaded] if loaded.starts_with("secretsyncd_config_last_reload_success_timestamp_seconds 1")),
        "{times:?}"
    );
    assert!(!page.contains("secret="), "no entry was told of");
}

#[test]
fn an_end_that_is_not_known_any_more_is_not_there_any_more() {
    let (metrics, names) = (metrics(true), Names::new());
    let reporter = metrics.reporter();
    let family = "secretsyncd_credentials_expire_timestamp_seconds";
    for at in [Some(clock::now()), None] {
        let of = Login::Store(&names.store);
        reporter.record(&Fact::CredentialsEnd { of, at });
        assert_eq!(metrics.text().unwrap().contains(family), at.is_some());
    }
}

/// The series that exist before anything happened are all that there are later, but for codes, times and entries.
#[test]
fn closed_labels_are_there_from_the_start() {
    let names = |page: &str| -> BTreeSet<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
        series
            .filter(|it| !it.contains("code=") && !it.contains("timestamp_seconds"))
            .filter(|it| !it.contains("secret="))
            .collect()
    };
    let start = names(&metrics(true).text().unwrap());
    let later = names(&full_page(true));
    let new: Vec<_> = later.difference(&start).collect();
    assert!(new.is_empty(), "{new:?}");
}

#[test]
fn of_what_is_gone_no_series_stays() {
    let (metrics, names) = (metrics(true), Names::new());
    let reporter = metrics.reporter();
    for fact in everything(&names) {
        reporter.record(&fact);
    }
    reporter.record(&Fact::EntryCondition {
        entry: &names.entry,
        store: &names.store,
        was: Some(Condition::Fresh),
        now: None,
    });
    for of in [Login::Store(&names.store), Login::Cluster(&names.cluster)] {
        reporter.record(&Fact::CredentialsEnd { of, at: None });
    }
    let smaller = TABLES.replace("stores.prod.aws", "stores.other.aws");
    let smaller = smaller.replace("store = \"prod\"", "store = \"other\"");
    let smaller = smaller.replace("clusters.main", "clusters.next");
    let smaller = smaller.replace("cluster = \"main\"", "cluster = \"next\"");
    let smaller = loaded(&smaller);
    metrics.begin(&smaller);
    metrics.forget_others(&smaller);
    let page = metrics.text().unwrap();
    for gone in ["\"prod\"", "\"main\"", "\"app\""] {
        let left: Vec<_> = page.lines().filter(|line| line.contains(gone)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    for stays in ["\"params\"", "\"edge\"", "\"other\"", "\"next\""] {
        assert!(page.contains(stays), "{stays}");
    }
}

/// So that neither a write of 5 ms nor an hour's propagation is taken for twice or half as much.
#[test]
fn buckets_tell_five_milliseconds_and_an_hour_from_half_and_double() {
    let page = full_page(true);
    for family in ["propagation", "sync_duration", "sync_stage_duration"] {
        let name = format!("secretsyncd_{family}_seconds_bucket");
        let lines = page.lines().filter(|line| line.starts_with(&name));
        let bound = |line: &str| {
            let (_, rest) = line.split_once("le=\"")?;
            rest.split_once('"')?.0.parse::<f64>().ok()
        };
        let bounds: Vec<f64> = lines.filter_map(bound).collect();
        for wanted in [0.005, 3600.0] {
            let within = |from: f64, to: f64| bounds.iter().any(|it| (from..to).contains(it));
            assert!(within(wanted / 2.0, wanted), "{family}");
            assert!(within(wanted, wanted * 2.0), "{family}");
        }
    }
}
