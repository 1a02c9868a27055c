//! Every read of one store once, the matches of a `find` among them, in as few calls as the store allows.

use std::collections::{BTreeSet, VecDeque};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use crate::config::{Source, Version};
use crate::failure::Failure;
use crate::names::RemoteKey;
use crate::store::round::{CALLS, call, is_shared, next_group};
use crate::store::{Content, Fetched, Read, Store};

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
                && let Some((operation, group)) = next_group(self.store, &mut self.waiting)
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
        let unasked = Read::new(
            read.store.clone(),
            Source::Value {
                key,
                version: Version::Current,
            },
        );
        self.store.lane(&unasked, Instant::now()).size == 1
    }

    fn read_match(&mut self, find: &Read, arn: RemoteKey) {
        let read = Read::new(
            find.store.clone(),
            Source::Value {
                key: arn,
                version: Version::Current,
            },
        );
        if self.known.insert(read.clone()) {
            self.waiting.push_back(read);
        }
    }
}

#[cfg(test)]
mod tests;
