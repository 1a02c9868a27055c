//! Units of systemd, by `systemctl`: it waits for the job's end and says how that was, and like any other program it
//! can be killed.
//!
//! Deliberately no D-Bus of our own: that would be a large library in this process for what one small program does. An
//! inactive unit stays so, which is a success: it finds the new file when it starts.

use std::ffi::OsString;

use rustix::process::Pid;

use super::run::{Did, Order, failed, say};
use crate::failure::{Failure, Reason};
use crate::names::UnitName;
use crate::process::{Limits, Program, Trouble};
use crate::systemd;

const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// The next step where there is nobody to ask.
pub const WITHOUT: &str =
    "units are systemd's; without it, use `command` or `signal` with a `pid_file`";
/// Two properties.
const MOST: usize = 4096;
/// What `systemctl` ends with where the manager does not allow it, or does not know the unit.
const NO_PERMISSION: i32 = 4;
const NOT_INSTALLED: i32 = 5;

pub(super) async fn reload(unit: &UnitName, order: &Order) -> Result<Did, Failure> {
    act(&["try-reload-or-restart"], unit, order).await
}

pub(super) async fn restart(unit: &UnitName, order: &Order) -> Result<Did, Failure> {
    act(&["try-restart"], unit, order).await
}

/// By the manager, which may signal processes that are not ours.
pub(super) async fn kill((unit, signal): (&UnitName, &str), order: &Order) -> Result<Did, Failure> {
    let signal = format!("--signal={signal}");
    act(&["kill", "--kill-who=main", &signal], unit, order).await
}

/// What the main process of a unit is; `None` while it has none.
pub(super) async fn main_process(unit: &UnitName, order: &Order) -> Result<Option<Pid>, Failure> {
    let limits = Limits {
        time: order.timeout,
        output: MOST,
    };
    let show = ["show", "--property=LoadState,MainPID"];
    let shown = systemctl(&show, unit).run(limits).await;
    let shown = shown.map_err(|trouble| explained(unit, order, (trouble, false)))?;
    match str::from_utf8(shown.expose()).ok().and_then(parse) {
        Some(Shown::Unknown) => Err(unknown(unit)),
        Some(Shown::Main(pid)) => Ok(pid),
        None => Err(failed(order, Trouble::Broken)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Unknown,
    Main(Option<Pid>),
}

fn parse(text: &str) -> Option<Shown> {
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    if value("LoadState")? == "not-found" {
        return Some(Shown::Unknown);
    }
    let pid: i32 = value("MainPID")?.parse().ok()?;
    Some(Shown::Main(Pid::from_raw(pid)))
}

async fn act(verb: &[&str], unit: &UnitName, order: &Order) -> Result<Did, Failure> {
    let mut denied = false;
    let hear = |line: &str| {
        denied |= line.contains("Access denied") || line.contains("authentication required");
        if order.log_output {
            say(order, line);
        }
    };
    let ended = systemctl(verb, unit).run_heard(order.timeout, hear).await;
    ended.map_err(|trouble| explained(unit, order, (trouble, denied)))?;
    Ok(Did::Run)
}

fn systemctl(verb: &[&str], unit: &UnitName) -> Program {
    let options = ["--no-ask-password", "--no-pager"];
    let unit = ["--", unit.as_str()];
    let arguments = options.iter().chain(verb).chain(&unit);
    Program::new(SYSTEMCTL.into(), arguments.map(OsString::from).collect())
}

fn explained(unit: &UnitName, order: &Order, said: (Trouble, bool)) -> Failure {
    match said.0 {
        Trouble::Exited(_) if !systemd::is_booted() => without_systemd(order),
        Trouble::Exited(_)
        | Trouble::Absent
        | Trouble::NotAProgram
        | Trouble::AnyoneMayWrite
        | Trouble::NotStarted
        | Trouble::TooLate(_)
        | Trouble::TooMuch(_)
        | Trouble::Signalled(_)
        | Trouble::Broken => judged(unit, order, said),
    }
}

fn without_systemd(order: &Order) -> Failure {
    let fact = format!("{}: this machine was not started by systemd", order.action);
    Failure::new(Reason::Action, fact).with_help(WITHOUT)
}

/// Its sentences tell no more than which of a few things it was.
fn judged(unit: &UnitName, order: &Order, (trouble, denied): (Trouble, bool)) -> Failure {
    match trouble {
        Trouble::Exited(NO_PERMISSION) => not_allowed(unit, order),
        Trouble::Exited(_) if denied => not_allowed(unit, order),
        Trouble::Exited(NOT_INSTALLED) => unknown(unit),
        Trouble::Absent => Failure::new(
            Reason::Action,
            format!("{}: {SYSTEMCTL} is not there", order.action),
        )
        .with_help(WITHOUT),
        Trouble::Exited(_) => failed(order, trouble).with_help(format!(
            "see why with `systemctl status {unit}` and `journalctl -u {unit}`"
        )),
        Trouble::NotAProgram
        | Trouble::AnyoneMayWrite
        | Trouble::NotStarted
        | Trouble::TooLate(_)
        | Trouble::TooMuch(_)
        | Trouble::Signalled(_)
        | Trouble::Broken => failed(order, trouble),
    }
}

fn unknown(unit: &UnitName) -> Failure {
    Failure::new(Reason::Action, format!("systemd knows no unit {unit}"))
        .with_help("correct the name: `systemctl list-unit-files` has them all")
}

fn not_allowed(unit: &UnitName, order: &Order) -> Failure {
    let fact = format!("{}: systemd does not let us", order.action);
    Failure::new(Reason::Action, fact).with_help(format!(
        "a polkit rule has to allow `org.freedesktop.systemd1.manage-units` on {unit} to the user that runs secretsyncd; `secretsyncd systemd-dropin --polkit` prints it"
    ))
}

#[cfg(test)]
mod tests;
