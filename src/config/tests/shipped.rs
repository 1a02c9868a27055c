use std::collections::BTreeSet;
use std::path::Path;

use super::{Room, with};
use crate::config::{Fetch, Rates, Store, Surroundings, load};

pub(super) fn shipped(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

#[test]
fn the_shipped_configurations_are_right() {
    let surroundings = Surroundings {
        root: true,
        ..Surroundings::default()
    };
    for name in [
        "quickstart.toml",
        "reference.toml",
        "kubernetes.toml",
        "vm-files.toml",
    ] {
        let loaded =
            load(&shipped(name), &surroundings).unwrap_or_else(|d| panic!("{}", d.render(false)));
        assert!(!loaded.config.entries.is_empty(), "{name}");
    }
}

/// What is settings in the reference equals what is there without them, wherever there is a default.
#[test]
fn the_reference_shows_the_defaults() {
    let surroundings = Surroundings {
        root: true,
        ..Surroundings::default()
    };
    let reference = load(&shipped("reference.toml"), &surroundings)
        .unwrap()
        .config;
    let room = Room::new(&[("main.toml", &with("root", ""))]);
    let plain = load(&room.path("main.toml"), &surroundings).unwrap().config;
    let mut daemon = reference.daemon.clone();
    daemon.control_group = None;
    let leader = daemon.leader.take();
    assert_eq!(
        leader.map(|leader| leader.timing),
        Some(crate::config::LeaderTiming::DEFAULT)
    );
    assert_eq!(format!("{daemon:?}"), format!("{:?}", plain.daemon));
    assert!(
        matches!(&reference.stores["prod"], Store::SecretsManager(prod)
        if prod.requests_per_second == Rates::SECRETS_MANAGER && prod.fetch == Fetch::Auto)
    );
    assert!(
        matches!(&reference.stores["parameters"], Store::ParameterStore(parameters)
        if parameters.requests_per_second == Rates::PARAMETER_STORE)
    );
}

/// Every key the lowering knows, asked for table by table through the help of an unknown key.
#[test]
fn the_reference_names_every_key() {
    let reference = std::fs::read_to_string(shipped("reference.toml")).unwrap();
    let words: BTreeSet<&str> = reference
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    let mut known = BTreeSet::new();
    for (place, line) in [
        ("root", "zz9 = 1"),
        ("daemon", "zz9 = 1\nleader = { zz9 = 1 }"),
        ("defaults", "zz9 = 1"),
        ("prod", "zz9 = 1\nrequests_per_second = { zz9 = 1 }"),
        (
            "auth",
            "zz9 = 1\nweb_identity = { zz9 = 1 }\naccess_key_id = { zz9 = 1, kubernetes = { zz9 = 1 } }",
        ),
        ("local", "zz9 = 1\n[stores.z]\nzz9 = 1"),
        ("cluster", "zz9 = 1\neks = { zz9 = 1 }"),
        ("entry", "zz9 = 1"),
        (
            "entry",
            "data_from = [{ zz9 = 1, extract = { zz9 = 1 }, find = { zz9 = 1, name = { zz9 = 1 } }, rewrite = [{ zz9 = 1, regexp = { zz9 = 1 }, transform = { zz9 = 1 }, merge = { zz9 = 1 } }] }]",
        ),
        ("entry", "template = { zz9 = 1, from = [{ zz9 = 1 }] }"),
        ("item", "zz9 = 1"),
        ("ref", "zz9 = 1"),
        ("kubernetes", "zz9 = 1"),
        (
            "file",
            "zz9 = 1\non_change = { zz9 = 1, signal = { zz9 = 1 } }",
        ),
    ] {
        let room = Room::new(&[("main.toml", &with(place, line))]);
        let diagnostics = room.load().unwrap_err();
        let mut tables = 0;
        for help in diagnostics.iter().filter_map(|d| d.help.as_deref()) {
            if let Some(keys) = help.strip_prefix("known here: ") {
                tables += 1;
                known.extend(keys.split(", ").map(|key| key.trim_matches('`').to_owned()));
            }
        }
        assert_eq!(tables, line.matches("zz9").count(), "{line}");
    }
    assert!(known.len() > 100, "{}", known.len());
    let missing: Vec<_> = known
        .iter()
        .filter(|key| !words.contains(key.as_str()))
        .collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// Each block of TOML there stands for itself, beside a store.
#[test]
fn the_recipes_of_the_readme_are_right() {
    const STORE: &str =
        "[stores.prod.aws_secrets_manager]\nregion = \"eu-west-1\"\n[defaults]\nstore = \"prod\"\n";
    let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let recipes = readme.split("\n## Recipes\n").nth(1).unwrap();
    let recipes = recipes.split("\n## ").next().unwrap();
    let blocks = recipes.split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks.map(|it| it.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 3);
    for block in blocks {
        let room = Room::new(&[("main.toml", &(STORE.to_owned() + block))]);
        let report = match room.load() {
            Ok(loaded) => loaded.warnings.render(false),
            Err(diagnostics) => diagnostics.render(false),
        };
        let problems = report
            .lines()
            .filter(|it| it.starts_with("error") || it.starts_with("warning"));
        assert_eq!(problems.count(), 0, "{block}\n{report}");
    }
}
