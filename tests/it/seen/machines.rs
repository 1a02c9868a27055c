//! The machines that are watched: the one that has all entries in trouble, and small ones that something happens to as a
//! whole.
//!
//! Nothing outside of a process makes its scheduler hang or go deaf while it still answers: there, somebody has its port
//! who repeats what it said last.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use super::world::World;
use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Fault, Kubernetes, Rule};
use crate::support::real_prometheus::Prometheus;
use crate::support::wait::{wait_for, wait_until};

pub struct Machines {
    world: World,
    /// Ends and is started again, and then is not.
    crashing: Home,
    frozen: Home,
    /// Its port is somebody else's.
    strange: Home,
    /// Says the same again and again.
    hung: Home,
    /// Without series of single entries; writes to Kubernetes while it has a Lease.
    quiet: Home,
    lease: Kubernetes,
    /// Goes round, and nothing that is due happens.
    deaf: Home,
}

impl Machines {
    pub fn new() -> Self {
        let lease = Kubernetes::start();
        lease.create_namespace("locks");
        let machines = Self {
            world: World::new(),
            crashing: small(&["one"]),
            frozen: small(&["one"]),
            strange: small(&["one"]),
            hung: small(&["one"]),
            quiet: small(&["failing", "stale"]),
            deaf: small(&["one"]),
            lease,
        };
        machines.configure_quiet();
        machines
    }

    fn configure_quiet(&self) {
        let stale = entry(&self.quiet, "stale", "");
        let stale = stale.replace("store =", "max_stale = \"2s\"\nstore =");
        self.quiet.configure_with(
            "per_secret_metrics = false\n",
            &[
                "[daemon.leader]\ncluster = \"main\"\nnamespace = \"locks\"\nlease_duration = \"2s\"\nrenew_deadline = \"1600ms\"\nretry_period = \"200ms\"\n\n",
                &self.lease.cluster("main"),
                STORE,
                &entry(&self.quiet, "failing", ""),
                &stale,
            ]
            .concat(),
        );
    }

    /// Where they are scraped, and of which fleet they are.
    pub fn watched(&self) -> Vec<(String, &'static str)> {
        let homes = [
            &self.world.home,
            &self.crashing,
            &self.frozen,
            &self.strange,
            &self.hung,
            &self.deaf,
        ];
        let alone = homes.map(|home| (address(home), "default"));
        let shared = (address(&self.quiet), "shared");
        [&alone[..], &[shared]].concat()
    }

    pub fn start(&self) -> Running<'_> {
        Running {
            machines: self,
            world: self.world.home.start_ready(),
            crashing: Some(self.crashing.start_ready()),
            frozen: self.frozen.start_ready(),
            strange: Port::Daemon(self.strange.start_ready()),
            hung: Port::Daemon(self.hung.start_ready()),
            _quiet: self.quiet.start_ready(),
            deaf: Port::Daemon(self.deaf.start_ready()),
        }
    }
}

/// All of them, killed when dropped.
pub struct Running<'a> {
    machines: &'a Machines,
    world: Daemon<'a>,
    crashing: Option<Daemon<'a>>,
    frozen: Daemon<'a>,
    strange: Port<'a>,
    hung: Port<'a>,
    _quiet: Daemon<'a>,
    deaf: Port<'a>,
}

/// Who has the port of a machine.
enum Port<'a> {
    Daemon(Daemon<'a>),
    Impostor { _answers: Impostor },
    Nobody,
}

