//! How long a target is waited for: for its turn, and for its answer.

use std::time::Duration;

use tokio::time::timeout;

use crate::failure::{Failure, Reason};
use crate::kube::Visit;
use crate::names::ClusterName;
use crate::sync::Entry;
use crate::target::Target;

/// How long a target waits for its turn where others of its entry wait for it.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// What one target may take in a run.
const TARGET_LIMIT: Duration = Duration::from_secs(45);

/// Waits for the target's turn, which with many of them takes as long as their cluster's rate says.
pub(in crate::sync) async fn in_turn<T>(
    target: &Target,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let _turn = target.turn().await?;
    in_time(work).await
}

/// The same for what the entry's other targets have to wait for: where a cluster is too busy, this target alone fails.
pub(in crate::sync) async fn in_turn_soon<T>(
    entry: &Entry,
    target: &Target,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Ok(turn) = turn_soon(entry, target).await else {
        return Err(no_turn(target));
    };
    let _turn = turn?;
    in_time(work).await
}

/// It was not a target's turn in time.
pub(super) struct NoTurn;

/// Those of an entry that goes nowhere else have nobody to keep waiting.
pub(super) async fn turn_soon(
    entry: &Entry,
    target: &Target,
) -> Result<Result<Option<Visit>, Failure>, NoTurn> {
    let mut others = entry.targets.iter();
    if others.all(|other| other.cluster() == target.cluster()) {
        return Ok(target.turn().await);
    }
    timeout(TURN_LIMIT, target.turn()).await.map_err(|_| NoTurn)
}

fn no_turn(target: &Target) -> Failure {
    let cluster = target.cluster().map_or("", ClusterName::as_str);
    let seconds = TURN_LIMIT.as_secs();
    let fact = format!("cluster `{cluster}` is busy: it had no turn for this within {seconds} s");
    Failure::new(Reason::Timeout, fact).with_help(
        "find what slows its answers down, as an admission webhook, or raise `requests_per_second` of the cluster",
    )
}

/// Bounds what one target may take, so that it holds up its entry's next run no longer.
pub(in crate::sync) async fn in_time<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(TARGET_LIMIT, work).await.unwrap_or_else(|_| {
        Err(Failure::new(
            Reason::Timeout,
            "the target did not answer within 45 s",
        ))
    })
}
