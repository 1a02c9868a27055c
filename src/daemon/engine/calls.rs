//! What follows from the end of a call: waiting runs get the answer, entries that use the read are woken or told.

use std::sync::Arc;

use tokio::time::Instant;

use super::{CALL_LIMIT, Due, Engine, Mode, no_answer};
use crate::clock;
use crate::daemon::entries::{EntryState, Streak, Wish, Work};
use crate::daemon::reads::CONFIRM_AFTER;
use crate::decide::change::Version;
use crate::failure::Failure;
use crate::names::EntryName;
use crate::report::{Fact, Outcome, Stage};
use crate::store::desk::Seen;
use crate::store::{Answer, Content, Read};
use crate::sync::{Heard, Said};

/// Who says in the log that something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Own,
    /// The pause has said it for all.
    Shared,
}

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
            // A find wants it no more.
            return Err(no_answer(read));
        };
        let before = state.last.as_ref().map(|last| &last.version.identity);
        let is_news = before != Some(&answer.identity);
        // Where it answers as ever, its round is what is remembered; `once` makes none.
        if is_news || state.failing.is_some() || self.mode == Mode::Once {
            self.unsaved.read(read);
        }
        let seen = state.answered(Arc::new(answer), now, clock::now());
        let doubted = state.is_doubted();
        // A doubted answer has its second read set already; else its cohort's time is its own again.
        state.next = state.second_read();
        if !doubted {
            self.schedule.cancel(&Due::Read(read.clone()));
        }
        let users: Vec<EntryName> = state.users.iter().cloned().collect();
        if let (Content::Matches(matches), true) = (&seen.answer.content, is_news) {
            self.found(read, matches, &users);
        }
        for name in users {
            self.is_there(&name, read, &seen.answer);
            self.all_is_back(&name);
            let mut news = self.weigh(&name, read, Ok(&seen.answer));
            let Some(entry) = self.entries.get(&name) else {
                continue;
            };
            let own = entry.uses(read).then(|| {
                Heard::new(
                    Said::Version(seen.answer.identity.clone()),
                    entry.proofs_about(read),
                )
            });
            news.extend(own.map(|heard| (read.clone(), heard)));
            let handed = Some((read.clone(), seen.clone()));
            self.tell(name, &news, doubted, handed.as_ref());
        }
        Ok(seen)
    }

    /// An entry hears what is new of its reads, and does what it wishes.
    fn tell(
        &mut self,
        name: EntryName,
        news: &[(Read, Heard)],
        doubted: bool,
        handed: Option<&(Read, Seen)>,
    ) {
        let now = Instant::now();
        for (read, heard) in news {
            let Some(entry) = self.entries.get_mut(&name) else {
                return;
            };
            match entry.answered(read, heard, doubted, now) {
                Wish::Nothing => {}
                Wish::Run(which) => self.start_run(&name, handed.cloned(), which),
                Wish::Check => self.start_check(&name),
            }
        }
        self.unsettled.insert(name);
    }

    /// Every entry that uses the read fails with it, whether a run of it waits for the answer or not.
    fn read_failed(&mut self, read: &Read, failure: Failure) -> Result<Seen, Failure> {
        if failure.reason.is_shared() && self.pause_end(&read.store).is_some() {
            self.hold(read, &failure);
            return Err(failure);
        }
        let Some(state) = self.reads.get_mut(read) else {
            return Err(failure);
        };
        let wait = state.failed(failure.clone());
        self.unsaved.read(read);
        self.due_at(read, Instant::now() + wait);
        self.users_fail(read, &failure, Voice::Own);
        Err(failure)
    }

    /// The read fails with what is wrong for all; that was said once.
    pub(super) fn read_held(&mut self, read: &Read, failure: &Failure) {
        if let Some(state) = self.reads.get_mut(read) {
            let _ = state.failed(failure.clone());
            self.unsaved.read(read);
        }
        self.users_fail(read, failure, Voice::Shared);
    }

    fn users_fail(&mut self, read: &Read, failure: &Failure, voice: Voice) {
        let Some(state) = self.reads.get(read) else {
            return;
        };
        for name in state.users.iter().cloned().collect::<Vec<_>>() {
            let mut news = self.weigh(&name, read, Err(failure));
            let uses = self.entries.get(&name).is_some_and(|it| it.uses(read));
            let gone = self.is_gone(&name, read, failure).filter(|_| uses);
            let known = !uses || gone.is_some();
            news.extend(gone.map(|heard| (read.clone(), heard)));
            if known {
                self.tell(name, &news, false, None);
                continue;
            }
            let Some(entry) = self.entries.get_mut(&name) else {
                continue;
            };
            let mut streak = Streak::next(entry.failing_reads.get(read), failure.clone());
            let failing = (read.clone(), streak.clone());
            entry.failing_reads.change(|it| it.extend([failing]));
            if entry.tried && entry.work == Work::Idle {
                let store = &entry.entry.store;
                self.reporter.record(&Fact::Run {
                    store,
                    outcome: Outcome::Failed,
                    took: None,
                });
            }
            streak.loud &= voice == Voice::Own;
            self.tell_failure(&name, Stage::Fetch, &streak, None);
            self.unsettled.insert(name);
        }
    }

    /// A call that is under way answers at its limit at the latest: that is when what waits for it is looked at again.
    pub(super) fn expect_answer(&mut self, read: &Read) {
        let now = Instant::now();
        let Some(state) = self.reads.get_mut(read) else {
            return;
        };
        state.next = Some(now + CALL_LIMIT);
        for name in state.users.iter() {
            let waits = |entry: &EntryState| entry.waits_for_reads(now);
            if self.entries.get(name).is_some_and(waits) {
                self.unsettled.insert(name.clone());
            }
        }
    }

    /// Gives the read a time of its own.
    pub(super) fn due_at(&mut self, read: &Read, at: Instant) {
        if self.mode == Mode::Once {
            return;
        }
        if let Some(state) = self.reads.get_mut(read) {
            state.next = Some(at);
        }
        self.schedule.set(Due::Read(read.clone()), at);
    }

    /// An older version is read again before it is believed. Until then the entry stays as it is.
    pub(super) fn unconfirmed(&mut self, name: &EntryName, older: &[(Read, Version)]) {
        for (read, version) in older {
            let again = self
                .reads
                .get_mut(read)
                .and_then(|state| state.doubt(&version.identity, Instant::now()));
            if let Some(again) = again {
                tracing::info!(
                    entry = %name, key = %read.source,
                    "an older version than the delivered one was read; it is read again before it is written"
                );
                self.due_at(read, again);
            }
        }
        if let Some(entry) = self.entries.get_mut(name) {
            entry.wait_for_confirmation(Instant::now() + CONFIRM_AFTER);
        }
    }
}
