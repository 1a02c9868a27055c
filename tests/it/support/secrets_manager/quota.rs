//! How many calls the service takes in a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// At most so many calls in any window of a second; what it turns away does not count against it.
pub struct Quota {
    per_second: usize,
    taken: VecDeque<Instant>,
}

impl Quota {
    pub fn new(per_second: usize) -> Self {
        Self {
            per_second,
            taken: VecDeque::new(),
        }
    }

    pub fn takes(&mut self, now: Instant) -> bool {
        while self
            .taken
            .front()
            .is_some_and(|first| now - *first >= Duration::from_secs(1))
        {
            self.taken.pop_front();
        }
        let takes = self.taken.len() < self.per_second;
        if takes {
            self.taken.push_back(now);
        }
        takes
    }
}
