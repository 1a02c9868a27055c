//! Putting a file of the state out of the way: kept, never read again, and the log says what follows.

use rustix::fs::{self, AtFlags, Dir, RenameFlags};
use rustix::io::Errno;

use super::directory::Directory;
use crate::clock;
use crate::failure::Failure;

/// So many of each kind are kept: enough to look at, few enough to forget.
const KEPT: usize = 3;
/// Names for one second. More than are kept, so that one is free.
const NAMES: u32 = 9;

impl Directory {
    /// Renames a file of ours and says in the log what was `found` about it. Anything else of that name is an error and
    /// stays.
    pub(super) fn set_aside(&self, name: &str, found: &str) -> Result<(), Failure> {
        if self.open_existing(name)?.is_none() {
            return Ok(());
        }
        let aside = self.rename_aside(name)?;
        tracing::warn!(
            "{} {found}; it was put aside as {aside}, and a new one begins: everything is read again once, targets that \
             are as they should be are not written, and files and Secrets that differ from their source count as \
             somebody else's until they are adopted",
            self.path_of(name).display()
        );
        if let Err(errno) = self.forget_oldest(name, &aside) {
            let failure = self.file_failed(name, "was put aside, but older ones stay", errno);
            tracing::warn!("{failure}");
        }
        Ok(())
    }

    fn rename_aside(&self, name: &str) -> Result<String, Failure> {
        let now = clock::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        for number in 1..=NAMES {
            let aside = match number {
                1 => format!("{name}.damaged-{now}"),
                _ => format!("{name}.damaged-{now}-{number}"),
            };
            let inside = &self.descriptor;
            match fs::renameat_with(inside, name, inside, &aside, RenameFlags::NOREPLACE)
                .and_then(|()| fs::fsync(inside))
            {
                Ok(()) => return Ok(aside),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.file_failed(name, "cannot be put aside", errno)),
            }
        }
        Err(self.file_failed(name, "cannot be put aside", Errno::EXIST))
    }

    /// The new one stays even where a clock that was set back makes it look old.
    fn forget_oldest(&self, name: &str, newest: &str) -> Result<(), Errno> {
        let mut others = Vec::new();
        for file in Dir::read_from(&self.descriptor)? {
            let file = file?;
            let Ok(file) = file.file_name().to_str() else {
                continue;
            };
            if is_aside(name, file) && file != newest {
                others.push(file.to_owned());
            }
        }
        others.sort_unstable();
        let keep = KEPT - 1;
        for oldest in others.iter().take(others.len().saturating_sub(keep)) {
            fs::unlinkat(&self.descriptor, oldest, AtFlags::empty())?;
        }
        Ok(())
    }
}

/// Whether we gave this name. What people put beside it is theirs.
fn is_aside(name: &str, file: &str) -> bool {
    let Some(rest) = file
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix(".damaged-"))
    else {
        return false;
    };
    let shape: String = rest
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "00000000T000000Z" || shape == "00000000T000000Z-0"
}
