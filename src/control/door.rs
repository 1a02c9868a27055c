//! Where others come in, kept open: what is taken away under a running daemon is made again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UnixListener;
use tokio::task::{JoinHandle, spawn_blocking};

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

/// What a look at the place of the socket has found.
#[derive(Debug)]
pub(super) enum Looked {
    InPlace,
    /// It had been taken away; somebody else listens from now on.
    MadeAgain(UnixListener),
    Failed(Failure),
}

/// Nothing once the daemon is stopping. Never held while a disk is waited for: who stops does not wait for one.
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
    /// Looks whether nobody finds the socket any more, and makes it again then. Its disk may hang, so this has a thread of
    /// its own; whoever calls begins no other before it has ended.
    pub(super) fn look(&self) -> JoinHandle<Looked> {
        let (path, group, kept) = (self.path.clone(), self.group, Arc::clone(&self.kept));
        spawn_blocking(move || look(&path, group, &kept))
    }

    /// Where something else is in its place, that stays and is said once.
    pub(super) fn saw(&mut self, looked: Looked) {
        match looked {
            Looked::InPlace => self.told = false,
            Looked::MadeAgain(listener) => {
                tracing::warn!(
                    "the control socket {} had been taken away; it is there again",
                    self.path.display()
                );
                self.listener = listener;
                self.told = false;
            }
            Looked::Failed(failure) => {
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

fn look(path: &Path, group: Option<u32>, kept: &Mutex<Option<Socket>>) -> Looked {
    let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
    let present = lock().as_ref().map(Socket::id);
    if present.is_none_or(|id| id.is_at(path)) {
        return Looked::InPlace;
    }
    match socket::open(path, group) {
        Ok((listener, socket)) => {
            let mut kept = lock();
            let stopping = kept.is_none();
            let old = if stopping {
                Some(socket)
            } else {
                kept.replace(socket)
            };
            drop(kept);
            drop(old);
            if stopping {
                Looked::InPlace
            } else {
                Looked::MadeAgain(listener)
            }
        }
        Err(failure) => Looked::Failed(failure),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = kept.take();
        drop(kept);
        drop(socket);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Bug: a disk that hung held up a worker, and everything else that ran there.
    #[tokio::test]
    async fn a_look_that_hangs_holds_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let (mut door, place) = open(&path, None).unwrap();
        let kept = Arc::clone(&door.kept);
        let look = {
            let _hangs = kept.lock().unwrap();
            let mut look = door.look();
            assert!((&mut look).now_or_never().is_none());
            std::fs::remove_file(&path).unwrap();
            look
        };
        let looked = look.await.unwrap();
        assert!(matches!(looked, Looked::MadeAgain(_)), "{looked:?}");
        door.saw(looked);
        assert!(tokio::net::UnixStream::connect(&path).await.is_ok());
        assert!(matches!(door.look().await.unwrap(), Looked::InPlace));
        drop(place);
        assert!(!path.exists());
        let looked = door.look().await.unwrap();
        assert!(matches!(looked, Looked::InPlace), "{looked:?}");
        assert!(!path.exists(), "the daemon is stopping");
    }
}
