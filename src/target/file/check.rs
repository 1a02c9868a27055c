//! Somebody else's program that has to accept a file before it takes the place of the old one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::time::Duration;

use super::on_disk::OnDisk;
use super::staged::Staged;
use crate::config::{Argv, Check, STAGED};
use crate::failure::{Failure, Reason};
use crate::process::{Errand, Program, Say, Trouble};

/// Less than an operation may take, so that whoever waits for it hears how the check ended.
const LIMIT: Duration = Duration::from_secs(15);

impl OnDisk {
    /// Runs the check on the file that is staged. A refusal leaves everything as it was.
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
        let check = self.check.as_ref().map(|it| it.argv.program.display());
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
        let mut program = program(&check.argv, staged);
        program.set("SECRETSYNCD_ENTRY", self.entry.as_str());
        program.set("SECRETSYNCD_TARGET", &self.path);
        program.set("SECRETSYNCD_PATH", staged);
        let ended = self.errands.run(Errand {
            program,
            time: LIMIT,
            heard_by: check.log_output.then(|| self.hears(check)),
        });
        ended.map_err(|trouble| self.rejected(check, trouble))
    }

    /// What it says may hold a value, so somebody must have asked for it.
    fn hears(&self, check: &Check) -> Say {
        let (entry, path) = (self.entry.clone(), self.path.clone());
        let program = check.argv.program.clone();
        Box::new(move |line| {
            tracing::info!(
                entry = %entry, target.name = %path.display(), check = %program.display(), line, "said"
            );
        })
    }

    fn rejected(&self, check: &Check, trouble: Trouble) -> Failure {
        let fact = format!(
            "{} was not written: the check {} {trouble}",
            self.path.display(),
            check.argv.program.display()
        );
        match trouble {
            Trouble::Exited(_) | Trouble::Signalled(_) if check.log_output => {
                Failure::new(Reason::Invalid, fact).with_help(
                    "the new content is not accepted, and what is in place stays; the log has what the check said",
                )
            }
            Trouble::Exited(_) | Trouble::Signalled(_) => Failure::new(Reason::Invalid, fact).with_help(
                "the new content is not accepted, and what is in place stays; run the check by hand on such a file to see \
                 why, or set `check_log_output = true`",
            ),
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
