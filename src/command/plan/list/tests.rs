use super::*;
use crate::names::{ClusterName, EntryName, ObjectName};
use crate::selector::Selector;
use crate::sync::plan::Outlook;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn planned(name: &str, looked: Vec<(&str, Result<Step, Failure>)>) -> Planned {
    let (targets, looked) = looked.into_iter().unzip::<_, _, Vec<&str>, Vec<_>>();
    Planned {
        name: EntryName::new(name).unwrap(),
        targets: names(&targets),
        selected: Vec::new(),
        outlook: Some(Outlook {
            targets: looked,
            failures: Vec::new(),
        }),
    }
}

fn step(doing: Doing, changes: Changes) -> Step {
    Step {
        doing,
        changes,
        restarts: Vec::new(),
    }
}

fn keys(added: &[&str], changed: &[&str], removed: &[&str]) -> Changes {
    Changes {
        keys: Delta {
            added: names(added),
            changed: names(changed),
            removed: names(removed),
        },
        ..Changes::default()
    }
}

fn unread() -> Planned {
    let failure = Failure::new(Reason::NotFound, "there is no secret `x`");
    let mut unread = planned("unread", Vec::new());
    unread.targets = names(&["/run/x", "/run/y"]);
    unread.outlook = Some(Outlook {
        targets: vec![Err(failure.clone()), Err(failure.clone())],
        failures: vec![failure],
    });
    unread
}

#[test]
fn every_target_is_a_line_and_troubles_are_explained_below() {
    let conflict = || {
        Err(Failure::new(
            Reason::Conflict,
            "the Secret exists and is not ours",
        ))
    };
    let mut relabelled = keys(&[], &["b"], &["c"]);
    relabelled.labels.added = names(&["team"]);
    relabelled.other = Some(Other::Mode);
    relabelled.mode = Became::new(0o644, 0o600);
    relabelled.owner = Became::new(0, 1000);
    let mut suspended = planned("z", Vec::new());
    suspended.targets = names(&["/run/z"]);
    suspended.outlook = None;
    let entries = [
        planned(
            "db",
            vec![
                (
                    "prod/app/db",
                    Ok(step(Doing::Create, keys(&["a", "b"], &[], &[]))),
                ),
                ("prod/reporting/db", conflict()),
            ],
        ),
        planned(
            "files",
            vec![("/run/env", Ok(step(Doing::Update, relabelled)))],
        ),
        planned(
            "gone",
            vec![("prod/app/gone", Ok(step(Doing::Delete, Changes::default())))],
        ),
        unread(),
        planned("well", vec![("/run/well", Ok(Step::unchanged()))]),
        suspended,
    ];
    let rows = rows(&entries);
    insta::assert_snapshot!(text(&rows, Paint::Plain), @r#"
    create     prod/app/db        db      keys +a +b
    conflict   prod/reporting/db  db
        db: the Secret exists and is not ours (conflict)
        help: the target belongs to somebody else; choose another target, remove it, or set `adopt = true`
    update     /run/env           files   keys ~b -c; labels +team; permissions; mode 0644 to 0600; owner 0 to 1000
    delete     prod/app/gone      gone    once two reads have said that all its sources are gone
    error      /run/x             unread
    error      /run/y             unread
        unread: there is no secret `x` (not_found)
        help: check the key, the region and the account; a secret that was deleted and created again has another ARN
    unchanged  /run/well          well
    suspended  /run/z             z
    8 targets: 1 create, 1 update, 1 delete, 1 unchanged, 1 suspended, 1 conflict, 2 error
    "#);
    let coloured = text(&rows, Paint::Colour);
    assert!(
        coloured.contains("\x1b[32mcreate   \x1b[0m"),
        "{coloured:?}"
    );
    let bare = regex::Regex::new("\x1b\\[[0-9]*m").unwrap();
    assert_eq!(bare.replace_all(&coloured, ""), text(&rows, Paint::Plain));
}

#[test]
fn a_selector_has_a_row_where_it_finds_nothing_or_nobody_knows() {
    let selected = |standing| Selected {
        cluster: ClusterName::new("prod").unwrap(),
        selector: Selector::parse("team=a").unwrap(),
        name: ObjectName::new("db").unwrap(),
        standing,
    };
    let failure = Failure::new(Reason::Timeout, "cluster `prod` is silent").with_help("wait");
    let mut one = planned("db", vec![("prod/app/db", Ok(Step::unchanged()))]);
    one.selected = vec![
        selected(Standing::Found(1)),
        selected(Standing::Found(0)),
        selected(Standing::Failing {
            failure,
            known: false,
        }),
    ];
    let rows = rows(&[one]);
    insta::assert_snapshot!(text(&rows, Paint::Plain), @r#"
    unchanged  prod/app/db       db
    unchanged  prod/{team=a}/db  db  no namespace matches
    error      prod/{team=a}/db  db
        db: cluster `prod` is silent (timeout)
        help: wait
    3 targets: 2 unchanged, 1 error
    "#);
    assert!(rows.iter().any(Row::is_bad));
}

#[test]
fn nothing_is_a_sentence_too() {
    assert_eq!(text(&[], Paint::Plain), "0 targets\n");
}
