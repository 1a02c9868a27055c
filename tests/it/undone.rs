//! Delivered files that others change: what comes back, how soon, and what it costs.
//!
//! Intervals are long, so that nothing here can be the work of a routine check. These scenarios are timed and wait until
//! no other runs: near the end of the alphabet they keep few threads waiting.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::machine::Alone;
use crate::support::secrets_manager::SecretsManager;
use crate::support::suite::in_ci;
use crate::support::wait::{stays_true, wait_until};

const SOON: Duration = Duration::from_secs(1);

struct World {
    aws: SecretsManager,
    home: Home,
}

impl World {
    fn new() -> Self {
        let world = Self {
            aws: SecretsManager::start(),
            home: Home::new(),
        };
        world.aws.put("db", "value");
        world
    }

    /// An entry of one raw file.
    fn entry(&self, name: &str, file: &str) -> String {
        format!(
            "[secrets.{name}]
store = \"prod\"
refresh_interval = \"1h\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"db\" }} }}]
[[secrets.{name}.file]]
path = {}
key = \"value\"
mode = \"0640\"
dir_mode = \"0750\"
",
            self.home.quoted(file)
        )
    }

    fn configure(&self, entries: &str) {
        self.home.configure(&(self.aws.store("prod") + entries));
    }

    fn reads(&self) -> usize {
        self.aws.log().read_count("db")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path(name)
    }

    /// Whether a plain file with that content, our mode and owner, and no other name is there.
    fn is_ours(&self, file: &str, value: &str) -> bool {
        let path = self.path(file);
        let Ok(found) = fs::symlink_metadata(&path) else {
            return false;
        };
        let home = fs::metadata(self.path("")).unwrap();
        let whole = found.is_file() && found.nlink() == 1 && found.mode() & 0o7777 == 0o640;
        whole && found.uid() == home.uid() && fs::read(&path).is_ok_and(|it| it == value.as_bytes())
    }

    fn wait_back(&self, file: &str, value: &str) {
        wait_until(PATIENCE, &format!("{value} in {file}"), || {
            self.is_ours(file, value)
        });
    }

