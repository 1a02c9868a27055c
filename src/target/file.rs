//! Files on disk: one file per target, replaced whole or not at all.
//!
//! A reader sees the old content or the new, never less; what is not ours stays as it is. This module knows neither
//! where values come from nor what may be done with a file: it renders, looks, and does what `decide` says. Files sit
//! on disks that can hang, so all work happens on blocking threads and is waited for with a limit.

pub mod directory;
pub mod format;

mod acl;
mod adoption;
mod aside;
mod changes;
mod check;
mod inode;
mod label;
mod on_disk;
mod ownership;
mod parents;
mod refusal;
mod removal;
mod seats;
mod staged;
mod waiting;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nix::unistd::{Uid, User};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::account::Accounts;
use crate::clock;
use crate::config::{self, FileFormat};
use crate::decide;
use crate::decide::file::{Access, Content, Observed, Verdict, Wanted, judge};
use crate::decide::rivals::Rivals;
use crate::decide::{Drift, Effect};
use crate::failure::Failure;
use crate::names::EntryName;
use crate::process::Errands;
use crate::secret::{Fingerprint, Payload, SecretBytes};
use crate::state::{FileId, Mark, Marks, State};
use crate::target::holdings::Holdings;
use crate::watch::Watched;

pub use adoption::Adopted;
use directory::Sight;
use inode::{Inode, Stamp};
use on_disk::OnDisk;
use ownership::Ownership;
pub use removal::{LeftFile, Removed};
pub use seats::Seats;
use seats::Turn;

/// The bytes that a file is to have.
#[derive(Clone, Debug)]
pub struct Rendered {
    bytes: Arc<SecretBytes>,
    fingerprint: Fingerprint,
}

impl Rendered {
    fn of(bytes: SecretBytes, fingerprint: Fingerprint) -> Self {
        Self {
            bytes: Arc::new(bytes),
            fingerprint,
        }
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// What was found at the path, and in which condition, so that a later step can tell whether it is still so.
#[derive(Clone, Debug)]
pub struct Seen {
    pub observed: Observed,
    inode: Option<Inode>,
    /// What it should be, by the numbers that the accounts had then.
    access: Access,
    /// Where a directory of files is wanted.
    set: Option<Arc<Sight>>,
}

impl Seen {
    fn stamp(&self) -> Option<Stamp> {
        self.inode.map(|inode| inode.stamp)
    }

    /// Of a directory of files, whose details are its own.
    fn of_set(sight: Sight, access: Access) -> Self {
        let observed = match sight.observed {
            decide::directory::Observed::Absent => Observed::Absent,
            decide::directory::Observed::Directory(_) => Observed::Directory,
            decide::directory::Observed::Symlink => Observed::Symlink,
            decide::directory::Observed::Other => Observed::Other,
        };
        Self {
            observed,
            inode: None,
            access,
            set: Some(Arc::new(sight)),
        }
    }

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

    /// Which regular file it is, and whose.
    fn file(&self) -> Option<(FileId, u32)> {
        match self.observed {
            Observed::Regular { id, owner, .. } => Some((id, owner)),
            Observed::Absent | Observed::Symlink | Observed::Directory | Observed::Other => None,
        }
    }
}

/// What a verdict came to.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub effect: Effect,
    /// When readers got it. What is kept of it in the ledger comes after that, and may take its time.
    pub at: Timestamp,
}

impl Done {
    /// Where nothing is put in place.
    fn now(effect: Effect) -> Self {
        let at = clock::now();
        Self { effect, at }
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
    accounts: Arc<Accounts>,
}

impl FileTarget {
    pub fn new(
        spec: config::FileTarget,
        entry: EntryName,
        state: Arc<State>,
        seats: &Seats,
    ) -> Self {
        let (busy, accounts) = (seats.turn(&spec.path), seats.accounts());
        let first_look = seats.first_look(&spec.path);
        let seats = match spec.check {
            None => seats.beside(&spec.path),
            Some(_) => seats.checked(&spec.path),
        };
        let disk = OnDisk {
            path: spec.path.clone(),
            mode: spec.mode,
            dir_mode: spec.dir_mode,
            ownership: Ownership::default(),
            adopt: spec.adopt,
            check: spec.check.clone(),
            errands: Errands::default(),
            tells: spec.on_change.is_some(),
            entry,
            state,
            first_look,
        };
        Self {
            spec,
            disk: Arc::new(disk),
            busy,
            seats,
            accounts,
        }
    }

