//! What somebody asked for: an answer, or that entries are read and delivered now, whatever their schedule.
//!
//! A run that is asked for breaks through the backoff of its own reads and targets, and of what failed to run after an
//! earlier change. What is shared stays paused: its reads answer with their last error.

use std::collections::BTreeMap;

use tokio::sync::{oneshot, watch};

use super::hastened::Tries;
use super::traffic::Whereabouts;
use super::{Engine, Urgency, Which};
use crate::daemon::ask::{Ask, Progress, Unknown, Wanted};
use crate::daemon::entries::{EntryState, Rest, TargetState};
use crate::names::EntryName;
use crate::report::Condition;
use crate::status::EntryStatus;
use crate::store::Read;

/// Entries that somebody waits for.
#[derive(Debug)]
pub(super) struct Request {
    names: Vec<EntryName>,
    waits_for: BTreeMap<EntryName, Step>,
    pub(super) tries: Tries,
    progress: watch::Sender<Progress>,
    done: oneshot::Sender<Result<Vec<EntryStatus>, Unknown>>,
}

/// How far an entry has come that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// What is under way began before.
    Wanted,
    /// Its run shares a read that began before; another run follows.
    Shares,
    UnderWay,
}

impl Request {
    /// Whether it wants that entry, and nothing of it is over yet.
    pub(super) fn wants(&self, name: &EntryName) -> bool {
        self.waits_for.contains_key(name)
    }

    fn tell_progress(&self) {
        let all = self.names.len();
        let done = all - self.waits_for.len();
        self.progress.send_replace(Progress { done, all });
    }
}

impl Engine {
    pub(super) fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Status(reply) => drop(reply.send(self.status())),
            Ask::Prune(what, reply) => self.prune(what, reply),
            Ask::Adopt(names, reply) => self.adopt_named(names, reply),
            Ask::Sync {
                which,
                progress,
                done,
            } => match self.entries_of(which) {
                Ok(names) => self.sync(&names, progress, done),
                Err(unknown) => drop(done.send(Err(unknown))),
            },
        }
    }

    fn entries_of(&self, which: Wanted) -> Result<Vec<EntryName>, Unknown> {
        let names = match which {
            Wanted::All => self.entries.keys().cloned().collect(),
            Wanted::Failing => {
                let failing = self.entries.iter().filter(|(_, entry)| {
                    !matches!(
                        entry.condition,
                        Condition::Fresh | Condition::Pending | Condition::Suspended
                    )
                });
                failing.map(|(name, _)| name.clone()).collect()
            }
            Wanted::Names(mut names) => {
                names.sort_unstable();
                names.dedup();
                names
            }
        };
        match names.iter().find(|name| !self.entries.contains_key(*name)) {
            Some(name) => Err(Unknown::new(name.clone(), self.entries.keys())),
            None => Ok(names),
        }
    }

    fn sync(
        &mut self,
        names: &[EntryName],
        progress: watch::Sender<Progress>,
        done: oneshot::Sender<Result<Vec<EntryStatus>, Unknown>>,
    ) {
        self.requests.retain(|request| !request.done.is_closed());
        let wanted = names.iter().map(|name| (name.clone(), Step::Wanted));
        let request = Request {
            waits_for: wanted.collect(),
            tries: Tries::default(),
            names: names.to_vec(),
            progress,
            done,
        };
        request.tell_progress();
        self.requests.push(request);
        for name in names {
            self.go_on(name);
        }
        self.answer_requests();
    }

    /// Something happened to an entry: whoever asked for it may be helped on.
    pub(super) fn go_on(&mut self, name: &EntryName) {
        // Nothing begins any more; the end of the engine tells those who wait.
        if self.requests.is_empty() || self.draining || self.leaving.contains_key(name) {
            return;
        }
        if self.entries.get(name).is_none_or(EntryState::is_busy) {
            return;
        }
        let again = if self.shares_a_read(name) {
            Step::Shares
        } else {
            Step::UnderWay
        };
        let doubted = self.waits_for_second_read(name);
        self.forget_dropped(name);
        let (mut begin, mut over) = (false, false);
        for request in &mut self.requests {
            match request.waits_for.get_mut(name) {
                Some(step @ Step::Wanted) => (*step, begin) = (again, true),
                Some(step @ Step::Shares) => (*step, begin) = (Step::UnderWay, true),
                Some(Step::UnderWay) if !doubted && !request.tries.wait_for(name) => {
                    request.waits_for.remove(name);
                    request.tell_progress();
                    over = true;
                }
                Some(Step::UnderWay) | None => {}
            }
        }
        if over {
            self.answer_requests();
        }
        if begin {
            self.begin_asked(name);
        }
    }

    /// An entry is gone, or nothing happens to it: nobody waits for it any more.
    pub(super) fn nobody_waits(&mut self, name: &EntryName) {
        for request in &mut self.requests {
            if request.waits_for.remove(name).is_some() {
                request.tell_progress();
            }
        }
        self.answer_requests();
    }

    /// Its reads leave now, those in backoff too, and the run meets them at the desk.
    fn begin_asked(&mut self, name: &EntryName) {
        match self.entries.get(name).and_then(EntryState::rest) {
            None => {}
            Some(Rest::Suspended | Rest::Nowhere | Rest::StandsBy) => {
                return self.nobody_waits(name);
            }
            Some(Rest::Delivered) => self.wake(name),
        }
        let entry = self.entries.get(name);
        if entry.is_some_and(EntryState::waits_for_namespaces) {
            return self.nobody_waits(name);
        }
        let in_backoff: Vec<Read> = self
            .entries
            .get(name)
            .into_iter()
            .flat_map(EntryState::reads)
            .filter(|read| {
                let state = self.reads.get(*read);
                state.is_some_and(|state| state.failing.is_some() && !state.held)
            })
            .cloned()
            .collect();
        for read in in_backoff {
            self.call(&read, None, Urgency::Now);
        }
        if let Some(entry) = self.entries.get_mut(name) {
            entry.targets.iter_mut().for_each(TargetState::end_fight);
        }
        self.hasten_for(name);
        self.start_run(name, None, Which::All);
    }

    /// Whether a read of it is on its way already: its answer may be older than the wish.
    fn shares_a_read(&self, name: &EntryName) -> bool {
        let under_way = |read| matches!(self.whereabouts.get(read), Some(Whereabouts::UnderWay));
        let entry = self.entries.get(name);
        entry.is_some_and(|entry| entry.reads().any(under_way))
    }

    /// An older version than the delivered one is written, or not, by a second read that is set: only then it is over.
    fn waits_for_second_read(&self, name: &EntryName) -> bool {
        let Some(entry) = self.entries.get(name) else {
            return false;
        };
        let mut states = entry.reads().filter_map(|read| self.reads.get(read));
        states.any(|state| state.is_doubted() && state.failing.is_none())
    }

    fn answer_requests(&mut self) {
        let over = |request: &mut Request| request.waits_for.is_empty();
        let over: Vec<Request> = self.requests.extract_if(.., over).collect();
        for Request { names, done, .. } in over {
            let entries = names.iter().filter_map(|name| self.entry_status(name));
            // Whoever asked may have gone.
            drop(done.send(Ok(entries.collect())));
        }
    }
}
