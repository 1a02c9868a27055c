//! Builds everything, owns every task, decides the order of stopping.
//!
//! On a stop the scheduler hands out nothing more, what is under way ends within `shutdown_grace`, and the HTTP
//! server goes last, so that the end can be watched.

mod ask;
mod configured;
mod delivered;
mod ends;
mod engine;
mod entries;
mod following;
mod house;
mod leading;
mod namespaces;
mod planning;
mod raw;
mod reads;
mod reloading;
mod service;
mod territory;
mod times;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::ask::{Ask, Progress, Prune, Unknown, Wanted};
use self::configured::tell_configured;
pub use self::engine::Pulse;
use self::engine::{Engine, Mode};
use self::house::House;
pub(crate) use self::house::{aws, client};
use self::leading::Leading;
pub use self::planning::{Begun, Beside, Pair, Plan, Planned, Unchosen, compare, plan, taking};
use self::reloading::{Listening, Plans, Reloading};
use self::territory::selected_in;
use crate::aws::Aws;
use crate::config::Config;
use crate::control;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::names::EntryName;
use crate::server;
use crate::state::{Holder, OpenError};
use crate::status::{Adoption, EntryStatus, LeaderStatus, Leftovers, Status};
use crate::systemd::Notifier;

/// Questions to the engine that wait for their turn; one more asker waits.
const ASKS: usize = 16;

/// How often `once` tells how far it has come.
const TELL_PROGRESS: Duration = Duration::from_millis(100);

/// How long `once` waits for namespaces.
const LIST_LIMIT: Duration = Duration::from_secs(30);

const RENEW_AFTER_PANIC: Duration = Duration::from_mins(1);

/// Why the daemon did not start or did not stay.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(
        "another secretsyncd{} holds {}\n  help: stop it first, or give this configuration a `state_dir` of its own",
        .1.map(|it| format!(" ({it})")).unwrap_or_default(), .0.display()
    )]
    StateHeld(PathBuf, Option<Holder>),
    #[error("{fact}\n  help: {help}")]
    CannotStart { fact: String, help: String },
    #[error("a vital task ended: {0}")]
    VitalTask(&'static str),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::CannotStart {
            help: failure.help().to_owned(),
            fact: failure.fact.clone(),
        }
    }
}

impl Stopped {
    fn not_opened(error: OpenError, directory: &Path) -> Self {
        match error {
            OpenError::HeldByAnother(by) => Self::StateHeld(directory.to_owned(), by),
            OpenError::Failed(failure) => failure.into(),
        }
    }
}

/// Runs until SIGTERM or SIGINT. `main` is the file that `config` was read from.
pub async fn run(config: Config, main: PathBuf) -> Result<(), Stopped> {
    let notifier = Arc::new(Notifier::from_process());
    let (mut house, leading) = House::open(&config)?;
    tell_configured(&house.state, &config, &house.territory)?;
    let listener = reloading::listen(config.daemon.listen).await?;
    let group = config.daemon.control_group.as_deref();
    let (control, _place) = control::open(&config.daemon.control_socket, group)?;
    let mut signals = Signals::new()?;
    let (stop, server_stop) = (CancellationToken::new(), CancellationToken::new());
    let (asks, asked) = mpsc::channel(ASKS);
    let (orders, ordered) = mpsc::channel(1);
    let (listening, mut listeners) = mpsc::channel(1);
    let leading = begun(leading).await;
    let parts = house.parts(&config, Mode::Forever);
    let site = Pages {
        metrics: Arc::clone(&house.metrics),
        pulse: Arc::clone(&parts.pulse),
        asks: asks.clone(),
    };
    tell_started(&config);
    // Before the engine looks at any file: from then on all that happens is told.
    let delivered = delivered::begin(House::delivered(&config)).await;
    let grace = config.daemon.shutdown_grace;
    let mut vital = JoinSet::new();
    tend_house(&mut vital, &house, &config);
    let pulse = Arc::clone(&parts.pulse);
    vital.spawn(service::tend(Arc::clone(&notifier), Arc::clone(&pulse)));
    let leads = leading.map(|leading| Leads::spawn(&mut vital, leading));
    let mut engine = Engine::new(parts);
    let engine_stop = stop.clone();
    let engine = vital.spawn(async move {
        engine.run(engine_stop, asked, ordered).await;
        "the scheduler"
    });
    vital.spawn(control::serve(control, asks, server_stop.clone()));
    let mut server = site.serve(&mut vital, listener, &server_stop);
    let plans = Plans::begin(&mut vital, (house.plan(&config), delivered), &orders);
    let reloading = Reloading::new(
        (main, config),
        house,
        (orders, listening, plans),
        (Arc::clone(&notifier), pulse),
    );
    vital.spawn(reloading.run(signals.take_hangup()?));
    loop {
        tokio::select! {
            () = signals.stop() => break,
            Some(listener) = listeners.recv() => {
                // Its task ends by itself; the new one answers already.
                server.cancel();
                server = site.serve(&mut vital, listener, &server_stop);
            }
            Some(ended) = vital.join_next() => still_there(ended)?,
        }
    }
    notifier.stopping();
    tracing::info!("stopping: runs under way may end within {grace:?}");
    stop.cancel();
    wind_up(vital, (&engine, leads), grace).await;
    server_stop.cancel();
    Ok(())
}

