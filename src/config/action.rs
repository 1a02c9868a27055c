//! What is to run beside the write of a file: `check` and `on_change`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::names::UnitName;

/// What stands in the arguments of a `check` for the file that it is to look at.
pub const STAGED: &str = "{path}";

/// A program and its arguments; no shell is involved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Argv {
    /// Absolute.
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// What has to accept a file before it is in place, with [`STAGED`] among its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub argv: Argv,
    pub log_output: bool,
}

/// What has to run when a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnChange {
    pub action: Action,
    pub timeout: Duration,
    pub debounce: Duration,
    pub log_output: bool,
}

impl OnChange {
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    pub const DEBOUNCE: Duration = Duration::from_secs(2);
}

/// Equal ones of several targets run once for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    ReloadUnit(UnitName),
    RestartUnit(UnitName),
    Signal(SignalTo, Signal),
    Command(Argv),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalTo {
    /// Its main process.
    Unit(UnitName),
    /// The process that this file names. Absolute.
    PidFile(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    Hup,
    Int,
    Quit,
    Kill,
    Usr1,
    Usr2,
    Alrm,
    Term,
    Cont,
    Winch,
}

impl Signal {
    /// Those that tell a process something. Deliberately without those that say that it has gone wrong.
    pub const ALL: &[(&str, Signal)] = &[
        ("HUP", Signal::Hup),
        ("INT", Signal::Int),
        ("QUIT", Signal::Quit),
        ("KILL", Signal::Kill),
        ("USR1", Signal::Usr1),
        ("USR2", Signal::Usr2),
        ("ALRM", Signal::Alrm),
        ("TERM", Signal::Term),
        ("CONT", Signal::Cont),
        ("WINCH", Signal::Winch),
    ];

    /// `HUP` or `SIGHUP`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("SIG").unwrap_or(text);
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, signal)| *signal)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Alrm => "ALRM",
            Self::Term => "TERM",
            Self::Cont => "CONT",
            Self::Winch => "WINCH",
        }
    }
}

/// Without arguments, which may be anything.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReloadUnit(unit) => write!(f, "reload_unit {unit}"),
            Self::RestartUnit(unit) => write!(f, "restart_unit {unit}"),
            Self::Signal(SignalTo::Unit(unit), signal) => {
                write!(f, "signal {} to {unit}", signal.as_str())
            }
            Self::Signal(SignalTo::PidFile(path), signal) => {
                write!(f, "signal {} by {}", signal.as_str(), path.display())
            }
            Self::Command(argv) => write!(f, "command {}", argv.program.display()),
        }
    }
}
