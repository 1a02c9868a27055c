//! Hears events, looks at the paths they concern, and reports those that look different than before.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::debounce::Debounce;
use super::directories::{Directories, MOST_WATCHED, Plan};
use super::glance::Glance;
use super::inotify::{Inotify, Outcome, Told, Why};
use super::trace::{DirectoryId, Look, Sight, Stamp, Trace};
use super::{By, Options, Orders, Watched};

/// Watching a directory may show that the way has changed meanwhile. Who changes it faster than this waits a moment.
const ROUNDS: usize = 8;

/// Events heard in one go, so that a stream of them holds up nothing.
const MOST_HEARD: usize = 4096;

/// More directories are counted, not named.
const MOST_NAMED: usize = 8;

#[derive(Debug)]
pub(super) struct Lookout {
    options: Options,
    orders: watch::Receiver<Orders>,
    report: mpsc::Sender<BTreeSet<Watched>>,
    known: BTreeMap<Watched, Known>,
    directories: Directories,
    /// What is to be watched may no longer be what is watched.
    astray: bool,
    inotify: Option<Inotify>,
    glance: Glance,
    debounce: Debounce<Watched>,
    poll_at: Instant,
    compare_at: Instant,
}

#[derive(Debug)]
struct Known {
    looks: Vec<Look>,
    /// As it was last seen; nothing when it never was.
    stamp: Option<Stamp>,
    /// The last stamp was too young to show a further change.
    doubtful: bool,
}

impl Known {
    /// Whether it may have changed.
    fn see(&mut self, sight: Sight) -> bool {
        let Sight { stamp, fresh } = sight;
        let differs = self.stamp.as_ref() != Some(&stamp);
        let settled = self.doubtful && !fresh;
        self.stamp = Some(stamp);
        self.doubtful = fresh;
        differs || settled
    }
}

impl Lookout {
    pub(super) fn new(
        options: Options,
        orders: watch::Receiver<Orders>,
        report: mpsc::Sender<BTreeSet<Watched>>,
        glance: Glance,
    ) -> Self {
        let now = Instant::now();
        Self {
            orders,
            report,
            known: BTreeMap::new(),
            directories: Directories::new(MOST_WATCHED),
            astray: false,
            inotify: None,
            glance,
            debounce: Debounce::new(options.silence, options.at_most),
            poll_at: now + options.poll,
            compare_at: now + options.compare_all,
            options,
        }
    }

    pub(super) async fn run(mut self) -> Infallible {
        loop {
            let Some(due) = self.due().await else {
                continue;
            };
            let changed = self.look_at(due).await;
            if !changed.is_empty() {
                // Fails only when nobody can be waiting any more.
                let _ = self.report.send(changed).await;
            }
        }
    }

