//! Who leads, where several machines share one configuration.

use std::time::Duration;

use crate::names::{Candidate, ClusterName, Namespace, ObjectName};

/// The Lease that decides who writes to Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    pub cluster: ClusterName,
    pub namespace: Namespace,
    pub name: ObjectName,
    /// What this machine is called in it. Absent: by the host's name and what its state is known by.
    pub identity: Option<Candidate>,
    pub timing: LeaderTiming,
}

/// Times of a Lease, in an order in which they can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderTiming {
    lease_seconds: u32,
    renew_deadline: Duration,
    retry_period: Duration,
}

impl LeaderTiming {
    /// Those of Kubernetes' own components.
    pub const DEFAULT: Self = Self {
        lease_seconds: 15,
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    };

    /// What is wrong with them is said in a sentence.
    pub fn new(
        lease_duration: Duration,
        renew_deadline: Duration,
        retry_period: Duration,
    ) -> Result<Self, &'static str> {
        if lease_duration.subsec_nanos() != 0 || !(2..=3600).contains(&lease_duration.as_secs()) {
            return Err("`lease_duration` must be whole seconds, 2 s to 1 h");
        }
        if retry_period < Duration::from_millis(100) {
            return Err("`retry_period` must be at least 100 ms");
        }
        // A renewal that fails once must be tried again in time.
        if renew_deadline < retry_period * 2 {
            return Err("`renew_deadline` must be at least twice `retry_period`");
        }
        // What is left between them is the time that a write under way has to arrive, and clocks may differ in speed.
        if renew_deadline + lease_duration / 5 > lease_duration {
            return Err("`renew_deadline` must be at most four fifths of `lease_duration`");
        }
        Ok(Self {
            lease_seconds: u32::try_from(lease_duration.as_secs()).unwrap_or(u32::MAX),
            renew_deadline,
            retry_period,
        })
    }

    /// How long nobody else may take a lease that was renewed.
    pub fn lease_seconds(&self) -> u32 {
        self.lease_seconds
    }

    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.into())
    }

    /// How long whoever renewed it may write after that.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// How often it is looked at and renewed.
    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// What one request about it may take.
    pub fn attempt(&self) -> Duration {
        self.renew_deadline / 2
    }
}
