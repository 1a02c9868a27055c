//! Another configuration, or another key, on SIGHUP and when a file changes. What is broken changes nothing.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::{RwLockWriteGuard, mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};

use super::Pulse;
use super::configured::{self, Configured, tell_configured};
use super::delivered;
use super::engine::{Order, Renewed};
use super::following::{self, Plan};
use super::house::House;
use super::namespaces::{Following, News};
use crate::cli::call;
use crate::clock;
use crate::config::{self, Config, Diagnostics, Severity, Surroundings};
use crate::failure::{Failure, Reason};
use crate::reload::{self, Vanished};
use crate::report::Fact;
use crate::state::{Grounds, State};
use crate::status::ReloadStatus;
use crate::systemd::Notifier;
use crate::watch::{self, Watched};

/// What a disk that answers takes at most.
const HEALTHY: Duration = Duration::from_secs(1);

/// An address that answers.
#[derive(Debug)]
pub(super) struct Listening {
    pub listener: TcpListener,
    pub address: SocketAddr,
}

pub(super) async fn listen(address: SocketAddr) -> Result<Listening, Failure> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let fact = format!("cannot listen on {address}: {}", error.kind());
        Failure::new(Reason::Io, fact)
            .with_help("choose another `listen` in [daemon], or stop what uses it")
    })?;
    Ok(Listening { listener, address })
}

/// Why nothing was changed.
#[derive(Debug)]
enum Refused {
    Broken(Diagnostics),
    Vanished(Vanished),
    Failed(Failure),
    /// The daemon is stopping.
    Late,
}

/// What is watched of the targets, as the configuration has them.
pub(super) struct Plans {
    secrets: tokio::sync::watch::Sender<Plan>,
    files: tokio::sync::watch::Sender<delivered::Plan>,
}

impl Plans {
    /// Watches by these, and by those that are sent.
    pub(super) fn begin(
        vital: &mut JoinSet<&'static str>,
        (secrets, files): (Plan, delivered::Begun),
        orders: &mpsc::Sender<Order>,
    ) -> Self {
        Self {
            secrets: following::begin(vital, secrets, orders),
            files: files.tell(vital, orders),
        }
    }
}

pub(super) struct Reloading {
    main: PathBuf,
    current: Config,
    /// What was read last, when that was taken.
    taken: Option<Digest>,
    house: House,
    orders: mpsc::Sender<Order>,
    listening: mpsc::Sender<Listening>,
    plans: Plans,
    notifier: Arc<Notifier>,
    pulse: Arc<Pulse>,
}

impl Reloading {
    pub(super) fn new(
        (main, current): (PathBuf, Config),
        house: House,
        (orders, listening, plans): (mpsc::Sender<Order>, mpsc::Sender<Listening>, Plans),
        (notifier, pulse): (Arc<Notifier>, Arc<Pulse>),
    ) -> Self {
        Self {
            main,
            taken: Some(Digest::of(&current)),
            current,
            house,
            orders,
            listening,
            plans,
            notifier,
            pulse,
        }
    }

