//! A program that has to accept a file before it is in place.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Strays, counting, entry, runs, script, wait_runs};
use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

/// What is beside the targets.
fn names(home: &Home) -> Vec<String> {
    let all = fs::read_dir(home.path("targets")).unwrap();
    let names = all.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn check(argv: &str) -> String {
    format!(
        "check = {}",
        argv.replace(']', ", \"--file={path}\", \"{path}\"]")
    )
}

#[test]
fn a_check_that_fails_keeps_the_old_file_and_leaves_nothing_beside_it() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "good one");
    let said = home.path("said").display().to_string();
    let argv = script(
        &home,
        "check.sh",
        &format!(
            "printf '%s\\n' \"$@\" \"$SECRETSYNCD_ENTRY\" \"$SECRETSYNCD_TARGET\" \"$SECRETSYNCD_PATH\" > {said}; stat -c %a \"$2\" >> {said}; echo MARKER; grep -q good \"$2\" || exit 7\n"
        ),
    );
    let more = check(&argv) + "\n" + &counting(&home, "");
    home.configure(&(aws.store("prod") + &entry(&home, "app", &more)));
    let daemon = home.start_ready();
    wait_runs(&home, 1);
    let target = home.path("targets/app").display().to_string();
    let said = home.read_text("said").unwrap();
    let [file, path, name, of, staged, bits] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    assert_eq!(file, format!("--file={path}"));
    assert!(
        path != target && path.contains("/targets/.secretsyncd-"),
        "{path}"
    );
    assert_eq!((name, of, staged, bits), ("app", &*target, path, "600"));
    aws.put("prod/app", "bad two");
    assert_eq!(home.finish(&["sync", "app"]).code, Some(1));
    let status = daemon.wait_state("app", "failing");
    let trouble = status.entry("app").trouble().unwrap();
    assert_eq!(trouble.reason, "invalid");
    let fact = format!("{target} was not written: the check /bin/sh ended with exit code 7");
    assert_eq!(trouble.message, fact);
    assert_eq!(home.read_text("targets/app").unwrap(), "good one");
    assert_eq!(names(&home), ["app"]);
    stays_true(Duration::from_secs(1), "nothing changed", || {
        runs(&home) == 1
    });
    aws.put("prod/app", "good three");
    assert_eq!(home.finish(&["sync", "app"]).code, Some(0));
    wait_content(&home, "targets/app", "good three");
    wait_runs(&home, 2);
    assert!(!daemon.output().contains("MARKER"), "{}", daemon.output());
    daemon.stop();
}

#[test]
fn a_check_that_hangs_holds_up_nothing_but_its_own_target() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let _strays = Strays(&home, "began");
    let began = home.path("began").display().to_string();
    let argv = script(
        &home,
        "hang.sh",
        &format!("echo $$ >> {began}; exec sleep 600\n"),
    );
    let mut text = aws.store("prod");
    // As many as may be at one directory at a time.
    let hanging = (0..8).map(|n| (format!("hangs{n}"), check(&argv)));
    for (name, more) in hanging.chain([("plain".to_owned(), String::new())]) {
        aws.put(&format!("prod/{name}"), "one");
        text += &entry(&home, &name, &more);
    }
    home.configure(&text);
    let mut daemon = home.start();
    let eight = || {
        home.read_text("began")
            .is_some_and(|it| it.lines().count() == 8)
    };
    wait_until(PATIENCE, "all checks", eight);
    let began = Instant::now();
    aws.put("prod/plain", "two");
    assert_eq!(home.finish(&["sync", "plain"]).code, Some(0));
    wait_content(&home, "targets/plain", "two");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "it waited for them"
    );
    assert!(!home.path("targets/hangs0").exists());
    let status = daemon.wait_state("hangs0", "failing");
    let message = status.entry("hangs0").trouble().unwrap().message;
    assert!(
        message.ends_with("the check /bin/sh ran longer than 15s and was stopped"),
        "{message}"
    );
    // Another one is under way when the daemon stops, and a stop does not wait for it.
    let tries = || home.read_text("began").unwrap().lines().count();
    wait_until(PATIENCE, "another try", || tries() > 8);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(PATIENCE), Some(0));
    assert!(!daemon.output().contains("panic"), "{}", daemon.output());
}

/// Bug: nothing could tell why a check had failed, and the lines of an action named no entry.
#[test]
fn what_a_check_says_is_heard_where_that_is_asked_for() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let argv = script(&home, "no.sh", "echo MARKER-heard >&2; exit 7\n");
    let mut text = aws.store("prod");
    for (name, more) in [("heard", "\ncheck_log_output = true"), ("unheard", "")] {
        aws.put(&format!("prod/{name}"), "one");
        text += &entry(&home, name, &(check(&argv) + more));
    }
    home.configure(&text);
    let done = home.once(&["--log-format", "json"]);
    let lines = done.stderr.lines().filter(|it| it.contains("MARKER-heard"));
    let lines: Vec<serde_json::Value> = lines.map(|it| serde_json::from_str(it).unwrap()).collect();
    let [line] = &lines[..] else {
        panic!("{done:?}");
    };
    let told = line.to_string();
    let target = home.path("targets/heard").display().to_string();
    for part in ["\"heard\"", &target, "/bin/sh", "MARKER-heard"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let said = done.stdout + &done.stderr;
    assert!(said.contains("the log has what the check said"), "{said}");
    assert!(said.contains("or set `check_log_output = true`"), "{said}");
}

#[test]
fn a_check_that_changes_the_file_is_refused() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "one");
    let argv = script(&home, "edit.sh", "echo more >> \"$2\"\n");
    home.configure(&(aws.store("prod") + &entry(&home, "app", &check(&argv))));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.stdout
            .contains("the check /bin/sh changed the new file"),
        "{}",
        done.stdout
    );
    assert_eq!(names(&home), Vec::<String>::new());
}