    pub fn path(&self) -> &Path {
        &self.spec.path
    }

    /// What becomes of it when its sources are gone.
    pub fn deletion_policy(&self) -> config::DeletionPolicy {
        self.spec.deletion_policy
    }

    pub fn on_change(&self) -> Option<&config::OnChange> {
        self.spec.on_change.as_ref()
    }

    /// Which changes of it its action has not run for, as far as the ledger knows.
    pub fn marks(&self) -> Marks {
        let record = self.disk.state.file(&self.spec.path);
        record.map(|record| record.marks).unwrap_or_default()
    }

    /// The mark of a change that a crash cut short, if the change came about.
    pub async fn cut_short(&self) -> Result<Option<Mark>, Failure> {
        self.on_disk(OnDisk::cut_short).await
    }

    /// The bytes this payload has in the target's format. Pure.
    pub fn render(&self, payload: &Payload) -> Result<Rendered, Failure> {
        let bytes = format::render(&self.spec.format, payload)?;
        let fingerprint = self.disk.state.fingerprint_key().of([bytes.expose()]);
        Ok(Rendered::of(bytes, fingerprint))
    }

    /// What is at the path. Changes nothing.
    pub async fn observe(&self) -> Result<Seen, Failure> {
        if self.is_directory() {
            return self
                .on_disk(|disk| {
                    directory::look(&disk.path, &disk.state, &disk.ownership)
                        .map(|sight| Seen::of_set(sight, disk.access()))
                })
                .await;
        }
        self.on_disk(OnDisk::look).await
    }

    /// What the file needs to become `rendered`, from what was seen and what the ledger knows.
    pub fn judge(&self, rendered: &Rendered, seen: &Seen) -> Result<Verdict, Failure> {
        self.judged(rendered, seen, self.spec.adopt)
    }

    fn judged(&self, rendered: &Rendered, seen: &Seen, adopt: bool) -> Result<Verdict, Failure> {
        let record = self.disk.state.file(&self.spec.path);
        if let Some(sight) = &seen.set {
            let key = self.disk.state.fingerprint_key();
            let values = format::set::unpack(&rendered.bytes).unwrap_or_default();
            let values = values.into_iter();
            let values: BTreeMap<_, _> = values
                .map(|(name, value)| (name, key.of([value.expose()])))
                .collect();
            let wanted = decide::directory::Wanted {
                set: rendered.fingerprint,
                values: &values,
                modes: directory::modes(&self.disk),
                owner: seen.access.owner,
                adopt,
            };
            return decide::directory::judge(
                &self.spec.path,
                &sight.observed,
                record.as_ref(),
                &wanted,
            );
        }
        let wanted = Wanted {
            fingerprint: rendered.fingerprint,
            access: seen.access,
            adopt,
        };
        judge(&self.spec.path, &seen.observed, record.as_ref(), &wanted)
    }

    fn is_directory(&self) -> bool {
        match self.spec.format {
            FileFormat::Directory => true,
            FileFormat::Raw { .. }
            | FileFormat::Dotenv(_)
            | FileFormat::Json
            | FileFormat::Yaml
            | FileFormat::Properties => false,
        }
    }

    /// Does what was judged, provided that the file is still as it was seen.
    pub async fn apply(
        &self,
        rendered: &Rendered,
        seen: &Seen,
        verdict: Verdict,
    ) -> Result<Done, Failure> {
        let (rendered, seen) = (rendered.clone(), seen.clone());
        if let Some(sight) = seen.set {
            return self
                .on_disk(move |disk| directory::apply(disk, &rendered, &sight, verdict))
                .await;
        }
        self.on_disk(move |disk| match verdict {
            Verdict::Unchanged => disk
                .settle(rendered.fingerprint, &seen)
                .map(|()| Done::now(Effect::Unchanged)),
            Verdict::FixMode(effect) => disk
                .set_mode(rendered.fingerprint, seen.stamp())
                .map(|()| Done::now(effect)),
            Verdict::Write(effect) => disk.write(&rendered, &seen).map(|at| Done { effect, at }),
        })
        .await
    }