    /// Makes a change, and says how long it lasted and how many reads its end took.
    fn change(&self, file: &str, change: impl FnOnce(&Path)) -> (Duration, usize) {
        let (reads, before) = (self.reads(), Instant::now());
        change(&self.path(file));
        assert!(!self.is_ours(file, "value"), "nothing to be put back");
        while !self.is_ours(file, "value") {
            assert!(before.elapsed() < PATIENCE, "it does not come back");
            std::thread::sleep(Duration::from_millis(5));
        }
        (before.elapsed(), self.reads() - reads)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn repairs(daemon: &Daemon<'_>, kind: &str) -> f64 {
    daemon.metrics().value(
        "secretsyncd_drift_repairs_total",
        &[("target_kind", "file"), ("kind", kind)],
    )
}

fn rename_over(path: &Path, content: &str) {
    let new = path.with_extension("swp");
    fs::write(&new, content).unwrap();
    fs::rename(&new, path).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What is done to a file, the kind it is counted as, and how many reads its repair may take.
type Case = (&'static str, fn(&Path), &'static str, usize);

const CASES: [Case; 8] = [
    (
        "deleted",
        |path| fs::remove_file(path).unwrap(),
        "missing",
        1,
    ),
    (
        "written into",
        |path| fs::write(path, "other").unwrap(),
        "content",
        1,
    ),
    ("replaced", |path| rename_over(path, "other"), "content", 1),
    (
        "truncated",
        |path| drop(fs::File::create(path).unwrap()),
        "content",
        1,
    ),
    ("opened to all", |path| set_mode(path, 0o666), "metadata", 0),
    (
        "replaced by the same with another mode",
        |path| rename_over(path, "value"),
        "metadata",
        0,
    ),
    (
        "linked",
        |path| fs::hard_link(path, path.with_extension("link")).unwrap(),
        "metadata",
        0,
    ),
    (
        "given away",
        |path| chown(path, Some(4711), Some(4712)).unwrap(),
        "metadata",
        0,
    ),
];

#[test]
fn whatever_is_done_to_a_file_is_undone_within_a_second() {
    let _alone = Alone::wait();
    let world = World::new();
    world.configure(&world.entry("db", "out/db"));
    let daemon = world.home.start_ready();
    world.wait_back("out/db", "value");
    for (what, change, kind, most) in CASES {
        if what == "given away" && !is_root() {
            continue;
        }
        let before = repairs(&daemon, kind);
        let (took, reads) = world.change("out/db", change);
        assert!(took < SOON, "{what}: {took:?}");
        assert!(reads <= most, "{what} cost {reads} reads");
        wait_until(PATIENCE, &format!("{what} counted as {kind}"), || {
            repairs(&daemon, kind) >= before + 1.0
        });
        assert!(repairs(&daemon, kind) < before + 1.5, "{what}: once");
        // A fight would be another matter.
        assert_eq!(world.home.finish(&["sync", "db"]).code, Some(0));
    }
    // The other name keeps the old file.
    assert_eq!(world.home.read_text("out/db.link").unwrap(), "value");
    let log = daemon.output();
    let put_back = log.lines().filter(|line| {
        line.contains("audit") && line.contains("put back") && line.contains("drift")
    });
    let cases = if is_root() { 8 } else { 7 };
    assert_eq!(put_back.count(), cases, "{log}");
    assert!(log.contains("another name, which keeps what it held"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_edit_by_another_name_is_undone_and_the_name_keeps_its_own() {
    let world = World::new();
    world.configure(&world.entry("db", "out/db"));
    let _daemon = world.home.start_ready();
    let link = world.path("elsewhere");
    world.change("out/db", |path| {
        fs::hard_link(path, &link).unwrap();
        fs::write(&link, "theirs").unwrap();
    });
    assert_eq!(fs::read_to_string(link).unwrap(), "theirs");
}

/// What takes the place of a file.
type Intruder<'a> = (&'static str, &'a dyn Fn(&Path));

#[test]
fn what_is_no_file_is_left_alone_and_named_and_its_end_is_noticed() {
    let _alone = Alone::wait();
    let world = World::new();
    world.configure(&world.entry("db", "out/db"));
    let daemon = world.home.start_ready();
    fs::write(world.path("theirs"), "theirs").unwrap();
    let intruders: [Intruder<'_>; 3] = [
        ("symbolic link", &|path| {
            symlink(world.path("theirs"), path.with_extension("new")).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("is a directory", &|path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("hard links", &|path| {
            fs::remove_file(path).unwrap();
            fs::hard_link(world.path("theirs"), path).unwrap();
        }),
    ];
    for (word, intrude) in intruders {
        let (reads, before) = (world.reads(), Instant::now());
        intrude(&world.path("out/db"));
        let named = || {
            let status = daemon.status();
            let trouble = status.entry("db").trouble();
            trouble.is_some_and(|it| it.reason == "conflict" && it.message.contains(word))
        };
        wait_until(PATIENCE, word, named);
        assert!(before.elapsed() < SOON, "{word}: {:?}", before.elapsed());
        assert_eq!(world.reads(), reads, "{word}: nothing is read for that");
        assert_eq!(world.home.read_text("theirs").unwrap(), "theirs");
        assert!(!world.is_ours("out/db", "value"), "{word} stays");
        let (took, reads) = world.change("out/db", |path| {
            if fs::symlink_metadata(path).unwrap().is_dir() {
                fs::remove_dir(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        });
        assert!(took < SOON, "{word} went: {took:?}");
        assert!(reads <= 1, "{word} cost {reads} reads");
        daemon.wait_state("db", "fresh");
        assert_eq!(world.home.finish(&["sync", "db"]).code, Some(0));
    }
    assert_eq!(world.home.read_text("theirs").unwrap(), "theirs");
}

#[test]
fn a_directory_comes_back_when_we_made_it() {
    let _alone = Alone::wait();
    let world = World::new();
    world.configure(&world.entry("db", "made/deep/db"));
    let daemon = world.home.start_ready();
    for (what, gone) in [("directory", "made/deep"), ("all of the way", "made")] {
        let (took, reads) = world.change("made/deep/db", |_| {
            fs::remove_dir_all(world.path(gone)).unwrap();
        });
        assert!(took < SOON, "{what}: {took:?}");
        assert!(reads <= 1, "{what} cost {reads} reads");
        let mode = fs::metadata(world.path("made/deep")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o750);
    }
    assert!(repairs(&daemon, "missing") > 1.5);
    // That we made it is known after a restart, too.
    assert_eq!(daemon.stop(), Some(0));
    fs::remove_dir_all(world.path("made")).unwrap();
    let _daemon = world.home.start_ready();
    world.wait_back("made/deep/db", "value");
}

#[test]
fn a_directory_that_we_did_not_make_is_waited_for() {
    let _alone = Alone::wait();
    let world = World::new();
    fs::create_dir_all(world.path("theirs/out")).unwrap();
    world.configure(&(world.entry("db", "theirs/out/db") + &world.entry("other", "ours/db")));
    let daemon = world.home.start_ready();
    for parent in ["theirs/out", "theirs"] {
        let reads = world.reads();
        fs::remove_dir_all(world.path(parent)).unwrap();
        let named = || {
            let status = daemon.status();
            let trouble = status.entry("db").trouble();
            trouble.is_some_and(|it| {
                it.reason == "target_missing"
                    && it.message.contains("was not made by secretsyncd")
                    && it.help.contains("make it again")
            })
        };
        wait_until(PATIENCE, "the trouble is named", named);
        stays_true(SOON, "nothing is made or read", || {
            !world.path(parent).exists() && world.reads() == reads
        });
        assert_eq!(daemon.status().entry("other").state(), "fresh");
        let (took, reads) = world.change("theirs/out/db", |_| {
            fs::create_dir_all(world.path("theirs/out")).unwrap();
        });
        assert!(took < SOON, "{parent}: {took:?}");
        assert!(reads <= 1, "{parent} cost {reads} reads");
        daemon.wait_state("db", "fresh");
        assert_eq!(world.home.finish(&["sync", "db"]).code, Some(0));
    }
}

#[test]
fn a_directory_that_becomes_a_link_is_not_followed() {
    let _alone = Alone::wait();
    let world = World::new();
    world.configure(&world.entry("db", "made/db"));
    let daemon = world.home.start_ready();
    let before = Instant::now();
    fs::rename(world.path("made"), world.path("moved")).unwrap();
    fs::create_dir(world.path("trap")).unwrap();
    symlink("trap", world.path("made")).unwrap();
    let named = || {
        let status = daemon.status();
        let trouble = status.entry("db").trouble();
        trouble.is_some_and(|it| it.reason == "conflict" && it.message.contains("symbolic link"))
    };
    wait_until(PATIENCE, "the trouble is named", named);
    assert!(before.elapsed() < SOON, "{:?}", before.elapsed());
    let trap = fs::read_dir(world.path("trap")).unwrap();
    assert_eq!(trap.count(), 0, "nothing is written through the link");
    let (took, _) = world.change("made/db", |_| fs::remove_file(world.path("made")).unwrap());
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_storm_of_edits_is_no_fight_of_ours_and_harms_nobody() {
    let world = World::new();
    world.configure(&(world.entry("db", "out/db") + &world.entry("other", "out/other")));
    let daemon = world.home.start_ready();
    let end = Instant::now() + PATIENCE;
    let mut writes = 0;
    while daemon.status().entry("db").state() != "contested" {
        for _ in 0..20 {
            let new = world.path("out/new");
            fs::write(&new, format!("theirs-{writes}")).unwrap();
            if is_root() {
                chown(&new, Some(4711), None).unwrap();
            }
            fs::rename(new, world.path("out/db")).unwrap();
            writes += 1;
        }
        assert!(Instant::now() < end, "{writes} writes are no fight");
    }
    let reads = world.reads();
    for number in 0..300 {
        rename_over(&world.path("out/db"), &format!("theirs again {number}"));
        std::thread::sleep(Duration::from_millis(5));
    }
    world.change("out/other", |path| fs::write(path, "edited").unwrap());
    assert!(
        world.reads() <= reads + 2,
        "{} reads",
        world.reads() - reads
    );
    let withheld = || {
        let status = daemon.status();
        let trouble = status.entry("db").trouble();
        trouble.is_some_and(|it| it.message.contains("keeps changing"))
    };
    wait_until(PATIENCE, "it is withheld", withheld);
    if is_root() {
        let status = daemon.status();
        let trouble = status.entry("db").trouble().unwrap();
        assert!(trouble.message.contains("user 4711"), "{trouble:?}");
        assert!(trouble.help.contains("last written at"), "{trouble:?}");
    }
    let log = daemon.output();
    assert!(log.contains("the target is contested"));
    assert!(!log.contains("theirs"), "nothing that is in files is told");
    assert_eq!(daemon.status().entry("other").state(), "fresh");
    // A new version is written all the same, and whoever asks ends the fight.
    world.aws.put("db", "next");
    assert_eq!(world.home.finish(&["sync", "other"]).code, Some(0));
    world.wait_back("out/db", "next");
    assert_eq!(daemon.status().entry("db").state(), "contested");
    rename_over(&world.path("out/db"), "theirs");
    assert_eq!(world.home.finish(&["sync", "db"]).code, Some(0));
    world.wait_back("out/db", "next");
    daemon.wait_state("db", "fresh");
}

#[test]
fn what_is_suspended_delivered_once_or_configured_no_more_is_left_alone() {
    let world = World::new();
    let once = world.entry("once", "out/once");
    let once = once.replace(
        "refresh_interval",
        "refresh_policy = \"created_once\"\nrefresh_interval",
    );
    let db = world.entry("db", "out/db");
    let suspended = db.replace("refresh_interval", "suspend = true\nrefresh_interval");
    let witness = world.entry("witness", "out/witness");
    world.configure(&[&*once, &*db, &*witness].concat());
    let daemon = world.home.start_ready();
    let edit = |name: &str| fs::write(world.path(name), "edited").unwrap();
    let stays = |name: &str| {
        edit(name);
        world.change("out/witness", |path| fs::write(path, "edited").unwrap());
        assert_eq!(world.home.read_text(name).unwrap(), "edited", "{name}");
        assert_eq!(world.home.finish(&["sync", "witness"]).code, Some(0));
    };
    stays("out/once");
    world.configure(&[&*once, &*suspended, &*witness].concat());
    daemon.wait_state("db", "suspended");
    stays("out/db");
    world.configure(&[&*once, &*witness].concat());
    wait_until(PATIENCE, "the entry is gone", || {
        daemon.status().find("db").is_none()
    });
    fs::remove_file(world.path("out/db")).unwrap();
    world.change("out/witness", |path| fs::write(path, "edited").unwrap());
    assert!(!world.path("out/db").exists());
}

#[test]
fn without_inotify_files_are_looked_at_in_each_interval_and_the_log_says_so() {
    if !may_limit() {
        assert!(!in_ci(), "user namespaces are needed");
        return;
    }
    let world = World::new();
    let entry = world.entry("db", "out/db").replace("1h", "10s");
    world.configure(&entry);
    let mut daemon = world.home.start_through(&WITHOUT_INOTIFY);
    daemon.wait_ready(PATIENCE);
    world.wait_back("out/db", "value");
    let out = format!(
        "inotify cannot be had; fs.inotify.max_user_instances or the limit of open files may be reached: {}",
        world.path("out").display()
    );
    wait_until(PATIENCE, "the log says so", || {
        daemon.output().contains(&out)
    });
    fs::remove_file(world.path("out/db")).unwrap();
    world.wait_back("out/db", "value");
    assert_eq!(daemon.output().matches(&out).count(), 1);
    assert_eq!(daemon.stop(), Some(0));
}

/// A user namespace has limits of its own.
const WITHOUT_INOTIFY: [&str; 6] = [
    "unshare",
    "--map-root-user",
    "sh",
    "-c",
    "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"",
    "sh",
];

fn may_limit() -> bool {
    let [program, arguments @ ..] = WITHOUT_INOTIFY;
    let mut command = Command::new(program);
    let tried = command.args(arguments).arg("true").output();
    tried.is_ok_and(|it| it.status.success())
}

#[test]
fn ten_thousand_files_cost_nothing_while_nothing_happens() {
    const FILES: usize = 10_000;
    let _alone = Alone::wait();
    let world = World::new();
    for entry in 0..FILES / 100 {
        let mut config = format!(
            "[secrets.e{entry}]\nstore = \"prod\"\nrefresh_interval = \"1h\"\n\
             data = [{{ secret_key = \"value\", remote_ref = {{ key = \"db\" }} }}]\n"
        );
        let files = (entry * 100..(entry + 1) * 100).map(|number| {
            let file = world.home.quoted(&format!("out/f{number}"));
            format!("[[secrets.e{entry}.file]]\npath = {file}\nkey = \"value\"\nmode = \"0640\"\n")
        });
        config.extend(files);
        world.home.write(&format!("conf.d/e{entry}.toml"), config);
    }
    world.configure("");
    let whole = world.home.read_text("secretsyncd.toml").unwrap();
    let include = "include = [\"conf.d/*.toml\"]\n\n";
    world.home.configure_whole(&(include.to_owned() + &whole));
    let mut daemon = world.home.start();
    daemon.wait_ready(PATIENCE * 8);
    // Its own writes are looked at and found to be its own.
    let mut before = cpu(&daemon);
    wait_until(PATIENCE * 4, "it is quiet", || {
        std::thread::sleep(Duration::from_secs(1));
        let now = cpu(&daemon);
        let quiet = now - before < 5;
        before = now;
        quiet
    });
    let reads = world.reads();
    std::thread::sleep(Duration::from_secs(5));
    let ticks = cpu(&daemon) - before;
    assert!(ticks < 100, "{ticks} ticks of 10 ms in 5 s");
    assert_eq!(world.reads(), reads);
    assert!(repairs(&daemon, "content") < 0.5 && repairs(&daemon, "metadata") < 0.5);
    for file in ["out/f0", "out/f9999"] {
        let (took, reads) = world.change(file, |path| fs::write(path, "other").unwrap());
        assert!(took < SOON, "{file}: {took:?}");
        assert!(reads <= 1, "{reads} reads");
    }
}

/// Ticks of processor time that it has used.
fn cpu(daemon: &Daemon<'_>) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
