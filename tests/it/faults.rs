//! What can be in a file's way: the old file stays byte for byte, nothing is written elsewhere, the error is named, other
//! entries are fresh, and once it is out of the way the new value arrives by itself.

mod sets;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::support::daemon::{Daemon, Home, PATIENCE, wait_content};
use crate::support::suite;
use crate::support::wait::wait_until;

const OLD: &str = "the old value";
const NEW: &str = "the new value";
const SYSTEM: &str = "what the system keeps there";

/// Where the entry in trouble delivers to; made by the daemon.
const PLACE: &str = "place/deep";
const FILE: &str = "place/deep/bad";

/// A fault, what is right to say of it, and where the old file is meanwhile.
struct Fault {
    name: &'static str,
    reason: &'static str,
    says: &'static str,
    old: &'static str,
    inflict: fn(&Home),
    heal: fn(&Home),
}

const FAULTS: [Fault; 6] = [
    Fault {
        name: "parent replaced by a symlink",
        reason: "conflict",
        says: "is a symbolic link",
        old: "aside/bad",
        inflict: |home| {
            fs::rename(home.path(PLACE), home.path("aside")).unwrap();
            fs::create_dir(home.path("elsewhere")).unwrap();
            symlink(home.path("elsewhere"), home.path(PLACE)).unwrap();
        },
        heal: |home| {
            assert_eq!(fs::read_dir(home.path("elsewhere")).unwrap().count(), 0);
            fs::remove_file(home.path(PLACE)).unwrap();
            fs::rename(home.path("aside"), home.path(PLACE)).unwrap();
        },
    },
    Fault {
        name: "FIFO",
        reason: "conflict",
        says: "FIFO",
        old: "aside",
        inflict: |home| {
            fs::rename(home.path(FILE), home.path("aside")).unwrap();
            let mode = Mode::RUSR | Mode::WUSR;
            mknodat(CWD, home.path(FILE), FileType::Fifo, mode, 0).unwrap();
        },
        heal: put_back,
    },
    Fault {
        name: "directory",
        reason: "conflict",
        says: "is a directory",
        old: "aside",
        inflict: |home| {
            fs::rename(home.path(FILE), home.path("aside")).unwrap();
            fs::create_dir(home.path(FILE)).unwrap();
        },
        heal: |home| {
            fs::remove_dir(home.path(FILE)).unwrap();
            fs::rename(home.path("aside"), home.path(FILE)).unwrap();
        },
    },
    Fault {
        name: "symlink to a file of the system",
        reason: "conflict",
        says: "symbolic link",
        old: "aside",
        inflict: |home| {
            home.write("system", SYSTEM);
            fs::rename(home.path(FILE), home.path("aside")).unwrap();
            symlink(home.path("system"), home.path(FILE)).unwrap();
        },
        heal: |home| {
            assert_eq!(home.read_text("system").unwrap(), SYSTEM);
            put_back(home);
        },
    },
    Fault {
        name: "hard link",
        reason: "conflict",
        says: "hard links",
        old: FILE,
        inflict: |home| {
            fs::copy(home.path(FILE), home.path("second")).unwrap();
            fs::remove_file(home.path(FILE)).unwrap();
            fs::hard_link(home.path("second"), home.path(FILE)).unwrap();
        },
        heal: |home| {
            assert_eq!(home.read_text("second").unwrap(), OLD);
            fs::remove_file(home.path("second")).unwrap();
        },
    },
    Fault {
        name: "parent that others may write",
        reason: "target_denied",
        says: "may be written by everybody",
        old: FILE,
        inflict: |home| mode(home, 0o757),
        heal: |home| mode(home, 0o700),
    },
];

fn put_back(home: &Home) {
    fs::rename(home.path("aside"), home.path(FILE)).unwrap();
}

fn mode(home: &Home, mode: u32) {
    fs::set_permissions(home.path(PLACE), Permissions::from_mode(mode)).unwrap();
}

fn put(home: &Home, value: &str) {
    for name in ["bad", "good"] {
        let new = home.write(&format!("store/.{name}"), value);
        fs::rename(new, home.path(&format!("store/{name}"))).unwrap();
    }
}

