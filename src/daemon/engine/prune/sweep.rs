//! What earlier writes left beside files that no entry writes any more.

use std::path::Path;
use std::sync::Arc;

use crate::daemon::engine::left::Left;
use crate::daemon::engine::{Done, Engine, Task, panicked};
use crate::target::file::LeftFile;

impl Engine {
    /// At the start: what earlier writes left beside files that no entry writes any more. The files themselves stay.
    pub(in crate::daemon::engine) fn sweep_left(&mut self) {
        for left in self.state.left_behind() {
            let Left::File(path, entry) = Left::of(left) else {
                continue;
            };
            let state = Arc::clone(&self.state);
            let file = LeftFile::new(path.clone(), entry, state, &self.seats);
            if file.has_leftovers() {
                let swept = async move { Done::Swept(file.sweep().await) };
                let task = self.tasks.spawn(swept);
                self.running.insert(task.id(), Task::Sweep(path));
            }
        }
    }
}

pub(in crate::daemon::engine) fn swept(path: &Path, done: Option<Done>) {
    let result = match done {
        Some(Done::Swept(result)) => result,
        Some(_) | None => Err(panicked("clearing leftovers")),
    };
    if let Err(failure) = result {
        tracing::warn!(
            path = %path.display(), reason = %failure.reason, help = failure.help(),
            "what an earlier write left there stays: {failure}"
        );
    }
}
