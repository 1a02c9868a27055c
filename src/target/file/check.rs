//! Somebody else's program that has to accept a file before it takes the place of the old one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::on_disk::OnDisk;
use super::staged::Staged;
use crate::config::{Argv, STAGED};
use crate::failure::{Failure, Reason};
use crate::process::{Program, Trouble};

/// Less than an operation may take, so that whoever waits for it hears how the check ended.
const LIMIT: Duration = Duration::from_secs(15);

impl OnDisk {
    /// Runs the check on the file that is staged; what it says is nobody's. A refusal leaves everything as it was.
    pub(super) fn check(&self, staged: &Staged<'_>) -> Result<(), Failure> {
        if self.check.is_none() {
            return Ok(());
        }
        let before = staged.stamp()?;
        self.run_check(&staged.path())?;
        if staged.stamp()? == before {
            return Ok(());
        }
        Err(self.changed_by_check())
    }

    pub(super) fn changed_by_check(&self) -> Failure {
        let check = self.check.as_ref().map(|check| check.program.display());
        let fact = format!(
            "{} was not written: the check{} changed the new file",
            self.path.display(),
            check.map_or_else(String::new, |it| format!(" {it}"))
        );
        Failure::new(Reason::Invalid, fact).with_help("a check may only look")
    }

    /// The same for what lies at that path.
    pub(super) fn run_check(&self, staged: &Path) -> Result<(), Failure> {
        let Some(check) = &self.check else {
            return Ok(());
        };
        let mut program = program(check, staged);
        program.set("SECRETSYNCD_ENTRY", self.entry.as_str());
        program.set("SECRETSYNCD_TARGET", &self.path);
        program.set("SECRETSYNCD_PATH", staged);
        // This thread waits for the disk, so it may wait for a program as well. Not for its clock: that goes with the
        // runtime, when the daemon stops, and so does the program.
        let (tell, ended) = oneshot::channel();
        Handle::current().spawn(async move {
            let _ = tell.send(program.run_unheard(LIMIT).await);
        });
        let ended = ended.blocking_recv().unwrap_or(Err(Trouble::Broken));
        ended.map_err(|trouble| self.rejected(check, trouble))
    }

    fn rejected(&self, check: &Argv, trouble: Trouble) -> Failure {
        let fact = format!(
            "{} was not written: the check {} {trouble}",
            self.path.display(),
            check.program.display()
        );
        match trouble {
            Trouble::Exited(_) | Trouble::Signalled(_) => Failure::new(Reason::Invalid, fact)
                .with_help("the new content is not accepted, and what is in place stays; run the check by hand on such a file to see why"),
            Trouble::Absent | Trouble::NotAProgram => Failure::new(Reason::Action, fact)
                .with_help("install the program, or correct its path"),
            Trouble::AnyoneMayWrite => Failure::new(Reason::Action, fact)
                .with_help("whoever may write it decides what is run: chmod o-w"),
            Trouble::NotStarted | Trouble::TooLate(_) | Trouble::TooMuch(_) | Trouble::Broken => {
                Failure::new(Reason::Action, fact).with_help("run the check by hand to see why")
            }
        }
    }
}

fn program(check: &Argv, staged: &Path) -> Program {
    let arguments = check.arguments.iter();
    let arguments = arguments.map(|it| with_path(it, staged.as_os_str()));
    Program::new(check.program.clone(), arguments.collect())
}

/// The argument with the path wherever it stands for it. A path may be other bytes than text.
fn with_path(argument: &str, path: &OsStr) -> OsString {
    let parts = argument.split(STAGED).map(str::as_bytes);
    let bytes: Vec<&[u8]> = parts.collect();
    OsString::from_vec(bytes.join(path.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_stands_wherever_it_is_asked_for_and_is_not_read_again() {
        let of = |argument| with_path(argument, OsStr::new("/a/{path}"));
        assert_eq!(of("{path}"), "/a/{path}");
        assert_eq!(of("--file={path}:{path}"), "--file=/a/{path}:/a/{path}");
        assert_eq!(of("-c"), "-c");
    }
}
