//! Killed before each system call of a swap that changes something, and started again.
//!
//! A process of its own makes the swap; `strace` counts the calls of the thread that does, and kills it at the chosen one.
//! Without `strace`, or where it may not attach, there is nothing to be seen.

#![expect(
    clippy::disallowed_methods,
    reason = "it waits for processes, on the clock they run by"
)]

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::target::file::directory::{apply, look};

const ZERO: &[(&str, &str)] = &[("crt", "c0"), ("key", "k0"), ("older", "o0")];
/// What changes anything. Each is counted by itself.
const CALLS: &[&str] = &[
    "mkdirat",
    "symlinkat",
    "renameat",
    "renameat2",
    "unlinkat",
    "fchmod",
    "fremovexattr",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
];
/// Where the process that is to be killed works.
const ROOT: &str = "SECRETSYNCD_TEST_KILLED_AT";
const PATIENCE: Duration = Duration::from_secs(30);
/// No swap makes so many calls of one kind.
const MOST: usize = 100;

fn spec(root: &Path) -> config::FileTarget {
    config::FileTarget {
        path: root.join("set"),
        format: FileFormat::Directory,
        mode: 0o640,
        dir_mode: 0o750,
        owner: None,
        group: None,
        adopt: false,
        check: None,
        on_change: None,
        deletion_policy: config::DeletionPolicy::Retain,
    }
}

fn target(root: &Path) -> FileTarget {
    let state = Arc::new(State::open(&root.join("state")).unwrap());
    let entry = EntryName::new("db").unwrap();
    FileTarget::new(spec(root), entry, state, &Seats::default())
}

/// On this thread, which is the one that is counted.
fn swap(target: &FileTarget, of: &[(&str, &str)]) -> Effect {
    let rendered = target.render(&payload(of)).unwrap();
    let seen = crate::target::file::Seen::of_set(
        look(
            &target.disk.path,
            &target.disk.state,
            &target.disk.ownership,
        )
        .unwrap(),
        target.disk.access(),
    );
    let verdict = target.judge(&rendered, &seen).unwrap();
    let done = apply(&target.disk, &rendered, seen.set.as_ref().unwrap(), verdict).unwrap();
    done.effect
}

/// Does nothing unless the test below starts it.
#[test]
fn a_process_that_is_killed() {
    let Ok(root) = std::env::var(ROOT) else {
        return;
    };
    let root = Path::new(&root);
    let target = target(root);
    let id = rustix::thread::gettid().as_raw_pid().to_string();
    fs::write(root.join("id.new"), id).unwrap();
    fs::rename(root.join("id.new"), root.join("id")).unwrap();
    wait(|| root.join("go").exists());
    swap(&target, TWO);
}

fn wait(until: impl Fn() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < PATIENCE, "it takes too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Makes the swap in a process of its own that is killed at that call; `None` where it cannot be.
fn killed_at(root: &Path, (call, number): (&str, usize)) -> Option<ExitStatus> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "target::file::directory::tests::kill::a_process_that_is_killed",
        ])
        .env(ROOT, root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait(|| root.join("id").exists());
    let id = fs::read_to_string(root.join("id")).unwrap();
    let log = root.join("strace.log");
    let tracer = Command::new("strace")
        .args(["-p", &id, "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=SIGKILL:when={number}")])
        .stderr(File::create(&log).unwrap())
        .spawn();
    let Ok(mut tracer) = tracer else {
        end(&mut child);
        return None;
    };
    let said = || fs::read_to_string(&log).unwrap();
    wait(|| said().contains('\n'));
    if !said().contains("attached") {
        end(&mut child);
        tracer.wait().unwrap();
        return None;
    }
    fs::write(root.join("go"), "").unwrap();
    let status = child.wait().unwrap();
    tracer.wait().unwrap();
    for name in ["id", "go", "strace.log"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    Some(status)
}

fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_kill_at_any_call_leaves_the_old_or_the_new_and_nothing_else() {
    let mut kills = 0;
    for call in CALLS {
        let mut number = 1;
        loop {
            let lab = TempDir::new_in("/dev/shm")
                .or_else(|_| TempDir::new())
                .unwrap();
            mode(lab.path(), 0o755);
            let root = lab.path();
            swap(&target(root), ZERO);
            swap(&target(root), ONE);
            let Some(status) = killed_at(root, (call, number)) else {
                eprintln!("strace cannot be used here");
                return;
            };
            let case = format!("{call} {number}");
            sees_one_set(root, &case);
            if status.success() {
                break;
            }
            kills += 1;
            // Whether the source stayed at what was being written, or went back.
            recovers(root, if kills % 2 == 0 { ONE } else { TWO }, &case).await;
            number += 1;
            assert!(number < MOST, "{case}");
        }
    }
    eprintln!("{kills} kills");
    assert!(kills > 30, "only {kills} kills");
}

/// As the next process finds it.
async fn recovers(root: &Path, next: &[(&str, &str)], case: &str) {
    {
        let target = target(root);
        let seen = target.drift().await;
        assert!(seen.is_ok(), "{case}: {seen:?}");
        swap(&target, next);
        assert_eq!(target.drift().await, Ok(None), "{case}");
    }
    let found = names(root);
    let generations = found
        .iter()
        .filter(|name| name.starts_with("..secretsyncd-"));
    assert!(generations.count() <= 2, "{case}: {found:?}");
    assert_eq!(target(root).drift().await, Ok(None));
    let mut found = names(root);
    let live = fs::read_link(root.join("set/..data")).unwrap();
    found.retain(|name| Path::new(name) != live);
    let mut expected = vec!["..data"];
    expected.extend(next.iter().map(|(name, _)| name));
    assert_eq!(found, expected, "{case}");
    sees_one_set(root, case);
}

fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("set")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What stays is there all the time, and all of it is from one set.
fn sees_one_set(root: &Path, case: &str) {
    let read = |name: &str| fs::read_to_string(root.join("set").join(name));
    let whole: BTreeMap<_, _> = fs::read_dir(root.join("set/..data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| (name.clone(), read(&format!("..data/{name}")).unwrap()))
        .collect();
    assert!(whole == set(ONE) || whole == set(TWO), "{case}: {whole:?}");
    for name in ["crt", "key"] {
        assert_eq!(read(name).ok().as_ref(), whole.get(name), "{case}");
    }
    for name in ["old", "new", "older"] {
        let value = read(name).ok();
        assert!(
            value.is_none() || value.as_ref() == whole.get(name),
            "{case}: {name}"
        );
    }
}
