//! Takes the Lease, keeps it and gives it back, and says who writes to Kubernetes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::engine::LED;
use super::entries::Streak;
use crate::clock;
use crate::config::Leader;
use crate::failure::{Failure, Reason};
use crate::kube::{Client, Lease, LeaseError, Tenure, Term};
use crate::leader::{Bar, Candidate, Moment, Seen, Since, Standing};
use crate::logging::AUDIT;
use crate::names::{Candidate as Name, Instance};
use crate::report::{Fact, Reporter};
use crate::secret::FingerprintKey;
use crate::state::State;
use crate::status::{LeaderStatus, Trouble};

/// The longest a start waits for the Lease before it goes on as the standby.
const FIRST_ROUND: Duration = Duration::from_secs(2);

/// What giving it back may take.
const RELEASE: Duration = Duration::from_secs(3);

/// What candidates wait beside the period between two looks, at most, as part of it: they do not all come at once.
const JITTER: f64 = 0.2;

/// Who writes Kubernetes targets.
#[derive(Clone, Debug)]
pub(super) enum Office {
    /// This machine, for as long as the tenure lasts.
    Ours {
        tenure: Tenure,
        since: Since,
        /// What is to be remembered once everything is done that follows from `since`; absent without a Lease.
        term: Option<u32>,
    },
    Anothers,
}

/// What the engine knows of it.
#[derive(Clone, Debug)]
pub(super) struct Lead {
    pub office: watch::Receiver<Office>,
    /// For whoever is asked; absent where no Lease is configured.
    pub shown: Arc<Mutex<Option<LeaderStatus>>>,
}

/// Without a Lease.
impl Default for Lead {
    fn default() -> Self {
        let office = Office::Ours {
            tenure: Tenure::always(),
            since: Since::NobodyElse,
            term: None,
        };
        Self {
            office: watch::channel(office).1,
            shown: Arc::default(),
        }
    }
}

/// The one that takes part.
pub(super) struct Leading {
    lease: Leader,
    instance: Instance,
    client: Client,
    candidate: Candidate,
    /// As it was last read or written.
    seen: Option<Lease>,
    office: watch::Sender<Office>,
    term: Option<Term>,
    trouble: Option<Streak>,
    lead: Lead,
    state: Arc<State>,
    reporter: Reporter,
}

impl Leading {
    /// The client is one of its own: renewals wait for nobody else's requests.
    pub(super) fn new(
        lease: Leader,
        (instance, client): (Instance, Client),
        state: Arc<State>,
        reporter: Reporter,
    ) -> Self {
        let name = lease
            .identity
            .clone()
            .unwrap_or_else(|| usual_name(state.fingerprint_key()));
        let settled = state.remembered_meta(LED);
        let settled = settled.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let (office, receiver) = watch::channel(Office::Anothers);
        let mut leading = Self {
            candidate: Candidate::new(name, instance.clone(), lease.timing, settled),
            seen: None,
            lease,
            instance,
            client,
            office,
            term: None,
            trouble: None,
            lead: Lead {
                office: receiver,
                shown: Arc::default(),
            },
            state,
            reporter,
        };
        leading.reporter.record(&Fact::Leads(false));
        leading.show(None);
        leading
    }

    pub(super) fn lead(&self) -> Lead {
        self.lead.clone()
    }

    /// Before anything begins: who led before a restart goes on. Where that is not known soon, it stands by.
    pub(super) async fn begin(&mut self) {
        if timeout(FIRST_ROUND, self.round()).await.is_err() {
            self.follow().await;
        }
    }

    /// Until it is known who leads, or that it cannot be known now.
    pub(super) async fn settle(&mut self) {
        let timing = self.lease.timing;
        let begun = clock::since_boot();
        let mut first = None;
        loop {
            self.round().await;
            let waited = clock::since_boot().saturating_sub(begun);
            let given_up = match self.candidate.standing(clock::since_boot()) {
                Standing::Leads { .. } => self.term.is_some(),
                Standing::Barred(_) => true,
                Standing::StandsBy { .. } => {
                    let seen = first.as_ref();
                    seen.is_some() && self.candidate.is_another_alive(seen)
                }
            };
            let unreachable = self.trouble.is_some() && waited >= timing.renew_deadline();
            if given_up || unreachable || waited >= timing.lease_duration() * 2 {
                return;
            }
            if first.is_none() {
                first = self.candidate.record().cloned();
            }
            sleep(timing.retry_period()).await;
        }
    }

