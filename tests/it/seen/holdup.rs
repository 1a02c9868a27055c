//! Holds up the threads of a process that begin to write its log, as a disk does that does not answer. The others go on.
//!
//! Nothing else does so to a single thread: a full pipe is no reason to wait, and a signal stops all of them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::support::tracer;

/// Until it is dropped.
pub struct HoldUp {
    thread: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

impl HoldUp {
    /// An error where nobody may follow a process.
    pub fn of(process: u32) -> Result<Self, Errno> {
        let over = Arc::<AtomicBool>::default();
        let told = Arc::clone(&over);
        let (tell, attached) = channel();
        let process = Pid::from_raw(i32::try_from(process).unwrap());
        // Only the thread that attached may ask for anything; what is followed goes on when that ends.
        let thread = std::thread::spawn(move || follow(process, &told, &tell));
        attached.recv().unwrap()?;
        let thread = Some(thread);
        Ok(Self { thread, over })
    }
}

impl Drop for HoldUp {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(process: Pid, over: &AtomicBool, attached: &Sender<Result<(), Errno>>) {
    let all = tracer::attach(process);
    let failed = all.is_err();
    attached.send(all).unwrap();
    let mut inside = BTreeMap::<Pid, bool>::new();
    while !failed && !over.load(Ordering::SeqCst) {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD | WaitPidFlag::WNOHANG;
        let Ok(status) = waitpid(None, Some(flags)) else {
            return;
        };
        let (task, signal) = match status {
            WaitStatus::PtraceSyscall(task) => {
                let inside = inside.entry(task).or_default();
                *inside = !*inside;
                if *inside && is_about_to_log(task) {
                    continue;
                }
                (task, None)
            }
            WaitStatus::PtraceEvent(task, ..) => (task, None),
            WaitStatus::Stopped(task, signal) => (task, Some(signal)),
            WaitStatus::Exited(task, _) | WaitStatus::Signaled(task, ..) => {
                inside.remove(&task);
                continue;
            }
            WaitStatus::Continued(_) => continue,
            WaitStatus::StillAlive => {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
        };
        // It may have been killed.
        let _ = ptrace::syscall(task, signal);
    }
}

/// Whether the call that this thread is about to make is a write to stderr.
fn is_about_to_log(task: Pid) -> bool {
    let text = fs::read_to_string(format!("/proc/{task}/syscall")).unwrap_or_default();
    text.starts_with(&format!("{} 0x2 ", libc::SYS_write))
}
