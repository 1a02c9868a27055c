//! Many reads of one store, each once, in as few calls as it allows: for whoever asks without a schedule.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Fetched, Read, Store};
use crate::config::Source;
use crate::failure::{Failure, Reason};
use crate::report::StoreOperation;

/// Calls under way at once: a slow answer holds up few others, and a rate of some hundred a second is reached.
pub const CALLS: usize = 16;

/// A call that takes longer than any of AWS's is given up; a list of many pages is not one call.
const CALL_LIMIT: Duration = Duration::from_mins(5);

/// What travels with the first that waits.
pub fn next_group(
    store: &Store,
    waiting: &mut VecDeque<Read>,
) -> Option<(StoreOperation, Vec<Read>)> {
    let now = Instant::now();
    let first = waiting.pop_front()?;
    let lane = store.lane(&first, now);
    let mut group = vec![first];
    let mut at = 0;
    while group.len() < lane.size && at < waiting.len() {
        if store.lane(&waiting[at], now) == lane {
            group.extend(waiting.remove(at));
        } else {
            at += 1;
        }
    }
    Some((lane.operation, group))
}

/// Makes one call in its turn. What is not answered in time fails, every read of it.
pub async fn call(
    store: &Store,
    operation: StoreOperation,
    group: Vec<Read>,
) -> Vec<(Read, Fetched)> {
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
pub fn is_shared(read: &Read, failure: &Failure) -> bool {
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
