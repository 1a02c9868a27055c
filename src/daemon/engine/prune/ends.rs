//! How removals ended, and who is told.

use tokio::time::Instant;

use super::{AGAIN, Cause, Pruned, Pruning};
use crate::daemon::engine::left::Left;
use crate::daemon::engine::{Engine, panicked};
use crate::daemon::entries::Streak;
use crate::failure::{Failure, Reason};
use crate::logging::AUDIT;
use crate::report::{Fact, WriteResult};
use crate::status::{Orphan, OrphanFate, PruneEnd, PrunedOrphan, Trouble};
use crate::target::kubernetes::removal::Removed;

impl Engine {
    /// What was to be taken away is, or is not.
    pub(in crate::daemon::engine) fn pruned(&mut self, pruning: Pruning, pruned: Vec<Pruned>) {
        let missing = pruning
            .parts
            .iter()
            .filter(|part| !pruned.iter().any(|(done, _)| done == *part));
        let broken_off = |part: &Left| {
            let failure = panicked("the removal");
            (part.clone(), Err(failure))
        };
        let missing: Vec<Pruned> = missing.map(broken_off).collect();
        let mut ends = Vec::new();
        for (part, result) in pruned.into_iter().chain(missing) {
            let set = pruning.sets.contains(&part);
            self.tell_pruned((&part, set), &result, pruning.cause);
            ends.push(ended(&part, end_of(result), set));
        }
        self.look_for_orphans();
        let Some((reply, mut leftovers)) = pruning.answer else {
            return;
        };
        leftovers.pruned.extend(ends);
        leftovers
            .pruned
            .sort_by(|a, b| (&a.target, &a.entry).cmp(&(&b.target, &b.entry)));
        leftovers.orphans = self.list_orphans();
        leftovers.held = self.list_held();
        // Whoever asked may have gone.
        let _ = reply.send(leftovers);
    }

    fn tell_pruned(
        &mut self,
        (part, set): (&Left, bool),
        result: &Result<Removed, Failure>,
        cause: Cause,
    ) {
        let (what, counted) = match result {
            Ok(Removed::Deleted) if set => ("our files deleted", Some(WriteResult::Deleted)),
            Ok(Removed::Deleted) => ("deleted", Some(WriteResult::Deleted)),
            Ok(Removed::GivenBack) => ("our keys removed", Some(WriteResult::Updated)),
            Ok(Removed::Released) => ("left to others", None),
            Ok(Removed::AlreadyGone) => ("found gone", None),
            Ok(Removed::Raced) => return,
            Err(failure) => return self.not_pruned(part, failure, cause),
        };
        if let Some(result) = counted {
            let target = part.kind();
            self.reporter
                .record(&Fact::TargetWritten { target, result });
        }
        let cause = match cause {
            Cause::Asked => "prune",
            Cause::Time => "daemon.prune",
        };
        tracing::info!(
            target: AUDIT, entry = %part.entry(), target.kind = %part.kind(), target.name = %part,
            cause, "{what}"
        );
    }

    fn not_pruned(&mut self, part: &Left, failure: &Failure, cause: Cause) {
        let mut known = self.orphans.known.iter_mut();
        let Some((_, known)) = known.find(|((known, _), _)| known == part) else {
            return;
        };
        let streak = Streak::next(known.trouble.as_ref(), failure.clone());
        if cause == Cause::Time {
            known.next = Some(Instant::now() + streak.wait(AGAIN));
            if streak.loud {
                tracing::warn!(
                    entry = %part.entry(), target.name = %part, reason = %failure.reason,
                    failures = streak.count, help = failure.help(), "an orphan was not removed: {failure}"
                );
            }
        }
        known.trouble = Some(streak);
    }
}

/// Why something that is named cannot be taken away.
pub(super) fn refusal(orphan: &Orphan) -> Option<PrunedOrphan> {
    let (fact, help) = match orphan.fate {
        OrphanFate::Delete | OrphanFate::GiveBack | OrphanFate::Release => return None,
        OrphanFate::NoCluster => (
            "its cluster is not configured any more, so nothing there can be removed",
            "configure the cluster again, without any target, and ask once more",
        ),
    };
    let failure = Failure::new(Reason::Invalid, fact).with_help(help);
    Some(PrunedOrphan {
        target: orphan.target.clone(),
        entry: orphan.entry.clone(),
        set: orphan.set,
        end: PruneEnd::Failed(Trouble::from(&failure)),
    })
}

pub(super) fn ended(part: &Left, end: PruneEnd, set: bool) -> PrunedOrphan {
    PrunedOrphan {
        target: part.to_string(),
        entry: part.entry().to_string(),
        set,
        end,
    }
}

fn end_of(result: Result<Removed, Failure>) -> PruneEnd {
    match result {
        Ok(Removed::Deleted) => PruneEnd::Deleted,
        Ok(Removed::GivenBack) => PruneEnd::GivenBack,
        Ok(Removed::Released) => PruneEnd::Released,
        // It was looked at until it was still.
        Ok(Removed::AlreadyGone | Removed::Raced) => PruneEnd::AlreadyGone,
        Err(failure) => PruneEnd::Failed(Trouble::from(&failure)),
    }
}
