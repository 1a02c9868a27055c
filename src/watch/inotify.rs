//! What `notify` is used for: its inotify watcher, on single directories. None of its words get out of here.

use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{ErrorKind, INotifyWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::directories::Plan;
use super::trace::DirectoryId;

/// Events that wait to be heard; when there are more, everything is compared.
const MOST_WAITING: usize = 4096;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Something happened to this path.
    Touched(PathBuf),
    /// It was removed or renamed. If it was watched, it no longer is, nor is anything below it.
    Gone(PathBuf),
    /// Events were lost.
    Lost,
}

/// Why a directory is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    Asked,
    Remote,
    TooMany,
    WatchLimit,
    NoInotify,
    Denied,
    Refused,
}

impl Why {
    /// Completes "polled, because".
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "inotify is not used",
            Self::Remote => {
                "inotify is not told of what others change on a network or FUSE file system"
            }
            Self::TooMany => "4096 directories are watched already",
            Self::WatchLimit => "the kernel's limit fs.inotify.max_user_watches is reached",
            Self::NoInotify => {
                "inotify cannot be had; fs.inotify.max_user_instances or the limit of open files may be reached"
            }
            Self::Denied => "watching a directory takes the permission to read it",
            Self::Refused => "the kernel refuses to watch it",
        }
    }
}

/// What came of one watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Watched,
    /// The directory is no longer where it was.
    Moved,
    Not(Why),
}

pub(super) struct Inotify {
    /// Absent only while a thread works with it, and after one panicked.
    watcher: Option<INotifyWatcher>,
    told: mpsc::Receiver<Told>,
    overrun: Arc<AtomicBool>,
}

impl Inotify {
    pub(super) fn start() -> Option<Self> {
        let (tell, told) = mpsc::channel(MOST_WAITING);
        let overrun = Arc::new(AtomicBool::new(false));
        let full = Arc::clone(&overrun);
        // Runs on a thread of `notify`, which must never wait.
        let forward = move |event| {
            each(event, |told| {
                if tell.try_send(told).is_err() {
                    full.store(true, Ordering::Relaxed);
                }
            });
        };
        let watcher = INotifyWatcher::new(forward, notify::Config::default()).ok()?;
        Some(Self {
            watcher: Some(watcher),
            told,
            overrun,
        })
    }

    /// Nothing: the watcher broke, and what it watched is no longer watched.
    pub(super) async fn next(&mut self) -> Option<Told> {
        let told = self.told.recv().await;
        self.or_lost(told)
    }

    /// What can be had without waiting.
    pub(super) fn more(&mut self) -> Option<Told> {
        let told = self.told.try_recv().ok();
        self.or_lost(told)
    }

    fn or_lost(&mut self, told: Option<Told>) -> Option<Told> {
        let told = told?;
        if self.overrun.swap(false, Ordering::Relaxed) {
            return Some(Told::Lost);
        }
        Some(told)
    }

    /// Nothing: the watcher broke.
    pub(super) async fn follow(&mut self, plan: Plan) -> Option<Vec<(DirectoryId, Outcome)>> {
        // Its destructor panics when its thread is gone, and a second panic would end the process.
        let mut watcher = ManuallyDrop::new(self.watcher.take()?);
        let work = move || {
            for path in plan.remove {
                // It may have gone by itself.
                let _ = watcher.unwatch(&path);
            }
            let mut outcomes = Vec::with_capacity(plan.add.len());
            let mut full = false;
            for (id, path) in plan.add {
                let outcome = if full {
                    Outcome::Not(Why::WatchLimit)
                } else {
                    outcome(watcher.watch(&path, RecursiveMode::NonRecursive))
                };
                full = outcome == Outcome::Not(Why::WatchLimit);
                outcomes.push((id, outcome));
            }
            (ManuallyDrop::into_inner(watcher), outcomes)
        };
        let (watcher, outcomes) = tokio::task::spawn_blocking(work).await.ok()?;
        self.watcher = Some(watcher);
        Some(outcomes)
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        if self.told.is_closed() {
            std::mem::forget(self.watcher.take());
        }
    }
}

impl fmt::Debug for Inotify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inotify").finish_non_exhaustive()
    }
}

fn outcome(result: notify::Result<()>) -> Outcome {
    match result.map_err(|error| error.kind) {
        Ok(()) => Outcome::Watched,
        Err(ErrorKind::PathNotFound) => Outcome::Moved,
        Err(ErrorKind::MaxFilesWatch) => Outcome::Not(Why::WatchLimit),
        Err(ErrorKind::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Outcome::Not(Why::Denied)
        }
        Err(ErrorKind::Io(error)) if error.kind() == io::ErrorKind::NotADirectory => Outcome::Moved,
        Err(
            ErrorKind::Io(_)
            | ErrorKind::Generic(_)
            | ErrorKind::WatchNotFound
            | ErrorKind::InvalidConfig(_),
        ) => Outcome::Not(Why::Refused),
    }
}

/// That something was opened or read is nothing to us.
fn each(event: notify::Result<notify::Event>, mut tell: impl FnMut(Told)) {
    let Ok(event) = event else {
        return tell(Told::Lost);
    };
    if event.need_rescan() {
        tell(Told::Lost);
    }
    let told = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Any
        | EventKind::Other
        | EventKind::Create(_)
        | EventKind::Modify(
            ModifyKind::Any | ModifyKind::Data(_) | ModifyKind::Metadata(_) | ModifyKind::Other,
        ) => Told::Touched,
        EventKind::Access(_) => return,
        EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => Told::Gone,
    };
    for path in event.paths {
        tell(told(path));
    }
}
