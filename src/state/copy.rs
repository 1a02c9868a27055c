//! A copy of the state, for whoever only wants to know: nothing is made, locked or changed for it, and a daemon may
//! work with the directory meanwhile.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::RwLock;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::directory::{LEDGER_FILE, errno_failed, failed};
use super::key::KEY_FILE;
use super::ledger::Ledger;
use super::{Place, State};
use crate::failure::{Failure, Reason};
use crate::secret::FingerprintKey;

/// A daemon commits for some milliseconds; so many copies do not all fall into a commit.
const TRIES: usize = 5;
const KEY_BYTES: usize = 32;
/// More than a ledger of a million targets.
const LEDGER_MAX: u64 = 1 << 30;

/// What could be had.
#[derive(Debug)]
pub struct Copied {
    pub state: State,
    /// Why it knows nothing, where there is something to know.
    pub unknown: Option<Failure>,
}

impl State {
    /// Reads what is known, once. Blocks on the disk.
    pub fn copy(path: &Path) -> Result<Copied, Failure> {
        let (state, unknown) = match Self::copied(path) {
            Ok(Some(state)) => (state, None),
            Ok(None) => (Self::blank()?, None),
            Err(failure) => (Self::blank()?, Some(failure)),
        };
        Ok(Copied { state, unknown })
    }

    fn copied(path: &Path) -> Result<Option<Self>, Failure> {
        let Some(key) = read(path, KEY_FILE, KEY_BYTES as u64)? else {
            return Ok(None);
        };
        let key: Result<[u8; KEY_BYTES], _> = key.as_slice().try_into();
        let key = key.map_err(|_| not_whole(path))?;
        let key = FingerprintKey::new(key);
        for _ in 0..TRIES {
            let Some(bytes) = read(path, LEDGER_FILE, LEDGER_MAX)? else {
                return Ok(None);
            };
            if let Ok(ledger) = Ledger::copied(&bytes, &key) {
                return Ok(Some(Self {
                    fingerprint_key: key,
                    ledger,
                    removals: tokio::sync::RwLock::default(),
                    file_removals: super::FileRemovals::default(),
                    configured: RwLock::default(),
                    _lock: None,
                    place: Place::default(),
                }));
            }
        }
        Err(not_whole(path))
    }

    /// Its key is one that nobody else has.
    fn blank() -> Result<Self, Failure> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|_| Failure::new(Reason::Io, "this machine gives no random bytes"))?;
        let fingerprint_key = FingerprintKey::new(bytes);
        Ok(Self {
            ledger: Ledger::blank(&fingerprint_key),
            fingerprint_key,
            removals: tokio::sync::RwLock::default(),
            file_removals: super::FileRemovals::default(),
            configured: RwLock::default(),
            _lock: None,
            place: Place::default(),
        })
    }
}

/// `None` where there is no such file.
fn read(directory: &Path, name: &str, most: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let path = directory.join(name);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match fs::open(&path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno_failed(&path, "cannot be read", errno)),
    };
    let unreadable = |error: std::io::Error| failed(&path, "cannot be read", error.raw_os_error());
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() || found.len() > most {
        return Err(not_whole(directory));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(Some(bytes))
}

fn not_whole(path: &Path) -> Failure {
    let fact = format!(
        "state: what is in {} cannot be read as a whole",
        path.display()
    );
    Failure::new(Reason::Io, fact).with_help(
        "try again; if it stays, secretsyncd says at its next start what is wrong with it",
    )
}
