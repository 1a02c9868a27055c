//! What the service manager is told: systemd's notification protocol, a few lines of text in a datagram.
//!
//! Without a socket in the environment every call does nothing. No call waits: a manager that does not read loses a
//! status or a watchdog's beat, and gets a change of state with the next message. `NOTIFY_SOCKET` stays in this
//! process's environment, because to remove it would be unsafe beside other threads; children get an environment that
//! is made for them and never this one.
//!
//! Deliberately not libsystemd, nor a crate: what is needed is one `sendto`, and it has to be one that never blocks.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A status is one line of at most so many bytes.
const LONGEST_STATUS: usize = 200;
/// So many beats fall into the time after which the watchdog bites. systemd suggests two, but then a single one that is
/// late or lost ends the daemon.
const BEATS: u32 = 3;

/// Whether units are this machine's at all, as systemd itself tells it.
pub fn is_booted() -> bool {
    let manager = std::fs::symlink_metadata("/run/systemd/system");
    manager.is_ok_and(|it| it.is_dir())
}

/// What systemd puts into the environment of a service.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub notify_socket: Option<OsString>,
    pub watchdog_usec: Option<OsString>,
    pub watchdog_pid: Option<OsString>,
}

impl Environment {
    pub fn from_process() -> Self {
        let read = |name| std::env::var_os(name);
        Self {
            notify_socket: read("NOTIFY_SOCKET"),
            watchdog_usec: read("WATCHDOG_USEC"),
            watchdog_pid: read("WATCHDOG_PID"),
        }
    }
}

/// Speaks to the service manager, where there is one.
#[derive(Debug)]
pub struct Notifier {
    line: Option<Line>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    /// Not connected: a manager that starts anew has another socket of the same address.
    manager: SocketAddr,
    /// The last change of state, while it could not be sent. An older one means nothing any more.
    unsent: Mutex<Option<String>>,
    complained: AtomicBool,
}

impl Notifier {
    /// From the environment of this process.
    pub fn from_process() -> Self {
        Self::new(&Environment::from_process(), std::process::id())
    }

    /// `pid` is that of this process: a watchdog of another one is none of ours.
    pub fn new(environment: &Environment, pid: u32) -> Self {
        let line = environment
            .notify_socket
            .as_ref()
            .filter(|address| !address.is_empty())
            .and_then(|address| Line::open(address.as_bytes()));
        Self {
            line,
            watchdog: watchdog(environment, pid),
        }
    }

    /// Every entry was tried, or a reload is over.
    pub fn ready(&self, status: &str) {
        self.change(format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// Until the next `ready`.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now = Duration::try_from(now).unwrap_or_default().as_micros();
        self.change(format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    pub fn stopping(&self) {
        self.change("STOPPING=1".to_owned());
    }

    /// What `systemctl status` shows: the first 200 bytes, on one line.
    pub fn status(&self, status: &str) {
        self.say(&format!("STATUS={}", one_line(status)));
    }

    /// The start, reload or stop that is under way may take this much longer, from now on.
    pub fn extend_timeout(&self, by: Duration) {
        self.say(&format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()));
    }

    /// There is progress.
    pub fn watchdog(&self) {
        self.say("WATCHDOG=1");
    }

    /// How often [`Self::watchdog`] has to be called: three times in the time after which systemd gives up. `None`
    /// where nobody watches.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.line.as_ref()?;
        Some(self.watchdog? / BEATS)
    }

    fn change(&self, state: String) {
        if let Some(line) = &self.line {
            *line.unsent() = Some(state);
            line.flush();
        }
    }

    fn say(&self, message: &str) {
        if let Some(line) = &self.line
            && line.flush()
        {
            line.send(message);
        }
    }
}

impl Line {
    fn open(address: &[u8]) -> Option<Self> {
        let opened = parse(address).and_then(|manager| {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok((socket, manager))
        });
        match opened {
            Ok((socket, manager)) => Some(Self {
                socket,
                manager,
                unsent: Mutex::new(None),
                complained: AtomicBool::new(false),
            }),
            Err(error) => {
                complain(error.kind());
                None
            }
        }
    }

    fn unsent(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing waits any more.
    fn flush(&self) -> bool {
        let mut unsent = self.unsent();
        if unsent.as_ref().is_none_or(|state| self.send(state)) {
            *unsent = None;
        }
        unsent.is_none()
    }

    fn send(&self, message: &str) -> bool {
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.manager);
        match sent {
            Ok(_) => true,
            Err(error) => {
                if !self.complained.swap(true, Ordering::Relaxed) {
                    complain(error.kind());
                }
                false
            }
        }
    }
}

fn complain(why: ErrorKind) {
    tracing::debug!("the service manager cannot be told anything: {why}");
}

/// A path, or `@` and an abstract name. (A virtual machine's `vsock:` is for its own manager, not for services.)
fn parse(address: &[u8]) -> io::Result<SocketAddr> {
    match address {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(address)),
        _ => Err(ErrorKind::Unsupported.into()),
    }
}

fn watchdog(environment: &Environment, pid: u32) -> Option<Duration> {
    let number = |text: &OsString| text.to_str()?.parse::<u64>().ok();
    let ours = match &environment.watchdog_pid {
        Some(watched) => number(watched) == Some(u64::from(pid)),
        None => true,
    };
    let timeout = environment.watchdog_usec.as_ref().and_then(number)?;
    (ours && timeout > 0).then(|| Duration::from_micros(timeout))
}

/// Cut between characters; a line break would begin another assignment.
fn one_line(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_STATUS);
    text[..end].replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
