//! One file: looked at, judged, written or taken away.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Checked, Handled, MayPutBack, no_longer_to_go};
use crate::clock;
use crate::decide::rivals::Rivals;
use crate::decide::{Drift, Effect};
use crate::failure::Failure;
use crate::state::State;
use crate::target::file::{FileTarget, Removed, Rendered};

pub(super) async fn file(
    target: &FileTarget,
    rendered: &Rendered,
    may: MayPutBack,
) -> Result<(Handled, Timestamp), Failure> {
    let seen = target.observe().await?;
    let verdict = target.judge(rendered, &seen)?;
    let rivals = match verdict.effect() {
        Effect::Repaired(Drift::Content) => target.rivals(&seen).await,
        // Who deletes a file, or changes its mode, leaves no trace in it.
        Effect::Repaired(Drift::Missing | Drift::Metadata)
        | Effect::Unchanged
        | Effect::Created
        | Effect::Updated
        | Effect::Deleted
        | Effect::Away => Rivals::default(),
    };
    if may.forbids(verdict.effect()) {
        return Ok((Handled::Withheld(rivals), clock::now()));
    }
    match (
        target.apply(rendered, &seen, verdict).await,
        verdict.effect(),
    ) {
        (Ok(done), _) => Ok((Handled::did(done.effect, rivals), done.at)),
        (Err(failure), Effect::Repaired(_)) if target.was_overtaken(&failure) => {
            Ok((Handled::Overtaken(rivals, failure), clock::now()))
        }
        (Err(failure), _) => Err(failure),
    }
}

/// The same of a file, where it is still the one that we delivered.
pub(super) async fn remove_file(
    target: &FileTarget,
    dismissed: &CancellationToken,
    state: &Arc<State>,
) -> Result<Effect, Failure> {
    // Until the removal is known, nobody says that something else is configured; then whoever does calls it off. A disk
    // that hangs keeps nobody from that.
    let configured = state.removals().read().await;
    if dismissed.is_cancelled() {
        return Err(no_longer_to_go("file"));
    }
    Ok(match target.remove(configured).await? {
        Removed::Deleted => Effect::Deleted,
        Removed::AlreadyGone => Effect::Away,
    })
}

pub(super) async fn check_file(target: &FileTarget, contested: bool) -> Result<Checked, Failure> {
    Ok(match target.drift().await? {
        None => Checked::AsDelivered,
        Some(Drift::Metadata) if contested => Checked::Drifted,
        Some(Drift::Metadata) => Checked::Repaired(target.repair_mode().await?),
        Some(Drift::Missing | Drift::Content) => Checked::Drifted,
    })
}