    /// Waits for something to happen. Returns the paths to be looked at now; nothing when that has to wait for silence.
    async fn due(&mut self) -> Option<BTreeSet<Watched>> {
        let quiet = self.debounce.due();
        let quiet = async {
            match quiet {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let ordered = async {
            if self.orders.changed().await.is_err() {
                // What was ordered last stays.
                std::future::pending::<()>().await;
            }
        };
        let told = async {
            match &mut self.inotify {
                Some(inotify) => inotify.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ordered => Some(self.follow_orders()),
            () = quiet => Some(self.debounce.take()),
            () = sleep_until(self.compare_at) => Some(self.everything()),
            () = sleep_until(self.poll_at) => {
                self.poll_at = Instant::now() + self.options.poll;
                Some(self.directories.to_poll())
            }
            told = told => {
                self.hear(told);
                None
            }
        }
    }

    fn follow_orders(&mut self) -> BTreeSet<Watched> {
        let orders = Arc::clone(&self.orders.borrow_and_update());
        let before = self.known.len();
        self.known.retain(|path, _| orders.contains_key(path));
        self.astray |= self.known.len() != before;
        let mut new = BTreeSet::new();
        for (path, sight) in orders.iter() {
            if !self.known.contains_key(path) {
                let known = Known {
                    looks: Vec::new(),
                    stamp: sight.as_ref().map(|sight| sight.stamp.clone()),
                    doubtful: sight.as_ref().is_some_and(|sight| sight.fresh),
                };
                self.known.insert(path.clone(), known);
                new.insert(path.clone());
            }
        }
        new
    }

    fn everything(&mut self) -> BTreeSet<Watched> {
        let now = Instant::now();
        self.compare_at = now + self.options.compare_all;
        self.poll_at = now + self.options.poll;
        self.astray |= self.directories.try_polled_again();
        self.known.keys().cloned().collect()
    }

    fn hear(&mut self, told: Option<Told>) {
        let mut next = Some(told.unwrap_or_else(|| {
            self.inotify = None;
            Told::Lost
        }));
        let now = Instant::now();
        for _ in 0..MOST_HEARD {
            let Some(told) = next else { break };
            let concerned = match told {
                Told::Touched(path) => self.directories.concerned(&path),
                Told::Gone(path) => {
                    let mut concerned = self.directories.concerned(&path);
                    concerned.extend(self.forget_below(&path));
                    concerned
                }
                Told::Lost => {
                    // What was lost may have ended any watch.
                    self.forget_below(Path::new("/"));
                    self.known.keys().cloned().collect()
                }
            };
            self.debounce.touch(concerned, now);
            next = self.inotify.as_mut().and_then(Inotify::more);
        }
    }

    fn forget_below(&mut self, path: &Path) -> BTreeSet<Watched> {
        let concerned = self.directories.forget_below(path);
        self.astray |= !concerned.is_empty();
        concerned
    }

    /// Looks until everything on the way is watched, and returns what may have changed.
    async fn look_at(&mut self, mut due: BTreeSet<Watched>) -> BTreeSet<Watched> {
        let mut changed = BTreeSet::new();
        for _ in 0..ROUNDS {
            for (path, Trace { looks, sight }) in self.glance.at(due).await {
                let Some(known) = self.known.get_mut(&path) else {
                    continue;
                };
                if known.looks != looks {
                    known.looks = looks;
                    self.astray = true;
                }
                let changed_now = known.see(sight);
                if known.doubtful {
                    self.debounce.touch([path.clone()], Instant::now());
                }
                if changed_now {
                    changed.insert(path);
                }
            }
            due = self.watch_the_way().await;
            if due.is_empty() {
                return changed;
            }
        }
        self.debounce.touch(due, Instant::now());
        changed
    }

    /// Returns what has to be looked at again.
    async fn watch_the_way(&mut self) -> BTreeSet<Watched> {
        if !std::mem::take(&mut self.astray) {
            return BTreeSet::new();
        }
        let known = self.known.iter();
        let looks = known.map(|(path, known)| (path, known.looks.as_slice()));
        let mut again = self.directories.want(looks);
        let plan = self.directories.plan();
        let outcomes = self.carry_out(plan).await;
        again.extend(self.directories.done(outcomes));
        self.say_what_is_polled();
        again
    }

    async fn carry_out(&mut self, plan: Plan) -> Vec<(DirectoryId, Outcome)> {
        if plan == Plan::default() {
            return Vec::new();
        }
        let ids: Vec<_> = plan.add.iter().map(|(id, _)| *id).collect();
        let none = |why| ids.iter().map(|id| (*id, Outcome::Not(why))).collect();
        match self.options.by {
            By::Polling => return none(Why::Asked),
            By::Events => {}
        }
        if self.inotify.is_none() && !ids.is_empty() {
            self.inotify = Inotify::start();
        }
        let Some(inotify) = &mut self.inotify else {
            return none(Why::NoInotify);
        };
        if let Some(outcomes) = inotify.follow(plan).await {
            return outcomes;
        }
        // It broke. All is watched anew when something is next looked at.
        self.inotify = None;
        self.astray = true;
        self.directories.forget_below(Path::new("/"));
        none(Why::NoInotify)
    }

    fn say_what_is_polled(&mut self) {
        for (why, directories) in self.directories.newly_polled() {
            let named = directories.iter().take(MOST_NAMED);
            let named: Vec<_> = named.map(|path| path.display().to_string()).collect();
            tracing::info!(
                count = directories.len(),
                "polled every {:?}, because {}: {}",
                self.options.poll,
                why.as_str(),
                named.join(", ")
            );
        }
    }
}
