//! A signal to one process, which is told from every other that its number may mean by then.
//!
//! The process is held by a descriptor, and only then looked at once more: a signal that arrives through the descriptor
//! arrives at the process that was looked at, for its number was nobody else's while it lived.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{self, Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::pid_file;
use super::run::{Did, Order, failed};
use super::units;
use crate::config::{Signal, SignalTo};
use crate::failure::{Failure, Reason};
use crate::names::UnitName;
use crate::process::Trouble;

pub(super) async fn send(to: &SignalTo, signal: Signal, order: &Order) -> Result<Did, Failure> {
    match to {
        SignalTo::Unit(unit) => to_unit(unit, signal, order).await,
        SignalTo::PidFile(path) => {
            let action = order.action.to_string();
            let sent = alone_at(path, order, move |path| {
                let process = pid_file::open(path)?;
                process.map_or(Ok(None), |process| deliver(&process, signal, &action))
            });
            match sent.await? {
                Some(Sent::Yes) => Ok(Did::Run),
                Some(Sent::NotAllowed) => Err(not_ours(order)),
                None => Ok(Did::NothingToDo),
            }
        }
    }
}

/// The file may lie on a disk that hangs, and a thread that waits for one cannot be ended: there is one for a path, and as
/// long as it waits no other is begun. Whoever comes meanwhile has its turn after it.
async fn alone_at<T: Send + 'static>(
    path: &Path,
    order: &Order,
    work: impl FnOnce(&Path) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let end = Instant::now() + order.timeout;
    let Ok(turn) = timeout_at(end, Turn::wait_at(path)).await else {
        let fact = format!(
            "{}: the disk that holds the file has not answered since an earlier try",
            order.action
        );
        return Err(Failure::new(Reason::Action, fact)
            .with_help("check the disk, or the server of a network file system"));
    };
    let done = spawn_blocking(move || work(&turn.0));
    let late = || failed(order, Trouble::TooLate(order.timeout));
    let done = timeout_at(end, done).await.map_err(|_| late())?;
    done.map_err(|_| failed(order, Trouble::Broken))?
}

/// The right to look at a path, given back when its thread has ended.
struct Turn(PathBuf);

static TAKEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static GIVEN_BACK: Notify = Notify::const_new();

impl Turn {
    async fn wait_at(path: &Path) -> Self {
        loop {
            // Before the look, so that what is given back after it is heard.
            let given_back = GIVEN_BACK.notified();
            if let Some(turn) = Self::at(path) {
                return turn;
            }
            given_back.await;
        }
    }

    fn at(path: &Path) -> Option<Self> {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let path = path.to_owned();
        taken.insert(path.clone()).then(|| Self(path))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.0);
        drop(taken);
        GIVEN_BACK.notify_waiters();
    }
}

async fn to_unit(unit: &UnitName, signal: Signal, order: &Order) -> Result<Did, Failure> {
    let Some(pid) = units::main_process(unit, order).await? else {
        return Ok(Did::NothingToDo);
    };
    let Some(process) = hold(pid, &order.action.to_string())? else {
        return Err(exchanged(order));
    };
    // Asked again while the process is held: it is its number that is said.
    if units::main_process(unit, order).await? != Some(pid) {
        return Err(exchanged(order));
    }
    match deliver(&process, signal, &order.action.to_string())? {
        Some(Sent::Yes) => Ok(Did::Run),
        Some(Sent::NotAllowed) => units::kill((unit, signal.as_str()), order).await,
        None => Err(exchanged(order)),
    }
}

fn exchanged(order: &Order) -> Failure {
    let fact = format!("{}: its main process ended at that moment", order.action);
    Failure::new(Reason::Action, fact).with_help("it is tried again by itself")
}

fn not_ours(order: &Order) -> Failure {
    let fact = format!(
        "{}: the process is another user's, and we may not signal it",
        order.action
    );
    Failure::new(Reason::Action, fact)
        .with_help("use `reload_unit`, or `signal` with `unit`, which systemd carries out where a polkit rule allows it")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Yes,
    NotAllowed,
}