impl Running<'_> {
    /// Everything at once; nothing of it hides another.
    pub fn break_all(&mut self, prometheus: &Prometheus) {
        self.frozen.signal(Signal::STOP);
        let machines = self.machines;
        let said = self.hung.metrics();
        take_over(&mut self.hung, &machines.hung, move || said.clone());
        let said = self.deaf.metrics();
        take_over(&mut self.deaf, &machines.deaf, move || later(&said));
        let other = || "other 1\n".to_owned();
        take_over(&mut self.strange, &machines.strange, other);
        put(&self.machines.quiet, &[], "");
        self.machines.lease.fail(Rule::any(), Fault::InternalError);
        self.machines.world.break_all(&self.world);
        self.crash(prometheus);
    }

    /// Three new starts, each seen by Prometheus, and then an end.
    fn crash(&mut self, prometheus: &Prometheus) {
        let instance = address(&self.machines.crashing);
        let started = format!("process_start_time_seconds{{instance=\"{instance}\"}}");
        let started = || prometheus.query(&started).first().map(|it| it.value);
        for _ in 0..3 {
            let before = wait_for(PATIENCE, "its start to be seen", started);
            self.crashing = None;
            self.crashing = Some(self.machines.crashing.start_ready());
            wait_until(PATIENCE, "its new start to be seen", || {
                started().is_some_and(|now| now > before)
            });
        }
        self.crashing = None;
    }

    pub fn mend_all(&mut self) {
        let machines = self.machines;
        self.frozen.signal(Signal::CONT);
        give_back(&mut self.hung, &machines.hung);
        give_back(&mut self.deaf, &machines.deaf);
        give_back(&mut self.strange, &machines.strange);
        self.crashing = Some(machines.crashing.start_ready());
        put(&machines.quiet, &["failing", "stale"], "one");
        machines.lease.heal();
        machines.world.mend_all(&self.world);
    }
}

impl Port<'_> {
    fn metrics(&self) -> String {
        match self {
            Self::Daemon(daemon) => daemon.page("/metrics"),
            Self::Impostor { .. } | Self::Nobody => panic!("no daemon is there"),
        }
    }
}

/// The same but for the scheduler, which goes round.
fn later(page: &str) -> String {
    let progress = "secretsyncd_scheduler_progress_timestamp_seconds";
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let lines = page.lines().map(|line| {
        if line.starts_with(progress) {
            format!("{progress} {}\n", since.as_secs_f64())
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// The daemon is killed, and somebody answers in its place.
fn take_over(port: &mut Port<'_>, home: &Home, page: impl Fn() -> String + Send + 'static) {
    *port = Port::Nobody;
    *port = Port::Impostor {
        _answers: Impostor::listen(home.port(), page),
    };
}

fn give_back<'a>(port: &mut Port<'a>, home: &'a Home) {
    *port = Port::Nobody;
    *port = Port::Daemon(home.start_ready());
}

/// Answers everything with such a page.
struct Impostor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    fn listen(port: u16, page: impl Fn() -> String + Send + 'static) -> Self {
        let listener = wait_for(PATIENCE, "the port", || {
            TcpListener::bind(("127.0.0.1", port)).ok()
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            listener.set_nonblocking(true).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(reply(stream, &page())),
                    Err(_) => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn reply(mut stream: TcpStream, page: &str) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    // A scrape's request is one packet.
    let _ = stream.read(&mut [0; 4096])?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
        page.len()
    )
}

const STORE: &str = "[stores.local.file]\npath = \"local.toml\"\n\n";

/// A home with entries from a file into files.
fn small(names: &[&str]) -> Home {
    let home = Home::new();
    put(&home, names, "one");
    let entries = names.iter().map(|name| entry(&home, name, ""));
    home.configure(&(STORE.to_owned() + &entries.collect::<String>()));
    home
}

/// What the store of a home holds.
fn put(home: &Home, names: &[&str], value: &str) {
    let lines = names.iter().map(|name| format!("{name} = \"{value}\"\n"));
    let new = home.write("local.new", lines.collect::<String>());
    fs::rename(new, home.path("local.toml")).unwrap();
}

/// From the file store into a file of its own.
pub fn entry(home: &Home, name: &str, more: &str) -> String {
    let path = home.quoted(&format!("targets/{name}"));
    format!(
        "[secrets.{name}]
store = \"local\"
refresh_interval = \"1s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"{name}\" }} }}]
[[secrets.{name}.file]]
path = {path}
key = \"v\"
{more}

"
    )
}

fn address(home: &Home) -> String {
    format!("127.0.0.1:{}", home.port())
}
