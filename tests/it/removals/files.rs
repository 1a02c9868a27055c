//! Files that no entry writes any more, through the real binary, killed at every step included.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::process::Signal;

use crate::support::daemon::{Finished, Home, PATIENCE};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

/// What is called `set` is a directory of files.
fn file(home: &Home, name: &str, more: &str) -> String {
    let how = if name == "set" {
        "format = \"directory\""
    } else {
        "key = \"value\""
    };
    format!(
        "[secrets.{name}]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"{name}\" }} }}]
[[secrets.{name}.file]]
path = {}
{how}
{more}
",
        home.quoted(&format!("targets/{name}"))
    )
}

struct Stage {
    aws: SecretsManager,
    home: Home,
}

impl Stage {
    fn delivered(names: &[&str]) -> Self {
        let stage = Self {
            aws: SecretsManager::start(),
            home: Home::new(),
        };
        for name in names {
            stage.aws.put(name, "x");
        }
        stage.configure(names);
        let done = stage.home.once(&[]);
        assert_eq!(done.code, Some(0), "{done:?}");
        stage
    }

    fn configure(&self, names: &[&str]) {
        let files = names.iter().map(|name| file(&self.home, name, ""));
        let files: String = files.collect();
        self.home.configure(&(self.aws.store("prod") + &files));
    }

    fn prune(&self, arguments: &[&str]) -> Finished {
        self.home.finish(&[&["prune"], arguments].concat())
    }

    fn path(&self, name: &str) -> String {
        let path = self.home.path(&format!("targets/{name}"));
        path.display().to_string()
    }

    fn holds(&self, name: &str) -> Option<String> {
        self.home.read_text(&format!("targets/{name}"))
    }

    /// Every name beside the targets.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home.path("targets")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

#[test]
fn prune_removes_files_and_only_what_no_entry_writes() {
    let stage = Stage::delivered(&["a", "b"]);
    stage.configure(&["b"]);
    let listed = stage.prune(&[]);
    let line = format!("file        {}  a  delete  since 20", stage.path("a"));
    assert!(listed.stdout.starts_with(&line), "{listed:?}");
    let named = stage.prune(&["a"]);
    assert_eq!((named.code, named.stdout), (Some(0), listed.stdout));
    let unknown = stage.prune(&["b"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert_eq!(stage.names(), ["a", "b"]);
    let done = stage.prune(&["--apply"]);
    let said = format!(
        "deleted: {}, of entry a\n0 orphaned targets\n",
        stage.path("a")
    );
    assert_eq!((done.code, done.stdout), (Some(0), said));
    assert_eq!(stage.names(), ["b"]);
    // Whoever writes it again makes it again.
    stage.configure(&["a", "b"]);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    assert_eq!(stage.names(), ["a", "b"]);
}

/// Bug: it was said that the directory had been deleted.
#[test]
fn of_a_set_what_is_ours_goes_and_the_directory_is_said_to_stay() {
    let stage = Stage::delivered(&["b", "set"]);
    stage.home.write("targets/set/own", "theirs");
    stage.configure(&["b"]);
    let listed = stage.prune(&[]);
    let line = format!(
        "file  {}  set  delete our files  since 20",
        stage.path("set")
    );
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words(&listed.stdout).starts_with(&words(&line)),
        "{listed:?}"
    );
    let done = stage.prune(&["--apply"]);
    let said = format!(
        "our files deleted: {}, of entry set; the directory stays\n0 orphaned targets\n",
        stage.path("set")
    );
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), said.as_str()),
        "{done:?}"
    );
    assert!(done.stderr.contains("audit: our files deleted"), "{done:?}");
    let left = fs::read_dir(stage.home.path("targets/set")).unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["own"]);
}

