//! A systemd that was booted for a test, in namespaces of its own.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::wait::{wait_for, wait_until};

const SERVICE: &str = include_str!("../../../systemd/secretsyncd.service");
const BOOT: &str = include_str!("boot.sh");

pub const PATIENCE: Duration = Duration::from_mins(1);

/// The users of the machine beside the host's own, each with a group of its own.
const USERS: [(&str, u32); 2] = [("secretsyncd", 790), ("app", 791)];

/// What is there before it boots.
pub struct Plan {
    place: tempfile::TempDir,
    wanted: Vec<String>,
}

pub struct Machine {
    plan: Plan,
    unshare: Child,
    init: u32,
    cgroup: PathBuf,
}

impl Plan {
    /// With the shipped unit, and this configuration.
    pub fn new(configuration: &str) -> Self {
        let place = tempfile::Builder::new()
            .prefix("booted-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let plan = Self {
            place,
            wanted: Vec::new(),
        };
        for directory in [
            "etc/secretsyncd",
            "etc/polkit-1/rules.d",
            "usr/bin",
            "units",
            "empty",
            "seen",
        ] {
            fs::create_dir_all(plan.path(directory)).unwrap();
        }
        // Services of every user leave their traces there.
        fs::set_permissions(plan.path("seen"), Permissions::from_mode(0o1777)).unwrap();
        fs::write(plan.path("usr/bin/secretsyncd"), "").unwrap();
        plan.add_users();
        plan.write("etc/secretsyncd/secretsyncd.toml", configuration);
        chown(
            plan.path("etc/secretsyncd/secretsyncd.toml"),
            Some(0),
            Some(790),
        )
        .unwrap();
        fs::set_permissions(
            plan.path("etc/secretsyncd/secretsyncd.toml"),
            Permissions::from_mode(0o640),
        )
        .unwrap();
        for target in ["sysinit", "basic", "shutdown", "network-online", "sockets"] {
            plan.write(&format!("units/{target}.target"), "[Unit]\nDescription=x\n");
        }
        plan.write("units/secretsyncd.service", SERVICE);
        let log =
            "[Service]\nStandardOutput=append:/run/seen/log\nStandardError=append:/run/seen/log\n";
        plan.write("units/secretsyncd.service.d/log.conf", log);
        plan
    }

    fn add_users(&self) {
        let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
        let mut group = fs::read_to_string("/etc/group").unwrap();
        for (name, id) in USERS {
            let _ = writeln!(
                passwd,
                "{name}:x:{id}:{id}::/var/lib/{name}:/usr/sbin/nologin"
            );
            let _ = writeln!(group, "{name}:x:{id}:");
        }
        self.write("etc/passwd", &passwd);
        self.write("etc/group", &group);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    }

    /// A unit that is started at boot.
    pub fn unit(&mut self, name: &str, content: &str) {
        self.write(&format!("units/{name}"), content);
        self.wanted.push(name.to_owned());
    }

    pub fn boot(self) -> Machine {
        let wanted = self.wanted.join(" ");
        self.write(
            "units/multi-user.target",
            &format!("[Unit]\nDescription=x\nWants=secretsyncd.service {wanted}\n"),
        );
        self.write("boot.sh", BOOT);
        let cgroup = cgroups()
            .unwrap()
            .join(format!("it-{:08x}", fastrand::u32(..)));
        fs::create_dir(&cgroup).unwrap();
        let join = "echo $$ > \"$0/cgroup.procs\"; exec \"$@\"";
        let unshare = Command::new("sh")
            .args(["-c", join])
            .arg(&cgroup)
            .args([
                "unshare",
                "--mount",
                "--pid",
                "--cgroup",
                "--ipc",
                "--uts",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .arg("sh")
            .arg(self.path("boot.sh"))
            .arg(self.place.path())
            .arg(env!("CARGO_BIN_EXE_secretsyncd"))
            .env("container", "test")
            .stdin(Stdio::null())
            .stdout(fs::File::create(self.path("console")).unwrap())
            .stderr(fs::File::create(self.path("console.err")).unwrap())
            .spawn()
            .unwrap();
        let parent = unshare.id();
        let mut machine = Machine {
            plan: self,
            unshare,
            init: 0,
            cgroup,
        };
        machine.init = wait_for(PATIENCE, "its first process", || child_of(parent));
        wait_until(PATIENCE, "the machine to be up", || {
            let output = machine.run(&["systemctl", "is-system-running"]);
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            ["running", "degraded"].contains(&said.as_str())
        });
        machine
    }
}

fn child_of(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Where the unified hierarchy is mounted.
fn cgroups() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let unified = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (place, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    })?;
    unified.join("cgroup.procs").exists().then_some(unified)
}

/// Why none can be booted here.
pub fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can boot one".to_owned());
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return Some("there is no systemd".to_owned());
    }
    if cgroups().is_none() {
        return Some("there is no unified hierarchy of cgroups".to_owned());
    }
    let tried = Command::new("unshare")
        .args(["--mount", "--pid", "--cgroup", "--fork", "--mount-proc", "sh", "-c"])
        .arg("mount --make-rprivate / && mount -t tmpfs tmpfs /run && umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(_) => Some("nothing may be mounted here".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

impl Machine {
    /// Runs a command in it.
    pub fn run(&self, command: &[&str]) -> Output {
        Command::new("nsenter")
            .args([
                "--target",
                &self.init.to_string(),
                "--mount",
                "--pid",
                "--cgroup",
                "--",
            ])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What a command says that has to succeed.
    pub fn say(&self, command: &[&str]) -> String {
        let output = self.run(command);
        assert!(
            output.status.success(),
            "{command:?}: {output:?}\n{}",
            self.logs()
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.say(&[
            "systemctl",
            "show",
            "--value",
            &format!("--property={name}"),
            unit,
        ])
    }

    pub fn number(&self, unit: &str, name: &str) -> u64 {
        self.property(unit, name).parse().unwrap()
    }

    /// What services left in /run/seen.
    pub fn seen(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.plan.path("seen").join(name)).ok()
    }

    /// Replaces a file that the machine sees.
    pub fn change(&self, name: &str, content: &str) {
        self.plan.write(name, content);
    }

    pub fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(PATIENCE, what, &done);
        }));
        assert!(waited.is_ok(), "{what}\n{}", self.logs());
    }

    pub fn logs(&self) -> String {
        let read = |name: &str| fs::read(self.plan.path(name)).unwrap_or_default();
        ["console", "console.err", "seen/log"]
            .map(|name| format!("--- {name}\n{}", String::from_utf8_lossy(&read(name))))
            .concat()
    }
}

impl Drop for Machine {
    /// With its first process goes every other one.
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let gone = || remove_tree(&self.cgroup);
        for _ in 0..50 {
            if gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Cgroups go from the innermost to the outermost, once nobody is in them.
fn remove_tree(cgroup: &Path) -> bool {
    for child in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&child.path());
        }
    }
    fs::remove_dir(cgroup).is_ok() || !cgroup.exists()
}
