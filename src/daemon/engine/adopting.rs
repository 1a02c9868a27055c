//! Taking over what others wrote, because somebody asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Done, Engine, Task};
use crate::failure::Failure;
use crate::logging::AUDIT;
use crate::names::EntryName;
use crate::report::TargetKind;
use crate::status::{AdoptEnd, AdoptedTarget, Adoption, Trouble};
use crate::sync::adopt;
use crate::target::Target;
use crate::target::file::Adopted;

/// Who waits for it.
#[derive(Debug)]
pub(super) struct Asked {
    reply: oneshot::Sender<Adoption>,
    unknown: Vec<String>,
}

/// How it ended at one target.
#[derive(Debug)]
pub(super) struct Ended {
    entry: EntryName,
    kind: TargetKind,
    target: String,
    result: Result<Adopted, Failure>,
}

impl Engine {
    pub(super) fn adopt_named(&mut self, names: Vec<String>, reply: oneshot::Sender<Adoption>) {
        let entries = self.entries.values();
        let chosen = entries.map(|state| {
            let entry = Arc::clone(&state.entry);
            let which = adopt::chosen(&entry, &names);
            (entry, which)
        });
        let chosen: Vec<_> = chosen.filter(|(_, which)| !which.is_empty()).collect();
        let targets = chosen.iter().flat_map(|(entry, _)| &entry.targets);
        let entries = self.entries.keys().map(ToString::to_string);
        let known: BTreeSet<String> = targets.map(Target::to_string).chain(entries).collect();
        let unknown = names.into_iter().filter(|name| !known.contains(name));
        let asked = Asked {
            reply,
            unknown: unknown.collect(),
        };
        // What is not certain to be done is not begun: half of an order would be worse than none.
        if self.draining || !asked.unknown.is_empty() {
            return adopted(asked, None);
        }
        let task = self.tasks.spawn(async move {
            let mut ended = Vec::new();
            for (entry, which) in chosen {
                let adopted = adopt::adopt(&entry, &which).await.into_iter();
                ended.extend(adopted.map(|(index, result)| Ended {
                    entry: entry.name.clone(),
                    kind: entry.targets[index].kind(),
                    target: entry.targets[index].to_string(),
                    result,
                }));
            }
            Done::Adopted(ended)
        });
        self.running.insert(task.id(), Task::Adopt(asked));
    }

    /// Where no daemon runs: the same, without anything else that an engine does.
    pub(in crate::daemon) async fn adopt_alone(&mut self, names: Vec<String>) -> Option<Adoption> {
        self.alone = true;
        let (reply, answer) = oneshot::channel();
        self.adopt_named(names, reply);
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended);
        }
        answer.await.ok()
    }
}

/// Whoever hears nothing learns that from the end of the channel.
pub(super) fn adopted(asked: Asked, done: Option<Done>) {
    let Asked { reply, unknown } = asked;
    let ended = match done {
        Some(Done::Adopted(ended)) => ended,
        None if !unknown.is_empty() => Vec::new(),
        Some(_) | None => return,
    };
    let targets = ended.into_iter().map(|ended| {
        if ended.result == Ok(Adopted::Taken) {
            tracing::info!(
                target: AUDIT, entry = %ended.entry, target.kind = %ended.kind, target.name = ended.target,
                cause = "adopt", "taken over"
            );
        }
        AdoptedTarget {
            target: ended.target,
            entry: ended.entry.to_string(),
            end: end_of(ended.result),
        }
    });
    let targets = targets.collect();
    // Whoever asked may have gone.
    let _ = reply.send(Adoption { targets, unknown });
}

fn end_of(result: Result<Adopted, Failure>) -> AdoptEnd {
    match result {
        Ok(Adopted::Taken) => AdoptEnd::Taken,
        Ok(Adopted::Ours) => AdoptEnd::Ours,
        Ok(Adopted::Absent) => AdoptEnd::Absent,
        Err(failure) => AdoptEnd::Refused(Trouble::from(&failure)),
    }
}
