//! How fast one kind of call may leave: a token bucket that gives way when it is throttled. Pure: told the time.

use std::time::Duration;

use tokio::time::Instant;

/// The share of a second's calls that may leave at once.
const BURST: f64 = 0.1;

/// What is left of the rate however often it is throttled, as a share of the configured one.
const LEAST: f64 = 1.0 / 64.0;

/// How much of the configured rate comes back in a second.
const RECOVERY: f64 = 0.01;

/// The answers to one burst are one piece of news.
const HALVE_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Bucket {
    /// Calls per second as configured.
    ceiling: f64,
    /// Calls per second now.
    rate: f64,
    tokens: f64,
    at: Instant,
    halved: Option<Instant>,
}

impl Bucket {
    pub fn new(per_second: u32, now: Instant) -> Self {
        let ceiling = f64::from(per_second.max(1));
        Self {
            ceiling,
            rate: ceiling,
            tokens: (ceiling * BURST).max(1.0),
            at: now,
            halved: None,
        }
    }

    /// Takes a token; else says when there will be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.advance(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = Duration::from_secs_f64((1.0 - self.tokens) / self.rate);
        // Never "now", however small the rest.
        Err(now + wait.max(Duration::from_micros(100)))
    }

    /// Half the rate from now on, and nothing saved up.
    pub fn throttled(&mut self, now: Instant) {
        self.advance(now);
        if self.halved.is_some_and(|at| now < at + HALVE_AGAIN) {
            return;
        }
        self.halved = Some(now);
        self.rate = (self.rate / 2.0).max(self.ceiling * LEAST);
        self.tokens = 0.0;
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now.max(self.at);
        let most = (self.rate * BURST).max(1.0);
        self.tokens = (self.tokens + passed * self.rate).min(most);
        self.rate = (self.rate + passed * self.ceiling * RECOVERY).min(self.ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls that leave within `span` when there is always one to make.
    fn calls(bucket: &mut Bucket, start: Instant, span: Duration) -> u32 {
        let (mut now, mut calls) = (start, 0);
        while now < start + span {
            match bucket.take(now) {
                Ok(()) => calls += 1,
                Err(at) => now = at,
            }
        }
        calls
    }

    #[tokio::test(start_paused = true)]
    async fn calls_leave_at_the_rate_and_a_burst_is_a_tenth_of_it() {
        let start = Instant::now();
        let mut bucket = Bucket::new(50, start);
        assert!((50..=55).contains(&calls(&mut bucket, start, Duration::from_secs(1))));
        let later = start + Duration::from_secs(100);
        let ten = calls(&mut bucket, later, Duration::from_secs(10));
        assert!((499..=506).contains(&ten), "{ten}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_halves_once_a_second_and_the_rate_comes_back_slowly() {
        let start = Instant::now();
        let mut bucket = Bucket::new(64, start);
        bucket.throttled(start);
        bucket.throttled(start + Duration::from_millis(1));
        let halved = calls(&mut bucket, start, Duration::from_secs(2));
        assert!((60..=70).contains(&halved), "{halved}");
        let later = start + Duration::from_mins(2);
        let whole = calls(&mut bucket, later, Duration::from_secs(2));
        assert!((126..=136).contains(&whole), "{whole}");
        for second in 0..20 {
            bucket.throttled(later + Duration::from_secs(10 + 2 * second));
        }
        let least = calls(
            &mut bucket,
            later + Duration::from_secs(50),
            Duration::from_secs(4),
        );
        assert!(least >= 2, "it never stops altogether: {least}");
    }
}
