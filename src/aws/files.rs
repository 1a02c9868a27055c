//! Files that hold keys and tokens: whether they changed, and what is in them.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, open};
use zeroize::Zeroizing;

/// Which files were there, and in which condition. Equal ones: nothing was replaced, written, made or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(Vec<Option<Stamp>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Symbolic links are followed: where Kubernetes mounts a Secret, it is they that change.
pub(super) async fn look(files: &[PathBuf]) -> Seen {
    if files.is_empty() {
        return Seen::default();
    }
    let files = files.to_vec();
    let look = move || {
        let stamp = |file: &PathBuf| std::fs::metadata(file).ok().map(|it| Stamp::of(&it));
        Seen(files.iter().map(stamp).collect())
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The content without surrounding white space; nothing where it cannot be read, is empty or larger than `most`.
pub(super) async fn read(path: PathBuf, most: usize) -> Option<Zeroizing<String>> {
    let read = move || {
        // A FIFO would hold the thread for ever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(open(path, flags, Mode::empty()).ok()?);
        // Room for all of it, so that no copy is left behind by a buffer that grows.
        let mut text = Zeroizing::new(String::with_capacity(most + 64));
        let length = file.take(most as u64 + 1).read_to_string(&mut text).ok()?;
        let text = (length <= most).then(|| Zeroizing::new(text.trim().to_owned()))?;
        (!text.is_empty()).then_some(text)
    };
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_seen_to_change_and_read_up_to_its_limit() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let files = [path.clone()];
        let absent = look(&files).await;
        std::fs::write(&path, " one\n").unwrap();
        let one = look(&files).await;
        assert_ne!(absent, one);
        assert_eq!(one, look(&files).await);
        // Replaced by one of the same size, as `mv` does.
        let other = home.path().join("other");
        std::fs::write(&other, " two\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(one, look(&files).await);
        assert_eq!(read(path.clone(), 5).await.unwrap().as_str(), "two");
        assert!(read(path.clone(), 4).await.is_none());
        std::fs::write(&path, "\n").unwrap();
        assert!(read(path, 5).await.is_none());
        assert!(read(home.path().into(), 5).await.is_none());
    }
}
