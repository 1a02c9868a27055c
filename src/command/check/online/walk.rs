//! Every read of one store once, the matches of a `find` among them, in as few calls as the store allows.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, timeout};

use crate::config::{Source, Version};
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;
use crate::report::StoreOperation;
use crate::store::{Content, Fetched, Read, Store};

/// Calls under way at once: a slow answer holds up few others, and a rate of some hundred a second is reached.
const CALLS: usize = 16;

/// A call that takes longer than any of AWS's is given up; a list of many pages is not one call.
const CALL_LIMIT: Duration = Duration::from_mins(5);

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub all: usize,
    pub answered: usize,
    pub failed: Vec<(Read, Failure)>,
    /// Why the rest was not asked, where that is so.
    pub given_up: Option<Failure>,
    /// Batches as such were refused.
    pub without_batches: bool,
}

pub(super) struct Walk<'a> {
    store: &'a Store,
    /// Whether one failure can be that of all reads.
    shares: bool,
    waiting: VecDeque<Read>,
    known: BTreeSet<Read>,
    walked: Walked,
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a Store, reads: Vec<Read>, shares: bool) -> Self {
        Self {
            store,
            shares,
            known: reads.iter().cloned().collect(),
            waiting: reads.into(),
            walked: Walked::default(),
        }
    }

    /// Tells `progress` how many reads have ended, and of how many.
    pub(super) async fn run(mut self, progress: impl Fn((usize, usize))) -> Walked {
        let mut calls = FuturesUnordered::new();
        // What fails for all is found out by one call, not by many.
        let mut most = 1;
        loop {
            while calls.len() < most
                && let Some((operation, group)) = self.next_group()
            {
                calls.push(call(self.store, operation, group));
            }
            let Some(fetched) = calls.next().await else {
                break;
            };
            self.take_in(fetched);
            let ended = self.walked.answered + self.walked.failed.len();
            progress((ended, self.known.len()));
            if self.walked.given_up.is_some() {
                break;
            }
            most = CALLS;
        }
        self.walked.all = self.known.len();
        self.walked.without_batches = self.goes_without_batches();
        self.walked
    }

    /// What travels with the first that waits.
    fn next_group(&mut self) -> Option<(StoreOperation, Vec<Read>)> {
        let now = Instant::now();
        let first = self.waiting.pop_front()?;
        let lane = self.store.lane(&first, now);
        let mut group = vec![first];
        let mut at = 0;
        while group.len() < lane.size && at < self.waiting.len() {
            if self.store.lane(&self.waiting[at], now) == lane {
                group.extend(self.waiting.remove(at));
            } else {
                at += 1;
            }
        }
        Some((lane.operation, group))
    }

    fn take_in(&mut self, fetched: Vec<(Read, Fetched)>) {
        for (read, fetched) in fetched {
            match fetched {
                Fetched::Alone => self.waiting.push_back(read),
                Fetched::Done(Ok(answer)) => {
                    self.walked.answered += 1;
                    match answer.content {
                        Content::Value(_) => {}
                        Content::Matches(matches) => matches
                            .into_iter()
                            .for_each(|it| self.read_match(&read, it.arn)),
                    }
                }
                Fetched::Done(Err(failure)) if self.shares && is_shared(&read, &failure) => {
                    self.walked.given_up = Some(failure);
                }
                Fetched::Done(Err(failure)) => self.walked.failed.push((read, failure)),
            }
        }
    }

    /// A key that nobody asked for would travel with others, unless batches as such are refused.
    fn goes_without_batches(&self) -> bool {
        let current = |read: &&Read| {
            let Source::Value { version, .. } = &read.source else {
                return false;
            };
            *version == Version::Current
        };
        let (Some(read), Ok(key)) = (
            self.known.iter().find(current),
            RemoteKey::new("nobody asks for this"),
        ) else {
            return false;
        };
        let unasked = Read {
            store: read.store.clone(),
            source: Source::Value {
                key,
                version: Version::Current,
            },
        };
        self.store.lane(&unasked, Instant::now()).size == 1
    }

    fn read_match(&mut self, find: &Read, arn: RemoteKey) {
        let read = Read {
            store: find.store.clone(),
            source: Source::Value {
                key: arn,
                version: Version::Current,
            },
        };
        if self.known.insert(read.clone()) {
            self.waiting.push_back(read);
        }
    }
}

/// Makes one call in its turn. What is not answered in time fails, every read of it.
async fn call(store: &Store, operation: StoreOperation, group: Vec<Read>) -> Vec<(Read, Fetched)> {
    while let Err(at) = store.turn(operation, Instant::now()) {
        tokio::time::sleep_until(at).await;
    }
    let asked = group.clone();
    let fetch = Box::pin(store.fetch(operation, group));
    timeout(CALL_LIMIT, fetch).await.unwrap_or_else(|_| {
        let late = Failure::new(Reason::Timeout, "the store did not answer in time");
        let late = |read| (read, Fetched::Done(Err(late.clone())));
        asked.into_iter().map(late).collect()
    })
}

/// Whether a failure would be that of every read of the store: it is about who asks, when or where, not about a secret.
fn is_shared(read: &Read, failure: &Failure) -> bool {
    let named = match &read.source {
        Source::Value { key, .. } | Source::Metadata { key } => failure.fact.contains(key.as_str()),
        Source::Find(_) => true,
    };
    let of_asking = matches!(
        failure.reason,
        Reason::Throttled | Reason::Credentials | Reason::Clock | Reason::Network | Reason::Timeout
    );
    let unclear = matches!(failure.reason, Reason::Malformed | Reason::Invalid);
    of_asking || (unclear && !named)
}

#[cfg(test)]
mod tests;