    /// Who changed it, as far as what was seen says.
    pub async fn rivals(&self, seen: &Seen) -> Rivals {
        let record = self.disk.state.file(&self.spec.path);
        let (Some((file, owner)), Some(at)) =
            (seen.file(), seen.stamp().and_then(|it| it.modified()))
        else {
            return Rivals::default();
        };
        if decide::file::is_recorded(record.as_ref(), file) {
            return Rivals::in_place(at);
        }
        // Users may come from a directory service, which may take its time.
        Rivals::owner(owner, user_name(owner).await, at)
    }

    /// Whether nothing failed but that somebody else wrote the file at the same moment.
    pub fn was_overtaken(&self, failure: &Failure) -> bool {
        *failure == staged::changed(self.path())
    }

    /// How the file differs from what was delivered, without having the value. Wrong permissions can then be put back
    /// by [`Self::repair_mode`]; everything else needs the value.
    pub async fn drift(&self) -> Result<Option<Drift>, Failure> {
        if self.is_directory() {
            return self.on_disk(directory::drift).await;
        }
        self.on_disk(OnDisk::drift).await
    }

    /// Puts the permissions back when they are all that drifted.
    pub async fn repair_mode(&self) -> Result<Effect, Failure> {
        if self.is_directory() {
            return self.on_disk(directory::repair).await;
        }
        self.on_disk(OnDisk::repair_mode).await
    }

    /// What is in the file.
    pub async fn holdings(&self) -> Result<Holdings, Failure> {
        let Some((bytes, ours)) = self.bytes().await? else {
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

    /// What is there in the format's bytes, and whether it is what we delivered.
    async fn bytes(&self) -> Result<Option<(SecretBytes, bool)>, Failure> {
        if self.is_directory() {
            return self
                .on_disk(|disk| {
                    let found = directory::bytes(disk)?;
                    Ok(found.map(|(bytes, content)| (bytes, disk.is_ours(content))))
                })
                .await;
        }
        self.on_disk(OnDisk::bytes).await
    }

    /// Whether a write would be possible, as far as that can be told without the value and without writing.
    pub async fn probe(&self) -> Result<(), Failure> {
        if self.is_directory() {
            return self.on_disk(directory::probe).await;
        }
        self.on_disk(OnDisk::probe).await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OnDisk) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        // Before anything is held: a directory service may take its time.
        let ownership = Ownership::of(&self.spec, &self.accounts).await?;
        let disk = Arc::new(OnDisk {
            ownership,
            ..OnDisk::clone(&self.disk)
        });
        waiting::on_disk((&disk, &self.busy, &self.seats), work).await
    }
}

/// What has to be watched to hear of everything that happens to such a target.
pub fn watched(spec: &config::FileTarget) -> Vec<Watched> {
    let place = Watched::Place(spec.path.clone());
    match spec.format {
        FileFormat::Directory => vec![
            place,
            Watched::Directory(spec.path.clone()),
            Watched::Directory(spec.path.join(directory::DATA)),
        ],
        FileFormat::Raw { .. }
        | FileFormat::Dotenv(_)
        | FileFormat::Json
        | FileFormat::Yaml
        | FileFormat::Properties => vec![place],
    }
}

/// Nothing where a directory service takes its time: one question at a time, held by its thread, and nobody's turn is
/// kept for it.
async fn user_name(id: u32) -> Option<String> {
    const LIMIT: Duration = Duration::from_secs(5);
    static ONE: Semaphore = Semaphore::const_new(1);
    let slot = ONE.try_acquire().ok()?;
    let asked = spawn_blocking(move || {
        let _slot = slot;
        User::from_uid(Uid::from_raw(id)).ok().flatten()
    });
    let user = timeout(LIMIT, asked).await.ok()?.ok()??;
    Some(user.name)
}

#[cfg(test)]
mod tests;
