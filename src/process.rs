//! Runs a program that is somebody else's: a credential plugin for what it writes to its standard output; the check of a
//! file or an action for how it ends, and where that is wanted for the lines that it says.
//!
//! No shell; nothing in its environment but what is given; none of our descriptors (each is opened close-on-exec) and none of our
//! capabilities; a process group of its own. It gets so much time and may write so much: beyond that the whole group is
//! killed, as it is when nobody waits for it any more. Knows neither what is run nor why.

mod errand;
mod lines;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::clear_ambient_capability_set;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

pub use self::errand::{Errand, Errands, Runner, Say, errands};
use crate::secret::SecretBytes;

/// A program, and what it is given. Arguments and environment may be secret.
#[derive(Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub time: Duration,
    /// In bytes.
    pub output: usize,
}

/// Why there is no output. Each ends a sentence about the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Absent,
    NotAProgram,
    /// Whoever may write it decides what is run as us.
    AnyoneMayWrite,
    NotStarted,
    TooLate(Duration),
    TooMuch(usize),
    Exited(i32),
    Signalled(i32),
    Broken,
}

/// What of a program's writing comes to us; the rest is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Output,
    /// Output and errors.
    Both,
    Nothing,
}

impl Heard {
    fn output(self) -> Stdio {
        match self {
            Self::Output | Self::Both => Stdio::piped(),
            Self::Nothing => Stdio::null(),
        }
    }

    fn errors(self) -> Stdio {
        match self {
            Self::Both => Stdio::piped(),
            Self::Output | Self::Nothing => Stdio::null(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("is not there"),
            Self::NotAProgram => f.write_str("is not an executable file"),
            Self::AnyoneMayWrite => f.write_str("may be written by anyone, and is not run"),
            Self::NotStarted => f.write_str("could not be started"),
            Self::TooLate(time) => write!(f, "ran longer than {time:?} and was stopped"),
            Self::TooMuch(bytes) => {
                write!(f, "wrote more than {} KiB and was stopped", bytes / 1024)
            }
            Self::Exited(code) => write!(f, "ended with exit code {code}"),
            Self::Signalled(signal) => write!(f, "was ended by signal {signal}"),
            Self::Broken => f.write_str("could not be followed to its end"),
        }
    }
}

/// Starts of one program at a time: a healthy disk needs milliseconds for each.
const STARTS: usize = 4;

fn seats_of(program: &Path) -> Arc<Semaphore> {
    static ALL: LazyLock<Mutex<HashMap<PathBuf, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let seats = all.entry(program.to_owned());
    let seats = seats.or_insert_with(|| Arc::new(Semaphore::new(STARTS)));
    Arc::clone(seats)
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.path).finish()
    }
}

