//! Waits for silence, but not for ever. Pure: the time is given.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

/// What was touched, until it is quiet.
#[derive(Debug)]
pub(super) struct Debounce<T> {
    touched: BTreeSet<T>,
    /// The first and the last touch.
    span: Option<(Instant, Instant)>,
    silence: Duration,
    at_most: Duration,
}

impl<T: Ord> Debounce<T> {
    pub(super) fn new(silence: Duration, at_most: Duration) -> Self {
        Self {
            touched: BTreeSet::new(),
            span: None,
            silence,
            at_most,
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
            .map(|(first, last)| (last + self.silence).min(first + self.at_most))
    }

    pub(super) fn take(&mut self) -> BTreeSet<T> {
        self.span = None;
        std::mem::take(&mut self.touched)
    }
}
