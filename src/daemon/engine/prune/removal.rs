//! Taking orphans away.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::Pruning;
use crate::daemon::engine::left::Left;
use crate::daemon::engine::{Done, Engine, Task};
use crate::failure::{Failure, Reason};
use crate::kube::{Client, Tenure};
use crate::state::{SecretPart, State};
use crate::sync::orphan;
use crate::target::file::{LeftFile, Removed as RemovedFile};
use crate::target::kubernetes::removal::Removed;

/// Orphans that are taken away at a time.
const AT_ONCE: usize = 8;

/// What takes away one of them.
enum Removal {
    Secret(SecretPart, Option<Client>),
    File(LeftFile),
}

impl Removal {
    async fn carry_out(self, state: &Arc<State>) -> Result<Removed, Failure> {
        match self {
            Self::Secret(part, client) => orphan::remove(&part, client.as_ref(), state).await,
            Self::File(file) => Ok(match orphan::remove_file(&file, state).await? {
                RemovedFile::Deleted => Removed::Deleted,
                RemovedFile::AlreadyGone => Removed::AlreadyGone,
            }),
        }
    }
}

impl Engine {
    pub(super) fn take_away(&mut self, pruning: Pruning) {
        if self.draining {
            let stopping = |part: &Left| {
                let failure = Failure::new(Reason::Io, "secretsyncd is stopping");
                let failure = failure.with_help("ask again once it runs");
                (part.clone(), Err(failure))
            };
            let pruned = pruning.parts.iter().map(stopping).collect();
            return self.pruned(pruning, pruned);
        }
        if pruning.parts.is_empty() {
            return self.pruned(pruning, Vec::new());
        }
        let parts = pruning.parts.iter();
        let work: Vec<_> = parts
            .map(|left| (left.clone(), self.removal_of(left)))
            .collect();
        let state = Arc::clone(&self.state);
        let task = self.tasks.spawn(async move {
            let removals = stream::iter(work).map(|(left, removal)| {
                let state = Arc::clone(&state);
                async move { (left, removal.carry_out(&state).await) }
            });
            Done::Pruned(removals.buffer_unordered(AT_ONCE).collect().await)
        });
        self.running.insert(task.id(), Task::Prune(pruning));
    }

    fn removal_of(&self, left: &Left) -> Removal {
        match left {
            Left::Secret(part) => {
                let tenure = self.tenure.clone().unwrap_or_else(Tenure::never);
                let client = self.clusters.get(&part.id.cluster);
                let client = client.map(|client| client.under(&tenure));
                Removal::Secret(part.clone(), client)
            }
            Left::File(path, entry) => {
                let state = Arc::clone(&self.state);
                let file = LeftFile::new(path.clone(), entry.clone(), state, &self.seats);
                Removal::File(file)
            }
        }
    }
}
