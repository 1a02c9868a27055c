use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{config, with, wrong};
use crate::config::{Action, Argv, OnChange, Signal, SignalTo, Target};
use crate::names::UnitName;

/// What `on_change` of the one file is, written so.
fn on_change(line: &str) -> OnChange {
    let config = config(&with("file", &format!("on_change = {line}")));
    let mut entries = config.entries.values();
    let targets = entries.next().unwrap().targets.iter();
    let mut found = targets.filter_map(|target| match target {
        Target::File(file) => file.on_change.clone(),
        Target::Kubernetes(_) => None,
    });
    found.next().unwrap()
}

fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

#[test]
fn actions_are_what_they_say_and_have_defaults() {
    let reload = on_change("{ reload_unit = \"app\" }");
    assert_eq!(reload.action, Action::ReloadUnit(unit("app.service")));
    assert_eq!(
        (reload.timeout.as_secs(), reload.debounce.as_secs()),
        (30, 2)
    );
    assert!(!reload.log_output);
    let restart = on_change(
        "{ restart_unit = \"a@b.c\", timeout = \"1m\", debounce = \"5s\", log_output = true }",
    );
    assert_eq!(restart.action, Action::RestartUnit(unit("a@b.c.service")));
    assert_eq!(
        (restart.timeout.as_secs(), restart.debounce.as_secs()),
        (60, 5)
    );
    assert!(restart.log_output);
    let signal = on_change("{ signal = { unit = \"app.socket\", signal = \"SIGHUP\" } }");
    let to = SignalTo::Unit(unit("app.socket"));
    assert_eq!(signal.action, Action::Signal(to, Signal::Hup));
    let signal = on_change("{ signal = { pid_file = \"/run/app.pid\", signal = \"USR1\" } }");
    let to = SignalTo::PidFile("/run/app.pid".into());
    assert_eq!(signal.action, Action::Signal(to, Signal::Usr1));
    let command = on_change("{ command = [\"/bin/echo\", \"$(id)\", \"a b\"] }");
    let argv = Argv {
        program: "/bin/echo".into(),
        arguments: vec!["$(id)".to_owned(), "a b".to_owned()],
    };
    assert_eq!(command.action, Action::Command(argv));
}

#[test]
fn what_no_action_can_be_is_refused_where_it_stands() {
    for (line, expected) in [
        (
            "{ reload_unit = \"a b.service\" }",
            "`reload_unit` must be a unit of systemd",
        ),
        (
            "{ reload_unit = \"../x.service\" }",
            "`reload_unit` must be a unit of systemd",
        ),
        (
            "{ reload_unit = \"app@.service\" }",
            "`reload_unit` must be a unit of systemd",
        ),
        (
            "{ reload_unit = \".service\" }",
            "`reload_unit` must be a unit of systemd",
        ),
        (
            "{ restart_unit = \"secretsyncd\" }",
            "`restart_unit` would end secretsyncd",
        ),
        (
            "{ command = [\"notify\"] }",
            "`command` must begin with the absolute path",
        ),
        (
            "{ command = [] }",
            "`command` must begin with the absolute path",
        ),
        (
            "{ command = [\"/bin/sh\", \"\\u0000\"] }",
            "`command` cannot have a zero byte",
        ),
        (
            "{ command = [\"/bin/sh\"], reload_unit = \"a\" }",
            "`on_change` needs exactly one of",
        ),
        ("{ timeout = \"5s\" }", "`on_change` needs exactly one of"),
        (
            "{ signal = { unit = \"a\", pid_file = \"/b\", signal = \"HUP\" } }",
            "`signal` needs either `unit` or `pid_file`",
        ),
        (
            "{ signal = { unit = \"a\", signal = \"9\" } }",
            "`signal` must be the name of a signal",
        ),
        (
            "{ signal = { unit = \"a\", signal = \"SEGV\" } }",
            "`signal` must be the name of a signal",
        ),
    ] {
        let wrong = wrong("file", &format!("on_change = {line}"));
        assert_eq!(wrong.len(), 1, "{line}: {wrong:?}");
        assert!(wrong[0].starts_with(expected), "{line}: {wrong:?}");
    }
}

#[test]
fn a_check_is_told_what_to_look_at() {
    assert_eq!(
        wrong("file", "check = [\"/bin/sh\", \"-c\"]"),
        ["`check` needs `{path}` among its arguments"]
    );
    let right = "check = [\"/bin/sh\", \"--file={path}\"]";
    assert_eq!(wrong("file", right), Vec::<String>::new());
}

#[test]
fn a_default_holds_for_files_that_say_nothing() {
    let text = with("defaults.file", "on_change = { reload_unit = \"all\" }");
    let config = config(&text);
    let files = config.entries.values().flat_map(|entry| &entry.targets);
    let files = files.filter_map(|target| match target {
        Target::File(file) => Some(file.on_change.clone().unwrap().action),
        Target::Kubernetes(_) => None,
    });
    let files: Vec<Action> = files.collect();
    assert!(!files.is_empty());
    assert!(
        files
            .iter()
            .all(|it| *it == Action::ReloadUnit(unit("all.service")))
    );
}

#[test]
fn a_program_that_cannot_be_run_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    let warned = |mode: u32| {
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        let line = format!("on_change = {{ command = [\"{}\"] }}", program.display());
        wrong("file", &line)
    };
    assert_eq!(warned(0o755), Vec::<String>::new());
    assert_eq!(
        warned(0o644),
        ["this is not an executable file, so it cannot be run"]
    );
    assert_eq!(
        warned(0o757),
        ["everybody may change this program, so it is not run"]
    );
    assert_eq!(
        wrong("file", "check = [\"/nowhere/visudo\", \"{path}\"]"),
        ["there is no such program yet"]
    );
}

#[test]
fn a_mode_without_quotes_is_told_to_have_some() {
    let wrong = wrong("file", "mode = 0640");
    assert!(
        wrong[0].starts_with("a number cannot begin with a zero"),
        "{wrong:?}"
    );
}
