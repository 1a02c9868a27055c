//! What a restart of a workload takes: the mark on its pods' template, and then the Secrets' records off.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Entry;
use super::deliver::{JUDGEMENTS, in_time, in_turn_soon, overtaken, part};
use crate::config::Workload;
use crate::decide::kubernetes::restart::ChangeId;
use crate::failure::{Failure, Reason};
use crate::kube::{Client, Restarted, Struck, Tenure};
use crate::names::Namespace;
use crate::state::{SecretPart, State};
use crate::target::Target;
use crate::target::kubernetes::KubernetesTarget;

/// Restarts a workload, unless its pods have begun with all these marks.
pub async fn restart(
    client: &Client,
    (namespace, workload): (&Namespace, &Workload),
    marks: &BTreeMap<String, String>,
) -> Result<Restarted, Failure> {
    in_time(client.restart(namespace, workload, marks)).await
}

/// Takes the record of a restart that is done off a Secret. Another change's stays.
pub async fn strike(
    (entry, index): (&Entry, usize),
    change: &ChangeId,
    (state, tenure): (&Arc<State>, &Tenure),
) -> Result<(), Failure> {
    let Some(target @ Target::Kubernetes(secret, id)) = entry.targets.get(index) else {
        return Ok(());
    };
    let secret = secret.under(tenure);
    in_turn_soon(entry, target, off(&secret, part(id, entry), change, state)).await
}

async fn off(
    secret: &KubernetesTarget,
    part: SecretPart,
    change: &ChangeId,
    state: &Arc<State>,
) -> Result<(), Failure> {
    for _ in 0..JUDGEMENTS {
        let states = match secret.strike(change).await? {
            Struck::Raced => continue,
            Struck::NotThere => None,
            Struck::Off { before, after } => Some((before, after)),
        };
        let (state, change) = (Arc::clone(state), change.clone());
        return tokio::task::spawn_blocking(move || state.set_restarted(part, change, states))
            .await
            .unwrap_or_else(|_| Err(Failure::new(Reason::Io, "the ledger could not be written")));
    }
    Err(overtaken())
}
