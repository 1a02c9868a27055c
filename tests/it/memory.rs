//! What is in the daemon's memory, and who may look.
//!
//! This is the one place that lets time pass: a minute after the last read no value may be left, and nothing but the clock
//! tells when that is.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{self, Kubernetes, Rule, Verb};
use crate::support::leak::Markers;
use crate::support::memory::Canary;
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::suite;
use crate::support::wait::wait_until;

const SUITE: &str = "memory of the daemon";
const EACH: usize = 50;
const LET_GO: Duration = Duration::from_mins(1);

/// Fifty files and fifty Secrets, of every format, some of them through a template.
struct Scene {
    aws: SecretsManager,
    kubernetes: Kubernetes,
    home: Home,
    canary: Canary,
}

impl Scene {
    fn new(interval: &str) -> Self {
        let mut home = Home::new();
        home.log_level = Some("trace");
        let scene = Self {
            aws: SecretsManager::start(),
            kubernetes: Kubernetes::start(),
            home,
            canary: Canary::new(),
        };
        let mut config = scene.aws.store("prod") + &scene.kubernetes.cluster("main");
        for number in 0..EACH {
            config += &scene.file(number, interval);
            config += &Self::secret(number, interval);
        }
        scene.home.configure(&config);
        scene.put_all(1);
        scene
    }

    /// Of each version a value of its own. It is long and repeats itself, so that remains are found in parts.
    fn value(&self, name: &str, version: u32) -> String {
        format!("{} {name} v{version} ", self.canary.text()).repeat(8)
    }

    fn put_all(&self, version: u32) {
        for number in 0..EACH {
            for name in [format!("file-{number}"), format!("secret-{number}")] {
                let (value, canary) = (self.value(&name, version), self.canary.text());
                let text = format!(r#"{{"password":"{value}","short":"{canary}"}}"#);
                self.aws.put(&name, &text);
            }
        }
    }

    fn head(name: &str, interval: &str) -> String {
        format!(
            r#"[secrets.{name}]
store = "prod"
refresh_interval = "{interval}"
data = [
  {{ secret_key = "password", remote_ref = {{ key = "{name}", property = "password" }} }},
  {{ secret_key = "short", remote_ref = {{ key = "{name}", property = "short" }} }},
]
"#
        )
    }

    /// What computes with a value leaves nothing of it either.
    fn template(name: &str) -> String {
        format!("[secrets.{name}.template.data]\n")
            + r#"password = "{{ password }}"
url = "db://u:{{ password | urlencode }}@h/{{ password | b64encode }}"
digests = "{{ password | sha256 }}{{ password | sha512 }}{{ password | hmac_sha256(short) }}"
line = "{{ htpasswd('u', short, cost=5) }}"
registry = "{{ dockerconfigjson('r', 'u', password) }}"
json = "{{ ({'a': password} | to_json | from_json).a | replace('v1', 'V1') | quote }}"
"#
    }

    fn file(&self, number: usize, interval: &str) -> String {
        let name = format!("file-{number}");
        let (template, format) = match number % 4 {
            0 => (String::new(), "format = \"raw\"\nkey = \"password\""),
            1 => (String::new(), "format = \"json\""),
            2 => (String::new(), "format = \"dotenv\""),
            _ => (Self::template(&name), "format = \"json\""),
        };
        let path = self.home.quoted(&format!("targets/{name}"));
        let head = Self::head(&name, interval);
        format!("{head}{template}[[secrets.{name}.file]]\npath = {path}\n{format}\n")
    }

    fn secret(number: usize, interval: &str) -> String {
        let name = format!("secret-{number}");
        let template = match number % 2 {
            0 => String::new(),
            _ => Self::template(&name),
        };
        let head = Self::head(&name, interval);
        format!(
            "{head}{template}[[secrets.{name}.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n"
        )
    }

    fn holds_everywhere(&self, version: u32) -> bool {
        (0..EACH).all(|number| {
            let (file, secret) = (format!("file-{number}"), format!("secret-{number}"));
            let text = self.home.read_text(&format!("targets/{file}"));
            let data = self.kubernetes.data("app", &secret);
            let data = data.and_then(|data| data.get("password").cloned());
            text.is_some_and(|text| text.contains(&self.value(&file, version)))
                && data == Some(self.value(&secret, version).into_bytes())
        })
    }

    /// A minute from now the daemon has let go of every value, and told nobody of one.
    fn lets_go(&self, what: &str, daemon: &Daemon<'_>) {
        thread::sleep(LET_GO);
        let copies = self.canary.copies_in(daemon.id()).unwrap();
        assert!(copies.is_empty(), "{what}: {}: {copies:#?}", copies.len());
        let markers = Markers::new([self.canary.text()]);
        for file in ["environ", "cmdline"] {
            let path = format!("/proc/{}/{file}", daemon.id());
            markers.absent(file, fs::read(path).unwrap());
        }
        for page in ["/metrics", "/status"] {
            markers.absent(page, daemon.page(page));
        }
        let output = daemon.output();
        assert!(output.len() > 10_000, "the log is empty");
        markers.absent("the log", output);
        assert_eq!(self.connections(daemon), 0, "{what}: connections are kept");
    }

    /// To where values come from and go to.
    fn connections(&self, daemon: &Daemon<'_>) -> usize {
        let ports = [self.aws.address().port(), self.kubernetes.port()];
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", daemon.id())).unwrap();
        let established = table.lines().skip(1).filter(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let port = words[2].split_once(':').unwrap().1;
            let port = u16::from_str_radix(port, 16).unwrap();
            words[3] == "01" && ports.contains(&port)
        });
        established.count()
    }
}

