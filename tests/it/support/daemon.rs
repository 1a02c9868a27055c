//! The real binary: its configuration in a home of its own, started, signalled, scraped, and waited for.
//!
//! The environment is empty but for what is given, so that nothing of the machine that runs the tests is read.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::http;
use super::machine::Share;
use super::prometheus::Metrics;
use super::status::Status;
use super::wait::{wait_for, wait_until};

/// Long enough for a loaded machine; nothing waits for it when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const SECRET_ACCESS_KEY: &str = "MARKER-aws-secret-access-key-c41f";

/// A directory with everything one instance reads and writes, and the means to start it there.
pub struct Home {
    dir: tempfile::TempDir,
    port: u16,
    config: &'static str,
    environment: BTreeMap<String, String>,
    /// `--log-level`, where a test wants another than the default.
    pub log_level: Option<&'static str>,
    /// `--log-format`, likewise.
    pub log_format: Option<&'static str>,
    _share: Share,
}

/// Bytes of memory of a process.
#[derive(Clone, Copy)]
pub struct Memory {
    pub resident: u64,
    /// Without what is mapped from files, as its code.
    pub anonymous: u64,
    pub peak: u64,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// `None`: killed by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("it-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let environment = [
            ("HOME", dir.path().to_str().unwrap()),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ACCESS_KEY_ID", "AKIAINTEGRATIONTESTS"),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ];
        Self {
            port: free_port(),
            config: "secretsyncd.toml",
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            dir,
            log_level: None,
            log_format: None,
            _share: Share::take(),
        }
    }

    /// A path below the home. Targets live there, so that nothing outlives the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as TOML text, quoted.
    pub fn quoted(&self, name: &str) -> String {
        format!("{:?}", self.path(name).display().to_string())
    }

    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub fn unset_env(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// Writes a file that only its owner can read.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// The same for a file that a daemon may be reading: it sees the one or the other.
    fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let new = self.write(&format!("{name}.new"), content);
        fs::rename(new, self.path(name)).unwrap();
    }

    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    pub fn read_text(&self, name: &str) -> Option<String> {
        self.read(name)
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// Makes this the configuration, behind a `[daemon]` table for this home.
    pub fn configure(&self, tables: &str) {
        self.configure_with("", tables);
    }

    /// The same, with more under `[daemon]`.
    pub fn configure_with(&self, more: &str, tables: &str) {
        let daemon = format!(
            "[daemon]\n{more}listen = \"127.0.0.1:{}\"\nstate_dir = {}\ncontrol_socket = {}\nshutdown_grace = \"5s\"\n\n",
            self.port,
            self.quoted("state"),
            self.quoted("c.sock"),
        );
        self.replace("secretsyncd.toml", daemon + tables);
    }

    /// Makes this text, whatever it is, the configuration.
    pub fn configure_whole(&self, text: &str) {
        self.replace("secretsyncd.toml", text);
    }

    /// Makes a file of the home the configuration as it stands there.
    pub fn use_config(&mut self, name: &'static str) {
        self.config = name;
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts `run`.
    pub fn start(&self) -> Daemon<'_> {
        self.start_through(&[])
    }

    /// Starts `run` by a command that becomes it.
    pub fn start_through(&self, wrapper: &[&str]) -> Daemon<'_> {
        let name = format!("run-{:08x}", fastrand::u32(..));
        let (stdout, stderr) = (
            self.path(&format!("{name}.out")),
            self.path(&format!("{name}.err")),
        );
        let mut command = through(wrapper, self.command(&["run"]));
        command.stdout(File::create(&stdout).unwrap());
        command.stderr(File::create(&stderr).unwrap());
        Daemon {
            child: command.spawn().unwrap(),
            home: self,
            stdout,
            stderr,
        }
    }

    /// Starts `run` and waits until every entry was tried.
    pub fn start_ready(&self) -> Daemon<'_> {
        let mut daemon = self.start();
        daemon.wait_ready(PATIENCE);
        daemon
    }

    pub fn once(&self, names: &[&str]) -> Finished {
        self.finish(&[&["once"], names].concat())
    }

    pub fn check(&self) -> Finished {
        self.finish(&["check"])
    }

    /// Runs a command to its end, at most for [`PATIENCE`] twice over.
    pub fn finish(&self, arguments: &[&str]) -> Finished {
        self.finish_through(&[], arguments)
    }

    pub fn finish_through(&self, wrapper: &[&str], arguments: &[&str]) -> Finished {
        finish(through(wrapper, self.command(arguments)))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command();
        command
            .envs(&self.environment)
            .current_dir(self.dir.path())
            .arg("--config")
            .arg(self.path(self.config));
        if let Some(level) = self.log_level {
            command.args(["--log-level", level]);
        }
        if let Some(format) = self.log_format {
            command.args(["--log-format", format]);
        }
        command.args(arguments);
        command
    }
}