#[test]
fn the_daemon_removes_files_when_it_is_asked_and_by_itself() {
    let stage = Stage::delivered(&["a", "b", "c"]);
    let daemon = stage.home.start_ready();
    stage.configure(&["b", "c"]);
    let orphans = |daemon: &crate::support::daemon::Daemon<'_>| {
        let metrics = daemon.metrics();
        metrics.value("secretsyncd_targets_orphaned", &[])
    };
    wait_until(PATIENCE, "an orphan", || orphans(&daemon) > 0.5);
    let done = stage.prune(&["--apply", &stage.path("a")]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(stage.names(), ["b", "c"]);
    let labels = [("target_kind", "file"), ("result", "deleted")];
    let counted = daemon
        .metrics()
        .value("secretsyncd_target_writes_total", &labels);
    assert!((counted - 1.0).abs() < 0.1, "{counted}");
    assert!(orphans(&daemon) < 0.5);
    let said = daemon.output();
    assert!(said.contains("cause=\"prune\""), "{said}");
    assert_eq!(daemon.stop(), Some(0));

    stage.configure(&["c"]);
    let text = stage.home.read_text("secretsyncd.toml").unwrap();
    let prune = "[daemon]\nprune = true\nprune_after = \"1s\"\n";
    stage
        .home
        .configure_whole(&text.replace("[daemon]\n", prune));
    let daemon = stage.home.start_ready();
    wait_until(PATIENCE, "the orphan to go", || stage.names() == ["c"]);
    wait_until(PATIENCE, "a word about it", || {
        daemon.output().contains("cause=\"daemon.prune\"")
    });
    daemon.wait_state("c", "fresh");
}

#[test]
fn what_is_not_just_what_was_delivered_stays_and_is_named() {
    let names = ["edited", "copied", "linked", "moved", "ours"];
    let stage = Stage::delivered(&names);
    stage.configure(&[]);
    let at = |name: &str| stage.home.path(&format!("targets/{name}"));
    fs::write(at("edited"), "mine").unwrap();
    fs::copy(at("copied"), at("new")).unwrap();
    fs::rename(at("new"), at("copied")).unwrap();
    fs::hard_link(at("linked"), at("other")).unwrap();
    fs::rename(at("moved"), at("real")).unwrap();
    symlink(at("real"), at("moved")).unwrap();
    let done = stage.prune(&[&["--apply"], &names[..]].concat());
    assert_eq!(done.code, Some(1), "{done:?}");
    for (name, why) in [
        ("edited", "does not hold what was delivered"),
        ("copied", "is not the file that was delivered"),
        ("linked", "another hard link"),
        ("moved", "symbolic link"),
    ] {
        let said = format!("{} ", stage.path(name));
        let mut lines = done.stderr.lines();
        let line = lines.find(|line| line.contains(&said));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{name}: {done:?}"
        );
    }
    assert!(done.stdout.contains("4 orphaned targets"), "{done:?}");
    assert_eq!(stage.holds("edited").as_deref(), Some("mine"));
    assert_eq!(
        stage.names(),
        ["copied", "edited", "linked", "moved", "other", "real"]
    );
    // What is removed by hand is forgotten.
    fs::remove_file(at("edited")).unwrap();
    let done = stage.prune(&["--apply", "edited"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("was gone: "), "{done:?}");
}

