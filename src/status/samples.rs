//! Entries and targets of which nothing more is said, for tests to add what they are about.

use super::{EntryStatus, TargetStatus};
use crate::report::{Condition, TargetKind};

pub(crate) fn entry(name: &str, state: Condition) -> EntryStatus {
    EntryStatus {
        name: name.to_owned(),
        store: "prod".to_owned(),
        state,
        refresh_interval_seconds: 3600,
        version_created: None,
        undelivered_version_created: None,
        last_success: None,
        next_sync: None,
        error: None,
        waits: false,
        targets: Vec::new(),
    }
}

pub(crate) fn target(name: &str, state: Condition) -> TargetStatus {
    TargetStatus {
        kind: TargetKind::File,
        target: name.to_owned(),
        state,
        removed_since: None,
        waits: false,
        action: None,
        error: None,
    }
}
