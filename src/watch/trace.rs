//! Where a path leads, step by step, and what there is at its end. Blocks on the file system.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::statfs;

use super::Watched;
use crate::clock;

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// What lies in a directory beyond this many is not looked at.
const MOST_WITHIN: usize = 16_384;

/// A file may be written again without a visible trace until its clock has ticked: at least 100 times a second.
const TICK_MS: i128 = 20;

/// What `statfs` calls AFS, Ceph, CIFS, SMB2, SMB, Coda, FUSE, GFS2, GPFS, Lustre, NCP, NFS, OCFS2, 9p, and
/// `VirtualBox`'s shared folders.
const REMOTE: [i64; 15] = [
    0x5346_414f,
    0x00c3_6400,
    0xff53_4d42,
    0xfe53_4d42,
    0x517b,
    0x7375_7245,
    0x6573_5546,
    0x0116_1970,
    0x4750_4653,
    0x0bd0_0bd0,
    0x564c,
    0x6969,
    0x7461_636f,
    0x0102_1997,
    0x786f_4256,
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) looks: Vec<Look>,
    pub(super) sight: Sight,
}

/// A name that matters, in a directory without links on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) id: DirectoryId,
    pub(super) directory: PathBuf,
    /// On a file system where inotify is not told of everything.
    pub(super) remote: bool,
    pub(super) name: Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DirectoryId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    One(OsString),
    Any,
    /// What is at the path is no directory, and is told of only where there are watches to spare.
    Itself,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) stamp: Stamp,
    /// So young that a further change need not show.
    pub(super) fresh: bool,
}

/// Equal ones: nothing was replaced, written, made or removed, and the path leads where it led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    Nothing,
    /// As nothing, and the way ends in this directory.
    Until(Around),
    Unreadable,
    There {
        at: PathBuf,
        inode: Inode,
        /// Over everything in a directory.
        within: u64,
        /// Only of a place.
        around: Option<Around>,
    },
}

/// A directory, and whom it lets in: not what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Around {
    id: DirectoryId,
    mode: u32,
    owner: u32,
    group: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    device: u64,
    number: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Inode {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_fresh(self) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = i128::from(seconds) * 1000 + i128::from(nanoseconds) / 1_000_000;
        (0..TICK_MS).contains(&(i128::from(clock::now().as_millisecond()) - changed))
    }
}

pub(super) fn trace(watched: &Watched) -> Trace {
    let mut walk = Walk::default();
    let sight = walk.follow(watched).unwrap_or_else(|error| {
        let nothing = matches!(error, ErrorKind::NotFound | ErrorKind::NotADirectory);
        let until = walk.around.filter(|_| is_place(watched)).map(Stamp::Until);
        Sight {
            stamp: if nothing {
                until.unwrap_or(Stamp::Nothing)
            } else {
                Stamp::Unreadable
            },
            fresh: false,
        }
    });
    Trace {
        looks: walk.looks,
        sight,
    }
}

#[derive(Default)]
struct Walk {
    here: PathBuf,
    /// The next step is the last of these.
    ahead: Vec<Step>,
    links: usize,
    looks: Vec<Look>,
    /// The directory that was noted last.
    around: Option<Around>,
    /// A link at the end is where the way ends.
    stays: bool,
}

enum Step {
    Root,
    Up,
    To(OsString),
}

impl Walk {
    fn follow(&mut self, watched: &Watched) -> Result<Sight, ErrorKind> {
        self.stays = is_place(watched);
        let path = std::path::absolute(watched.path()).map_err(|error| error.kind())?;
        self.prepend(&path);
        let mut found = None;
        while let Some(step) = self.ahead.pop() {
            found = match step {
                Step::Root => {
                    self.here = PathBuf::from("/");
                    None
                }
                Step::Up => {
                    self.here.pop();
                    None
                }
                Step::To(name) => self.go(name)?,
            };
        }
        let found = match found {
            Some(found) => found,
            None => lstat(&self.here)?,
        };
        self.sight(watched, &found)
    }