#[test]
fn a_directory_that_others_may_write_keeps_its_orphans() {
    let stage = Stage::delivered(&["a"]);
    stage.configure(&[]);
    let directory = stage.home.path("targets");
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    let done = stage.prune(&["--apply", "a"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("could redirect"), "{done:?}");
    assert_eq!(stage.holds("a").as_deref(), Some("x"));
}

#[test]
fn without_names_no_more_files_go_than_the_brake_allows() {
    let stage = Stage::delivered(&["a", "b", "c", "d", "e"]);
    stage.configure(&[]);
    let done = stage.prune(&["--apply"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("held, because more than three"),
        "{done:?}"
    );
    assert_eq!(stage.names().len(), 2);
    assert_eq!(stage.prune(&["--apply"]).code, Some(1));
    let left = stage.names();
    assert_eq!(left.len(), 2, "over every restart it stays held");
    let done = stage.prune(&["--apply", &stage.path(&left[0])]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(stage.names(), left[1..]);
}

#[test]
fn an_orphan_that_another_entry_writes_now_is_taken_over() {
    let stage = Stage::delivered(&["a"]);
    stage.configure(&[]);
    assert!(stage.prune(&[]).stdout.ends_with("1 orphaned target\n"));
    let other = file(&stage.home, "b", "").replace("targets/b", "targets/a");
    stage.aws.put("b", "y");
    stage.home.configure(&(stage.aws.store("prod") + &other));
    let done = stage.prune(&["--apply"]);
    assert_eq!(done.stdout, "0 orphaned targets\n");
    assert_eq!(stage.home.once(&[]).code, Some(0));
    assert_eq!(stage.holds("a").as_deref(), Some("y"));
}

/// Bug: it was the entry's from then on, and went with it.
#[test]
fn a_file_that_held_the_very_bytes_before_stays_when_its_entry_is_gone() {
    let stage = Stage::delivered(&["b"]);
    stage.aws.put("a", "x");
    let path = stage.path("a");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    stage.configure(&["a", "b"]);
    let done = stage.home.once(&[]);
    assert_eq!(done.code, Some(0), "it is delivered: {done:?}");
    stage.configure(&["b"]);
    let pruned = stage.prune(&["--apply"]);
    assert_eq!(pruned.code, Some(1), "{pruned:?}");
    assert!(
        pruned.stderr.contains("was not written by secretsyncd")
            && pruned.stderr.contains("remove by hand"),
        "{pruned:?}"
    );
    assert_eq!(stage.holds("a").as_deref(), Some("x"));
}

/// Bug: it was said to wait, for ever.
#[test]
fn a_file_store_that_proves_nothing_says_so() {
    let home = Home::new();
    let delete = file(&home, "a", "deletion_policy = \"delete\"");
    home.write("secrets.toml", "a = 'x'\nb = 'x'\n");
    home.configure(&("[stores.prod.file]\npath = \"secrets.toml\"\n".to_owned() + &delete));
    let checked = home.finish(&["check"]);
    assert!(checked.stderr.contains("never takes effect"), "{checked:?}");
    assert_eq!(home.once(&[]).code, Some(0));
    home.write("secrets.toml", "b = 'x'\n");
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let said = done.stdout + &done.stderr;
    assert!(said.contains("can never be proven"), "{said}");
    assert!(!said.contains("ten minutes"), "{said}");
    assert_eq!(home.read_text("targets/a").as_deref(), Some("x"));
}

/// Bug: what had never been there was said to wait, too.
#[test]
fn a_file_store_that_never_had_it_or_only_read_it_says_so() {
    let with = |values: &str| {
        let home = Home::new();
        let delete = file(&home, "a", "deletion_policy = \"delete\"");
        home.write("secrets.toml", values);
        home.configure(&("[stores.prod.file]\npath = \"secrets.toml\"\n".to_owned() + &delete));
        home
    };
    let told = |home: &Home, what: &str| {
        let done = home.once(&[]);
        assert_eq!(done.code, Some(1), "{done:?}");
        let said = done.stdout + &done.stderr;
        assert!(said.contains(what), "{said}");
        assert!(!said.contains("ten minutes"), "{said}");
    };
    told(&with("b = 'x'\n"), "it was never read");
    // Read, but not delivered.
    let home = with("a = 'x'\n");
    fs::create_dir_all(home.path("targets/a")).unwrap();
    let daemon = home.start_ready();
    home.write("secrets.toml", "b = 'x'\n");
    fs::remove_dir(home.path("targets/a")).unwrap();
    assert_eq!(home.finish(&["sync", "a"]).code, Some(1));
    let status = daemon.wait_state("a", "failing");
    let message = status.entry("a").trouble().unwrap().message;
    assert!(message.contains("can never be proven"), "{message}");
}

/// A first answer proves nothing.
#[test]
fn a_file_whose_source_is_not_found_once_stays() {
    let stage = Stage::delivered(&["a"]);
    let delete = file(&stage.home, "a", "deletion_policy = \"delete\"");
    stage.home.configure(&(stage.aws.store("prod") + &delete));
    let daemon = stage.home.start_ready();
    stage.aws.delete("a");
    let status = daemon.wait_state("a", "failing");
    let trouble = status.entry("a").trouble().unwrap();
    assert!(
        trouble.message.contains("the target goes") && trouble.message.contains("ten minutes"),
        "{trouble:?}"
    );
    let planned = stage.home.finish(&["plan"]);
    assert!(planned.stdout.starts_with("delete "), "{planned:?}");
    stays_true(std::time::Duration::from_secs(12), "it is there", || {
        stage.holds("a").as_deref() == Some("x")
    });
}

/// Whole, or away; beside it at most what the next removal clears away.
fn is_sound(stage: &Stage, case: &str) {
    if let Some(text) = stage.holds("a") {
        assert_eq!(text, "x", "{case}");
    }
    let names = stage.names();
    let known = |name: &String| name == "a" || name.starts_with(".secretsyncd-");
    assert!(
        names.iter().all(known) && names.len() <= 1,
        "{case}: {names:?}"
    );
}

/// Killed before that call of the system of that number. False where it came to its end before that.
fn killed_at(stage: &Stage, call: &str, number: usize) -> bool {
    let inject = format!("inject={call}:signal=KILL:when={number}");
    let trace = format!("trace={call}");
    let wrapper = [
        "/usr/bin/strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    let done = stage.home.finish_through(&wrapper, &["prune", "--apply"]);
    assert!(
        matches!(done.code, None | Some(0)),
        "{call} {number}: {done:?}"
    );
    done.code.is_none()
}

#[test]
fn a_removal_that_is_killed_at_any_step_is_carried_on_and_leaves_nothing() {
    if !Path::new("/usr/bin/strace").exists() {
        eprintln!("skipped: strace is not there");
        return;
    }
    let stage = Stage::delivered(&["a"]);
    let mut kills = 0;
    for call in ["renameat2", "unlinkat", "fsync", "fdatasync"] {
        for number in 1..40 {
            stage.configure(&["a"]);
            assert_eq!(stage.home.once(&[]).code, Some(0));
            stage.configure(&[]);
            let case = format!("{call} {number}");
            let killed = killed_at(&stage, call, number);
            is_sound(&stage, &case);
            if number % 2 == 0 {
                // Its entry is back.
                stage.configure(&["a"]);
                let done = stage.home.once(&[]);
                assert_eq!(done.code, Some(0), "{case}: {done:?}");
                assert_eq!(stage.names(), ["a"], "{case}");
            } else {
                let done = stage.prune(&["--apply"]);
                assert_eq!(done.code, Some(0), "{case}: {done:?}");
                assert!(done.stdout.ends_with("0 orphaned targets\n"), "{case}");
                assert_eq!(stage.names(), Vec::<String>::new(), "{case}");
            }
            if !killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 5, "{kills}");
}

#[test]
fn a_daemon_that_is_killed_while_it_removes_ends_it_after_its_next_start() {
    let stage = Stage::delivered(&["a"]);
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..25 {
        stage.configure(&["a"]);
        assert_eq!(stage.home.once(&[]).code, Some(0));
        stage.configure(&[]);
        let mut daemon = stage.home.start_ready();
        let mut prune = stage.home.command(&["prune", "--apply"]);
        let mut prune = prune
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(random.u64(..40_000)));
        daemon.signal(Signal::KILL);
        daemon.wait_exit(PATIENCE);
        let _ = prune.wait();
        is_sound(&stage, &round.to_string());
        let done = stage.prune(&["--apply"]);
        assert_eq!(done.code, Some(0), "{round}: {done:?}");
        assert_eq!(stage.names(), Vec::<String>::new(), "{round}");
    }
}
