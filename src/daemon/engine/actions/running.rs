//! The actions that are due, and what comes of them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Marks, Waits, change_of};
use crate::action::lanes::Ended;
use crate::action::queue::Change;
use crate::action::run::{Did, run};
use crate::config::Action;
use crate::daemon::engine::hastened::Hastened;
use crate::daemon::engine::{Done, Due, Engine, Mode, Task, panicked};
use crate::daemon::entries::Streak;
use crate::failure::Failure;
use crate::logging::AUDIT;
use crate::names::EntryName;
use crate::report::{ActionKind, ActionResult, Fact, Stage};

/// One run of an action.
#[derive(Debug)]
pub(in crate::daemon::engine) struct Acting {
    action: Action,
    marks: Marks,
    began: Instant,
    timeout: Duration,
    /// Those that it runs for, as a line names them.
    entries: String,
}

impl Engine {
    fn may_act(&self) -> bool {
        match self.mode {
            Mode::Forever => self.pulse.is_told() && !self.draining,
            Mode::Once => self.pulse.is_ready() && !self.draining,
        }
    }

    /// Sets the time of the next action.
    pub(in crate::daemon::engine) fn arm_actions(&mut self) {
        let now = Instant::now();
        let next = self.actions.next(now).filter(|_| self.may_act());
        match next {
            // What had to wait for its turn is not late.
            Some(at) => self.schedule.set(Due::Act, at.max(now)),
            None => self.schedule.cancel(&Due::Act),
        }
    }

    pub(in crate::daemon::engine) fn actions_due(&mut self, now: Instant) {
        while self.may_act() {
            let Some((action, marks)) = self.actions.take(now) else {
                break;
            };
            self.act(action, marks);
        }
    }

    fn act(&mut self, action: Action, marks: Marks) {
        let order = self.actions.order(&action, &marks);
        let acting = Acting {
            entries: order.entries(),
            action,
            marks,
            began: Instant::now(),
            timeout: order.timeout,
        };
        let span = tracing::error_span!("action", action = %acting.action);
        let task = self
            .tasks
            .spawn(async move { Done::Acted(Box::pin(run(&order)).await) }.instrument(span));
        self.actions.lanes.began(&acting.action, acting.began);
        self.running.insert(task.id(), Task::Act(acting));
    }

    pub(in crate::daemon::engine) fn act_ended(&mut self, acting: &Acting, done: Option<Done>) {
        let result = match done {
            Some(Done::Acted(result)) => Some(result),
            Some(_) | None => None,
        };
        self.acted(acting, result);
    }

    /// It has run, or it has failed.
    fn acted(&mut self, acting: &Acting, result: Option<Result<Did, Failure>>) {
        let result = result.unwrap_or_else(|| Err(panicked("the action")));
        let ended = if result.is_err() && acting.began.elapsed() >= acting.timeout {
            Ended::TooLate
        } else {
            Ended::ByItself
        };
        self.actions.lanes.ended(&acting.action, ended);
        let marks = (&acting.action, &acting.marks);
        let retry = result.as_ref().map(|_| ()).map_err(|it| it.reason.retry());
        let when = (Instant::now(), fastrand::f64());
        let done = self.actions.queue.ended(marks, retry, when);
        let kind = acting.action.kind();
        let counted = if result.is_ok() {
            ActionResult::Succeeded
        } else {
            ActionResult::Failed
        };
        self.reporter.record(&Fact::Action {
            kind,
            result: counted,
            took: acting.began.elapsed(),
        });
        tell_audit(acting, counted, &result);
        match result {
            Ok(_) => self.action_succeeded(&acting.action, done),
            Err(failure) => self.action_failed(acting, failure),
        }
        self.tried(&Hastened::Action(acting.action.clone()));
        self.settle_all();
        self.tell_pending();
    }

