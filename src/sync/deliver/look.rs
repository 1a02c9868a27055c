//! A look at targets that hold what was delivered.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;

use super::files::check_file;
use super::secrets::{check_secret, part};
use super::turns::{NoTurn, in_time, turn_soon};
use crate::decide::Effect;
use crate::failure::Failure;
use crate::state::State;
use crate::sync::Entry;
use crate::target::Target;

/// What a look at a target found, without having a value.
#[derive(Debug)]
pub enum Checked {
    AsDelivered,
    /// Put back without needing the value.
    Repaired(Effect),
    /// Somebody wrote it, or may have: a run has to look at the content.
    Drifted,
    /// The cluster had no turn for it yet.
    NotLooked,
    Failed(Failure),
}

/// Looks at targets that hold what was delivered.
pub async fn check(
    entry: &Entry,
    (which, contested): (&[usize], &BTreeSet<usize>),
    state: &Arc<State>,
) -> Vec<(usize, Checked)> {
    let checks = which.iter().map(async |&index| {
        let checked = match &entry.targets[index] {
            Target::File(target) => in_time(check_file(target, contested.contains(&index))).await,
            Target::Kubernetes(secret, id) => {
                let work = check_secret(secret, part(id, entry), state);
                match turn_soon(entry, &entry.targets[index]).await {
                    Err(NoTurn) => Ok(Checked::NotLooked),
                    Ok(Ok(_turn)) => in_time(work).await,
                    Ok(Err(failure)) => Err(failure),
                }
            }
        };
        (index, checked.unwrap_or_else(Checked::Failed))
    });
    join_all(checks).await
}
