//! A signal to one process, which is told from every other that its number may mean by then.
//!
//! The process is held by a descriptor, and only then looked at once more: a signal that arrives through the descriptor
//! arrives at the process that was looked at, for its number was nobody else's while it lived.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{self, Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

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
            let (path, action) = (path.clone(), order.action.to_string());
            // The file may lie on a disk that hangs.
            let sent = spawn_blocking(move || {
                let process = pid_file::open(&path)?;
                process.map_or(Ok(None), |process| deliver(&process, signal, &action))
            });
            let late = || failed(order, Trouble::TooLate(order.timeout));
            let sent = timeout(order.timeout, sent).await.map_err(|_| late())?;
            let sent = sent.map_err(|_| failed(order, Trouble::Broken))??;
            match sent {
                Some(Sent::Yes) => Ok(Did::Run),
                Some(Sent::NotAllowed) => Err(not_ours(order)),
                None => Ok(Did::NothingToDo),
            }
        }
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