    /// Never returns while the engine takes orders.
    pub(super) async fn run(mut self, mut hangup: Signal) -> &'static str {
        let (mut watch, mut changes) = watch::start(watch::Options::default());
        let mut before = BTreeSet::new();
        let (mut following, mut news) = Following::new();
        loop {
            following.follow(self.house.followed(&self.current));
            let now = watched(&self.current);
            watch.set(now.clone()).await;
            // What changed between its being read and its being watched is seen by nobody else.
            if before != now && self.has_changed().await {
                before = now;
                self.reload("a file of it changed").await;
                continue;
            }
            before = now;
            tokio::select! {
                Some(()) = hangup.recv() => self.reload("SIGHUP").await,
                paths = changes.next() => self.changed(paths).await,
                Some(news) = news.recv() => self.learn(news).await,
            }
        }
    }

    /// A file that was touched, or written anew with what it held, is no other configuration.
    async fn has_changed(&self) -> bool {
        let main = self.main.clone();
        let load = move || {
            let loaded = config::load(&main, &Surroundings::from_process());
            loaded.ok().map(|loaded| Digest::of(&loaded.config))
        };
        let Ok(there) = spawn_blocking(load).await else {
            return false;
        };
        there.is_none() || there != self.taken
    }

    async fn changed(&mut self, changed: BTreeSet<Watched>) {
        let paths: Vec<PathBuf> = changed.iter().map(|it| it.path().to_owned()).collect();
        let about = reload::about(&self.current, &paths);
        if about.configuration && self.has_changed().await {
            self.reload("a file of it changed").await;
        }
        if !about.stores.is_empty() || about.access {
            // Where the engine is gone, the daemon is stopping.
            let _ = self.orders.send(Order::Touched(about)).await;
        }
    }

    /// Namespaces have come or gone. The ledger hears it first: what is written must not be an orphan.
    async fn learn(&mut self, news: News) {
        let cluster = news.cluster.clone();
        if !self.house.learn(news) {
            return;
        }
        let state = Arc::clone(&self.house.state);
        // No orphan that is a target from now on is being removed.
        let no_removal = self.house.state.removals().write().await;
        let configured = Configured::of(&self.current, &self.house.territory, &state);
        let told = spawn_blocking(move || configured.tell(&state)).await;
        drop(no_removal);
        if let Ok(Err(failure)) = told {
            tracing::warn!(
                reason = %failure.reason, help = failure.help(),
                "which targets are orphans is not known: {failure}"
            );
        }
        let entries = self.house.reach(&self.current, &cluster);
        // Where the engine is gone, the daemon is stopping.
        let _ = self.orders.send(Order::Reach(entries)).await;
        // After that: what a watch tells is compared with the targets that there are.
        self.plans
            .secrets
            .send_replace(self.house.plan(&self.current));
    }

    async fn reload(&mut self, cause: &str) {
        // Before it is ready, systemd waits for that and nothing else.
        let ready = self.pulse.is_ready();
        if ready {
            self.notifier.reloading();
        }
        let result = self.renew().await;
        let at = clock::now();
        let successful = result.is_ok();
        let refused = match result {
            Ok(Renewed {
                added,
                changed,
                removed,
                unchanged,
            }) => {
                tracing::info!(
                    cause,
                    added,
                    changed,
                    removed,
                    unchanged,
                    "the configuration was reloaded"
                );
                None
            }
            // Nobody hears it: the daemon is stopping.
            Err(Refused::Late) => return,
            Err(refused) => Some(tell(cause, &refused, &self.main)),
        };
        let (error, help) = refused.unzip();
        self.house.tell_reload(ReloadStatus {
            at,
            successful,
            error,
            help,
        });
        // Last: whoever sees it counted finds the rest told.
        self.house
            .reporter
            .record(&Fact::Reloaded { successful, at });
        if ready {
            self.notifier.ready(&self.pulse.summary());
        }
    }

    /// Everything that may fail comes before anything is changed.
    async fn renew(&mut self) -> Result<Renewed, Refused> {
        self.taken = None;
        let main = self.main.clone();
        let load = move || config::load(&main, &Surroundings::from_process());
        let loaded = spawn_blocking(load).await.map_err(|_| Refused::Late)?;
        let loaded = loaded.map_err(Refused::Broken)?;
        for warning in loaded.warnings.iter() {
            tracing::warn!(place = warning.place(), "{}", warning.message);
        }
        let mut next = loaded.config;
        let read = Digest::of(&next);
        let accepted = reload::judge(&self.current, &next).map_err(Refused::Vanished)?;
        for key in accepted.at_next_start {
            tracing::warn!("a changed `daemon.{key}` counts from the next start");
        }
        let address = next.daemon.listen;
        let listening = if address == self.current.daemon.listen {
            None
        } else {
            Some(listen(address).await.map_err(Refused::Failed)?)
        };
        next.daemon = config::Daemon {
            listen: address,
            prune: next.daemon.prune,
            prune_after: next.daemon.prune_after,
            ..self.current.daemon.clone()
        };
        let state = Arc::clone(&self.house.state);
        let territory = self.house.territory_under(&next);
        let no_removal = no_removal(&state, &next).await;
        let ledger = Arc::clone(&state);
        let told =
            spawn_blocking(move || tell_configured(&ledger, &next, &territory).map(|()| next));
        let next = told.await.map_err(|_| Refused::Late)?;
        drop(no_removal);
        let next = next.map_err(Refused::Failed)?;
        let supply = self.house.supply(&next);
        let (done, renewed) = oneshot::channel();
        let order = Order::Renew(supply, done);
        self.orders.send(order).await.map_err(|_| Refused::Late)?;
        if let Some(listening) = listening {
            // Whoever serves it outlives this task.
            let _ = self.listening.send(listening).await;
        }
        self.current = next;
        let renewed = renewed.await.map_err(|_| Refused::Late)?;
        // What is watched from now on is compared with what is delivered from now on.
        self.plans
            .secrets
            .send_replace(self.house.plan(&self.current));
        self.plans
            .files
            .send_replace(House::delivered(&self.current));
        self.house.metrics.forget_others(&self.current);
        self.taken = Some(read);
        Ok(renewed)
    }
}

