//! Answers the wishes of all runs, each distinct read once: whoever asks later for what was answered gets the same.
//!
//! Answers are kept to the end, for nobody can tell who else will ask. That is one pass, and then the process ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::names::StoreName;
use crate::store::coalesce::{Coalesce, Joined};
use crate::store::desk::{Seen, Want};
use crate::store::round::{CALLS, call, is_shared, next_group};
use crate::store::{Fetched, Read, Store};

type Answered = Result<Seen, Failure>;

pub(super) struct Counter {
    stores: BTreeMap<StoreName, Store>,
}

/// How far one store is.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Read>,
    under_way: usize,
    /// Something was answered: what fails for all is found out by one call, not by many.
    heard: bool,
    /// What would be the end of every other read, too.
    given_up: Option<Failure>,
}

#[derive(Default)]
struct Book {
    answers: HashMap<Read, Answered>,
    waiting: Coalesce<Read, oneshot::Sender<Answered>>,
    lines: BTreeMap<StoreName, Line>,
}

impl Counter {
    pub(super) fn new(stores: BTreeMap<StoreName, Store>) -> Self {
        Self { stores }
    }

    /// Goes on for ever; whoever waits for nothing more lets go of it.
    pub(super) async fn serve(&self, mut wants: UnboundedReceiver<Want>) {
        let mut book = Book::default();
        let mut calls = FuturesUnordered::new();
        loop {
            for (name, store) in &self.stores {
                let line = book.lines.entry(name.clone()).or_default();
                let most = if line.heard { CALLS } else { 1 };
                while line.under_way < most
                    && let Some((operation, group)) = next_group(store, &mut line.waiting)
                {
                    line.under_way += 1;
                    calls.push(async move { (name, call(store, operation, group).await) });
                }
            }
            tokio::select! {
                // Whoever asks first is heard first, so that those who ask together travel together.
                biased;
                Some(want) = wants.recv() => {
                    book.take_in(want);
                    while let Ok(want) = wants.try_recv() {
                        book.take_in(want);
                    }
                }
                Some((name, fetched)) = calls.next() => {
                    let shares = self.stores.get(name).is_some_and(|it| it.upstream().is_some());
                    book.fetched(name, fetched, shares);
                }
                else => std::future::pending().await,
            }
        }
    }
}

impl Book {
    fn take_in(&mut self, want: Want) {
        let Want { read, reply } = want;
        // Whoever asked may have gone.
        if let Some(answer) = self.answers.get(&read) {
            let _ = reply.send(answer.clone());
            return;
        }
        let line = self.lines.entry(read.store.clone()).or_default();
        if let Some(failure) = &line.given_up {
            let _ = reply.send(Err(failure.clone()));
            return;
        }
        match self.waiting.join(&read, Some(reply)) {
            Joined::First => line.waiting.push_back(read),
            Joined::Waiting => {}
        }
    }

    fn fetched(&mut self, store: &StoreName, fetched: Vec<(Read, Fetched)>, shares: bool) {
        let line = self.lines.entry(store.clone()).or_default();
        line.under_way -= 1;
        line.heard = true;
        let mut ended = Vec::new();
        for (read, fetched) in fetched {
            match fetched {
                Fetched::Alone => line.waiting.push_back(read),
                Fetched::Done(Ok(answer)) => {
                    let answer = Arc::new(answer);
                    let before = None;
                    ended.push((read, Ok(Seen { answer, before })));
                }
                Fetched::Done(Err(failure)) => {
                    if shares && is_shared(&read, &failure) {
                        line.given_up = Some(failure.clone());
                    }
                    ended.push((read, Err(failure)));
                }
            }
        }
        if let Some(failure) = line.given_up.clone() {
            let rest = line.waiting.drain(..);
            ended.extend(rest.map(|read| (read, Err(failure.clone()))));
        }
        for (read, answer) in ended {
            for reply in self.waiting.finish(&read) {
                let _ = reply.send(answer.clone());
            }
            self.answers.insert(read, answer);
        }
    }
}
