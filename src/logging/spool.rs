//! Lines for a stderr that may be a pipe which nobody reads: nobody who has something to say waits for that.
//!
//! While stderr takes a line, it is written where it is said, so that whatever is seen of the daemon was said before. What
//! it does not take waits here for a thread that does nothing else. There is room for so much; what has none is lost, and
//! that is said once it goes on.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that wait: some thousands.
const ROOM: usize = 1 << 20;
/// What a pipe that takes anything takes at once (`PIPE_BUF`).
const AT_ONCE: usize = 4096;
/// For how long in all the audit waits where there is no room, and the process for its last words.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is written to.
type Sink = Box<dyn AsFd + Send + Sync>;

pub(super) struct Spool {
    sink: Sink,
    /// How much a terminal takes at once, nobody tells.
    is_terminal: bool,
    room: usize,
    patience: Duration,
    state: Mutex<State>,
    /// There is something to write, or something was written.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// How many came after these and had no room. The next to come has none either: so it is clear where they are missing.
    lost: u64,
    /// The thread has taken lines, and not all are out.
    is_writing: bool,
    full_since: Option<Instant>,
}

impl State {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.lost == 0 && !self.is_writing
    }

    fn has_room(&self, line: &[u8], room: usize) -> bool {
        self.lost == 0 && self.lines.len() + line.len() <= room
    }
}

/// What a line is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Line,
    /// A moment, but no more than one until something moves.
    Audit,
}

impl Spool {
    /// `tell` hears how many lines were lost, where they are missing.
    pub(super) fn begin(
        sink: Sink,
        is_terminal: bool,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let spool = Self::new(sink, is_terminal);
        spool.clone().spawn(tell)?;
        Ok(spool)
    }

    fn new(sink: Sink, is_terminal: bool) -> Arc<Self> {
        Arc::new(Self {
            sink,
            is_terminal,
            room: ROOM,
            patience: PATIENCE,
            state: Mutex::default(),
            moved: Condvar::new(),
        })
    }

    fn spawn(self: Arc<Self>, tell: impl Fn(u64) + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || self.run(tell)).map(drop)
    }

    /// Waits until everything is out, for a moment. Whether it is.
    pub(super) fn flush(&self) -> bool {
        let waits = |state: &mut State| !state.is_idle();
        let waited = self
            .moved
            .wait_timeout_while(self.state(), self.patience, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_idle()
    }

    fn take(&self, line: &[u8], worth: Worth) {
        let mut state = self.state();
        if state.is_idle() && self.is_ready_for(line) {
            // Nobody else's line comes between.
            self.write(line);
            return;
        }
        if !state.has_room(line, self.room) {
            let since = *state.full_since.get_or_insert_with(Instant::now);
            if worth == Worth::Audit {
                let left = self.patience.saturating_sub(since.elapsed());
                let waits = |state: &mut State| !state.has_room(line, self.room);
                let waited = self.moved.wait_timeout_while(state, left, waits);
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
        if state.has_room(line, self.room) {
            state.lines.extend_from_slice(line);
        } else {
            state.lost += 1;
        }
        drop(state);
        self.moved.notify_all();
    }

    fn run(&self, tell: impl Fn(u64)) {
        loop {
            let waits = |state: &mut State| state.is_idle();
            let waited = self.moved.wait_while(self.state(), waits);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            let State { lines, lost, .. } = std::mem::take(&mut *state);
            state.is_writing = true;
            drop(state);
            self.moved.notify_all();
            if lost > 0 {
                tell(lost);
            }
            self.write(&lines);
            self.state().is_writing = false;
            self.moved.notify_all();
        }
    }

    /// Whether it is written without waiting for anybody. Where nobody can read any more that is known at once, too.
    fn is_ready_for(&self, line: &[u8]) -> bool {
        let mut sink = [PollFd::new(&self.sink, PollFlags::OUT)];
        let now = Timespec::default();
        !self.is_terminal && line.len() <= AT_ONCE && poll(&mut sink, Some(&now)) == Ok(1)
    }

    /// All of it, or as much as can be: where this fails, there is nobody to tell.
    fn write(&self, mut text: &[u8]) {
        while !text.is_empty() {
            match rustix::io::write(&self.sink, text) {
                Ok(0) => return,
                Ok(length) => text = text.get(length..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // Somebody who shares it does not want to wait for it.
                Err(Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(&self.sink, PollFlags::OUT)], None);
                }
                Err(_) => return,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").finish_non_exhaustive()
    }
}

/// Takes lines, each of them whole.
pub(super) struct Lines {
    spool: Arc<Spool>,
    worth: Worth,
}

impl Lines {
    pub(super) fn of(spool: &Arc<Spool>, worth: Worth) -> Self {
        let spool = Arc::clone(spool);
        Self { spool, worth }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.spool.take(line, self.worth);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
