//! How far something long has come: one line on a terminal's stderr, written again and again, gone at the end.

use std::io::{IsTerminal as _, Write as _};

use crate::daemon::Progress;

/// Back to the beginning of the line, and nothing behind it.
const AGAIN: &str = "\r\x1b[K";

#[derive(Debug)]
pub(super) struct ProgressLine {
    on: bool,
    shown: Option<Progress>,
}

impl ProgressLine {
    /// Shows nothing where stderr is no terminal, or one that cannot write a line again.
    pub(super) fn new() -> Self {
        let able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        Self {
            on: able && std::io::stderr().is_terminal(),
            shown: None,
        }
    }

    /// Whoever calls this does so at most ten times a second.
    pub(super) fn show(&mut self, progress: Progress) {
        if !self.on || self.shown == Some(progress) {
            return;
        }
        let Progress { done, all } = progress;
        // The cursor goes back, so that a log line begins where it should.
        write(&format!("{AGAIN}{done}/{all} entries\r"));
        self.shown = Some(progress);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown.is_some() {
            write(AGAIN);
        }
    }
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // A terminal that has gone needs no progress.
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
