//! Runs one action once. Whoever asks bounds nothing: each way has its own end.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{signal, units};
use crate::config::{Action, Argv};
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::process::{Program, Trouble};
use crate::report::ActionKind;

/// A variable of a command is no longer than this: the system takes none that is much longer.
const LONGEST: usize = 64 << 10;

/// One action, and what it runs for.
#[derive(Clone, Debug)]
pub struct Order {
    pub action: Action,
    pub timeout: Duration,
    pub log_output: bool,
    /// In the order of their paths.
    pub sources: Vec<Source>,
}

/// A file that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub entry: EntryName,
    pub path: PathBuf,
}

/// What came of an action that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    Run,
    /// There is no process to signal: what starts later finds the new file.
    NothingToDo,
}

impl Action {
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::ReloadUnit(_) => ActionKind::ReloadUnit,
            Self::RestartUnit(_) => ActionKind::RestartUnit,
            Self::Signal(..) => ActionKind::Signal,
            Self::Command(_) => ActionKind::Command,
        }
    }
}

pub async fn run(order: &Order) -> Result<Did, Failure> {
    match &order.action {
        Action::ReloadUnit(unit) => units::reload(unit, order).await,
        Action::RestartUnit(unit) => units::restart(unit, order).await,
        Action::Signal(to, signal) => signal::send(to, *signal, order).await,
        Action::Command(argv) => {
            let ended = hear(&command(argv, &order.sources), order).await;
            ended.map_err(|trouble| failed(order, trouble))?;
            Ok(Did::Run)
        }
    }
}

/// Nobody hears what it says, unless that is wanted.
async fn hear(program: &Program, order: &Order) -> Result<(), Trouble> {
    if !order.log_output {
        return program.run_unheard(order.timeout).await;
    }
    let say = |line: &str| say(order, line);
    program.run_heard(order.timeout, say).await
}

pub(super) fn say(order: &Order, line: &str) {
    tracing::info!(
        action = %order.action, entry = order.entries(), target.name = order.targets(), line, "said"
    );
}

impl Order {
    /// A few of the entries that it runs for, and how many more there are.
    pub fn entries(&self) -> String {
        let entries: BTreeSet<_> = self.sources.iter().map(|source| &source.entry).collect();
        named(entries.into_iter().map(ToString::to_string))
    }

    /// The same of the files.
    fn targets(&self) -> String {
        let paths = self.sources.iter();
        named(paths.map(|source| source.path.display().to_string()))
    }
}

/// So many are named in a line.
const NAMED: usize = 5;

fn named(mut all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let names = all.by_ref().take(NAMED).collect::<Vec<_>>().join(", ");
    match more {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

pub(super) fn failed(order: &Order, trouble: Trouble) -> Failure {
    let failure = Failure::new(Reason::Action, format!("{} {trouble}", order.action));
    match trouble {
        Trouble::Absent | Trouble::NotAProgram => {
            failure.with_help("install the program, or correct its path")
        }
        Trouble::AnyoneMayWrite => {
            failure.with_help("whoever may write it decides what is run: chmod o-w")
        }
        Trouble::TooLate(_) => {
            failure.with_help("see what it waits for, or set a longer `timeout`")
        }
        Trouble::TooMuch(_) => failure.with_help("let it say less, or set `log_output = false`"),
        Trouble::Exited(_) | Trouble::Signalled(_) if order.log_output => {
            failure.with_help("the log has what it said")
        }
        Trouble::Exited(_) | Trouble::Signalled(_) => failure
            .with_help("run it by hand to see why, or set `log_output = true` beside the action"),
        Trouble::NotStarted | Trouble::Broken => failure,
    }
}

/// With the names of what has changed in its environment. Of several each variable has as many lines, and what stands in
/// the same line belongs together. What is too long for a variable is left out of all: a part would look like the whole.
fn command(argv: &Argv, sources: &[Source]) -> Program {
    let arguments = argv.arguments.iter().map(OsString::from).collect();
    let mut program = Program::new(argv.program.clone(), arguments);
    let lines = |of: &dyn Fn(&Source) -> OsString| {
        let lines: Vec<OsString> = sources.iter().map(of).collect();
        lines.join("\n".as_ref())
    };
    let entries = lines(&|source| source.entry.as_str().into());
    let paths = lines(&|source| source.path.clone().into());
    if entries.len().max(paths.len()) <= LONGEST {
        program.set("SECRETSYNCD_ENTRY", entries);
        program.set("SECRETSYNCD_TARGET", paths.clone());
        program.set("SECRETSYNCD_PATH", paths);
    }
    program
}

#[cfg(test)]
mod tests;
