//! The files that are being taken away.
//!
//! A thread that waits for a disk cannot be called back. So it asks, right before it takes anything away, whether
//! somebody still waits for it; from then on what it does counts until it has ended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Why something is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// Its sources are all gone, and its policy says so.
    Policy,
    /// No entry writes it.
    Orphaned,
}

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct FileRemovals {
    all: Arc<Mutex<All>>,
    ended: Arc<Notify>,
}

#[derive(Debug, Default)]
struct All {
    begun: u64,
    under_way: BTreeMap<u64, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    path: PathBuf,
    grounds: Grounds,
    /// It takes place now, whoever waits for it.
    certain: bool,
}

/// Held by the thread that takes a file away.
#[derive(Debug)]
#[must_use]
pub struct FileRemoval(Begun);

/// Held by whoever waits for that thread. What is not certain when it goes does not take place any more.
#[derive(Debug)]
#[must_use]
pub struct FileRemovalAwaited(Begun);

#[derive(Clone, Debug)]
struct Begun {
    removals: FileRemovals,
    number: u64,
}

impl FileRemovals {
    /// To be said before anything is certain, by whoever sees to it that the configuration stays what it is until then.
    pub fn begin(&self, path: &Path, grounds: Grounds) -> (FileRemoval, FileRemovalAwaited) {
        let mut all = self.lock();
        all.begun += 1;
        let number = all.begun;
        let under_way = UnderWay {
            path: path.to_owned(),
            grounds,
            certain: false,
        };
        all.under_way.insert(number, under_way);
        let removals = self.clone();
        let begun = Begun { removals, number };
        (FileRemoval(begun.clone()), FileRemovalAwaited(begun))
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until none of these is under way. One that still is after `limit` is the error.
    pub async fn none_of(
        &self,
        these: impl Fn(&Path, Grounds) -> bool,
        limit: Duration,
    ) -> Result<(), PathBuf> {
        let none = async {
            loop {
                // Before the look, so that an end after it is heard.
                let ended = self.ended.notified();
                if self.first(&these).is_none() {
                    return;
                }
                ended.await;
            }
        };
        match timeout(limit, none).await {
            Ok(()) => Ok(()),
            Err(_) => self.first(&these).map_or(Ok(()), Err),
        }
    }

    /// Those of them that are not certain do not take place any more. Returns the others, which do.
    pub fn call_off(&self, these: impl Fn(&Path, Grounds) -> bool) -> Vec<PathBuf> {
        let mut all = self.lock();
        all.under_way
            .retain(|_, it| it.certain || !these(&it.path, it.grounds));
        let certain = all.under_way.values();
        let certain = certain.filter(|it| these(&it.path, it.grounds));
        let certain = certain.map(|it| it.path.clone()).collect();
        drop(all);
        self.ended.notify_waiters();
        certain
    }

    fn first(&self, these: impl Fn(&Path, Grounds) -> bool) -> Option<PathBuf> {
        let all = self.lock();
        let mut of_these = all
            .under_way
            .values()
            .filter(|it| these(&it.path, it.grounds));
        of_these.next().map(|it| it.path.clone())
    }

    fn end(&self, number: u64) {
        self.lock().under_way.remove(&number);
        self.ended.notify_waiters();
    }
}

impl FileRemoval {
    /// To be asked right before anything is taken away: whether somebody still waits for it. A proof is no proof any more
    /// when the disk answers long after it: the source may have come back.
    #[must_use]
    pub fn becomes_certain(&self) -> bool {
        let Begun { removals, number } = &self.0;
        let mut all = removals.lock();
        let under_way = all.under_way.get_mut(number);
        under_way.is_some_and(|it| {
            it.certain = true;
            true
        })
    }
}

impl Drop for FileRemoval {
    fn drop(&mut self) {
        self.0.removals.end(self.0.number);
    }
}

impl Drop for FileRemovalAwaited {
    fn drop(&mut self) {
        let Begun { removals, number } = &self.0;
        // Under one lock: between a look and the end of it, the thread might become certain.
        let mut all = removals.lock();
        if all.under_way.get(number).is_some_and(|it| !it.certain) {
            all.under_way.remove(number);
        }
        drop(all);
        removals.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_waited_for_and_named_when_it_does_not_end() {
        let all = FileRemovals::default();
        let (a, b) = (Path::new("/a"), Path::new("/b"));
        let (first, _first) = all.begin(a, Grounds::Orphaned);
        let (second, _second) = all.begin(a, Grounds::Orphaned);
        let (other, _other) = all.begin(b, Grounds::Policy);
        let is_a = |path: &Path, grounds| path == a && grounds == Grounds::Orphaned;
        assert_eq!(all.none_of(is_a, LIMIT).await, Err(a.to_owned()));
        drop(first);
        assert_eq!(all.none_of(is_a, LIMIT).await, Err(a.to_owned()));
        let waiting = all.none_of(is_a, LIMIT);
        let end = async { drop(second) };
        let (none, ()) = tokio::join!(waiting, end);
        assert_eq!(none, Ok(()));
        let by_policy = |_: &Path, grounds| grounds == Grounds::Policy;
        assert_eq!(all.none_of(by_policy, LIMIT).await, Err(b.to_owned()));
        drop(other);
        assert_eq!(all.none_of(|_, _| true, Duration::ZERO).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_called_off_does_not_take_place_unless_it_is_certain() {
        let all = FileRemovals::default();
        let (first, _first) = all.begin(Path::new("/a"), Grounds::Policy);
        let (second, _second) = all.begin(Path::new("/b"), Grounds::Policy);
        let (orphan, _orphan) = all.begin(Path::new("/c"), Grounds::Orphaned);
        assert!(first.becomes_certain());
        let by_policy = |_: &Path, grounds| grounds == Grounds::Policy;
        assert_eq!(all.call_off(by_policy), [PathBuf::from("/a")]);
        assert!(!second.becomes_certain());
        assert!(orphan.becomes_certain());
        drop(first);
        assert_eq!(all.call_off(by_policy), Vec::<PathBuf>::new());
    }

    /// Bug: a thread that a disk had held for minutes took a file away whose source was back by then.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_any_more_does_not_take_place() {
        let all = FileRemovals::default();
        let (thread, awaited) = all.begin(Path::new("/a"), Grounds::Policy);
        drop(awaited);
        assert_eq!(all.none_of(|_, _| true, Duration::ZERO).await, Ok(()));
        assert!(!thread.becomes_certain());
        let (thread, awaited) = all.begin(Path::new("/a"), Grounds::Policy);
        assert!(thread.becomes_certain());
        drop(awaited);
        let certain = all.none_of(|_, _| true, LIMIT).await;
        assert_eq!(certain, Err("/a".into()), "it takes place");
        drop(thread);
        assert_eq!(all.none_of(|_, _| true, Duration::ZERO).await, Ok(()));
    }
}
