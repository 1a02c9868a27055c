//! Files on disk (design 7.2): one file per target, replaced whole or not at all.
//!
//! A reader sees the old content or the new, never less; what is not ours stays as it is. This module knows neither
//! where values come from nor what may be done with a file: it renders, looks, and does what `decide` says. Files sit
//! on disks that can hang, so all work happens on blocking threads and is waited for with a limit.

pub mod format;

mod acl;
mod changes;
mod inode;
mod on_disk;
mod parents;
mod refusal;
mod seats;
mod staged;

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config;
use crate::decide::file::{Content, Observed, Verdict, Wanted, judge};
use crate::decide::{Drift, Effect};
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::secret::{Fingerprint, Payload, SecretBytes};
use crate::state::State;
use crate::target::holdings::Holdings;

use inode::Stamp;
use on_disk::OnDisk;
pub use seats::Seats;
use seats::Turn;

/// How long one operation may take; a healthy disk needs milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

/// The bytes that a file is to have.
#[derive(Clone, Debug)]
pub struct Rendered {
    bytes: Arc<SecretBytes>,
    fingerprint: Fingerprint,
}

impl Rendered {
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// What was found at the path, and in which condition, so that a later step can tell whether it is still so.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub observed: Observed,
    stamp: Option<Stamp>,
}

impl Seen {
    /// The content of a regular file that could be read.
    fn fingerprint(&self) -> Option<Fingerprint> {
        match self.observed {
            Observed::Regular {
                content: Content::Of(fingerprint),
                ..
            } => Some(fingerprint),
            Observed::Regular { .. }
            | Observed::Absent
            | Observed::Symlink
            | Observed::Directory
            | Observed::Other => None,
        }
    }
}

/// One file that one entry delivers to.
#[derive(Debug)]
pub struct FileTarget {
    spec: config::FileTarget,
    disk: Arc<OnDisk>,
    /// Held by the operation on its thread, also when nobody waits for it any more: a second one never overtakes it.
    busy: Arc<Turn>,
    /// A thread for this directory. Held like `busy`, and taken after it: an operation that waits for another one of
    /// its own target keeps nobody else waiting.
    seats: Arc<Semaphore>,
}

impl FileTarget {
    pub fn new(
        spec: config::FileTarget,
        entry: EntryName,
        state: Arc<State>,
        seats: &Seats,
    ) -> Self {
        let busy = seats.turn(&spec.path);
        let seats = seats.beside(&spec.path);
        let disk = OnDisk {
            path: spec.path.clone(),
            mode: spec.mode,
            dir_mode: spec.dir_mode,
            entry,
            state,
        };
        Self {
            spec,
            disk: Arc::new(disk),
            busy,
            seats,
        }
    }

    pub fn path(&self) -> &Path {
        &self.spec.path
    }

    /// The bytes this payload has in the target's format. Pure.
    pub fn render(&self, payload: &Payload) -> Result<Rendered, Failure> {
        let bytes = format::render(&self.spec.format, payload)?;
        let fingerprint = self.disk.state.fingerprint_key().of([bytes.expose()]);
        Ok(Rendered {
            bytes: Arc::new(bytes),
            fingerprint,
        })
    }

    /// What is at the path. Changes nothing.
    pub async fn observe(&self) -> Result<Seen, Failure> {
        self.on_disk(OnDisk::look).await
    }

    /// What the file needs to become `rendered`, from what was seen and what the ledger knows.
    pub fn judge(&self, rendered: &Rendered, seen: &Seen) -> Result<Verdict, Failure> {
        let record = self.disk.state.file(&self.spec.path);
        let wanted = Wanted {
            fingerprint: rendered.fingerprint,
            mode: self.spec.mode,
            adopt: self.spec.adopt,
        };
        judge(&self.spec.path, &seen.observed, record.as_ref(), &wanted)
    }

    /// Does what was judged, provided that the file is still as it was seen.
    pub async fn apply(
        &self,
        rendered: &Rendered,
        seen: &Seen,
        verdict: Verdict,
    ) -> Result<Effect, Failure> {
        let (rendered, seen) = (rendered.clone(), *seen);
        self.on_disk(move |disk| match verdict {
            Verdict::Unchanged => disk
                .settle(rendered.fingerprint)
                .map(|()| Effect::Unchanged),
            Verdict::FixMode(effect) => disk
                .set_mode(rendered.fingerprint, seen.stamp)
                .map(|()| effect),
            Verdict::Write(effect) => disk.write(&rendered, &seen).map(|()| effect),
        })
        .await
    }

    /// How the file differs from what was delivered, without having the value. Wrong permissions can then be put back
    /// by [`Self::repair_mode`]; everything else needs the value.
    pub async fn drift(&self) -> Result<Option<Drift>, Failure> {
        self.on_disk(OnDisk::drift).await
    }

    /// Puts the permissions back when they are all that drifted.
    pub async fn repair_mode(&self) -> Result<Effect, Failure> {
        self.on_disk(OnDisk::repair_mode).await
    }

    /// What is in the file.
    pub async fn holdings(&self) -> Result<Holdings, Failure> {
        let Some((bytes, ours)) = self.on_disk(OnDisk::bytes).await? else {
            return Ok(Holdings::Nothing);
        };
        Ok(match format::read::read(&self.spec.format, &bytes) {
            None => Holdings::Unknown,
            Some(contents) => Holdings::Something {
                keys: contents.keys,
                delivered: contents.values.filter(|_| ours),
            },
        })
    }

    /// Whether a write would be possible, as far as that can be told without the value and without writing.
    pub async fn probe(&self) -> Result<(), Failure> {
        self.on_disk(OnDisk::probe).await
    }

    /// Work that was not waited for to its end goes on, and the next one waits for it.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OnDisk) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (disk, busy) = (Arc::clone(&self.disk), Arc::clone(&self.busy));
        let seats = Arc::clone(&self.seats);
        let waiting = timeout(LIMIT, async move {
            let turn = busy.lock_owned().await;
            // Nobody closes the semaphore, so there is always a permit in it.
            (turn, seats.acquire_owned().await.ok())
        });
        let held = waiting.await.map_err(|_| {
            let fact = format!(
                "{} did not get its turn: other files in its directory take too long",
                self.path().display()
            );
            Failure::new(Reason::Timeout, fact)
                .with_help("check the disk, or the server of a network file system")
        })?;
        let done = timeout(LIMIT, async move {
            spawn_blocking(move || {
                let _held = held;
                work(&disk)
            })
            .await
        });
        match done.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            Ok(Err(_)) => Err(Failure::new(
                Reason::Io,
                format!(
                    "{} was not touched: secretsyncd is stopping",
                    self.path().display()
                ),
            )),
            Err(_) => Err(Failure::new(
                Reason::Timeout,
                format!(
                    "the disk that holds {} did not answer within {} s",
                    self.path().display(),
                    LIMIT.as_secs()
                ),
            )
            .with_help("check the disk, or the server of a network file system")),
        }
    }
}

#[cfg(test)]
mod tests;
