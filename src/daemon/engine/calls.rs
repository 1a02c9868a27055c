//! What follows from the end of a call: waiting runs get the answer, entries that use the read are woken or told.

use std::sync::Arc;

use tokio::time::Instant;

use super::{CALL_LIMIT, Due, Engine, Mode, panicked};
use crate::clock;
use crate::daemon::entries::{EntryState, Streak, Wish, Work};
use crate::daemon::reads::CONFIRM_AFTER;
use crate::decide::change::Version;
use crate::failure::Failure;
use crate::names::EntryName;
use crate::report::{Fact, Outcome, Stage};
use crate::store::desk::Seen;
use crate::store::{Answer, Read};

impl Engine {
    pub(super) fn call_ended(&mut self, read: &Read, result: Result<Answer, Failure>) {
        let waiters = self.calls.finish(read);
        match &result {
            Ok(_) => tracing::debug!(store = %read.store, key = %read.source, "read"),
            Err(failure) => tracing::debug!(
                store = %read.store, key = %read.source, reason = %failure.reason, "not read"
            ),
        }
        let reply = match result {
            Ok(answer) => self.read_answered(read, answer),
            Err(failure) => self.read_failed(read, failure),
        };
        for waiter in waiters {
            // A run that has ended meanwhile needs no answer.
            let _ = waiter.send(reply.clone());
        }
    }

    fn read_answered(&mut self, read: &Read, answer: Answer) -> Result<Seen, Failure> {
        let now = Instant::now();
        let Some(state) = self.reads.get_mut(read) else {
            return Err(panicked("looking up a read"));
        };
        let seen = state.answered(Arc::new(answer), now, clock::now());
        let doubted = state.is_doubted();
        if doubted {
            state.next = state.second_read();
        }
        let users = state.users.clone();
        let again = state.rhythm.next(now, fastrand::f64());
        // A doubted answer has its second read set already.
        if !doubted {
            self.routine(read, again);
        }
        for (name, index) in users {
            let Some(entry) = self.entries.get_mut(&name) else {
                continue;
            };
            match entry.answered(index, &seen.answer.identity, doubted, now) {
                Wish::Nothing => {}
                Wish::Run(which) => self.start_run(&name, Some((index, seen.clone())), which),
                Wish::Check => self.start_check(&name),
            }
            self.settle(&name);
        }
        Ok(seen)
    }

    /// Every entry that uses the read fails with it, whether a run of it waits for the answer or not.
    fn read_failed(&mut self, read: &Read, failure: Failure) -> Result<Seen, Failure> {
        let Some(state) = self.reads.get_mut(read) else {
            return Err(failure);
        };
        let wait = state.failed(failure.clone());
        let users = state.users.clone();
        self.routine(read, Instant::now() + wait);
        for (name, index) in users {
            let Some(entry) = self.entries.get_mut(&name) else {
                continue;
            };
            let streak = Streak::next(entry.failing_reads.get(&index), failure.clone());
            entry.failing_reads.insert(index, streak.clone());
            if entry.tried && entry.work == Work::Idle {
                let store = &entry.entry.store;
                self.reporter.record(&Fact::Run {
                    store,
                    outcome: Outcome::Failed,
                    took: None,
                });
            }
            self.tell_failure(&name, Stage::Fetch, &streak, None);
            self.settle(&name);
        }
        Err(failure)
    }

    /// A call that is under way answers at its limit at the latest: that is when what waits for it is looked at again.
    pub(super) fn expect_answer(&mut self, read: &Read) {
        let now = Instant::now();
        let Some(state) = self.reads.get_mut(read) else {
            return;
        };
        state.next = Some(now + CALL_LIMIT);
        for (name, _) in state.users.clone() {
            let waits = |entry: &EntryState| entry.waits_for_reads(now);
            if self.entries.get(&name).is_some_and(waits) {
                self.arm(&name);
            }
        }
    }

    fn routine(&mut self, read: &Read, at: Instant) {
        if self.mode == Mode::Once {
            return;
        }
        if let Some(state) = self.reads.get_mut(read) {
            state.next = Some(at);
        }
        self.schedule.set(Due::Read(read.clone()), at);
    }

    /// An older version is read again before it is believed. Until then the entry stays as it is.
    pub(super) fn unconfirmed(&mut self, name: &EntryName, older: &[(usize, Version)]) {
        let Some(entry) = self.entries.get(name).map(|it| Arc::clone(&it.entry)) else {
            return;
        };
        for (index, version) in older {
            let read = entry.reads[*index].clone();
            let again = self
                .reads
                .get_mut(&read)
                .and_then(|state| state.doubt(&version.identity, Instant::now()));
            if let Some(again) = again {
                tracing::info!(
                    entry = %name, key = %read.source,
                    "an older version than the delivered one was read; it is read again before it is written"
                );
                self.routine(&read, again);
            }
        }
        if let Some(entry) = self.entries.get_mut(name) {
            entry.wait_for_confirmation(Instant::now() + CONFIRM_AFTER);
        }
    }
}
