//! What somebody else, or a crash, does between two of our requests: only the stand-in can be told to.

use std::thread;

use super::{Site, data, entry, entry_of};
use crate::support::cluster::Cluster;
use crate::support::daemon::Home;
use crate::support::kubernetes::{Fault, Kubernetes, Rule, Verb};
use crate::support::secrets_manager::SecretsManager;
use crate::support::suite::Scenario;

pub const SCENARIOS: [Scenario<Kubernetes>; 5] = [
    (
        "created between judge and write",
        created_between_judge_and_write,
    ),
    (
        "deleted between judge and write",
        deleted_between_judge_and_write,
    ),
    (
        "broken off at every step of a making",
        broken_off_at_every_step,
    ),
    ("403 on each verb", denied_on_each_verb),
    (
        "two that make one Secret at the same moment",
        two_that_make_one_secret_at_the_same_moment,
    ),
];

#[test]
fn the_stand_in_scenarios_of_races() {
    let kubernetes = Kubernetes::start();
    crate::support::suite::run("stand-in suite, with hooks", &SCENARIOS, &kubernetes);
}

const MAKERS: [&str; 3] = ["owner", "orphan", "create_or_merge"];

fn more(policy: &str) -> String {
    format!("creation_policy = \"{policy}\"")
}

fn created_between_judge_and_write(kubernetes: &Kubernetes) {
    for policy in MAKERS {
        let site = Site::new(kubernetes);
        site.aws.put("db", "ours");
        let place = (&*site.namespace, "db");
        let rule = Rule::namespace(&site.namespace).verb(Verb::Create);
        kubernetes.meanwhile_put(rule, place, &[("own", "0")]);
        let entry = entry("db", &site.namespace, "db", &more(policy));
        if policy == "create_or_merge" {
            site.delivers(&entry);
            let both = data(&[("db", "ours"), ("own", "0")]);
            assert_eq!(site.data("db"), Some(both));
        } else {
            site.refuses(&entry, "conflict", "is not ours");
            assert_eq!(site.data("db"), Some(data(&[("own", "0")])), "{policy}");
            let log = kubernetes.log();
            let landed = log
                .writes()
                .filter(|it| it.namespace == site.namespace && it.status < 300);
            assert_eq!(landed.count(), 0, "{policy}: theirs was never written");
        }
        assert!(kubernetes.all_happened());
    }
}

fn deleted_between_judge_and_write(kubernetes: &Kubernetes) {
    for policy in MAKERS {
        let site = Site::new(kubernetes);
        site.aws.put("db", "first");
        let entry = entry("db", &site.namespace, "db", &more(policy));
        let rule = |verb| Rule::namespace(&site.namespace).verb(verb);
        // What was just made goes before it is ours.
        kubernetes.meanwhile_delete(rule(Verb::Patch), (&site.namespace, "db"));
        site.delivers(&entry);
        assert_eq!(site.data("db"), Some(data(&[("db", "first")])), "{policy}");
        // What was judged goes before it is applied.
        site.aws.put("db", "second");
        kubernetes.meanwhile_delete(rule(Verb::Apply), (&site.namespace, "db"));
        site.delivers(&entry);
        let second = Some(data(&[("db", "second")]));
        assert_eq!(site.data("db"), second, "{policy}");
        assert_eq!(site.owners("db", "db").len(), 1, "{policy}");
        assert!(kubernetes.all_happened());
    }
}

/// Whatever is lost, the request or its answer, the next run ends what was begun, and so does another installation.
fn broken_off_at_every_step(kubernetes: &Kubernetes) {
    for policy in MAKERS {
        for (verb, fault) in [
            (Verb::Create, Fault::Truncated),
            (Verb::Patch, Fault::Close),
            (Verb::Patch, Fault::Truncated),
        ] {
            for another in [false, true] {
                let site = Site::new(kubernetes);
                for (key, value) in [("a", "1"), ("b", "2")] {
                    site.aws.put(key, value);
                }
                let place = (&*site.namespace, "db");
                let entry = entry_of("e", place, &["a", "b"], &more(policy));
                kubernetes.fail(Rule::namespace(&site.namespace).verb(verb), fault.clone());
                site.configure(&entry);
                assert_eq!(site.home.once(&[]).code, Some(1), "{policy} {verb:?}");
                let whole = data(&[("a", "1"), ("b", "2")]);
                assert_eq!(site.data("db"), Some(whole), "whole or not at all");
                kubernetes.heal();
                let mut site = site;
                if another {
                    site.home = Home::new();
                }
                let place = (&*site.namespace, "db");
                site.delivers(&entry);
                let owners = site.owners("db", "a");
                assert_eq!(owners.len(), 1, "{policy} {verb:?} {another}: {owners:?}");
                assert!(owners[0].starts_with("=secretsyncd"), "{owners:?}");
                site.delivers(&entry_of("e", place, &["a"], &more(policy)));
                assert_eq!(site.data("db"), Some(data(&[("a", "1")])), "{policy}");
            }
        }
    }
}

fn denied_on_each_verb(kubernetes: &Kubernetes) {
    for policy in MAKERS {
        let site = Site::new(kubernetes);
        site.aws.put("db", "first");
        let entry = entry("db", &site.namespace, "db", &more(policy));
        let deny = |verb| {
            let rule = Rule::namespace(&site.namespace).verb(verb);
            kubernetes.fail(rule, Fault::Forbidden);
        };
        for (verb, word) in [
            (Verb::Get, "grant `get` on `secrets`"),
            (Verb::Create, "grant `create` on `secrets`"),
            (Verb::Patch, "grant `patch` on `secrets`"),
        ] {
            deny(verb);
            site.refuses(&entry, "target_denied", word);
            kubernetes.heal();
        }
        site.delivers(&entry);
        site.aws.put("db", "second");
        deny(Verb::Apply);
        site.refuses(&entry, "target_denied", "grant `patch` on `secrets`");
        assert_eq!(site.data("db"), Some(data(&[("db", "first")])), "{policy}");
        kubernetes.heal();
        site.delivers(&entry);
        assert_eq!(site.data("db"), Some(data(&[("db", "second")])), "{policy}");
    }
}

fn two_that_make_one_secret_at_the_same_moment(kubernetes: &Kubernetes) {
    const SECRETS: usize = 6;
    let aws = SecretsManager::start();
    let namespace = kubernetes.namespace();
    let names: Vec<_> = (0..SECRETS).map(|n| format!("shared{n}")).collect();
    let homes = ["a", "b"].map(|key| (key, Home::new()));
    for (key, home) in &homes {
        aws.put(key, key);
        let more = more("create_or_merge");
        let entries: String = names
            .iter()
            .map(|name| entry_of(&format!("{key}-{name}"), (&namespace, name), &[key], &more))
            .collect();
        let tables = [aws.store("prod"), kubernetes.cluster("main"), entries];
        home.configure(&tables.concat());
    }
    thread::scope(|scope| {
        let runs = homes
            .each_ref()
            .map(|(_, home)| scope.spawn(|| home.once(&[])));
        for run in runs {
            let done = run.join().unwrap();
            assert_eq!(done.code, Some(0), "{}", done.stderr);
        }
    });
    for name in &names {
        let both = data(&[("a", "a"), ("b", "b")]);
        assert_eq!(kubernetes.data(&namespace, name), Some(both));
        for (key, _) in &homes {
            let owners = kubernetes.owners(&namespace, name, key);
            let own = format!("secretsyncd:default:{key}-{name}");
            assert_eq!(owners.len(), 1, "{owners:?}");
            assert_eq!(owners[0].0, own);
        }
    }
}
