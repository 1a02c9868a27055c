//! The file of the fingerprint key.

use std::io::{Read, Write};

use rustix::fs::{self, AtFlags, OFlags, RenameFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::OpenError;
use super::directory::{Directory, failed};
use super::ledger::Ledger;
use crate::failure::{Failure, Reason};
use crate::secret::FingerprintKey;

pub(super) const KEY_FILE: &str = "fingerprint.key";
const NEW_KEY_FILE: &str = "fingerprint.key.new";
const KEY_BYTES: usize = 32;

enum Found {
    Whole(FingerprintKey),
    NotWhole,
    Nothing,
}

/// Reads the key, or makes it. Only the holder of the lock may ask. A ledger whose key is lost is put aside first: with
/// another key, nothing in it would be recognised.
pub(super) fn read_or_make(directory: &Directory) -> Result<FingerprintKey, OpenError> {
    match read(directory)? {
        Found::Whole(key) => return Ok(key),
        Found::NotWhole => {
            Ledger::give_up(directory)?;
            directory.set_aside(KEY_FILE, "is not a fingerprint key of 32 bytes")?;
        }
        Found::Nothing => Ledger::give_up(directory)?,
    }
    Ok(make(directory)?)
}

fn read(directory: &Directory) -> Result<Found, Failure> {
    let Some(file) = directory.open_existing(KEY_FILE)? else {
        return Ok(Found::Nothing);
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    file.take(KEY_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            let path = directory.path_of(KEY_FILE);
            failed(&path, "cannot be read", error.raw_os_error())
        })?;
    let whole: Result<[u8; KEY_BYTES], _> = bytes.as_slice().try_into();
    Ok(whole.map_or(Found::NotWhole, |key| {
        Found::Whole(FingerprintKey::new(key))
    }))
}

fn make(directory: &Directory) -> Result<FingerprintKey, Failure> {
    let failed = |errno| directory.file_failed(KEY_FILE, "cannot be made", errno);
    let inside = &directory.descriptor;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| {
        Failure::new(
            Reason::Io,
            "the kernel gave no random bytes for the fingerprint key",
        )
    })?;
    // A crash may have left one behind; the lock says that nobody is writing it.
    match fs::unlinkat(inside, NEW_KEY_FILE, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed(errno)),
    }
    let mut file = directory
        .open_file(NEW_KEY_FILE, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
        .map_err(failed)?;
    file.write_all(bytes.as_slice())
        .and_then(|()| file.sync_all())
        .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    fs::renameat_with(
        inside,
        NEW_KEY_FILE,
        inside,
        KEY_FILE,
        RenameFlags::NOREPLACE,
    )
    .and_then(|()| fs::fsync(inside))
    .map_err(failed)?;
    Ok(FingerprintKey::new(*bytes))
}
