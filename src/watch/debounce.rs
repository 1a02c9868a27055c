//! Waits for silence, but not for ever. Pure: the time is given.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

const SILENCE: Duration = Duration::from_millis(200);
const AT_MOST: Duration = Duration::from_secs(2);

/// What was touched, until it is quiet.
#[derive(Debug)]
pub(super) struct Debounce<T> {
    touched: BTreeSet<T>,
    /// The first and the last touch.
    span: Option<(Instant, Instant)>,
}

impl<T: Ord> Debounce<T> {
    pub(super) fn new() -> Self {
        Self {
            touched: BTreeSet::new(),
            span: None,
        }
    }

    pub(super) fn touch(&mut self, things: impl IntoIterator<Item = T>, now: Instant) {
        let mut things = things.into_iter().peekable();
        if things.peek().is_none() {
            return;
        }
        self.touched.extend(things);
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.span
            .map(|(first, last)| (last + SILENCE).min(first + AT_MOST))
    }

    pub(super) fn take(&mut self) -> BTreeSet<T> {
        self.span = None;
        std::mem::take(&mut self.touched)
    }
}