fn tend_house(vital: &mut JoinSet<&'static str>, house: &House, config: &Config) {
    vital.spawn(keep_fresh(Arc::clone(&house.aws)));
    vital.spawn(house.ends.clone().tell_on(house.reporter.clone()));
    let directory = config.daemon.state_dir.clone();
    vital.spawn(upkeep::watch(Arc::clone(&house.state), directory));
}

fn tell_started(config: &Config) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), listen = %config.daemon.listen, entries = config.entries.len(),
        "secretsyncd started"
    );
}

async fn begun(leading: Option<Leading>) -> Option<Leading> {
    let mut leading = leading?;
    leading.begin().await;
    Some(leading)
}

/// The runs end first, then the lease. Where some were broken off, what they sent may still arrive: then only the lease's
/// own end is the end of that.
async fn wind_up(
    mut vital: JoinSet<&'static str>,
    (engine, leads): (&AbortHandle, Option<Leads>),
    grace: Duration,
) {
    if drain(&mut vital, engine, grace).await
        && let Some(leads) = leads
    {
        leads.end(&mut vital).await;
    }
    vital.detach_all();
}

/// Whatever takes part in choosing a leader.
struct Leads {
    task: AbortHandle,
    resign: CancellationToken,
}

impl Leads {
    fn spawn(tasks: &mut JoinSet<&'static str>, leading: Leading) -> Self {
        let resign = CancellationToken::new();
        let task = tasks.spawn(leading.run(resign.clone()));
        Self { task, resign }
    }

    /// Gives the Lease back, and waits for that.
    async fn end(self, tasks: &mut JoinSet<&'static str>) {
        self.resign.cancel();
        while !self.task.is_finished() && tasks.join_next().await.is_some() {}
    }
}

/// A vital task ended; those of a server that was told to are no loss.
fn still_there(ended: Result<&'static str, JoinError>) -> Result<(), Stopped> {
    match ended {
        Ok(ENDED_BY_US) => Ok(()),
        ended => Err(Stopped::VitalTask(ended.unwrap_or("a task panicked"))),
    }
}

/// Waits for what is under way, as long as it may take. False where it was broken off.
async fn drain(vital: &mut JoinSet<&'static str>, engine: &AbortHandle, grace: Duration) -> bool {
    let drained = tokio::time::timeout(grace, async {
        while !engine.is_finished() {
            if vital.join_next().await.is_none() {
                break;
            }
        }
    });
    let ended = drained.await.is_ok();
    if !ended {
        tracing::warn!(
            "some runs did not end in time and were broken off; what they were to replace is unchanged"
        );
    }
    ended
}

/// What a server task returns that was told to end.
const ENDED_BY_US: &str = server::NAME;

/// What every server of one process shows.
struct Pages {
    metrics: Arc<Metrics>,
    pulse: Arc<Pulse>,
    asks: mpsc::Sender<Ask>,
}

impl Pages {
    /// Begins to serve; the answer ends it.
    fn serve(
        &self,
        vital: &mut JoinSet<&'static str>,
        listener: Listening,
        stop: &CancellationToken,
    ) -> CancellationToken {
        let stop = stop.child_token();
        let site = server::Site {
            metrics: Arc::clone(&self.metrics),
            pulse: Arc::clone(&self.pulse),
            asks: self.asks.clone(),
            listen: listener.address,
        };
        vital.spawn(server::serve(listener.listener, site, stop.clone()));
        stop
    }
}

/// How everything ended that was done once.
#[derive(Debug)]
pub struct Done {
    pub entries: Vec<EntryStatus>,
    /// Absent where no Lease is configured.
    pub leader: Option<LeaderStatus>,
}