    fn action_succeeded(&mut self, action: &Action, done: Vec<(PathBuf, Change)>) {
        let failed = self.actions.failing.remove(action);
        if failed.is_some() {
            tracing::info!(action = %action, "recovered");
        }
        // Those that changed meanwhile wait on, and do not fail any more.
        let mut shown: BTreeSet<PathBuf> = self.actions.waiting_for(action).into_iter().collect();
        let mut entries = BTreeSet::new();
        for (path, change) in done {
            let waits = self.actions.waiting.get(&path);
            let Some(waits) = waits.filter(|it| change_of(&it.mark) == change) else {
                continue;
            };
            entries.insert(waits.entry.clone());
            let (entry, id) = (waits.entry.clone(), waits.mark.id);
            self.unsaved.acted(&path, id);
            self.actions.waiting.remove(&path);
            shown.remove(&path);
            self.set_action(&entry, &path, None);
        }
        for path in shown {
            if let Some(waits) = self.actions.waiting.get_mut(&path) {
                waits.since = waits.mark.since;
                entries.insert(waits.entry.clone());
            }
            self.show_action(&path);
        }
        for name in entries {
            self.succeed(&name);
            self.settle(&name);
        }
    }

    fn action_failed(&mut self, acting: &Acting, failure: Failure) {
        let action = &acting.action;
        let streak = Streak::next(self.actions.failing.get(action), failure);
        // `once` shows every failure when it ends.
        if streak.loud && self.mode == Mode::Forever {
            let failure = &streak.failure;
            tracing::warn!(
                action = %action, entry = acting.entries, stage = %Stage::Action, reason = %failure.reason,
                failures = streak.count, help = failure.help(), "{failure}"
            );
        }
        let reason = streak.failure.reason;
        self.actions.failing.insert(action.clone(), streak);
        let waiting = self.actions.waiting_for(action);
        for path in &waiting {
            self.show_action(path);
        }
        let entries = waiting.iter().filter_map(|path| {
            let waits = self.actions.waiting.get(path)?;
            Some(waits.entry.clone())
        });
        for name in entries.collect::<BTreeSet<_>>() {
            if let Some(entry) = self.entries.get(&name) {
                self.reporter.record(&Fact::Failed {
                    store: &entry.entry.store,
                    stage: Stage::Action,
                    reason,
                });
            }
            self.settle(&name);
        }
        if self.mode == Mode::Once {
            // What it waits for stays in the ledger, for whoever runs next.
            for path in waiting {
                self.actions.queue.forget(&path);
            }
        }
    }

    /// Somebody wants everything of the entry now: what failed is tried.
    pub(in crate::daemon::engine) fn hasten_actions(&mut self, name: &EntryName) -> Vec<Action> {
        let waiting = self.actions.waiting.values();
        let waiting = waiting.filter(|waits| waits.entry == *name);
        let actions: BTreeSet<Action> = waiting.map(|it| it.settings.action.clone()).collect();
        let queue = &mut self.actions.queue;
        queue.hasten(Instant::now(), |it, _| actions.contains(it))
    }

    /// How many actions wait, and since when.
    pub(in crate::daemon::engine) fn tell_pending(&self) {
        // Restarts of workloads are told of by whoever makes them.
        let kinds = ActionKind::ALL
            .iter()
            .filter(|it| **it != ActionKind::Restart);
        for kind in kinds {
            let waiting = self.actions.waiting.values();
            let waiting = waiting.filter(|it| it.settings.action.kind() == *kind);
            let waiting: Vec<&Waits> = waiting.collect();
            let actions: BTreeSet<&Action> = waiting.iter().map(|it| &it.settings.action).collect();
            self.reporter.record(&Fact::ActionsPending {
                kind: *kind,
                count: actions.len(),
                oldest: waiting.iter().map(|it| it.since).min(),
            });
        }
    }
}

fn tell_audit(acting: &Acting, result: ActionResult, did: &Result<Did, Failure>) {
    let what = match did {
        Ok(Did::Run) => "ran",
        Ok(Did::NothingToDo) => "found nothing to signal",
        Err(_) => "failed",
    };
    tracing::info!(
        target: AUDIT, action = %acting.action, action.kind = %acting.action.kind(), result = %result,
        entry = acting.entries, targets = acting.marks.len(), "{what}"
    );
}