    /// Until `resign`; then it gives the Lease back. Returns its name.
    pub(super) async fn run(mut self, resign: CancellationToken) -> &'static str {
        loop {
            tokio::select! {
                () = resign.cancelled() => break,
                () = sleep(self.pause()) => {}
            }
            self.follow().await;
            self.round().await;
        }
        if timeout(RELEASE, self.release()).await.is_err() {
            tracing::warn!(
                "the Lease was not given back in time: another machine takes it when it is over"
            );
        }
        "leader election"
    }

    /// Until the next round, or the end of the term.
    fn pause(&mut self) -> Duration {
        let period = self.lease.timing.retry_period();
        let now = clock::since_boot();
        match self.candidate.standing(now) {
            Standing::Leads { until } => period.min(until.saturating_sub(now)),
            Standing::StandsBy { .. } | Standing::Barred(_) => {
                period.mul_f64(JITTER.mul_add(fastrand::f64(), 1.0))
            }
        }
    }

    async fn round(&mut self) {
        let limit = self.lease.timing.attempt();
        let ended = timeout(limit, self.exchange()).await;
        let result = ended.unwrap_or_else(|_| {
            let fact = format!(
                "the Lease `{}` was not answered for in time",
                place(&self.lease)
            );
            Err(Failure::new(Reason::Timeout, fact))
        });
        let trouble = match result {
            Ok(()) => self.bar(),
            Err(failure) => Some(failure),
        };
        self.note(trouble);
        self.follow().await;
    }

    /// A look where it takes one, and a write where there is one to make; both once more after somebody else's.
    async fn exchange(&mut self) -> Result<(), Failure> {
        let place = (self.lease.namespace.clone(), self.lease.name.clone());
        let (namespace, name) = (&place.0, &place.1);
        for _ in 0..2 {
            if self.candidate.has_to_look() {
                let lease = self.client.get_lease(namespace, name).await?;
                self.saw(lease);
            }
            let now = Moment {
                since_boot: clock::since_boot(),
                wall: clock::now(),
            };
            let Some(record) = self.candidate.wish(now) else {
                return Ok(());
            };
            let (place, instance) = ((namespace, name), self.instance.as_str());
            let written = match &self.seen {
                None => self.client.create_lease(place, instance, &record).await,
                Some(before) => {
                    let client = &self.client;
                    client.replace_lease(place, before, instance, &record).await
                }
            };
            match written {
                Ok(lease) => {
                    self.saw(Some(lease));
                    return Ok(());
                }
                Err(LeaseError::Raced) => self.candidate.raced(),
                Err(LeaseError::Failed(failure)) => return Err(failure),
            }
        }
        Ok(())
    }

    fn saw(&mut self, lease: Option<Lease>) {
        let seen = lease.as_ref().map(Seen::from);
        self.seen = lease;
        self.candidate.saw(seen, clock::since_boot());
    }

    /// Says what has changed for whoever writes.
    async fn follow(&mut self) {
        let standing = self.candidate.standing(clock::since_boot());
        let holder = match standing {
            Standing::Leads { until } => {
                match &self.term {
                    Some(term) => term.extend(until),
                    None => self.take_over(until).await,
                }
                Some(self.candidate.name().clone())
            }
            Standing::StandsBy { holder } => {
                self.step_down(holder.as_ref());
                holder
            }
            Standing::Barred(_) => {
                self.step_down(None);
                None
            }
        };
        self.show(holder);
    }

    /// What this machine knows of Secrets is doubted before it writes any of them.
    async fn take_over(&mut self, until: Duration) {
        let since = self.candidate.began();
        if since == Since::Others {
            let state = Arc::clone(&self.state);
            let doubted = spawn_blocking(move || state.doubt_secrets()).await;
            let broken = || Failure::new(Reason::Io, "the ledger could not be written");
            if let Err(failure) = doubted.unwrap_or_else(|_| Err(broken())) {
                self.note(Some(failure));
                return;
            }
        }
        let lasts = Term::begin(until);
        let tenure = lasts.tenure();
        self.term = Some(lasts);
        let term = Some(self.candidate.settle());
        self.office.send_replace(Office::Ours {
            tenure,
            since,
            term,
        });
        self.reporter.record(&Fact::Leads(true));
        let lease = place(&self.lease);
        tracing::info!(target: AUDIT, lease, identity = %self.candidate.name(), "this machine leads: it writes to Kubernetes");
    }

    fn step_down(&mut self, holder: Option<&Name>) {
        let Some(term) = self.term.take() else {
            return;
        };
        drop(term);
        self.office.send_replace(Office::Anothers);
        self.reporter.record(&Fact::Leads(false));
        let holder = holder.map(tracing::field::display);
        let lease = place(&self.lease);
        tracing::warn!(
            target: AUDIT, lease, identity = %self.candidate.name(), holder,
            "this machine leads no more: it writes nothing to Kubernetes"
        );
    }

    fn bar(&mut self) -> Option<Failure> {
        let Standing::Barred(bar) = self.candidate.standing(clock::since_boot()) else {
            return None;
        };
        let lease = place(&self.lease);
        let fact = match bar {
            Bar::Instance(Some(instance)) => {
                format!("the Lease `{lease}` belongs to secretsyncd's instance `{instance}`")
            }
            Bar::Instance(None) => {
                format!("the Lease `{lease}` belongs to another instance of secretsyncd")
            }
            Bar::Stranger => format!("somebody holds the Lease `{lease}` who is no secretsyncd"),
        };
        let help = "give `daemon.leader` a Lease of its own for each `daemon.instance`; delete the Lease where it is a leftover";
        Some(Failure::new(Reason::Conflict, fact).with_help(help))
    }

    fn note(&mut self, trouble: Option<Failure>) {
        let Some(failure) = trouble else {
            if self.trouble.take().is_some() {
                tracing::info!(
                    lease = place(&self.lease),
                    "the Lease is within reach again"
                );
            }
            return;
        };
        let streak = Streak::next(self.trouble.as_ref(), failure);
        if streak.loud {
            let failure = &streak.failure;
            tracing::warn!(
                lease = place(&self.lease), reason = %failure.reason, failures = streak.count,
                help = failure.help(), "{failure}"
            );
        }
        self.trouble = Some(streak);
    }

    fn show(&mut self, holder: Option<Name>) {
        let failure = self.trouble.as_ref().map(|streak| &streak.failure);
        let status = LeaderStatus {
            leads: self.term.is_some(),
            identity: self.candidate.name().to_string(),
            lease: place(&self.lease),
            holder: holder.map(|holder| holder.to_string()),
            error: failure.map(Trouble::from),
        };
        let mut shown = self
            .lead
            .shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *shown = Some(status);
    }

    /// Only once the last write has ended.
    async fn release(&mut self) {
        let place = (self.lease.namespace.clone(), self.lease.name.clone());
        // A renewal of which nobody knows the end may be in it by now.
        if self.candidate.has_to_look()
            && let Ok(lease) = self.client.get_lease(&place.0, &place.1).await
        {
            self.saw(lease);
        }
        self.step_down(None);
        let record = self.candidate.release(clock::now());
        let (Some(record), Some(before)) = (record, &self.seen) else {
            return;
        };
        let instance = self.instance.as_str();
        let place = (&place.0, &place.1);
        let released = self
            .client
            .replace_lease(place, before, instance, &record)
            .await;
        match released {
            Ok(_) => tracing::info!("the Lease was given back"),
            Err(LeaseError::Raced) => {}
            Err(LeaseError::Failed(failure)) => {
                tracing::warn!(reason = %failure.reason, "the Lease was not given back: {failure}");
            }
        }
    }
}

fn place(lease: &Leader) -> String {
    format!("{}/{}/{}", lease.cluster, lease.namespace, lease.name)
}

/// The host's name, and what only this `state_dir` has: two daemons on one host differ, and a restart changes nothing.
fn usual_name(key: &FingerprintKey) -> Name {
    let system = rustix::system::uname();
    let host: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c))
        .take(100)
        .collect();
    let mark = key.of([b"leader election: identity".as_slice()]);
    let [a, b, c, d, ..] = *mark.as_bytes();
    let name = format!("{host}_{a:02x}{b:02x}{c:02x}{d:02x}");
    Name::new(name)
        .expect("a filtered host name of at most 100 characters and eight digits are one")
}
