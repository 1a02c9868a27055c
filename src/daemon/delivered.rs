//! The watch over delivered files: which paths it has, and who hears of them.
//!
//! It is a second watch beside that of the configuration: a reload that takes its time holds back no repair. What it
//! tells is a reason to look, nothing more, so that events that are lost or made up do no harm: the looks of each
//! interval find the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::engine::Order;
use crate::watch::{Changes, Options, Watch, Watched, start};

/// What is put back within a second is heard of much sooner, and a storm is heard of twice a second.
const SILENCE: Duration = Duration::from_millis(100);
const AT_MOST: Duration = Duration::from_millis(500);

/// The paths that are watched, each with the targets that it says something about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan(BTreeMap<Watched, BTreeSet<PathBuf>>);

impl Plan {
    pub(super) fn add(&mut self, target: &Path, paths: Vec<Watched>) {
        for path in paths {
            self.0.entry(path).or_default().insert(target.to_owned());
        }
    }

    fn paths(&self) -> BTreeSet<Watched> {
        self.0.keys().cloned().collect()
    }

    fn targets_of(&self, paths: &BTreeSet<Watched>) -> BTreeSet<PathBuf> {
        let targets = paths.iter().filter_map(|path| self.0.get(path));
        targets.flatten().cloned().collect()
    }
}

/// A watch of that plan that nobody listens to yet; nothing of what happens from here on is lost.
pub(super) struct Begun {
    watch: Watch,
    changes: Changes,
    plan: Plan,
}

/// To be called before the engine looks at anything.
pub(super) async fn begin(plan: Plan) -> Begun {
    let options = Options {
        silence: SILENCE,
        at_most: AT_MOST,
        ..Options::default()
    };
    let (mut watch, changes) = start(options);
    watch.set(plan.paths()).await;
    Begun {
        watch,
        changes,
        plan,
    }
}

impl Begun {
    /// Goes on by the plans that are sent.
    pub(super) fn tell(
        self,
        vital: &mut JoinSet<&'static str>,
        orders: &mpsc::Sender<Order>,
    ) -> watch::Sender<Plan> {
        let (plans, planned) = watch::channel(self.plan.clone());
        vital.spawn(self.follow(planned, orders.clone()));
        plans
    }

    /// Never returns.
    async fn follow(
        mut self,
        mut plans: watch::Receiver<Plan>,
        orders: mpsc::Sender<Order>,
    ) -> &'static str {
        loop {
            let stirred = tokio::select! {
                changed = self.changes.next() => self.plan.targets_of(&changed),
                planned = plans.changed() => {
                    if planned.is_err() {
                        // Nobody plans any more: the daemon is stopping.
                        std::future::pending::<()>().await;
                    }
                    let next = plans.borrow_and_update().clone();
                    self.plan_anew(next).await
                }
            };
            if !stirred.is_empty() {
                // Where the engine is gone, the daemon is stopping.
                let _ = orders.send(Order::Stirred(stirred)).await;
            }
        }
    }

    /// Returns the targets that are new to the watch: what happened to them since they were delivered was told to nobody.
    async fn plan_anew(&mut self, next: Plan) -> BTreeSet<PathBuf> {
        let paths = next.paths();
        self.watch.set(paths.clone()).await;
        let before = std::mem::replace(&mut self.plan, next);
        let new = paths
            .into_iter()
            .filter(|path| !before.0.contains_key(path));
        self.plan.targets_of(&new.collect())
    }
}
