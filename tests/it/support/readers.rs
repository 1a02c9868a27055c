//! Readers that look at targets in a loop while these are replaced, and what they must never see.
//!
//! A look gives all that is to be of one generation: the bytes of a file, or of every file of a directory one after the
//! other. Knows neither the product nor how it was started; the unit tests use it too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, spawn};

/// Looks at one target once.
pub type Look = Arc<dyn Fn(&mut Vec<u8>) -> io::Result<()> + Send + Sync>;

/// A line that says which generation it is of.
const LINE: usize = 9;

/// Of so many lines is a value: of more than one page, and of no whole number of them.
const LINES: usize = 500;

/// The text of a generation.
pub fn value(generation: u64) -> String {
    format!("{generation:0width$x}\n", width = LINE - 1).repeat(LINES)
}

/// Which generation this is, or what is wrong with it.
fn generation(bytes: &[u8], size: usize) -> Result<u64, Wrong> {
    if bytes.is_empty() {
        return Err(Wrong::Empty);
    }
    if bytes.len() != size {
        return Err(Wrong::Short);
    }
    if bytes[LINE..] != bytes[..bytes.len() - LINE] {
        return Err(Wrong::Mixed);
    }
    let number = std::str::from_utf8(&bytes[..LINE - 1]).map_err(|_| Wrong::Mixed)?;
    u64::from_str_radix(number, 16).map_err(|_| Wrong::Mixed)
}

enum Wrong {
    Empty,
    Short,
    Mixed,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    pub looks: AtomicU64,
    /// How often a look found another generation than the same reader's look before.
    pub changes: AtomicU64,
    empty: AtomicU64,
    short: AtomicU64,
    mixed: AtomicU64,
    missing: AtomicU64,
    /// An older generation than the same reader has seen.
    backwards: AtomicU64,
}

impl Seen {
    fn count(&self, look: io::Result<()>, found: (&[u8], usize), before: &mut u64) {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let wrong = match look.map(|()| generation(found.0, found.1)) {
            Ok(Ok(generation)) if generation == *before => return,
            Ok(Ok(generation)) if generation > *before => {
                *before = generation;
                &self.changes
            }
            Ok(Ok(_)) => &self.backwards,
            Ok(Err(Wrong::Empty)) => &self.empty,
            Ok(Err(Wrong::Short)) => &self.short,
            Ok(Err(Wrong::Mixed)) => &self.mixed,
            Err(_) => &self.missing,
        };
        wrong.fetch_add(1, Ordering::Relaxed);
    }

    /// All that must not be: empty, short, mixed, missing, backwards.
    pub fn wrong(&self) -> [u64; 5] {
        [
            &self.empty,
            &self.short,
            &self.mixed,
            &self.missing,
            &self.backwards,
        ]
        .map(|count| count.load(Ordering::Relaxed))
    }
}

/// Threads that look at each target in turn until they are stopped.
pub struct Readers {
    stop: Arc<AtomicBool>,
    pub seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// `files`: how many values one look finds.
    pub fn start(threads: usize, files: usize, looks: &[Look]) -> Self {
        let (stop, seen): (Arc<AtomicBool>, Arc<Seen>) = Default::default();
        let reader = |_| {
            let (stop, seen, looks) = (Arc::clone(&stop), Arc::clone(&seen), looks.to_vec());
            spawn(move || {
                let (mut before, mut bytes) = (vec![0; looks.len()], Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    for (look, before) in looks.iter().zip(&mut before) {
                        bytes.clear();
                        let looked = look(&mut bytes);
                        seen.count(looked, (&bytes, files * LINE * LINES), before);
                    }
                }
            })
        };
        let threads = (0..threads).map(reader).collect();
        Self {
            stop,
            seen,
            threads,
        }
    }

    pub fn looks(&self) -> u64 {
        self.seen.looks.load(Ordering::Relaxed)
    }

    pub fn stop(mut self) -> Arc<Seen> {
        self.end();
        Arc::clone(&self.seen)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A scenario that fails leaves no thread behind.
impl Drop for Readers {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(size: usize, contents: &[Option<&str>]) -> [u64; 5] {
        let (seen, mut before) = (Seen::default(), 0);
        for content in contents {
            let look = content
                .map(|_| ())
                .ok_or_else(|| io::ErrorKind::NotFound.into());
            let bytes = content.unwrap_or_default().as_bytes();
            seen.count(look, (bytes, size), &mut before);
        }
        seen.wrong()
    }

    #[test]
    fn every_way_to_be_wrong_is_told() {
        let (old, new) = (value(1), value(2));
        let size = old.len();
        assert_eq!(wrong(size, &[Some(&old), Some(&old), Some(&new)]), [0; 5]);
        assert_eq!(wrong(size, &[Some("")]), [1, 0, 0, 0, 0]);
        assert_eq!(wrong(size, &[Some(&old[..size - LINE])]), [0, 1, 0, 0, 0]);
        let torn = [&new[..size / 2], &old[size / 2..]].concat();
        assert_eq!(wrong(size, &[Some(&torn)]), [0, 0, 1, 0, 0]);
        assert_eq!(wrong(size, &[None]), [0, 0, 0, 1, 0]);
        assert_eq!(wrong(size, &[Some(&new), Some(&old)]), [0, 0, 0, 0, 1]);
        let pair = [&*old, &*new].concat();
        assert_eq!(wrong(2 * size, &[Some(&pair)]), [0, 0, 1, 0, 0]);
    }
}
