//! What a write would change in a file, by the names of its keys where its format has any.

use rustix::process::geteuid;

use super::format::read::{Contents, read};
use super::inode::Inode;
use super::on_disk::OnDisk;
use super::parents::{self, Missing, Way};
use super::refusal::refused;
use super::{FileTarget, Rendered, Seen};
use crate::decide::changes::{Became, Changes, Delta, Other};
use crate::decide::file::Verdict;
use crate::decide::file::adoption::{Adoption, adoption};
use crate::failure::Failure;
use crate::names::SecretKey;

impl FileTarget {
    /// Whether nothing but `adopt` lets us write it.
    pub fn is_adopted(&self, rendered: &Rendered, seen: &Seen) -> bool {
        self.spec.adopt && self.judged(rendered, seen, false).is_err()
    }

    /// What taking over the file would be.
    pub fn adoption(&self, seen: &Seen) -> Result<Adoption, Failure> {
        if self.is_directory() {
            return self.set_adoption();
        }
        let record = self.disk.state.file(&self.spec.path);
        adoption(&self.spec.path, &seen.observed, record.as_ref())
    }

    /// Whether it is just as it should be, whoever wrote it.
    pub fn is_right(&self, rendered: &Rendered, seen: &Seen) -> bool {
        seen.fingerprint() == Some(rendered.fingerprint) && self.judge(rendered, seen).is_ok()
    }

    /// What carrying out the verdict would change.
    pub async fn changes(&self, rendered: &Rendered, verdict: Verdict) -> Changes {
        let mut changes = Changes::default();
        // What cannot be read is said by whoever judges; here it only leaves something unsaid.
        let looked = self.on_disk(|disk| Ok((disk.inode()?, disk.access().owner)));
        let (inode, owner) = looked.await.unwrap_or_default();
        let owner = owner.unwrap_or_else(|| geteuid().as_raw());
        // Of a directory the path's own mode says nothing about that of its files.
        let inode = inode.filter(|_| !self.is_directory());
        let mode = inode.and_then(|inode| Became::new(inode.mode, self.spec.mode));
        match verdict {
            Verdict::Unchanged => {}
            Verdict::FixMode(_) => changes.mode = mode,
            Verdict::Write(_) => {
                changes.mode = mode;
                changes.owner = inode.and_then(|inode| Became::new(inode.owner, owner));
                self.content_changes(rendered, &mut changes).await;
            }
        }
        changes
    }

    async fn content_changes(&self, rendered: &Rendered, changes: &mut Changes) {
        let format = &self.spec.format;
        let before = match self.bytes().await {
            Ok(None) => Some(Contents::default()),
            Ok(Some((bytes, _))) if bytes == *rendered.bytes => {
                if changes.is_empty() {
                    changes.other = Some(Other::Mode);
                }
                return;
            }
            Ok(Some((bytes, _))) => read(format, &bytes),
            Err(_) => None,
        };
        if let (Some(before), Some(next)) = (before, read(format, &rendered.bytes)) {
            changes.keys = delta(&before, &next);
        }
        if changes.keys.is_empty() {
            changes.other = Some(Other::Content);
        }
    }
}

impl OnDisk {
    /// What the path is; nothing where it is absent.
    fn inode(&self) -> Result<Option<Inode>, Failure> {
        let (_, name) = parents::split(&self.path)?;
        match self.way(Missing::Stop)? {
            Way::Whole(directory) => Inode::of_name(&directory, &name)
                .map_err(|errno| refused("examine", &self.path, errno)),
            Way::Until(..) => Ok(None),
        }
    }
}

fn delta(before: &Contents, next: &Contents) -> Delta {
    let named =
        |keys: &mut dyn Iterator<Item = &SecretKey>| keys.map(ToString::to_string).collect();
    let other = |key: &&SecretKey| match (&before.values, &next.values) {
        (Some(before), Some(next)) => before.get(key) != next.get(key),
        (None, _) | (_, None) => false,
    };
    Delta {
        added: named(&mut next.keys.difference(&before.keys)),
        changed: named(&mut next.keys.intersection(&before.keys).filter(other)),
        removed: named(&mut before.keys.difference(&next.keys)),
    }
}
