use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;

const README: &str = include_str!("../../README.md");

fn at(minute: u8) -> Timestamp {
    format!("2026-01-02T03:{minute:02}:00Z").parse().unwrap()
}

fn trouble() -> Trouble {
    Trouble {
        reason: "network".into(),
        message: "nobody answers".to_owned(),
        help: "look".to_owned(),
    }
}

fn whole_target() -> TargetStatus {
    TargetStatus {
        kind: TargetKind::File,
        target: "/run/app/db".to_owned(),
        state: Condition::Failing,
        removed_since: Some(at(1)),
        waits: false,
        action: Some(ActionStatus {
            kind: "reload_unit".into(),
            action: "reload app.service".to_owned(),
            pending_since: at(2),
            error: Some(trouble()),
        }),
        error: Some(trouble()),
    }
}

fn whole_entry() -> EntryStatus {
    EntryStatus {
        name: "db".to_owned(),
        store: "prod".to_owned(),
        state: Condition::Failing,
        refresh_interval_seconds: 300,
        version_created: Some(at(3)),
        undelivered_version_created: Some(at(4)),
        last_success: Some(at(5)),
        next_sync: Some(at(6)),
        error: Some(trouble()),
        waits: false,
        targets: vec![whole_target()],
    }
}

/// Everything that can be said.
fn whole() -> Status {
    let error = trouble();
    Status {
        version: VERSION,
        at: at(0),
        release: "1.2.3".to_owned(),
        instance: "default".to_owned(),
        reload: Some(ReloadStatus {
            at: at(7),
            successful: false,
            error: Some("no".to_owned()),
            help: Some("do".to_owned()),
        }),
        leader: Some(LeaderStatus {
            leads: false,
            identity: "a".to_owned(),
            lease: "prod/kube-system/secretsyncd".to_owned(),
            holder: Some("b".to_owned()),
            error: Some(trouble()),
        }),
        paused_clusters: vec![PausedCluster {
            cluster: "prod".to_owned(),
            since: at(8),
            next_probe: at(9),
            error: error.clone(),
        }],
        paused_stores: vec![PausedStore {
            store: "prod".to_owned(),
            since: at(8),
            next_probe: at(9),
            error,
        }],
        held: vec![Held {
            entry: "db".to_owned(),
            targets: vec!["/run/app/db".to_owned()],
        }],
        entries: vec![whole_entry()],
    }
}

/// The same without what may be absent: inside of everything, and of everything that may be absent itself.
fn sparse() -> [Status; 2] {
    let mut inner = whole();
    let reload = inner.reload.as_mut().unwrap();
    (reload.error, reload.help) = (None, None);
    let leader = inner.leader.as_mut().unwrap();
    (leader.holder, leader.error) = (None, None);
    let entry = &mut inner.entries[0];
    (entry.version_created, entry.undelivered_version_created) = (None, None);
    (entry.last_success, entry.next_sync, entry.error) = (None, None, None);
    let target = &mut entry.targets[0];
    (target.removed_since, target.error) = (None, None);
    target.action.as_mut().unwrap().error = None;
    let mut outer = inner.clone();
    (outer.reload, outer.leader) = (None, None);
    outer.entries[0].targets[0].action = None;
    [inner, outer]
}

#[test]
fn a_whole_document_looks_like_this() {
    let text = serde_json::to_string_pretty(&whole()).unwrap();
    assert_eq!(text, include_str!("whole.json").trim_end());
}

/// The type of each field by its path, as the README calls it.
fn types(value: &Value, path: &str, found: &mut BTreeMap<String, &'static str>) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        let path = format!("{path}{name}");
        let word = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(text) if text.parse::<Timestamp>().is_ok() => "time",
            Value::String(_) => "string",
            Value::Array(all) if all[0].is_string() => "list of strings",
            Value::Array(all) => {
                types(&all[0], &format!("{path}[]."), found);
                "list"
            }
            Value::Object(fields) if fields.keys().eq(["help", "message", "reason"]) => "trouble",
            Value::Object(fields) if fields.keys().eq(["reason", "message", "help"]) => "trouble",
            Value::Object(_) => {
                types(value, &format!("{path}."), found);
                "object"
            }
        };
        found.insert(path, word);
    }
}

fn types_of(status: &Status) -> BTreeMap<String, &'static str> {
    let mut found = BTreeMap::new();
    types(&json!(status), "", &mut found);
    found
}

#[test]
fn the_readme_names_every_field_with_its_type_and_no_other() {
    let empty = sparse().map(|status| types_of(&status));
    let is_null = |path: &String| empty.iter().any(|it| it.get(path) == Some(&"null"));
    let said: BTreeSet<(String, String)> = types_of(&whole())
        .into_iter()
        .map(|(path, word)| {
            let or = if is_null(&path) { " or null" } else { "" };
            (path, format!("{word}{or}"))
        })
        .collect();
    let (_, section) = README.split_once("### `/status`").unwrap();
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let path = cells.next()?.strip_suffix('`')?;
        Some((path.to_owned(), cells.next()?.to_owned()))
    });
    let documented: Vec<(String, String)> = rows.collect();
    assert_eq!(
        documented.len(),
        said.len(),
        "each field is documented once"
    );
    let documented: BTreeSet<(String, String)> = documented.into_iter().collect();
    let differ: Vec<_> = said.symmetric_difference(&documented).collect();
    assert!(differ.is_empty(), "said or documented only: {differ:#?}");
    let words = Condition::ALL.iter().map(|it| it.as_str());
    for word in words.chain(TargetKind::ALL.iter().map(|it| it.as_str())) {
        assert!(section.contains(&format!("`{word}`")), "{word}");
    }
}

/// What it knows stays, what it does not know is passed over, at each place where something may be added.
#[test]
fn what_a_later_release_adds_is_passed_over() {
    fn add(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(add);
                fields.insert("added_later".to_owned(), json!({"by": ["whom"]}));
            }
            Value::Array(all) => all.iter_mut().for_each(add),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut later = json!(whole());
    add(&mut later);
    let read: Status = serde_json::from_value(later).unwrap();
    assert_eq!(json!(read), json!(whole()));
    for status in sparse() {
        let read: Status = serde_json::from_value(json!(status)).unwrap();
        assert_eq!(json!(read), json!(status));
    }
}
