//! Taking away what was delivered to a Secret, with a target that is configured or without one.
//!
//! Carries out what [`decide::kubernetes::removal`](crate::decide::kubernetes::removal) says, on the very state that was
//! judged.

use serde_json::json;
use zeroize::Zeroizing;

use crate::decide::kubernetes::removal::{Condemned, Removal};
use crate::failure::{Failure, Reason};
use crate::kube::{Apply, ApplyError, Client, Deleted, FieldManager, Force, LiveSecret, Run};
use crate::state::SecretId;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It was not there any more.
    AlreadyGone,
    Released,
    Deleted,
    GivenBack,
    /// Somebody wrote in between: observe and judge again.
    Raced,
}

/// What the Secret is.
pub async fn observe(client: &Client, id: &SecretId) -> Result<Option<LiveSecret>, Failure> {
    client.get_secret(&id.namespace, &id.name).await
}

pub async fn carry_out(
    client: &Client,
    id: &SecretId,
    removal: Removal,
) -> Result<Removed, Failure> {
    match removal {
        Removal::Gone => Ok(Removed::AlreadyGone),
        Removal::Release => Ok(Removed::Released),
        Removal::Delete(Condemned {
            uid,
            resource_version,
        }) => {
            let at = (&uid, &resource_version);
            match client.delete_secret(&id.namespace, &id.name, at).await? {
                Deleted::Gone => Ok(Removed::Deleted),
                Deleted::Raced => Ok(Removed::Raced),
                Deleted::Marked => Err(Failure::new(
                    Reason::TargetMissing,
                    "the Secret is marked for deletion, and a finalizer holds it",
                )
                .with_help(
                    "see `metadata.finalizers` of the Secret; it goes by itself once they are done",
                )),
            }
        }
        Removal::GiveBack(at, manager) => give_back(client, id, (at, manager)).await,
    }
}

/// An empty apply takes away what that manager alone holds and leaves all that others hold too.
async fn give_back(
    client: &Client,
    id: &SecretId,
    (at, manager): (Condemned, FieldManager),
) -> Result<Removed, Failure> {
    let body = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "namespace": id.namespace.as_str(), "name": id.name.as_str(),
            "uid": at.uid.as_str(), "resourceVersion": at.resource_version.as_str(),
        },
    });
    let apply = Apply {
        manager,
        force: Force::No,
        run: Run::Real,
        body: Zeroizing::new(body.to_string().into_bytes()),
    };
    match client.apply_secret(&id.namespace, &id.name, apply).await {
        Ok(_) => Ok(Removed::GivenBack),
        Err(ApplyError::Raced) => Ok(Removed::Raced),
        Err(ApplyError::Failed(failure)) => Err(failure),
        Err(ApplyError::Fields(..)) => Err(Failure::new(
            Reason::Conflict,
            "the Secret does not let our keys go",
        )
        .with_help("look at what the API server says of the Secret; take our keys out by hand")),
    }
}
