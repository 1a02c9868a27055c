//! The machines that are watched: the one that has all entries in trouble, and small ones that something happens to as a
//! whole.
//!
//! What makes a daemon hang or go deaf that still answers is a log that does not take a line: whoever has something to say
//! is held up in that call, be it the scheduler or a run.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use rustix::process::Signal;

use super::holdup::HoldUp;
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
    /// Its scheduler waits for the log.
    hung: Home,
    /// Without series of single entries; writes to Kubernetes while it has a Lease.
    quiet: Home,
    lease: Kubernetes,
    /// Goes round, and a run of it waits for the log.
    deaf: Home,
    /// Where that run writes.
    keys: Kubernetes,
}

impl Machines {
    pub fn new() -> Self {
        let lease = Kubernetes::start();
        lease.create_namespace("locks");
        let machines = Self {
            keys: Kubernetes::start(),
            world: World::new(),
            crashing: small(&["one"]),
            frozen: small(&["one"]),
            strange: small(&["one"]),
            hung: small(&["one"]),
            quiet: small(&["failing", "stale"]),
            deaf: small(&[]),
            lease,
        };
        machines.configure_quiet();
        machines.configure_deaf();
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

    fn configure_deaf(&self) {
        put(&self.deaf, &["one"], "one");
        let secret = "[secrets.one]
store = \"local\"
refresh_interval = \"1s\"
data = [{ secret_key = \"v\", remote_ref = { key = \"one\" } }]
[[secrets.one.kubernetes]]
cluster = \"main\"
namespace = \"app\"
";
        let tables = [STORE, &self.keys.cluster("main"), secret];
        self.deaf.configure(&tables.concat());
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
            strange: Port::Daemon {
                _runs: self.strange.start_ready(),
            },
            hung: self.hung.start_ready(),
            _quiet: self.quiet.start_ready(),
            deaf: self.deaf.start_ready(),
            held_up: Vec::new(),
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
    hung: Daemon<'a>,
    _quiet: Daemon<'a>,
    deaf: Daemon<'a>,
    held_up: Vec<HoldUp>,
}

/// Who has the port of a machine.
enum Port<'a> {
    Daemon { _runs: Daemon<'a> },
    Impostor { _answers: Impostor },
    Nobody,
}

impl Running<'_> {
    /// Everything at once; nothing of it hides another. An error where nobody may follow a process.
    pub fn break_all(&mut self, prometheus: &Prometheus) -> Result<(), Errno> {
        self.frozen.signal(Signal::STOP);
        let machines = self.machines;
        self.held_up.push(HoldUp::of(self.hung.id())?);
        // The scheduler says that a file was written.
        put(&machines.hung, &["one"], "two");
        // A run says that it leaves a key as it is.
        machines.keys.edit("app", "one", "theirs", "x");
        self.held_up.push(HoldUp::of(self.deaf.id())?);
        put(&machines.deaf, &["one"], "two");
        take_over(&mut self.strange, &machines.strange);
        put(&self.machines.quiet, &[], "");
        self.machines.lease.fail(Rule::any(), Fault::InternalError);
        self.machines.world.break_all(&self.world);
        self.crash(prometheus);
        Ok(())
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
        self.held_up.clear();
        give_back(&mut self.strange, &machines.strange);
        self.crashing = Some(machines.crashing.start_ready());
        put(&machines.quiet, &["failing", "stale"], "one");
        machines.lease.heal();
        machines.world.mend_all(&self.world);
    }
}

/// The daemon is killed, and somebody answers in its place.
fn take_over(port: &mut Port<'_>, home: &Home) {
    *port = Port::Nobody;
    *port = Port::Impostor {
        _answers: Impostor::listen(home.port()),
    };
}

fn give_back<'a>(port: &mut Port<'a>, home: &'a Home) {
    *port = Port::Nobody;
    *port = Port::Daemon {
        _runs: home.start_ready(),
    };
}

/// Answers everything with a page of something else.
struct Impostor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    fn listen(port: u16) -> Self {
        let listener = wait_for(PATIENCE, "the port", || {
            TcpListener::bind(("127.0.0.1", port)).ok()
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            listener.set_nonblocking(true).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(reply(stream, "other 1\n")),
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
