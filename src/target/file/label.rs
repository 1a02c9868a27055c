//! `SELinux`'s label of a file: what a domain such as a web server's may read goes by it, and a file that replaces another
//! one has to have the same. A file that replaces nothing gets what the policy says.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{self, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

const NAME: &str = "security.selinux";
/// Labels have some dozen bytes.
const LONGEST: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label(Vec<u8>);

impl Label {
    /// That of the file of this name; nothing where there is no file or no `SELinux`. It takes no permission to read.
    pub(super) fn of(directory: impl AsFd, name: &OsStr) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = fs::openat(directory, name, flags, Mode::empty()).ok()?;
        // Of a descriptor that is only a place, attributes are told by this name alone.
        let path = format!("/proc/self/fd/{}", place.as_raw_fd());
        let mut label = vec![0; LONGEST];
        let length = fs::getxattr(path, NAME, &mut label[..]).ok()?;
        label.truncate(length);
        Some(Self(label))
    }

    fn of_descriptor(descriptor: impl AsFd) -> Option<Self> {
        let mut label = vec![0; LONGEST];
        let length = fs::fgetxattr(descriptor, NAME, &mut label[..]).ok()?;
        label.truncate(length);
        Some(Self(label))
    }

    /// Gives it to a file that was just made.
    pub(super) fn put_on(&self, descriptor: impl AsFd) -> Result<(), Errno> {
        let made_with = Self::of_descriptor(&descriptor);
        if made_with.as_ref() == Some(self) {
            return Ok(());
        }
        match fs::fsetxattr(&descriptor, NAME, &self.0, XattrFlags::empty()) {
            // Where SELinux is at work, every new file has a label. Here it is not, and the old one meant nothing.
            Err(_) if made_with.is_none() => Ok(()),
            done => done,
        }
    }
}