impl Program {
    /// Begins with what nearly every program needs: where its user is at home, where other programs are, and a language
    /// that is the same everywhere.
    pub fn new(path: PathBuf, arguments: Vec<OsString>) -> Self {
        let ours = |name: &str| env::var_os(name).map(|value| (name.into(), value));
        let fixed = ("LANG".into(), "C.UTF-8".into());
        Self {
            path,
            arguments,
            environment: [ours("HOME"), ours("PATH"), Some(fixed)]
                .into_iter()
                .flatten()
                .collect(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Sets a variable; the last of one name counts.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// What it wrote, once it has ended well.
    pub async fn run(&self, limits: Limits) -> Result<SecretBytes, Trouble> {
        let ended = timeout(limits.time, self.to_its_end(limits.output)).await;
        ended.unwrap_or(Err(Trouble::TooLate(limits.time)))
    }

    /// Until it has ended well; what it has started may go on. Nobody hears what it writes, however much that is.
    pub async fn run_unheard(&self, time: Duration) -> Result<(), Trouble> {
        let ended = timeout(time, async {
            let mut group = self.begin(Heard::Nothing).await?;
            let status = group.child.wait().await.map_err(|_| Trouble::Broken)?;
            judge(status)
        });
        ended.await.unwrap_or(Err(Trouble::TooLate(time)))
    }

    /// The same, and `say` gets the lines that it writes: bounded, and as plain text.
    pub async fn run_heard(
        &self,
        time: Duration,
        mut say: impl FnMut(&str) + Send,
    ) -> Result<(), Trouble> {
        let ended = timeout(time, async {
            let group = self.begin(Heard::Both).await?;
            group.lines(&mut say).await
        });
        ended.await.unwrap_or(Err(Trouble::TooLate(time)))
    }

    async fn to_its_end(&self, most: usize) -> Result<SecretBytes, Trouble> {
        self.begin(Heard::Output).await?.output(most).await
    }

    async fn begin(&self, heard: Heard) -> Result<Group, Trouble> {
        let program = self.clone();
        // Both the look at the file and the start of it wait for its file system. Where that hangs, no more threads do
        // than there are seats, however often it is tried.
        let seat = seats_of(&self.path).acquire_owned().await;
        let start = move || {
            let _seat = seat;
            program.start(heard)
        };
        let started = tokio::task::spawn_blocking(start).await;
        started.unwrap_or(Err(Trouble::NotStarted))
    }

    fn start(&self, heard: Heard) -> Result<Group, Trouble> {
        let metadata = self.path.metadata().map_err(|_| Trouble::Absent)?;
        let mode = metadata.permissions().mode();
        if !metadata.is_file() || mode & 0o111 == 0 {
            return Err(Trouble::NotAProgram);
        }
        if mode & 0o002 != 0 {
            return Err(Trouble::AnyoneMayWrite);
        }
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(heard.output())
            .stderr(heard.errors())
            .kill_on_drop(true);
        let child = command.spawn().map_err(|_| Trouble::NotStarted)?;
        Ok(Group { child })
    }
}

/// A running program and whatever it has started. Dropped before its end, all of it is killed.
struct Group {
    child: Child,
}

impl Group {
    async fn output(mut self, most: usize) -> Result<SecretBytes, Trouble> {
        let stdout = self.child.stdout.take().ok_or(Trouble::Broken)?;
        // With room for all of it, nothing is moved and left behind while it grows.
        let mut bytes = Zeroizing::new(Vec::with_capacity(most + 64));
        let mut limited = stdout.take(most as u64 + 1);
        let read = limited.read_to_end(&mut bytes).await;
        read.map_err(|_| Trouble::Broken)?;
        if bytes.len() > most {
            return Err(Trouble::TooMuch(most));
        }
        let status = self.child.wait().await.map_err(|_| Trouble::Broken)?;
        judge(status)?;
        Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // No id: it has been waited for, and its number may be somebody else's by now.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // Whatever is gone already need not be killed.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn judge(status: ExitStatus) -> Result<(), Trouble> {
    match (status.success(), status.code(), status.signal()) {
        (true, _, _) => Ok(()),
        (false, Some(code), _) => Err(Trouble::Exited(code)),
        (false, None, Some(signal)) => Err(Trouble::Signalled(signal)),
        (false, None, None) => Err(Trouble::Broken),
    }
}

/// Keeps every capability from the programs that are run. Each thread has a set of its own, which those it starts begin with,
/// so this is to be called while there is one.
pub fn keep_capabilities() {
    // Where there is no such set, nothing is handed on.
    let _ = clear_ambient_capability_set();
}

/// Where a program of this name is among the directories of `search`, as in `PATH`. Relative ones do not count: what is
/// found would depend on where we were started.
pub fn find(name: &OsStr, search: &OsStr) -> Option<PathBuf> {
    env::split_paths(search)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|path| {
            let mode = |metadata: std::fs::Metadata| metadata.permissions().mode();
            let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file);
            metadata.map(mode).is_some_and(|mode| mode & 0o111 != 0)
        })
}