/// Two entries over a store of files; the old values are in it.
fn configured() -> Home {
    let home = Home::new();
    let bad = format!("path = {}\nkey = \"v\"\n", home.quoted(FILE));
    configure(&home, (&["v"], &bad));
    home
}

/// The keys of the entry in trouble, which are all of one value, and the lines of its target.
fn configure(home: &Home, (keys, lines): (&[&str], &str)) {
    put(home, OLD);
    let entry = |name: &str, keys: &[&str], lines: &str| {
        let items = keys.iter().map(|key| {
            format!("{{ secret_key = \"{key}\", remote_ref = {{ key = \"{name}\" }} }}")
        });
        let items = items.collect::<Vec<_>>().join(", ");
        format!(
            "[secrets.{name}]\nstore = \"s\"\nrefresh_interval = \"1s\"\ndata = [{items}]\n[[secrets.{name}.file]]\n{lines}"
        )
    };
    let store = format!("[stores.s.file]\npath = {}\n", home.quoted("store"));
    let good = format!("path = {}\nkey = \"v\"\n", home.quoted("targets/good"));
    home.configure(&(store + &entry("bad", keys, lines) + &entry("good", &["v"], &good)));
}

/// Every name of ours for what is not finished, anywhere below.
fn unfinished(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(b".secretsyncd-")
        {
            found.push(entry.path());
        } else if entry.file_type().unwrap().is_dir() {
            unfinished(&entry.path(), found);
        }
    }
}

/// A new value for both entries, while the one's file is in trouble.
fn trouble(home: &Home, daemon: &Daemon<'_>, (reason, says): (&str, &str)) {
    put(home, NEW);
    let status = daemon.wait_state("bad", "failing");
    let trouble = status.entry("bad").trouble().unwrap();
    assert_eq!(trouble.reason, reason, "{trouble:?}");
    assert!(trouble.message.contains(says), "{trouble:?}");
    assert!(
        trouble.message.contains(home.path(PLACE).to_str().unwrap()),
        "{trouble:?}"
    );
    assert!(!trouble.help.trim().is_empty(), "{trouble:?}");
    wait_content(home, "targets/good", NEW);
    daemon.wait_state("good", "fresh");
}

fn one(fault: &Fault) {
    let home = configured();
    let daemon = home.start_ready();
    wait_content(&home, FILE, OLD);
    (fault.inflict)(&home);
    trouble(&home, &daemon, (fault.reason, fault.says));
    assert_eq!(home.read_text(fault.old).as_deref(), Some(OLD));
    let mut left = Vec::new();
    unfinished(&home.path("place"), &mut left);
    assert_eq!(left, Vec::<PathBuf>::new());
    (fault.heal)(&home);
    wait_content(&home, FILE, NEW);
    daemon.wait_state("bad", "fresh");
}