    fn prepend(&mut self, path: &Path) {
        let steps = path.components().filter_map(|component| match component {
            Component::RootDir => Some(Step::Root),
            Component::ParentDir => Some(Step::Up),
            Component::Normal(name) => Some(Step::To(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        });
        let steps: Vec<_> = steps.collect();
        self.ahead.extend(steps.into_iter().rev());
    }

    /// One step down. What matters is noted: each link, the last name, and the first that is missing.
    fn go(&mut self, name: OsString) -> Result<Option<Metadata>, ErrorKind> {
        let next = self.here.join(&name);
        let found = match lstat(&next) {
            Ok(found) => found,
            Err(error) => {
                self.note(Name::One(name))?;
                return Err(error);
            }
        };
        if found.is_symlink() && !(self.stays && self.ahead.is_empty()) {
            self.note(Name::One(name))?;
            self.links += 1;
            if self.links > MOST_LINKS {
                return Err(ErrorKind::Other);
            }
            let target = fs::read_link(&next).map_err(|error| error.kind())?;
            self.prepend(&target);
            return Ok(None);
        }
        if self.ahead.is_empty() || !found.is_dir() {
            self.note(Name::One(name))?;
        }
        if !self.ahead.is_empty() && !found.is_dir() {
            return Err(ErrorKind::NotADirectory);
        }
        self.here = next;
        Ok(Some(found))
    }

    fn note(&mut self, name: Name) -> Result<(), ErrorKind> {
        let found = lstat(&self.here)?;
        let id = DirectoryId {
            device: found.dev(),
            inode: found.ino(),
        };
        self.around = Some(Around {
            id,
            mode: found.mode(),
            owner: found.uid(),
            group: found.gid(),
        });
        let remote = match self.looks.last() {
            Some(last) if last.id.device == id.device => last.remote,
            Some(_) | None => is_remote(&self.here),
        };
        self.looks.push(Look {
            id,
            directory: self.here.clone(),
            remote,
            name,
        });
        Ok(())
    }

    fn note_itself(&mut self, found: &Metadata) {
        let id = DirectoryId {
            device: found.dev(),
            inode: found.ino(),
        };
        let remote = self.looks.last().is_some_and(|around| around.remote);
        self.looks.push(Look {
            id,
            directory: self.here.clone(),
            remote,
            name: Name::Itself,
        });
    }

    fn sight(&mut self, watched: &Watched, found: &Metadata) -> Result<Sight, ErrorKind> {
        let inode = Inode::of(found);
        let (mut within, mut fresh) = (0, inode.is_fresh());
        match watched {
            Watched::Directory(_) if found.is_dir() => {
                self.note(Name::Any)?;
                let (all, any_fresh) = everything_in(&self.here)?;
                within = all;
                fresh |= any_fresh;
            }
            Watched::Place(_) if found.is_file() => self.note_itself(found),
            Watched::File(_) | Watched::Directory(_) | Watched::Place(_) => {}
        }
        let stamp = Stamp::There {
            at: self.here.clone(),
            inode,
            within,
            around: self.around.filter(|_| is_place(watched)),
        };
        Ok(Sight { stamp, fresh })
    }
}

fn is_place(watched: &Watched) -> bool {
    match watched {
        Watched::Place(_) => true,
        Watched::File(_) | Watched::Directory(_) => false,
    }
}

/// One number over the names and stamps of all, in whatever order they come.
fn everything_in(directory: &Path) -> Result<(u64, bool), ErrorKind> {
    let (mut all, mut fresh) = (0_u64, false);
    let entries = fs::read_dir(directory).map_err(|error| error.kind())?;
    for entry in entries.take(MOST_WITHIN) {
        let entry = entry.map_err(|error| error.kind())?;
        // Gone since it was listed: the directory's own stamp tells.
        let inode = entry.metadata().ok().map(|found| Inode::of(&found));
        fresh |= inode.is_some_and(Inode::is_fresh);
        let mut hasher = DefaultHasher::new();
        (entry.file_name(), inode).hash(&mut hasher);
        all = all.wrapping_add(hasher.finish());
    }
    Ok((all, fresh))
}

/// Whether others than this machine's kernel may change what is there.
fn is_remote(directory: &Path) -> bool {
    statfs(directory).is_ok_and(|file_system| REMOTE.contains(&file_system.f_type))
}

fn lstat(path: &Path) -> Result<Metadata, ErrorKind> {
    fs::symlink_metadata(path).map_err(|error| error.kind())
}
