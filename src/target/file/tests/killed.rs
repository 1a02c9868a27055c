//! Killed before each single system call of a write, counted by strace: what is in place is the old content or the new,
//! and the next look leaves nothing beside it.

use std::collections::HashMap;
use std::io::stderr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use super::*;

const PLACE: &str = "SECRETSYNCD_TEST_PLACE";
const NAME: &str = "target::file::tests::killed::one_write";
/// Looked for before the write and after it, so that its system calls are found in the trace.
const BEGIN: &str = "/secretsyncd-test-begin";
const END: &str = "/secretsyncd-test-end";

/// How often something else is written first.
const ROUNDS: u8 = 20;

/// Those that no other process can tell of.
const UNSEEN: &[&str] = &[
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "futex",
    "getrandom",
    "gettid",
    "rt_sigaction",
    "rt_sigprocmask",
    "sigaltstack",
    "sched_yield",
    "geteuid",
    "getuid",
    "getpid",
];

const NEW: &[u8] = b"new";

/// The file below the place, and what it holds before.
type Case = (&'static str, Option<&'static [u8]>);

const CASES: [Case; 2] = [("out/made/file", None), ("out/file", Some(b"old"))];

/// What the process does that is killed; by itself it does nothing.
#[test]
#[ignore = "a part of `a_kill_before_any_system_call_leaves_old_or_new`, which starts it"]
fn one_write() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else {
        return;
    };
    let state = state(&place);
    // strace counts by thread: from here on this one has made more calls of each kind than the one that started it.
    for round in 0..ROUNDS {
        write(&target(&place, "before", &state), &[round]);
    }
    let name = fs::read_to_string(place.join("name")).unwrap();
    let target = target(&place, &name, &state);
    assert!(!Path::new(BEGIN).exists());
    write(&target, NEW);
    assert!(!Path::new(END).exists());
}

fn write(target: &FileTarget, value: &[u8]) {
    let rendered = target.render(&payload(value)).unwrap();
    let seen = target.disk.look().unwrap();
    target.disk.write(&rendered, &seen).unwrap();
}

fn target(place: &Path, name: &str, state: &Arc<State>) -> FileTarget {
    let state = Arc::clone(state);
    let spec = config::FileTarget {
        path: place.join(name),
        format: FileFormat::Raw {
            key: SecretKey::new("k").unwrap(),
        },
        mode: 0o640,
        dir_mode: 0o750,
        owner: None,
        group: None,
        adopt: false,
        deletion_policy: config::DeletionPolicy::Retain,
        check: None,
        on_change: None,
    };
    FileTarget::new(
        spec,
        EntryName::new("db").unwrap(),
        state,
        &Seats::default(),
    )
}

fn state(place: &Path) -> Arc<State> {
    Arc::new(State::open(&place.join("state")).unwrap())
}

/// A place in which the old value is delivered.
async fn place(name: &str, old: Option<&[u8]>) -> TempDir {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    mode(place.path(), 0o755);
    fs::create_dir(place.path().join("out")).unwrap();
    mode(&place.path().join("out"), 0o755);
    fs::write(place.path().join("name"), name).unwrap();
    if let Some(old) = old {
        let state = state(place.path());
        deliver(&target(place.path(), name, &state), old)
            .await
            .unwrap();
    }
    place
}

/// One write in a process of its own, under these rules.
fn write_under(place: &Path, rules: &[&str]) -> ExitStatus {
    let output = Command::new("strace")
        .args(["-f", "-o", "trace"])
        .args(rules)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--ignored", "--test-threads=1"])
        .env(PLACE, place)
        .current_dir(place)
        .output();
    output.unwrap().status
}

/// Each system call of the write: its name, and how many of the name its thread makes up to it.
fn calls(trace: &str) -> Vec<(String, usize)> {
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    let (mut calls, mut writer) = (Vec::new(), None);
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let Some((name, rest)) = call.trim_start().split_once('(') else {
            continue;
        };
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        if rest.contains(BEGIN) {
            writer = Some(thread);
        } else if rest.contains(END) {
            break;
        } else if writer == Some(thread) && !UNSEEN.contains(&name) {
            calls.push((name.to_owned(), *count));
        }
    }
    for (call, count) in &calls {
        let others = counts
            .iter()
            .filter(|((thread, name), _)| name == call && Some(*thread) != writer);
        assert!(
            others.map(|(_, count)| count).max() < Some(count),
            "{call}: more rounds are needed"
        );
    }
    calls
}

/// Every file and unfinished directory below a directory.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let (path, name) = entry.map(|it| (it.path(), it.file_name())).unwrap();
        let name = name.into_string().unwrap();
        if path.is_dir() && !name.starts_with(staged::PREFIX) {
            found.extend(files(&path));
        } else {
            found.push(name);
        }
    }
    found
}

/// What is there after the kill, after a look by the next process, and after its write.
async fn afterwards(place: &Path, (name, old): Case, case: &str) {
    let content = || fs::read(place.join(name)).ok();
    let right =
        |content: &Option<Vec<u8>>| content.as_deref() == old || content.as_deref() == Some(NEW);
    let killed = content();
    assert!(right(&killed), "{case}: {killed:?}");
    let target = target(place, name, &state(place));
    target.drift().await.unwrap();
    assert_eq!(content(), killed, "{case}: a look changes nothing");
    let left = files(&place.join("out"));
    let ours = |left: &String| left != "file" && left != ".secretsyncd-made";
    assert!(!left.iter().any(ours), "{case}: {left:?}");
    deliver(&target, NEW).await.unwrap();
    assert_eq!(content().as_deref(), Some(NEW), "{case}");
    assert_eq!(mode_of(&place.join(name)), 0o640, "{case}");
    assert_eq!(files(&place.join("out")), ["file"], "{case}");
}

#[tokio::test]
async fn a_kill_before_any_system_call_leaves_old_or_new() {
    if let Err(error) = Command::new("strace").arg("-V").output() {
        writeln!(
            stderr(),
            "\nkills at system calls: 0 run, 2 not run: no strace: {error}"
        )
        .unwrap();
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "strace is needed"
        );
        return;
    }
    for case @ (name, old) in CASES {
        let whole = place(name, old).await;
        assert!(write_under(whole.path(), &[]).success());
        let trace = fs::read_to_string(whole.path().join("trace")).unwrap();
        let calls = calls(&trace);
        for needed in ["fchmod", "write", "fsync", "renameat2"] {
            assert!(calls.iter().any(|(name, _)| name == needed), "{calls:?}");
        }
        let mut kills = 0;
        for (call, count) in &calls {
            let place = place(name, old).await;
            let kill = format!("inject={call}:signal=KILL:when={count}");
            let status = write_under(place.path(), &["-e", &format!("trace={call}"), "-e", &kill]);
            kills += usize::from(status.signal() == Some(9));
            afterwards(place.path(), case, &format!("{name}, {call} {count}")).await;
        }
        assert!(kills * 10 >= calls.len() * 9, "{kills} of {}", calls.len());
    }
}
