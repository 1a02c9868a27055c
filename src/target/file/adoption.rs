//! Taking over a file of somebody else because a person says so.
//!
//! Nothing of the file is touched: the ledger learns what it holds, and the next delivery may replace just that.

use super::FileTarget;
use super::on_disk::OnDisk;
use super::parents::{self, Missing, Way};
use crate::decide::file::adoption::{Adoption, adoption};
use crate::failure::{Failure, Reason};
use crate::state::FileAdoption;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// The next delivery replaces it.
    Taken,
    /// It is ours already.
    Ours,
    /// There is nothing to take over.
    Absent,
}

impl FileTarget {
    /// Takes over what is at the path.
    pub async fn take_over(&self) -> Result<Adopted, Failure> {
        if !self.is_directory() {
            return self.on_disk(OnDisk::take_over).await;
        }
        Ok(match self.set_adoption()? {
            Adoption::Absent => Adopted::Absent,
            Adoption::Ours | Adoption::Take { .. } => Adopted::Ours,
        })
    }

    /// What taking over a directory of files would be, from what the ledger knows.
    pub(super) fn set_adoption(&self) -> Result<Adoption, Failure> {
        let record = self.disk.state.file(&self.spec.path);
        let ours = record.is_some_and(|it| it.delivered.is_some() && !it.left && !it.removing);
        if ours {
            return Ok(Adoption::Ours);
        }
        let fact = format!(
            "{} is to be a directory of files, which this command does not take over",
            self.spec.path.display()
        );
        Err(Failure::new(Reason::Conflict, fact).with_help(
            "set `adopt = true` for it: what stands at the names of its keys is replaced then, and everything else stays",
        ))
    }
}

impl OnDisk {
    fn take_over(&self) -> Result<Adopted, Failure> {
        let seen = self.look()?;
        let record = self.state.file(&self.path);
        let (found, mode) = match adoption(&self.path, &seen.observed, record.as_ref())? {
            Adoption::Absent => return Ok(Adopted::Absent),
            Adoption::Ours => return Ok(Adopted::Ours),
            Adoption::Take { found, mode } => (found, mode),
        };
        // What could not be replaced is not taken over either.
        let (parent, _) = parents::split(&self.path)?;
        if let Way::Whole(directory) = self.way(Missing::Stop)? {
            parents::check_writable(&directory, &parent)?;
        }
        self.state.adopt_file(FileAdoption {
            path: self.path.clone(),
            entry: self.entry.clone(),
            found,
            mode,
        })?;
        Ok(Adopted::Taken)
    }
}