/// The same command as the last arguments of another.
fn through(wrapper: &[&str], command: Command) -> Command {
    let [program, arguments @ ..] = wrapper else {
        return command;
    };
    let mut whole = Command::new(program);
    whole.env_clear().stdin(Stdio::null()).args(arguments);
    let variables = command.get_envs();
    whole.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    if let Some(place) = command.get_current_dir() {
        whole.current_dir(place);
    }
    whole.arg(command.get_program()).args(command.get_args());
    whole
}

/// The binary with an empty environment and nothing on its standard input: the one that these tests were built with, or
/// that `SECRETSYNCD_TEST_DAEMON` names. So an optimised daemon is measured by tests that took no time to optimise.
pub fn bare_command() -> Command {
    let named = std::env::var_os("SECRETSYNCD_TEST_DAEMON");
    let binary = named.map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_secretsyncd")),
        // It is started in a directory of its own.
        |named| fs::canonicalize(named).expect("SECRETSYNCD_TEST_DAEMON names a daemon"),
    );
    let mut command = Command::new(binary);
    command.env_clear().stdin(Stdio::null());
    command
}

pub fn finish(mut command: Command) -> Finished {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (stdout, stderr) = (place.path().join("out"), place.path().join("err"));
    command.stdout(File::create(&stdout).unwrap());
    command.stderr(File::create(&stderr).unwrap());
    let mut child = command.spawn().unwrap();
    let status = exit_within(&mut child, PATIENCE * 2);
    Finished {
        code: status.code(),
        stdout: lossy(&stdout),
        stderr: lossy(&stderr),
    }
}

/// A running `run`; killed when dropped.
pub struct Daemon<'a> {
    child: Child,
    home: &'a Home,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Daemon<'_> {
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.home.port)
    }

    pub fn wait_ready(&mut self, deadline: Duration) {
        let url = self.url("/readyz");
        let child = &mut self.child;
        wait_until(deadline, "/readyz", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the daemon ended with {status} before it was ready");
            }
            http::get(&url).is_some_and(|page| page.status == 200)
        });
    }

    pub fn page(&self, path: &str) -> String {
        let page = http::get(&self.url(path)).unwrap_or_else(|| panic!("{path} is not answered"));
        assert_eq!(page.status, 200, "{path}");
        page.body
    }

    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.page("/metrics"))
    }

    pub fn status(&self) -> Status {
        Status::parse(&self.page("/status"))
    }

    /// Waits until the entry is in this state.
    pub fn wait_state(&self, entry: &str, state: &str) -> Status {
        let mut last = String::new();
        let start = Instant::now();
        loop {
            let status = self.status();
            if let Some(found) = status.find(entry) {
                if found.state() == state {
                    return status;
                }
                last = format!("{} {:?}", found.state(), found.trouble());
            }
            assert!(
                start.elapsed() < PATIENCE * 2,
                "{entry} did not become {state}: {last}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for a first success after this one.
    pub fn wait_success_after(&self, entry: &str, last_success: &str) {
        wait_until(PATIENCE * 2, "a later success", || {
            let status = self.status();
            let success = status.entry(entry).last_success().map(str::to_owned);
            success.is_some_and(|success| success.as_str() > last_success)
        });
    }

    /// What it takes of the machine's memory.
    pub fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            kibibytes << 10
        };
        Memory {
            resident: of("VmRSS:"),
            anonymous: of("RssAnon:"),
            peak: of("VmHWM:"),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Lets it open that many descriptors beyond those it has now.
    pub fn limit_descriptors(&self, more: u64) {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let limit = open.unwrap().count() as u64 + more;
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        prlimit(pid, Resource::Nofile, limit).unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        exit_within(&mut self.child, PATIENCE).code()
    }

    pub fn wait_exit(&mut self, deadline: Duration) -> Option<i32> {
        exit_within(&mut self.child, deadline).code()
    }

    /// Everything it printed so far, on both streams.
    pub fn output(&self) -> String {
        lossy(&self.stdout) + &lossy(&self.stderr)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let ended = self.child.try_wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            if let Ok(Some(status)) = ended {
                eprintln!("the daemon had ended: {status}");
            }
            let log = lossy(&self.stderr);
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!("the daemon's last words:\n{}", tail.join("\n"));
        }
    }
}

fn exit_within(child: &mut Child, deadline: Duration) -> ExitStatus {
    let mut tries = Instant::now();
    let end = tries + deadline;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if tries >= end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("still running after {deadline:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
        tries = Instant::now();
    }
}

/// A loopback port that nothing listens on, below the range from which the system gives outgoing connections theirs:
/// those would take it before the daemon does. Each is given out once.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + u16::try_from(std::process::id() % 100).unwrap() * 200;
    loop {
        let port = start + GIVEN.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Waits until a file has this content.
pub fn wait_content(home: &Home, name: &str, content: &str) {
    let mut last = None;
    wait_for(PATIENCE * 2, &format!("{name} to be as wanted"), || {
        last = home.read(name);
        (last.as_deref() == Some(content.as_bytes())).then_some(())
    });
}
