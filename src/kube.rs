//! The few calls of the Kubernetes API that are needed, over plain HTTPS, and what they take to be made.
//!
//! Nothing is ambient: server, certificate authority and credentials are those that the configuration names. This
//! module knows Secrets as the API server shows them; it does not know what an entry is, what is wanted, or why.

mod access;
mod client;
mod create;
mod delete;
mod ending;
mod error;
mod exec;
mod external_secret;
mod gate;
mod kubeconfig;
mod lease;
mod ownership;
mod pauses;
mod place;
mod population;
mod record;
mod rehearse;
mod review;
mod secret;
mod session;
mod survey;
mod takeover;
mod tenure;
#[cfg(test)]
pub(crate) mod tests;
mod ticket;
mod ties;
mod traffic;
mod watch;
mod way;
mod wire;
mod workload;

pub use client::{Applied, Apply, Client, Force, Run};
pub use create::Create;
pub use delete::Deleted;
pub use error::{ApplyError, FieldTrouble};
pub use external_secret::{ExternalSecret, SPEC_BEFORE, Tracker, Ways};
pub use lease::{Lease, LeaseError, LeaseRecord};
pub use ownership::Ownership;
pub use pauses::{Paused, Pauses};
pub use place::{ExternalSecretApi, Resource};
pub use population::{Owned, Scale};
pub use record::{Record, Struck};
pub use rehearse::Rehearsed;
pub use review::Access;
pub use secret::{
    Controller, FieldKind, FieldManager, LiveMetadata, LiveSecret, Manager, Operation,
};
pub use survey::{NamedFile, PLUGIN, Survey, SurveyedAccess, survey};
pub use takeover::Metadata;
pub use tenure::{Tenure, Term};
pub use ties::{Owner, Ties};
pub use traffic::Visit;
pub use watch::{Collection, Event, Object};
pub use workload::Restarted;
