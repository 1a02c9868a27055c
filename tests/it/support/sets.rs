//! Readers beside rotations: every value is the number of its version, as long as a secret.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, Mode, OFlags, openat};
use std::os::fd::AsFd;

const SIZE: usize = 600;

pub fn value(version: usize) -> String {
    format!("{version:0>SIZE$}")
}

/// What was seen that must not be, and how often was looked.
#[derive(Debug, Default)]
pub struct Seen {
    pub opens: u64,
    pub missing: u64,
    pub torn: u64,
    pub mixed: u64,
}

impl Seen {
    /// The version in a file.
    fn open(&mut self, at: impl AsFd, path: &Path) -> Option<usize> {
        self.opens += 1;
        let mut text = String::new();
        let opened = openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let read = opened
            .map_err(std::io::Error::from)
            .and_then(|file| File::from(file).read_to_string(&mut text));
        match read {
            Ok(SIZE) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                return text.parse().ok();
            }
            Ok(_) => self.torn += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => self.missing += 1,
            Err(error) => panic!("{error}"),
        }
        None
    }

    /// All files of a directory: one by one, and by one descriptor.
    pub fn directory(&mut self, directory: &Path, keys: &[&str]) {
        for key in keys {
            self.open(CWD, &directory.join(key));
        }
        let held = File::open(directory.join("..data")).unwrap();
        let mut versions: Vec<_> = keys
            .iter()
            .filter_map(|key| self.open(&held, Path::new(key)))
            .collect();
        versions.dedup();
        self.mixed += u64::from(versions.len() > 1);
    }
}

/// Reads these directories in turn until it is told to end.
pub struct Readers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Readers {
    pub fn start(directories: Vec<PathBuf>, keys: &'static [&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            for directory in directories.iter().cycle() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                seen.directory(directory, keys);
            }
            seen
        });
        Self { stop, thread }
    }

    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
