//! Builds everything, owns every task, decides the order of stopping.
//!
//! On a stop the scheduler hands out nothing more, what is under way ends within `shutdown_grace`, and the HTTP
//! server goes last, so that the end can be watched.

mod ask;
mod engine;
mod entries;
mod house;
mod raw;
mod reads;
mod reloading;
mod service;
mod times;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::ask::{Ask, Progress, Unknown, Wanted};
pub use self::engine::Pulse;
use self::engine::{Engine, Mode};
use self::house::House;
pub(crate) use self::house::aws;
use self::reloading::{Listening, Reloading};
use crate::aws::Aws;
use crate::config::Config;
use crate::control;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::names::EntryName;
use crate::report::TargetKind;
use crate::server;
use crate::state::{LeftTarget, OpenError, State};
use crate::status::{EntryStatus, Orphan, Status};
use crate::systemd::Notifier;

/// Questions to the engine that wait for their turn; one more asker waits.
const ASKS: usize = 16;

/// How often `once` tells how far it has come.
const TELL_PROGRESS: Duration = Duration::from_millis(100);

const RENEW_AFTER_PANIC: Duration = Duration::from_mins(1);

/// Why the daemon did not start or did not stay.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error("another secretsyncd holds {}\n  help: stop it first, or give this configuration a `state_dir` of its own", .0.display())]
    StateHeld(PathBuf),
    #[error("{fact}\n  help: {help}")]
    CannotStart { fact: String, help: String },
    #[error("a vital task ended: {0}")]
    VitalTask(&'static str),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::CannotStart {
            help: failure.help().to_owned(),
            fact: failure.fact,
        }
    }
}

impl Stopped {
    fn not_opened(error: OpenError, directory: &Path) -> Self {
        match error {
            OpenError::HeldByAnother => Self::StateHeld(directory.to_owned()),
            OpenError::Failed(failure) => failure.into(),
        }
    }
}

/// Runs until SIGTERM or SIGINT. `main` is the file that `config` was read from.
pub async fn run(config: Config, main: PathBuf) -> Result<(), Stopped> {
    let notifier = Arc::new(Notifier::from_process());
    let mut house = House::open(&config)?;
    house::tell_configured(&house.state, &config)?;
    let listener = reloading::listen(config.daemon.listen).await?;
    let group = config.daemon.control_group.as_deref();
    let (control, _place) = control::open(&config.daemon.control_socket, group)?;
    let mut signals = Signals::new()?;
    let (stop, server_stop) = (CancellationToken::new(), CancellationToken::new());
    let (asks, asked) = mpsc::channel(ASKS);
    let (orders, ordered) = mpsc::channel(1);
    let (listening, mut listeners) = mpsc::channel(1);
    let parts = house.parts(&config, Mode::Forever);
    let site = Pages {
        metrics: Arc::clone(&house.metrics),
        pulse: Arc::clone(&parts.pulse),
        asks: asks.clone(),
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), listen = %config.daemon.listen, entries = config.entries.len(),
        "secretsyncd started"
    );
    let grace = config.daemon.shutdown_grace;
    let mut vital = JoinSet::new();
    vital.spawn(keep_fresh(Arc::clone(&house.aws)));
    let pulse = Arc::clone(&parts.pulse);
    vital.spawn(service::tend(Arc::clone(&notifier), Arc::clone(&pulse)));
    let mut engine = Engine::new(parts);
    let engine_stop = stop.clone();
    let engine = vital.spawn(async move {
        engine.run(engine_stop, asked, ordered).await;
        "the scheduler"
    });
    vital.spawn(control::serve(control, asks, server_stop.clone()));
    let mut server = site.serve(&mut vital, listener, &server_stop);
    let hangup = signals.take_hangup()?;
    let reloading = Reloading::new(
        (main, config),
        house,
        (orders, listening),
        (Arc::clone(&notifier), pulse),
    );
    vital.spawn(reloading.run(hangup));
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
    drain(vital, &engine, grace).await;
    server_stop.cancel();
    Ok(())
}

/// A vital task ended; those of a server that was told to are no loss.
fn still_there(ended: Result<&'static str, JoinError>) -> Result<(), Stopped> {
    match ended {
        Ok(ENDED_BY_US) => Ok(()),
        ended => Err(Stopped::VitalTask(ended.unwrap_or("a task panicked"))),
    }
}

/// Waits for what is under way, as long as it may take.
async fn drain(mut vital: JoinSet<&'static str>, engine: &AbortHandle, grace: Duration) {
    let drained = tokio::time::timeout(grace, async {
        while !engine.is_finished() {
            if vital.join_next().await.is_none() {
                break;
            }
        }
    });
    if drained.await.is_err() {
        tracing::warn!(
            "some runs did not end in time and were broken off; what they were to replace is unchanged"
        );
    }
    vital.detach_all();
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

/// Delivers the entries named (all without names) once. Returns how each ended. `progress` hears now and then how far it
/// has come.
pub async fn once(
    config: Config,
    names: &[EntryName],
    mut progress: impl FnMut(Progress),
) -> Result<Vec<EntryStatus>, Stopped> {
    let mut config = config;
    let mut house = House::open(&config)?;
    // Of the whole configuration: what is not named this time is still configured.
    house::tell_configured(&house.state, &config)?;
    if !names.is_empty() {
        config.entries.retain(|name, _| names.contains(name));
    }
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let (_asks, asked) = mpsc::channel(1);
    let (_orders, ordered) = mpsc::channel(1);
    let parts = house.parts(&config, Mode::Once);
    let (pulse, all) = (Arc::clone(&parts.pulse), config.entries.len());
    let mut tell = tokio::time::interval(TELL_PROGRESS);
    let mut engine = Engine::new(parts);
    let grace = config.daemon.shutdown_grace;
    {
        let mut round = std::pin::pin!(engine.run(stop.clone(), asked, ordered));
        loop {
            tokio::select! {
                () = &mut round => break,
                _ = tell.tick() => progress(pulse.progress(all)),
                () = signals.stop() => {
                    stop.cancel();
                    // Whatever does not end in time is left as it was.
                    let _ = tokio::time::timeout(grace, round).await;
                    break;
                }
            }
        }
    }
    let Status { entries, .. } = engine.status();
    Ok(entries)
}

/// Everything that was delivered once and is no longer configured, where no daemon holds the state.
pub fn list_orphans(config: &Config) -> Result<Vec<Orphan>, Stopped> {
    let directory = &config.daemon.state_dir;
    let state = State::open(directory).map_err(|error| Stopped::not_opened(error, directory))?;
    house::tell_configured(&state, config)?;
    Ok(orphans(&state))
}

fn orphans(state: &State) -> Vec<Orphan> {
    let left = state.left_behind().into_iter();
    left.map(|left| {
        let (kind, target) = match left.target {
            LeftTarget::File(path) => (TargetKind::File, path.display().to_string()),
            LeftTarget::Secret(id) => (TargetKind::Kubernetes, id.to_string()),
        };
        Orphan {
            kind,
            target,
            entry: left.entry.to_string(),
            since: Some(left.since),
        }
    })
    .collect()
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
