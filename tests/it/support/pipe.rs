//! Where a daemon writes its log, and nobody reads it as long as there is room.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use super::daemon::{Daemon, Home, PATIENCE};

pub struct Pipe(File);

impl Pipe {
    const NAME: &'static str = "log";

    pub fn in_home(home: &Home) -> Self {
        let path = home.path(Self::NAME);
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
        // For both: so nobody waits for the other end.
        let mut open = OpenOptions::new();
        let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        let open = open.read(true).write(true).custom_flags(nonblock);
        Self(open.open(path).unwrap())
    }

    /// The daemon of this home, once every entry was tried.
    pub fn start<'a>(&self, home: &'a Home) -> Daemon<'a> {
        self.clear();
        let mut daemon = home.start_through(&["/bin/sh", "-c", "exec \"$@\" 2>log", "sh"]);
        daemon.wait_ready(PATIENCE);
        daemon
    }

    /// Not a line has room any more.
    pub fn stop_up(&self) {
        for size in [4096, 1] {
            let full = loop {
                if let Err(error) = (&self.0).write(&vec![b'\n'; size]) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::WouldBlock);
        }
    }

    /// Reads what is there, so that there is room again.
    pub fn clear(&self) -> String {
        let (mut text, mut part) = (Vec::new(), [0; 4096]);
        let empty = loop {
            match (&self.0).read(&mut part) {
                Ok(length) => text.extend_from_slice(&part[..length]),
                Err(error) => break error,
            }
        };
        assert_eq!(empty.kind(), ErrorKind::WouldBlock);
        String::from_utf8(text).unwrap()
    }
}
