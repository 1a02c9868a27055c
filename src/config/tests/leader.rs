//! `[daemon.leader]`.

use std::time::Duration;

use super::{Room, with, wrong};
use crate::config::{Leader, LeaderTiming, Surroundings, load};

fn leader(line: &str) -> Leader {
    let room = Room::new(&[("main.toml", &with("daemon", line))]);
    let surroundings = Surroundings {
        root: true,
        ..Surroundings::default()
    };
    let loaded = load(&room.path("main.toml"), &surroundings).unwrap();
    loaded.config.daemon.leader.unwrap()
}

#[test]
fn a_leader_has_its_defaults() {
    let few = leader("leader = { cluster = \"k\", namespace = \"n\" }");
    assert_eq!((few.name.as_str(), few.identity), ("secretsyncd", None));
    assert_eq!(few.timing, LeaderTiming::DEFAULT);
    let all = leader(
        "leader = { cluster = \"k\", namespace = \"n\", name = \"x\", identity = \"a@b:1\", lease_duration = \"2s\", renew_deadline = \"1600ms\", retry_period = \"200ms\" }",
    );
    assert_eq!(all.identity.unwrap().as_str(), "a@b:1");
    assert_eq!(all.timing.lease_seconds(), 2);
    assert_eq!(all.timing.retry_period(), Duration::from_millis(200));
}

#[test]
fn what_cannot_work_is_refused() {
    let usual = "cluster = \"k\", namespace = \"n\"";
    for (line, said) in [
        ("leader = 1".to_owned(), "`leader` must be a table"),
        (
            format!("leader = {{ {usual}, clutser = \"k\" }}"),
            "unknown key `clutser`",
        ),
        (
            "leader = { namespace = \"n\" }".to_owned(),
            "`cluster` is missing",
        ),
        (
            "leader = { cluster = \"k\" }".to_owned(),
            "`namespace` is missing",
        ),
        (
            "leader = { cluster = \"nope\", namespace = \"n\" }".to_owned(),
            "there is no cluster of this name",
        ),
        (
            format!("leader = {{ {usual}, identity = \"a b\" }}"),
            "`identity` must be",
        ),
        (
            format!("leader = {{ {usual}, name = \"X\" }}"),
            "`name` must be an RFC 1123 subdomain",
        ),
        (
            format!("leader = {{ {usual}, lease_duration = \"2500ms\" }}"),
            "`lease_duration` must be whole seconds",
        ),
        (
            format!("leader = {{ {usual}, lease_duration = \"1s\" }}"),
            "`lease_duration` must be whole seconds, 2 s to 1 h",
        ),
        (
            format!("leader = {{ {usual}, lease_duration = \"12s\" }}"),
            "`renew_deadline` must be at most four fifths",
        ),
        (
            format!("leader = {{ {usual}, retry_period = \"6s\" }}"),
            "`renew_deadline` must be at least twice",
        ),
        (
            format!("leader = {{ {usual}, retry_period = \"50ms\" }}"),
            "`retry_period` must be at least 100 ms",
        ),
    ] {
        let wrong = wrong("daemon", &line);
        assert_eq!(wrong.len(), 1, "{line}: {wrong:?}");
        assert!(wrong[0].contains(said), "{line}: {wrong:?}");
    }
}
