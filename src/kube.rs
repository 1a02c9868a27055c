//! The few calls of the Kubernetes API that are needed, over plain HTTPS, and what they take to be made.
//!
//! Nothing is ambient: server, certificate authority and credentials are those that the configuration names. This
//! module knows Secrets as the API server shows them; it does not know what an entry is, what is wanted, or why.

mod access;
mod client;
mod error;
mod kubeconfig;
mod secret;
mod session;
mod survey;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

pub use client::{Applied, Apply, Client, Force};
pub use error::{ApplyError, FieldTrouble};
pub use secret::{
    Controller, FieldKind, FieldManager, LiveMetadata, LiveSecret, Manager, Operation,
};
pub use survey::{NamedFile, Survey, SurveyedAccess, survey};