/// What follows is believed only because the same search finds a value while it is there.
fn a_value_under_way_is_found() {
    let scene = Scene::new("24h");
    let creates = Rule::any().verb(Verb::Create);
    scene.kubernetes.fail(creates, kubernetes::Fault::Hang);
    let daemon = scene.home.start();
    wait_until(PATIENCE, "a write", || {
        scene.kubernetes.log().write_count() > 0
    });
    let copies = scene.canary.copies_in(daemon.id()).unwrap();
    assert!(copies.len() > EACH, "{copies:?}");
}

fn after_the_first_pass() {
    let scene = Scene::new("24h");
    let daemon = scene.home.start_ready();
    assert!(scene.holds_everywhere(1));
    assert!(scene.connections(&daemon) > 0);
    scene.lets_go("after the first pass", &daemon);
}

fn after_a_rotation() {
    let scene = Scene::new("10s");
    let daemon = scene.home.start_ready();
    scene.put_all(2);
    wait_until(PATIENCE, "the second version", || scene.holds_everywhere(2));
    // From here on nothing is read any more.
    scene.aws.fail_all(Fault::Close);
    scene.lets_go("after a rotation", &daemon);
}

fn memory_can_be_read() -> bool {
    let home = Home::new();
    home.configure("");
    let daemon = home.start_ready();
    Canary::new().copies_in(daemon.id()).is_ok()
}

#[test]
fn a_minute_after_the_last_read_no_value_is_in_memory() {
    if !memory_can_be_read() {
        let why = "the memory of other processes can be read only as root";
        suite::not_run(SUITE, 3, why);
        assert!(!suite::in_ci(), "{SUITE} must run under CI=true: {why}");
        return;
    }
    thread::scope(|scope| {
        scope.spawn(a_value_under_way_is_found);
        scope.spawn(after_the_first_pass);
        scope.spawn(after_a_rotation);
    });
}

/// The loader leaves the registers on the stack when it binds a function of the C library at its first call: found when
/// four copies of a value stayed on a stack for good, once in six runs.
#[test]
fn what_threads_call_is_bound_before_there_is_a_value() {
    let home = Home::new();
    home.configure("");
    let told = home.path("bindings");
    let mut command = home.command(&["check"]);
    command
        .env("LD_DEBUG", "bindings")
        .env("LD_DEBUG_OUTPUT", &told);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let of_glibc = fs::read_dir(told.parent().unwrap())
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.to_string_lossy().starts_with(&*told.to_string_lossy()));
    // Another C library has no such loader.
    let Some(bindings) = of_glibc else {
        assert!(!suite::in_ci(), "the loader told nothing");
        return;
    };
    let bindings = fs::read_to_string(bindings).unwrap();
    for function in ["_dl_allocate_tls_init", "_dl_deallocate_tls"] {
        assert!(bindings.contains(&format!("`{function}'")), "{function}");
    }
}

/// To root everything is open, so whoever runs this gives up all privileges: what is left is a user and its processes.
#[test]
fn another_process_of_the_same_user_cannot_read_what_the_daemon_holds() {
    let ordinary: &[&str] = if rustix::process::geteuid().is_root() {
        &["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    } else {
        &[]
    };
    let home = Home::new();
    home.configure("");
    let mut daemon = home.start_through(ordinary);
    daemon.wait_ready(PATIENCE);
    let reads = |process: u32| {
        let mut words = ordinary.iter().copied().chain(["cat"]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(format!("/proc/{process}/environ"));
        command.output().unwrap().status.success()
    };
    assert!(!reads(daemon.id()));
    // The control: it is not forbidden as such.
    let mut words = ordinary.iter().copied().chain(["sleep", "60"]);
    let mut other = Command::new(words.next().unwrap())
        .args(words)
        .spawn()
        .unwrap();
    let name = format!("/proc/{}/comm", other.id());
    wait_until(PATIENCE, "sleep", || {
        fs::read_to_string(&name).unwrap() == "sleep\n"
    });
    let readable = reads(other.id());
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(readable);
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = cores.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"]);
}
