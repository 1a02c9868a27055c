//! When the credentials of stores and clusters end.
//!
//! They are renewed in the background and by files that others write, and nobody hears of that: so they are looked at now
//! and then, which asks nobody for anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::aws::login;
use crate::kube;
use crate::names::{ClusterName, StoreName};
use crate::report::{Fact, Login, Reporter};

/// How often.
const LOOK: Duration = Duration::from_secs(5);

/// Who has credentials.
#[derive(Clone, Debug)]
pub(super) enum Holder {
    Store(StoreName, Arc<login::Login>),
    Cluster(ClusterName, Arc<kube::Client>),
}

/// Those of the present configuration. What is told of them is told under the lock, so that nothing is told of who is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends(Arc<Mutex<Vec<Holder>>>);

impl Holder {
    fn login(&self) -> Login<'_> {
        match self {
            Self::Store(name, _) => Login::Store(name),
            Self::Cluster(name, _) => Login::Cluster(name),
        }
    }

    fn tell(&self, reporter: &Reporter) {
        let at = match self {
            Self::Store(_, login) => login.expires_at(),
            Self::Cluster(_, client) => client.credentials_end(),
        };
        let of = self.login();
        reporter.record(&Fact::CredentialsEnd { of, at });
    }
}

impl Ends {
    /// Of nobody else from now on.
    pub(super) fn follow(&self, holders: Vec<Holder>, reporter: &Reporter) {
        let mut present = self.holders();
        for gone in present.iter().map(Holder::login) {
            if !holders.iter().any(|holder| holder.login() == gone) {
                reporter.record(&Fact::CredentialsEnd { of: gone, at: None });
            }
        }
        *present = holders;
    }

    /// Never returns.
    pub(super) async fn tell_on(self, reporter: Reporter) -> &'static str {
        loop {
            for holder in self.holders().iter() {
                holder.tell(&reporter);
            }
            sleep(LOOK).await;
        }
    }

    fn holders(&self) -> MutexGuard<'_, Vec<Holder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
