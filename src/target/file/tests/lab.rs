//! Where targets are tried out.

use std::fs;
use std::marker::PhantomData;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::config;
use crate::names::EntryName;
use crate::state::State;
use crate::target::file::{FileTarget, Seats};

/// A state and a directory for targets, both gone at the end. What is tried out there says where its targets are.
pub(in crate::target::file) struct Lab<What> {
    pub(in crate::target::file) root: TempDir,
    pub(in crate::target::file) state: Arc<State>,
    pub(in crate::target::file) seats: Seats,
    what: PhantomData<What>,
}

impl<What> Lab<What> {
    pub(in crate::target::file) fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    /// In memory where there is such a place, for tests that write often.
    pub(in crate::target::file) fn in_memory() -> Self {
        Self::on(tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap()))
    }

    pub(in crate::target::file) fn on(root: TempDir) -> Self {
        mode(root.path(), 0o755);
        let state = Arc::new(State::open(&root.path().join("state")).unwrap());
        fs::create_dir(root.path().join("out")).unwrap();
        mode(&root.path().join("out"), 0o755);
        Self {
            root,
            state,
            seats: Seats::default(),
            what: PhantomData,
        }
    }

    pub(in crate::target::file) fn target_of(&self, spec: config::FileTarget) -> FileTarget {
        let entry = EntryName::new("db").unwrap();
        FileTarget::new(spec, entry, Arc::clone(&self.state), &self.seats)
    }
}

pub(in crate::target::file) fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(in crate::target::file) fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}
