//! The process that a PID file names, held so that it cannot become another.
//!
//! Such a file may be old, and its number another process's by now. So the process has to be older than the file: whoever
//! writes its own number into a file has begun before. And the file has to be root's or ours, and nobody else's to write:
//! who writes it chooses the process.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, geteuid};
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::signal::hold;
use crate::failure::{Failure, Reason};

/// A number, and whatever ends the line.
const MOST: u64 = 32;
/// Times of files lag by a tick of the kernel's clock, times of processes by one of another.
const SLACK: Duration = Duration::from_millis(50);

/// What a file said, and in which condition it was.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    pid: Pid,
    inode: (u64, u64),
    modified: Duration,
}

/// `None`: there is no such process, or no file yet.
pub(super) fn open(path: &Path) -> Result<Option<OwnedFd>, Failure> {
    let action = format!("signal by {}", path.display());
    let Some(first) = read(path)? else {
        return Ok(None);
    };
    let Some(process) = hold(first.pid, &action)? else {
        return Ok(None);
    };
    let Some(began) = beginning(first.pid) else {
        return Err(refused(path, "names a process that we may not look at")
            .with_help("use `reload_unit`, or `signal` with `unit`"));
    };
    if began > first.modified + SLACK {
        let fact = "is older than the process that has its number now";
        let help = "the service has ended without removing it, or the clock was set since; it is tried again by itself";
        return Err(refused(path, fact).with_help(help));
    }
    // While the process is held.
    match read(path)? {
        Some(second) if second == first => Ok(Some(process)),
        Some(_) | None => {
            Err(refused(path, "was written at that moment")
                .with_help("it is tried again by itself"))
        }
    }
}

fn read(path: &Path) -> Result<Option<Read>, Failure> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(refused(path, "is a symbolic link")),
        Err(_) => return Err(refused(path, "cannot be opened")),
    };
    let stat = fs::fstat(&file).map_err(|_| refused(path, "cannot be examined"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refused(path, "is no regular file"));
    }
    if ![0, geteuid().as_raw()].contains(&stat.st_uid) || stat.st_mode & 0o022 != 0 {
        return Err(refused(path, "may be written by others, who would choose the process")
            .with_help("it has to belong to root or to the user that runs secretsyncd, and be writable by nobody else"));
    }
    let mut text = String::new();
    let taken = file.take(MOST).read_to_string(&mut text);
    taken.map_err(|_| refused(path, "cannot be read"))?;
    let pid = parse(&text).ok_or_else(|| refused(path, "holds no process's number"))?;
    Ok(Some(Read {
        pid,
        inode: (stat.st_dev, stat.st_ino),
        modified: since_epoch(stat.st_mtime, stat.st_mtime_nsec),
    }))
}

fn since_epoch(seconds: i64, nanoseconds: impl TryInto<u32>) -> Duration {
    let nanoseconds = nanoseconds.try_into().unwrap_or(0);
    Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds)
}

/// A number and nothing else. 1 is init, and below that are groups.
fn parse(text: &str) -> Option<Pid> {
    let digits = text.trim_end_matches(['\n', '\r', ' ']);
    let plain = (1..=10).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    let number: i32 = digits.parse().ok().filter(|_| plain)?;
    Pid::from_raw(number).filter(|_| number > 1)
}

/// When a process began, by the clock that files go by.
fn beginning(pid: Pid) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = started(&stat)?;
    let per_second = clock_ticks_per_second().max(1);
    let since_boot = Duration::from_secs(ticks / per_second)
        + Duration::from_secs(ticks % per_second) / u32::try_from(per_second).ok()?;
    let clock = |id| {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(id);
        since_epoch(tv_sec, tv_nsec)
    };
    let age = clock(ClockId::Boottime).checked_sub(since_boot)?;
    clock(ClockId::Realtime).checked_sub(age)
}

/// The 22nd field. The second is a name in brackets, in which anything may stand.
fn started(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(19)?.parse().ok()
}

fn refused(path: &Path, fact: &str) -> Failure {
    Failure::new(Reason::Action, format!("{} {fact}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use rustix::process::getpid;

    use super::*;

    #[test]
    fn only_a_number_is_a_number() {
        for (text, number) in [
            ("17", Some(17)),
            ("17\n", Some(17)),
            ("2147483647\r\n", Some(i32::MAX)),
            ("0", None),
            ("1\n", None),
            ("-17", None),
            ("+17", None),
            ("2147483648", None),
            ("17 18", None),
            ("", None),
            ("0x11", None),
            ("17\n18", None),
        ] {
            assert_eq!(parse(text), number.and_then(Pid::from_raw), "{text:?}");
        }
    }

    #[test]
    fn a_name_with_brackets_hides_no_field() {
        let fields: Vec<String> = (3..=52).map(|it| it.to_string()).collect();
        let stat = format!("7 (a ) 9 (b) {}", fields.join(" "));
        assert_eq!(started(&stat), Some(22));
        assert_eq!(started("7 (a"), None);
    }

    /// Ourselves, who began before now.
    #[test]
    fn a_process_began_before_now_and_after_the_boot() {
        let began = beginning(getpid()).unwrap();
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Realtime);
        let now = since_epoch(tv_sec, tv_nsec);
        assert!(
            began <= now && now.abs_diff(began) < Duration::from_hours(24),
            "{began:?}"
        );
    }

    #[test]
    fn a_file_that_others_choose_or_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        assert_eq!(read(&path), Ok(None), "not there yet");
        std::fs::write(&path, "4194000\n").unwrap();
        let mode = |bits| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
        };
        mode(0o644);
        assert!(read(&path).unwrap().is_some());
        for bits in [0o664, 0o646] {
            mode(bits);
            assert!(read(&path).unwrap_err().fact.contains("by others"));
        }
        mode(0o644);
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(read(&link).unwrap_err().fact.contains("symbolic link"));
        assert!(read(dir.path()).unwrap_err().fact.contains("no regular"));
        std::fs::write(&path, "17 18\n").unwrap();
        assert!(read(&path).unwrap_err().fact.contains("no process's"));
    }

    /// Nothing is sent here; who is held is the question.
    #[test]
    fn a_process_that_is_younger_than_the_file_is_not_the_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        std::fs::write(&path, child.id().to_string()).unwrap();
        assert!(open(&path).unwrap().is_some());
        let file = File::options().write(true).open(&path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(2);
        file.set_modified(before).unwrap();
        assert!(open(&path).unwrap_err().fact.contains("is older than"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(open(&path).unwrap().is_none(), "it has ended");
        std::fs::write(&path, std::process::id().to_string()).unwrap();
        assert!(open(&path).unwrap_err().fact.contains("itself"));
    }
}
