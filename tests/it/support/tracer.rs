//! Kills a process before a chosen one of its system calls, counted over all its threads in the order in which they come.
//!
//! `strace` counts by thread, and what is done by threads that take turns has no number there. What the process starts is
//! not followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Those that nobody outside the process can tell of.
const UNSEEN: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_geteuid,
    libc::SYS_sched_yield,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

/// Which call is the last.
#[derive(Clone, Copy)]
pub struct At {
    /// From the first call of this number on they are counted, it being the first.
    pub from: libc::c_long,
    /// Before this one it is killed.
    pub number: usize,
}

/// Follows one process.
pub struct Tracer {
    thread: JoinHandle<bool>,
    over: Arc<AtomicBool>,
}

impl Tracer {
    /// Nobody may wait for the process while it is followed: whoever did would get what is meant for this.
    pub fn attach(process: u32, at: At) -> Result<Self, Errno> {
        let over = Arc::<AtomicBool>::default();
        let told = Arc::clone(&over);
        let (tell, attached) = channel();
        let process = Pid::from_raw(i32::try_from(process).unwrap());
        // Only the thread that attached may ask for anything.
        let thread = std::thread::spawn(move || follow(process, at, &told, &tell));
        match attached.recv().unwrap() {
            Ok(()) => Ok(Self { thread, over }),
            Err(errno) => {
                thread.join().unwrap();
                Err(errno)
            }
        }
    }

    /// Whether there is nothing more to wait for.
    pub fn has_killed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Whether it was killed at its call; kills it now if not.
    pub fn end(self, kill: impl FnOnce()) -> bool {
        self.over.store(true, Ordering::SeqCst);
        kill();
        self.thread.join().unwrap()
    }
}

fn follow(process: Pid, at: At, over: &AtomicBool, attached: &Sender<Result<(), Errno>>) -> bool {
    let all = attach(process);
    let failed = all.is_err();
    attached.send(all).unwrap();
    !failed && trace(process, at, over)
}

/// Lets this thread follow every thread of a process, also those that are begun meanwhile.
pub fn attach(process: Pid) -> Result<(), Errno> {
    let mut known = BTreeSet::new();
    loop {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).map_err(|_| Errno::ESRCH)?;
        let tasks = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
        let new: Vec<i32> = tasks
            .map(|name| name.parse().unwrap())
            .filter(|task| !known.contains(task))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        for task in new {
            known.insert(task);
            let task = Pid::from_raw(task);
            let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
            match ptrace::seize(task, options) {
                Ok(()) => {
                    // It may have ended.
                    let _ = ptrace::interrupt(task);
                }
                Err(Errno::ESRCH) => {}
                // It is followed already, with the one that began it.
                Err(Errno::EPERM) if known.len() > 1 => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Whether it was killed at its call.
fn trace(process: Pid, at: At, over: &AtomicBool) -> bool {
    let (mut inside, mut count) = (BTreeMap::<Pid, bool>::new(), 0);
    loop {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let Ok(status) = waitpid(None, Some(flags)) else {
            return false;
        };
        if over.load(Ordering::SeqCst) {
            return false;
        }
        let (task, signal) = match status {
            WaitStatus::PtraceSyscall(task) => {
                let inside = inside.entry(task).or_default();
                *inside = !*inside;
                if *inside && counts(task, at, &mut count) {
                    kill(process, Signal::SIGKILL).unwrap();
                    return true;
                }
                (task, None)
            }
            WaitStatus::PtraceEvent(task, ..) => (task, None),
            WaitStatus::Stopped(task, signal) => (task, Some(signal)),
            WaitStatus::Exited(task, _) | WaitStatus::Signaled(task, ..) => {
                inside.remove(&task);
                continue;
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => continue,
        };
        // It may have been killed.
        let _ = ptrace::syscall(task, signal);
    }
}

/// Whether the call that this thread is about to make is the one.
fn counts(task: Pid, at: At, count: &mut usize) -> bool {
    let text = fs::read_to_string(format!("/proc/{task}/syscall")).unwrap_or_default();
    let call = text.split(' ').next().and_then(|it| it.parse().ok());
    let Some(call) = call else { return false };
    if UNSEEN.contains(&call) || (*count == 0 && call != at.from) {
        return false;
    }
    *count += 1;
    *count == at.number
}