/// Waits for removals of what the next configuration may want to keep, and sees to it that none begins. One that hangs is
/// its own entry's trouble, and no waiting calls it back: what is not certain yet does not take place, and what is, the
/// entry makes good.
async fn no_removal<'s>(state: &'s State, next: &Config) -> RwLockWriteGuard<'s, ()> {
    let written = configured::files_of(next);
    let counts = |path: &Path, grounds| match grounds {
        Grounds::Policy => true,
        Grounds::Orphaned => written.contains(path),
    };
    // Nobody who removes something waits behind a disk that hangs.
    let _ = state.file_removals().none_of(counts, HEALTHY).await;
    let none_begins = state.removals().write().await;
    for path in state.file_removals().call_off(counts) {
        tracing::warn!(
            path = %path.display(), help = "check the disk, or the server of a network file system",
            "a file is being removed by what the configuration was, and its disk does not answer; the new configuration \
             counts without waiting for that, and an entry that writes the file makes it again, once it is not suspended and has values"
        );
    }
    none_begins
}

/// Of everything that a configuration says. Equal ones mean the same.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digest([u8; 32]);

impl Digest {
    fn of(config: &Config) -> Self {
        let mut hash = Hashed(Sha256::new());
        write!(hash, "{config:?}").expect("a hash takes everything");
        Self(hash.0.finalize().into())
    }
}

struct Hashed(Sha256);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}

fn watched(config: &Config) -> BTreeSet<Watched> {
    let (files, directories) = reload::watched(config);
    let files = files.into_iter().map(Watched::File);
    files
        .chain(directories.into_iter().map(Watched::Directory))
        .collect()
}

/// Says in the log why nothing was changed, and in one sentence for whoever asks later, with what to do.
fn tell(cause: &str, refused: &Refused, main: &Path) -> (String, String) {
    const STAYS: &str = "the configuration was not reloaded, the one from before goes on";
    match refused {
        Refused::Broken(diagnostics) => {
            let errors = diagnostics.iter();
            let errors = errors.filter(|it| it.severity == Severity::Error);
            for error in errors {
                tracing::error!(place = error.place(), "{}", error.message);
            }
            let count = diagnostics.errors();
            let check = call("check", main);
            let help = format!("`{check}` shows every error with its line");
            tracing::error!(cause, errors = count, help, "{STAYS}");
            let first = diagnostics.iter().find(|it| it.severity == Severity::Error);
            let first =
                first.map_or_else(String::new, |it| format!("{}: {}", it.place(), it.message));
            let first = match count {
                0 | 1 => first,
                more => format!("{first}, and {} more", more - 1),
            };
            (first, help)
        }
        Refused::Vanished(vanished) => {
            tracing::error!(cause, help = vanished.help(), "{STAYS}: {vanished}");
            (vanished.to_string(), vanished.help().to_owned())
        }
        Refused::Failed(failure) => {
            tracing::error!(cause, help = failure.help(), "{STAYS}: {failure}");
            (failure.to_string(), failure.help().to_owned())
        }
        Refused::Late => Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> Config {
        let text = format!(
            "[daemon]\nstate_dir = '{0}/state'\ncontrol_socket = '{0}/run/control'\n[stores.s.file]\npath = '{0}/s.toml'\n[secrets.e]\n\
             store = 's'\ndata = [{{ secret_key = 'a', remote_ref = {{ key = 'x' }} }}]\n[[secrets.e.file]]\n\
             path = '{0}/a'\nkey = 'a'\n",
            dir.display()
        );
        std::fs::write(dir.join("main.toml"), text).unwrap();
        std::fs::write(dir.join("s.toml"), "x = 'v'\n").unwrap();
        let loaded = config::load(&dir.join("main.toml"), &Surroundings::default());
        loaded
            .unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
            .config
    }

    /// Bug: no other configuration was accepted as long as one disk did not answer.
    #[tokio::test(start_paused = true)]
    async fn a_removal_that_hangs_keeps_no_configuration_from_counting() {
        let dir = tempfile::tempdir().unwrap();
        let next = config(dir.path());
        let state = State::open(&dir.path().join("state")).unwrap();
        let (written, other) = (dir.path().join("a"), dir.path().join("b"));
        let begin = |path: &Path, grounds| state.file_removals().begin(path, grounds);
        let hanging = [Grounds::Policy, Grounds::Orphaned].map(|grounds| begin(&written, grounds));
        assert!(hanging.iter().all(|(it, _)| it.becomes_certain()));
        let late = [Grounds::Policy, Grounds::Orphaned].map(|grounds| begin(&written, grounds));
        let (unwritten, _awaited) = begin(&other, Grounds::Orphaned);
        let started = tokio::time::Instant::now();
        let none_begins = no_removal(&state, &next).await;
        assert!(started.elapsed() <= HEALTHY, "{:?}", started.elapsed());
        assert!(state.removals().try_read().is_err());
        drop(none_begins);
        assert!(!late.iter().any(|(it, _)| it.becomes_certain()));
        assert!(unwritten.becomes_certain(), "nobody wants to keep it");
    }
}
