//! Where others come in, kept open: what is taken away under a running daemon is made again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UnixListener;

use super::group;
use super::socket::{self, Socket};
use crate::failure::Failure;

/// The socket that listens, as long as it is in its place.
#[derive(Debug)]
pub struct Door {
    pub(super) listener: UnixListener,
    pub(super) others: Others,
    path: PathBuf,
    group: Option<u32>,
    kept: Kept,
    /// It was said that it cannot be made again.
    told: bool,
}

/// Takes the socket away when this is dropped.
#[derive(Debug)]
pub struct Place(Kept);

/// Nothing once the daemon is stopping.
type Kept = Arc<Mutex<Option<Socket>>>;

/// Who may ask beyond root and our own user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    Nobody,
    /// The socket's mode lets in the members of a group, and nobody else.
    ByMode,
}

/// Listens at `path`, for our own user and root, and for `group` where one is named.
pub fn open(path: &Path, group: Option<&str>) -> Result<(Door, Place), Failure> {
    let group = group.map(group::id).transpose()?;
    let (listener, socket) = socket::open(path, group)?;
    let kept = Arc::new(Mutex::new(Some(socket)));
    let others = match group {
        Some(_) => Others::ByMode,
        None => Others::Nobody,
    };
    let door = Door {
        listener,
        others,
        path: path.to_owned(),
        group,
        kept: Arc::clone(&kept),
        told: false,
    };
    Ok((door, Place(kept)))
}

impl Door {
    /// Whether nobody finds the socket any more. Where something else is in its place, that stays and is said once.
    pub(super) fn look(&mut self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|socket| socket.is_at(&self.path)) {
            self.told = false;
            return;
        }
        match socket::open(&self.path, self.group) {
            Ok((listener, socket)) => {
                tracing::warn!(
                    "the control socket {} had been taken away; it is there again",
                    self.path.display()
                );
                self.listener = listener;
                *kept = Some(socket);
                self.told = false;
            }
            Err(failure) => {
                if !self.told {
                    tracing::error!(
                        help = failure.help(),
                        "nobody can ask this daemon, its control socket is gone: {failure}"
                    );
                }
                self.told = true;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take();
    }
}
