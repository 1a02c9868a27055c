//! One identity and its present credentials, shared by everything that acts as it.
//!
//! The credentials are kept here and not by the SDK, which renews on the path of a request and holds on to what AWS has
//! refused. The first load is on demand; from then on [`Login::keep_fresh`] renews ahead of the end, so that a request
//! waits for a load only after failures. One load at a time, and who came while it ran takes what it found.

mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use futures_util::future::{BoxFuture, join};
use jiff::Timestamp;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use self::state::State;
use super::files;
use crate::clock;
use crate::failure::Failure;

/// Less than one attempt of a call may take: a source that hangs is told apart from AWS not answering.
pub(super) const LOAD_LIMIT: Duration = Duration::from_secs(6);

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Where credentials come from.
pub(super) trait Source: fmt::Debug + Send + Sync {
    /// Ends by `deadline`, or is broken off there. What it waits for gets the same deadline, so that the innermost of
    /// those that are late is the one that says so.
    fn load(&self, deadline: Instant) -> BoxFuture<'_, Result<Credentials, Failure>>;

    fn habits(&self) -> Habits;

    /// It did not answer in time.
    fn late(&self) -> Failure;
}

/// When to load again, but for the end of the credentials.
#[derive(Debug)]
pub(super) struct Habits {
    /// Loaded again after this long where the credentials have no end.
    pub(super) again: Option<Duration>,
    /// What they are read from.
    pub(super) files: Vec<PathBuf>,
    pub(super) on_change: Change,
}

/// What a change of a file is a reason for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Load,
    /// To try again what did not work before it, and else nothing: each load costs a call.
    LoadInTrouble,
}

/// What the SDK is told when there are no credentials.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct LoginFailed(pub(super) Failure);

pub struct Login {
    source: Box<dyn Source>,
    habits: Habits,
    state: Mutex<State>,
    /// Held by whoever loads.
    flight: AsyncMutex<()>,
    /// Wakes the one who renews.
    loaded: Notify,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Login {
    pub(super) fn new(source: Box<dyn Source>) -> Self {
        Self {
            habits: source.habits(),
            source,
            state: Mutex::default(),
            flight: AsyncMutex::default(),
            loaded: Notify::new(),
        }
    }

    pub fn provider(self: &Arc<Self>) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Provider(Arc::clone(self)))
    }

    /// When the present credentials end, where that is known.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let expiry = self.state().present()?.expiry()?;
        Timestamp::try_from(expiry).ok()
    }

    /// AWS refused the present credentials: they are loaded anew, where that was not just tried. True when there are
    /// others than those refused, or were since a moment ago: the caller may have used the ones before.
    pub async fn rejected(&self) -> bool {
        let deadline = Instant::now() + LOAD_LIMIT;
        timeout_at(deadline, self.replace(deadline))
            .await
            .unwrap_or(false)
    }

    /// Renews ahead of the end, and when a file changes. Never returns. Before the first demand nothing is loaded.
    pub async fn keep_fresh(&self) {
        join(self.renew_in_time(), self.watch_files()).await;
    }

    /// The present credentials, loaded if need be.
    pub(super) async fn credentials(&self, deadline: Instant) -> Result<Credentials, Failure> {
        let ended = {
            let state = self.state();
            if let Some(valid) = state.valid(Instant::now()) {
                return Ok(valid);
            }
            state.ended()
        };
        let flight = timeout_at(deadline, self.flight.lock()).await;
        let _flight = flight.map_err(|_| self.source.late())?;
        {
            let state = self.state();
            if let Some(valid) = state.valid(Instant::now()) {
                return Ok(valid);
            }
            // Somebody tried while this one waited.
            if state.ended() != ended
                && let Some(failure) = state.failure()
            {
                return Err(failure);
            }
        }
        self.load(deadline).await
    }

    /// To be called by the holder of `flight`.
    async fn load(&self, deadline: Instant) -> Result<Credentials, Failure> {
        let load = async {
            // Before the load: what changes while it runs is a change.
            let seen = files::look(&self.habits.files).await;
            (seen, self.source.load(deadline).await)
        };
        let (seen, found) = match timeout_at(deadline, load).await {
            Ok((seen, found)) => (Some(seen), found),
            Err(_) => (None, Err(self.source.late())),
        };
        let now = (Instant::now(), clock::now());
        self.state().settle(&found, seen, self.habits.again, now);
        self.loaded.notify_one();
        found
    }

    async fn replace(&self, deadline: Instant) -> bool {
        let Some(refused) = self.state().present() else {
            return false;
        };
        let _flight = self.flight.lock().await;
        let changed = self.files_changed().await;
        {
            let state = self.state();
            if !state.is_present(&refused) {
                return true;
            }
            if let Some(replaced) = state.just_refused(Instant::now())
                && !changed
            {
                return replaced;
            }
        }
        // What is wrong is kept for the next who asks.
        let _ = self.load(deadline).await;
        let mut state = self.state();
        let replaced = !state.is_present(&refused);
        state.refused(replaced, Instant::now());
        replaced
    }

    async fn renew_in_time(&self) {
        loop {
            let due = self.state().due();
            match due {
                None => self.loaded.notified().await,
                Some(at) => tokio::select! {
                    () = self.loaded.notified() => {}
                    () = sleep_until(at) => self.renew(|state| state.due() == Some(at)).await,
                },
            }
        }
    }

    async fn watch_files(&self) {
        if self.habits.files.is_empty() {
            return;
        }
        loop {
            sleep(LOOK).await;
            let wanted = {
                let state = self.state();
                state.ended() > 0 && (self.habits.on_change == Change::Load || state.in_trouble())
            };
            if wanted && self.files_changed().await {
                let ended = self.state().ended();
                self.renew(|state| state.ended() == ended).await;
            }
        }
    }

    async fn files_changed(&self) -> bool {
        if self.habits.files.is_empty() {
            return false;
        }
        let seen = files::look(&self.habits.files).await;
        self.state().saw_others(&seen)
    }

    /// Loads in the background, unless `still` says that somebody else just did. The present credentials stay if it fails.
    async fn renew(&self, still: impl Fn(&State) -> bool) {
        let _flight = self.flight.lock().await;
        let failed_before = {
            let state = self.state();
            if !still(&state) {
                return;
            }
            state.failure().is_some()
        };
        match self.load(Instant::now() + LOAD_LIMIT).await {
            Ok(_) if failed_before => tracing::info!("AWS credentials could be renewed again"),
            Err(failure) if !failed_before => tracing::warn!(
                reason = %failure.reason,
                help = failure.help(),
                "AWS credentials could not be renewed: {}", failure.fact
            ),
            Ok(_) | Err(_) => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Provider(Arc<Login>);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.0.credentials(Instant::now() + LOAD_LIMIT).await;
            credentials.map_err(|failure| CredentialsError::provider_error(LoginFailed(failure)))
        })
    }
}
