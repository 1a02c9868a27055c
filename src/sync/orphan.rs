//! Taking away what no entry writes any more.

use std::sync::Arc;

use super::deliver::{JUDGEMENTS, in_time, overtaken};
use crate::decide::kubernetes::removal::{self, Removal};
use crate::failure::{Failure, Reason};
use crate::kube::Client;
use crate::names::Uid;
use crate::state::{Sameness, SecretPart, State};
use crate::target::file::{LeftFile, Removed as RemovedFile};
use crate::target::kubernetes::removal::{Removed, carry_out, observe};

/// Takes away what is left of that part, as far as it is proven to be ours; the ledger forgets it then.
pub async fn remove(
    part: &SecretPart,
    client: Option<&Client>,
    state: &Arc<State>,
) -> Result<Removed, Failure> {
    in_time(judged(part, client, state)).await
}

/// The same of a file.
pub async fn remove_file(file: &LeftFile, state: &Arc<State>) -> Result<RemovedFile, Failure> {
    let removal = async {
        // Until the removal is known, nobody says that it is configured; then whoever does calls it off.
        let orphaned = state.removals().read().await;
        file.remove(orphaned).await
    };
    in_time(removal).await
}

async fn judged(
    part: &SecretPart,
    client: Option<&Client>,
    state: &Arc<State>,
) -> Result<Removed, Failure> {
    for _ in 0..JUDGEMENTS {
        // From here on until it is away, nobody says that it is configured.
        let _orphaned = state.removals().read().await;
        let Some((record, _)) = state.orphan(part) else {
            if state.secret(part).is_none() {
                // Somebody else who was asked has done it.
                return Ok(Removed::AlreadyGone);
            }
            return Err(Failure::new(
                Reason::Conflict,
                "an entry writes it again, so it is not removed",
            ));
        };
        let removed = if removal::is_never_removed(&record) {
            Removed::Released
        } else {
            let client = client.ok_or_else(|| no_cluster(part))?;
            is_no_other_target(part, &record.uid, state)?;
            let live = observe(client, &part.id).await?;
            let removal: Removal = removal::orphaned(&part.entry, &record, live.as_ref())?;
            carry_out(client, &part.id, removal).await?
        };
        if removed != Removed::Raced {
            forget(state, part.clone(), record.uid).await;
            return Ok(removed);
        }
    }
    Err(overtaken())
}

/// One API server may be configured under two names, as when its old one is kept for the orphans there.
fn is_no_other_target(part: &SecretPart, uid: &Uid, state: &State) -> Result<(), Failure> {
    let Some((other, sameness)) = state.same_secret(part, uid) else {
        return Ok(());
    };
    let (fact, help) = match sameness {
        Sameness::Certain => (
            format!(
                "the target `{other}` of this configuration is that very Secret, so it is not removed"
            ),
            "there is nothing to remove; take the cluster's old name out of the configuration again",
        ),
        Sameness::Possible => (
            format!(
                "the target `{other}` of this configuration may be that very Secret and was not delivered yet, so it is not removed"
            ),
            "ask once more after it was delivered",
        ),
    };
    Err(Failure::new(Reason::Conflict, fact).with_help(help))
}

fn no_cluster(part: &SecretPart) -> Failure {
    let fact = format!(
        "the cluster `{}` is not configured any more",
        part.id.cluster
    );
    Failure::new(Reason::Invalid, fact)
        .with_help("configure it again, without any target, to have the Secret removed")
}

/// What is away is known no more. Where that cannot be written down, the record says nothing of what comes later: that
/// is another life of the Secret.
pub(super) async fn forget(state: &Arc<State>, part: SecretPart, uid: Uid) {
    let ledger = Arc::clone(state);
    let name = part.id.to_string();
    let told = tokio::task::spawn_blocking(move || ledger.forget_secret(part, uid)).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::warn!(
            target.name = name,
            "the ledger could not be told that a Secret is away"
        );
    }
}