#[test]
fn what_is_in_a_files_way_is_named_and_harms_nothing() {
    let (work, failed) = (
        Mutex::new(FAULTS.iter().collect::<Vec<_>>()),
        Mutex::new(Vec::new()),
    );
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(fault) = { work.lock().unwrap().pop() } {
                    if std::panic::catch_unwind(|| one(fault)).is_err() {
                        failed.lock().unwrap().push(fault.name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn directories_of_ours_that_are_deleted_come_back_with_their_file() {
    let home = configured();
    let daemon = home.start_ready();
    wait_content(&home, FILE, OLD);
    fs::remove_dir_all(home.path("place")).unwrap();
    put(&home, NEW);
    wait_content(&home, FILE, NEW);
    daemon.wait_state("bad", "fresh");
    let made = fs::metadata(home.path(PLACE)).unwrap();
    assert_eq!(made.permissions().mode() & 0o7777, 0o700);
}

/// Root without capabilities obeys permissions as everybody does.
#[test]
fn a_directory_that_we_may_not_write() {
    let home = configured();
    let plain: &[&str] = if geteuid().is_root() {
        &["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    } else {
        &[]
    };
    let plain = [&["env"], plain].concat();
    let mut daemon = home.start_through(&plain);
    daemon.wait_ready(PATIENCE);
    wait_content(&home, FILE, OLD);
    mode(&home, 0o500);
    trouble(&home, &daemon, ("target_denied", "permission denied"));
    assert_eq!(home.read_text(FILE).as_deref(), Some(OLD));
    mode(&home, 0o700);
    wait_content(&home, FILE, NEW);
}

/// A file system of its own on the place, in a mount namespace that only this and the daemon are in.
struct Mounted(Child);

impl Mounted {
    fn on(place: &Path) -> Result<Self, String> {
        let script = "mount -t tmpfs -o size=64k,mode=0700 none \"$1\" && echo mounted && exec cat";
        let mut child = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                script,
                "sh",
            ])
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let mounted = Self(child);
        if line == "mounted\n" {
            Ok(mounted)
        } else {
            Err("nothing can be mounted here".to_owned())
        }
    }

    /// The path as it is inside.
    fn inside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.0.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    fn remount(&self, place: &Path, how: &str) {
        let status = Command::new("nsenter")
            .args([
                "-t",
                &self.0.id().to_string(),
                "-m",
                "mount",
                "-o",
                &format!("remount,{how}"),
            ])
            .arg(place)
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_full_and_a_read_only_file_system() {
    let home = configured();
    fs::create_dir_all(home.path(PLACE)).unwrap();
    for path in ["place", PLACE] {
        fs::set_permissions(home.path(path), Permissions::from_mode(0o700)).unwrap();
    }
    let mounted = match Mounted::on(&home.path(PLACE)) {
        Ok(mounted) => mounted,
        Err(why) => return suite::not_run("full and read-only file systems", 2, &why),
    };
    let pid = mounted.0.id().to_string();
    let mut daemon = home.start_through(&["nsenter", "-t", &pid, "-m"]);
    daemon.wait_ready(PATIENCE);
    let file = mounted.inside(&home.path(FILE));
    let holds = |value: &str| fs::read_to_string(&file).is_ok_and(|text| text == value);
    wait_until(PATIENCE, "the old value", || holds(OLD));

    let filling = mounted.inside(&home.path("place/deep/filling"));
    let full = fs::write(&filling, vec![b'x'; 1 << 20]);
    assert!(full.is_err() && fs::metadata(&filling).unwrap().len() > 0);
    trouble(&home, &daemon, ("io", "the file system is full"));
    assert!(holds(OLD));
    let beside: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
    assert_eq!(beside.len(), 2, "{beside:?}");
    fs::remove_file(&filling).unwrap();
    wait_until(PATIENCE, "the new value", || holds(NEW));
    daemon.wait_state("bad", "fresh");

    put(&home, OLD);
    wait_until(PATIENCE, "the old value again", || holds(OLD));
    daemon.wait_state("bad", "fresh");
    mounted.remount(&home.path(PLACE), "ro");
    trouble(&home, &daemon, ("target_denied", "read-only"));
    assert!(holds(OLD));
    mounted.remount(&home.path(PLACE), "rw");
    wait_until(PATIENCE, "the new value", || holds(NEW));
}

/// Gives errors in the system's place, or makes it hang, while it is attached.
struct Injected {
    strace: Child,
    /// It speaks of each thread that is made, and ends where nobody could hear it.
    _said: BufReader<ChildStderr>,
}

impl Injected {
    /// For this call, wherever it names the place; why not, where that cannot be done here.
    fn into(
        daemon: &Daemon<'_>,
        (call, error): (&str, &str),
        place: &Path,
    ) -> Result<Self, String> {
        Self::doing(daemon, (call, &format!("error={error}")), place)
    }

    fn doing(
        daemon: &Daemon<'_>,
        (call, what): (&str, &str),
        place: &Path,
    ) -> Result<Self, String> {
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{what}"));
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", &trace, "-e", &inject, "-P"])
            .arg(place)
            .args(["-p", &daemon.id().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut speaks = BufReader::new(strace.stderr.take().unwrap());
        let mut said = String::new();
        speaks.read_line(&mut said).unwrap();
        let injected = Self {
            strace,
            _said: speaks,
        };
        if said.contains("attached") {
            Ok(injected)
        } else {
            Err(said.trim().to_owned())
        }
    }
}

/// The daemon goes on without it.
impl Drop for Injected {
    fn drop(&mut self) {
        // It may have ended.
        let _ = kill_process(Pid::from_child(&self.strace), Signal::TERM);
        let _ = self.strace.wait();
    }
}

/// Errors that the system gives, put there by strace while it is attached.
#[test]
fn errors_of_the_swap_itself() {
    const SUITE: &str = "errors of the swap, by strace";
    const ERRORS: [(&str, &str, &str); 5] = [
        ("EDQUOT", "io", "quota"),
        ("ENOSPC", "io", "full"),
        ("EROFS", "target_denied", "read-only"),
        ("EXDEV", "conflict", "another file system"),
        ("EIO", "io", "refused"),
    ];
    let home = configured();
    let daemon = home.start_ready();
    wait_content(&home, FILE, OLD);
    for (error, reason, says) in ERRORS {
        let injected = Injected::into(&daemon, ("renameat2", error), &home.path(PLACE));
        let injected = match injected {
            Ok(injected) => injected,
            Err(why) => return suite::not_run(SUITE, ERRORS.len(), &why),
        };
        trouble(&home, &daemon, (reason, says));
        assert_eq!(home.read_text(FILE).as_deref(), Some(OLD), "{error}");
        let mut left = Vec::new();
        unfinished(&home.path("place"), &mut left);
        assert_eq!(left, Vec::<PathBuf>::new(), "{error}");
        drop(injected);
        wait_content(&home, FILE, NEW);
        daemon.wait_state("bad", "fresh");
        put(&home, OLD);
        wait_content(&home, FILE, OLD);
        daemon.wait_state("bad", "fresh");
    }
}

/// Whether a thread of the daemon is held in this call.
fn is_in(daemon: &Daemon<'_>, call: i64) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap();
    let calls = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("syscall")));
    { calls }.any(|it| it.is_ok_and(|it| it.starts_with(&format!("{call} "))))
}

/// Bug: what was being removed on a disk that did not answer, and is written again, kept every configuration from counting.
#[test]
fn a_removal_that_hangs_keeps_no_reload_from_others() {
    let home = configured();
    let daemon = home.start_ready();
    wait_content(&home, FILE, OLD);
    let good = |name: &str| {
        format!(
            "[stores.s.file]\npath = {}\n[secrets.good]\nstore = \"s\"\nrefresh_interval = \"1s\"\n\
             data = [{{ secret_key = \"v\", remote_ref = {{ key = \"good\" }} }}]\n\
             [[secrets.good.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted("store"),
            home.quoted(name)
        )
    };
    home.configure(&good("targets/other"));
    daemon.signal(Signal::HUP);
    wait_content(&home, "targets/other", OLD);
    let hanging = ("renameat2", "delay_enter=100000000");
    let injected = match Injected::doing(&daemon, hanging, &home.path(PLACE)) {
        Ok(injected) => injected,
        Err(why) => return suite::not_run("a removal that hangs, by strace", 1, &why),
    };
    std::thread::scope(|scope| {
        let prune = scope.spawn(|| home.finish(&["prune", "--apply", "bad"]));
        wait_until(PATIENCE, "the removal", || {
            is_in(&daemon, nix::libc::SYS_renameat2)
        });
        let bad = format!("path = {}\nkey = \"v\"\n", home.quoted(FILE));
        configure(&home, (&["v"], &bad));
        let both = home.read_text("secretsyncd.toml").unwrap();
        let both = both.replace("targets/good", "targets/new");
        home.write("secretsyncd.toml", both);
        let began = Instant::now();
        daemon.signal(Signal::HUP);
        wait_content(&home, "targets/new", OLD);
        // Whoever waits for the removal gives up after 30 s.
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(home.read_text(FILE).as_deref(), Some(OLD), "it still hangs");
        drop(injected);
        prune.join().unwrap();
    });
    // What was certain is gone for a moment, and the entry that writes it now makes it again.
    wait_until(PATIENCE * 2, "another file", || {
        home.read_text(FILE).as_deref() == Some(OLD)
            && daemon.status().entry("bad").state() == "fresh"
    });
}