/// `None`: there is no such process.
pub(super) fn hold(pid: Pid, action: &str) -> Result<Option<OwnedFd>, Failure> {
    if pid == process::getpid() || pid == Pid::INIT {
        let fact = format!("{action}: that process is init, or secretsyncd itself");
        return Err(Failure::new(Reason::Action, fact).with_help("name another process"));
    }
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => Ok(Some(process)),
        Err(Errno::SRCH) => Ok(None),
        // The number is that of a thread.
        Err(Errno::INVAL) => {
            let fact = format!("{action}: what is named there is no process");
            Err(Failure::new(Reason::Action, fact))
        }
        Err(_) => Err(Failure::new(
            Reason::Action,
            format!("{action}: the process could not be held"),
        )),
    }
}

/// `None`: it has ended.
fn deliver(process: &OwnedFd, signal: Signal, action: &str) -> Result<Option<Sent>, Failure> {
    match pidfd_send_signal(process, number(signal)) {
        Ok(()) => Ok(Some(Sent::Yes)),
        Err(Errno::SRCH) => Ok(None),
        Err(Errno::PERM) => Ok(Some(Sent::NotAllowed)),
        Err(_) => Err(Failure::new(
            Reason::Action,
            format!("{action}: the process could not be signalled"),
        )),
    }
}

fn number(signal: Signal) -> process::Signal {
    match signal {
        Signal::Hup => process::Signal::HUP,
        Signal::Int => process::Signal::INT,
        Signal::Quit => process::Signal::QUIT,
        Signal::Kill => process::Signal::KILL,
        Signal::Usr1 => process::Signal::USR1,
        Signal::Usr2 => process::Signal::USR2,
        Signal::Alrm => process::Signal::ALARM,
        Signal::Term => process::Signal::TERM,
        Signal::Cont => process::Signal::CONT,
        Signal::Winch => process::Signal::WINCH,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::config::Action;

    #[tokio::test]
    async fn a_disk_that_hangs_holds_one_thread_however_often_it_is_tried() {
        let path = Path::new("/dead/app.pid");
        let order = |timeout| Order {
            action: Action::Signal(SignalTo::PidFile(path.into()), Signal::Hup),
            timeout,
            log_output: false,
            sources: Vec::new(),
        };
        let (answer, hangs) = channel::<()>();
        let (quick, patient) = (
            order(Duration::from_millis(20)),
            order(Duration::from_mins(1)),
        );
        let wait = move |_: &Path| {
            let _ = hangs.recv();
            Ok(())
        };
        let late = alone_at(path, &quick, wait).await.unwrap_err();
        assert!(late.fact.contains("ran longer than"), "{late}");
        for _ in 0..3 {
            let begun = |_: &Path| -> Result<(), Failure> { panic!("another thread") };
            let refused = alone_at(path, &quick, begun).await.unwrap_err();
            assert!(refused.fact.contains("since an earlier try"), "{refused}");
        }
        let elsewhere = alone_at(Path::new("/other.pid"), &patient, |_| Ok(()));
        assert_eq!(elsewhere.await, Ok(()));
        drop(answer);
        while Turn::at(path).is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(alone_at(path, &patient, |_| Ok(7)).await, Ok(7));
    }

    /// Bug: two actions for one PID file at the same time, and the second failed and blamed the disk.
    #[tokio::test]
    async fn two_signals_for_one_file_go_one_after_the_other() {
        let path = Path::new("/run/app.pid");
        let order = |signal| Order {
            action: Action::Signal(SignalTo::PidFile(path.into()), signal),
            timeout: Duration::from_mins(1),
            log_output: false,
            sources: Vec::new(),
        };
        let (first, second) = (order(Signal::Hup), order(Signal::Usr1));
        let (go, waits) = channel::<()>();
        let held = alone_at(path, &first, move |_: &Path| {
            let _ = waits.recv();
            Ok(1)
        });
        let after = async {
            let next = alone_at(path, &second, |_: &Path| Ok(2));
            let mut next = Box::pin(next);
            assert!((&mut next).now_or_never().is_none());
            drop(go);
            next.await
        };
        assert_eq!(tokio::join!(held, after), (Ok(1), Ok(2)));
    }
}