/// Delivers the entries named (all without names) once. Returns how each ended. `progress` hears now and then how far it
/// has come.
pub async fn once(
    config: Config,
    names: &[EntryName],
    mut progress: impl FnMut(Progress),
) -> Result<Done, Stopped> {
    let mut config = config;
    let (mut house, leading) = House::open(&config)?;
    // Of the whole configuration: what is not named this time is still configured.
    tell_configured(&house.state, &config, &house.territory)?;
    if list_namespaces(&mut house, &config, names).await {
        tell_configured(&house.state, &config, &house.territory)?;
    }
    if !names.is_empty() {
        config.entries.retain(|name, _| names.contains(name));
    }
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let leads = match leading {
        Some(leading) => Some(settled(leading, &mut tasks).await),
        None => None,
    };
    let (_asks, asked) = mpsc::channel(1);
    let (_orders, ordered) = mpsc::channel(1);
    let parts = house.parts(&config, Mode::Once);
    let (pulse, all) = (Arc::clone(&parts.pulse), config.entries.len());
    let mut tell = tokio::time::interval(TELL_PROGRESS);
    let mut engine = Engine::new(parts);
    let grace = config.daemon.shutdown_grace;
    let mut ended = true;
    {
        let mut round = std::pin::pin!(engine.run(stop.clone(), asked, ordered));
        loop {
            tokio::select! {
                () = &mut round => break,
                _ = tell.tick() => progress(pulse.progress(all)),
                () = signals.stop() => {
                    stop.cancel();
                    // Whatever does not end in time is left as it was.
                    ended = tokio::time::timeout(grace, round).await.is_ok();
                    break;
                }
            }
        }
    }
    let Status {
        entries, leader, ..
    } = engine.status();
    if ended && let Some(leads) = leads {
        leads.end(&mut tasks).await;
    }
    Ok(Done { entries, leader })
}

/// Asks the clusters in which these entries (all without names) select for their namespaces. True where there are any.
async fn list_namespaces(house: &mut House, config: &Config, names: &[EntryName]) -> bool {
    house.renew_clusters(config);
    let wanted = config.entries.iter();
    let wanted = wanted.filter(|(name, _)| names.is_empty() || names.contains(name));
    let selected = selected_in(wanted.map(|(_, entry)| entry));
    let mut clients = house.followed(config);
    clients.retain(|name, _| selected.contains(name));
    if clients.is_empty() {
        return false;
    }
    for (cluster, known) in namespaces::list(clients, LIST_LIMIT).await {
        house.territory.learn(cluster, known);
    }
    true
}

/// What is left behind and held, and what is made of it, where no daemon holds the state.
pub async fn prune(config: &Config, what: Prune) -> Result<Leftovers, Stopped> {
    let (mut house, leading) = House::open(config)?;
    tell_configured(&house.state, config, &house.territory)?;
    let mut tasks = JoinSet::new();
    let leads = match leading {
        Some(leading) if what != Prune::List => Some(settled(leading, &mut tasks).await),
        Some(_) | None => None,
    };
    let mut engine = Engine::new(house.parts(config, Mode::Once));
    let leftovers = engine.prune_alone(what).await;
    // Nothing is under way any more.
    if let Some(leads) = leads {
        leads.end(&mut tasks).await;
    }
    leftovers.ok_or(Stopped::VitalTask("the removal"))
}

/// Takes over what others wrote at the targets that go by these names, where no daemon holds the state.
pub async fn adopt(config: &Config, names: Vec<String>) -> Result<Adoption, Stopped> {
    let (mut house, _) = House::open(config)?;
    tell_configured(&house.state, config, &house.territory)?;
    let mut engine = Engine::new(house.parts(config, Mode::Once));
    let adoption = engine.adopt_alone(names).await;
    adoption.ok_or(Stopped::VitalTask("the adoption"))
}

/// Once it is known who leads, or that it cannot be known now.
async fn settled(mut leading: Leading, tasks: &mut JoinSet<&'static str>) -> Leads {
    leading.settle().await;
    Leads::spawn(tasks, leading)
}

/// Renews credentials ahead of their end. What panics there is not vital: reads load what they need themselves.
async fn keep_fresh(aws: Arc<Aws>) -> &'static str {
    let mut renewal = JoinSet::new();
    loop {
        let aws = Arc::clone(&aws);
        renewal.spawn(async move { aws.keep_fresh().await });
        if let Some(Err(_)) = renewal.join_next().await {
            tracing::error!("the renewal of credentials panicked; it begins again in a minute");
        }
        tokio::time::sleep(RENEW_AFTER_PANIC).await;
    }
}

/// SIGTERM, SIGINT and SIGHUP.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// SIGHUP's default is to kill, so it is always received.
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> Result<Self, Stopped> {
        Ok(Self {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
            hangup: Some(open(SignalKind::hangup())?),
        })
    }

    /// For whoever does something about it.
    fn take_hangup(&mut self) -> Result<Signal, Stopped> {
        self.hangup
            .take()
            .map_or_else(|| open(SignalKind::hangup()), Ok)
    }

    /// Waits for a wish to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn open(kind: SignalKind) -> Result<Signal, Stopped> {
    signal(kind).map_err(|_| Stopped::CannotStart {
        fact: "signals cannot be received".to_owned(),
        help: "check the process's limits".to_owned(),
    })
}
