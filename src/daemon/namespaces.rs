//! Follows the namespaces of every cluster that something is selected in: one watch for each cluster.
//!
//! All namespaces are followed and matched here, whatever selectors there are: a watch with a selector cannot tell a
//! namespace that is gone from one that no longer matches, and RBAC makes no difference between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::territory::{Known, Seen};
use crate::failure::{Failure, Reason};
use crate::kube::{Client, Collection, Event, Object};
use crate::names::{ClusterName, Namespace};
use crate::schedule::backoff;
use crate::selector::Selector;

/// Events that wait for their turn.
const EVENTS: usize = 64;

/// After a change, others are waited for: whoever labels many namespaces gets one read and not many.
const QUIET: Duration = Duration::from_millis(100);
/// But not longer than that.
const RESTLESS: Duration = Duration::from_secs(1);

/// Between two tries, at most.
const AGAIN: Duration = Duration::from_mins(1);

const NEEDED: &str = "a `namespace_selector` needs `list` and `watch` on `namespaces` for the whole cluster (a ClusterRole); \
     without them, name the `namespaces`";

/// What has become known of a cluster's namespaces.
#[derive(Debug)]
pub(super) struct News {
    pub cluster: ClusterName,
    /// By whom: it may be another cluster's name by now.
    pub client: Arc<Client>,
    pub known: Known,
}

/// The tasks that follow; dropping this ends them.
pub(super) struct Following {
    tasks: BTreeMap<ClusterName, (Arc<Client>, JoinSet<()>)>,
    news: mpsc::Sender<News>,
    /// Whether trouble is said where it is met: not where whoever hears of it says so.
    warns: bool,
}

impl Following {
    pub(super) fn new() -> (Self, mpsc::Receiver<News>) {
        let (news, heard) = mpsc::channel(1);
        let tasks = BTreeMap::new();
        let following = Self {
            tasks,
            news,
            warns: true,
        };
        (following, heard)
    }

    /// From here on these are followed, and no others.
    pub(super) fn follow(&mut self, mut clients: BTreeMap<ClusterName, Arc<Client>>) {
        self.tasks.retain(|name, (client, _)| {
            let wanted = clients.get(name);
            wanted.is_some_and(|wanted| Arc::ptr_eq(wanted, client))
        });
        clients.retain(|name, _| !self.tasks.contains_key(name));
        for (cluster, client) in clients {
            let (watched, by) = (Arc::clone(&client), Arc::clone(&client));
            let watch = move |events| watch(Arc::clone(&watched), events);
            let name = cluster.clone();
            let news = move |known| News {
                cluster: name.clone(),
                client: Arc::clone(&by),
                known,
            };
            let mut follower = Follower::new(cluster.clone(), self.news.clone(), news);
            follower.warns = self.warns;
            let mut task = JoinSet::new();
            task.spawn(follower.follow(watch));
            self.tasks.insert(cluster, (client, task));
        }
    }
}

/// Waits until every cluster has said what namespaces it has, or why it does not, but not for longer than `limit`.
pub(super) async fn list(
    clients: BTreeMap<ClusterName, Arc<Client>>,
    limit: Duration,
) -> Vec<(ClusterName, Known)> {
    let mut silent: BTreeSet<ClusterName> = clients.keys().cloned().collect();
    let (mut following, mut heard) = Following::new();
    following.warns = false;
    following.follow(clients);
    let mut all = Vec::new();
    let listed = timeout(limit, async {
        while !silent.is_empty() {
            let Some(News { cluster, known, .. }) = heard.recv().await else {
                return;
            };
            if silent.remove(&cluster) {
                all.push((cluster, known));
            }
        }
    });
    // Those that are silent still say so below.
    let _ = listed.await;
    all.extend(silent.into_iter().map(|cluster| {
        let fact = format!("cluster `{cluster}` did not list its namespaces in time");
        let trouble = Some(Failure::new(Reason::Timeout, fact));
        let known = Known {
            namespaces: None,
            trouble,
        };
        (cluster, known)
    }));
    all
}

async fn watch(client: Arc<Client>, events: mpsc::Sender<Event>) -> Failure {
    let selector = Selector::everything();
    let collection = Collection::Namespaces { selector };
    client.watch(&collection, &events).await
}

/// Follows the namespaces of one cluster.
struct Follower<T, M> {
    cluster: ClusterName,
    known: Known,
    /// Failures since the last list.
    failures: u32,
    news: mpsc::Sender<T>,
    make: M,
    warns: bool,
}

/// What a watch that ended leaves behind.
struct Ended {
    failure: Failure,
    listed: bool,
}

impl<T: Send + 'static, M: Fn(Known) -> T + Send> Follower<T, M> {
    fn new(cluster: ClusterName, news: mpsc::Sender<T>, make: M) -> Self {
        Self {
            cluster,
            known: Known::default(),
            failures: 0,
            news,
            make,
            warns: true,
        }
    }

    /// Until nobody hears it any more.
    async fn follow<F>(mut self, mut watch: impl FnMut(mpsc::Sender<Event>) -> F + Send)
    where
        F: Future<Output = Failure> + Send + 'static,
    {
        while !self.news.is_closed() {
            let (events, heard) = mpsc::channel(EVENTS);
            let mut task = JoinSet::new();
            task.spawn(watch(events));
            let ended = self.until_it_ends(heard, task).await;
            self.failures = if ended.listed { 1 } else { self.failures + 1 };
            let retry = ended.failure.reason.retry();
            let wait = backoff::delay(retry, self.failures, AGAIN, fastrand::f64());
            let wait = ended
                .failure
                .retry_after
                .map_or(wait, |wish| wish.max(wait));
            self.fail(ended.failure).await;
            sleep(wait).await;
        }
    }

    /// Tells what is heard, until the watch ends.
    async fn until_it_ends(
        &mut self,
        mut heard: mpsc::Receiver<Event>,
        mut task: JoinSet<Failure>,
    ) -> Ended {
        let mut listed = false;
        // Since when there is something to tell, and when it is told.
        let mut news: Option<(Instant, Instant)> = None;
        loop {
            let due = news.map(|(_, due)| due);
            tokio::select! {
                event = heard.recv() => {
                    let Some(event) = event else { break };
                    let is_list = matches!(event, Event::Listed(_));
                    let changed = match self.hear(event) {
                        Ok(changed) => changed,
                        Err(failure) => return Ended { failure, listed },
                    };
                    listed |= is_list;
                    let now = Instant::now();
                    let since = news.map_or(now, |(since, _)| since);
                    if is_list {
                        news = None;
                        self.tell().await;
                    } else if changed {
                        news = Some((since, (now + QUIET).min(since + RESTLESS)));
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    news = None;
                    self.tell().await;
                }
            }
        }
        if news.is_some() {
            self.tell().await;
        }
        let failure = match task.join_next().await {
            Some(Ok(failure)) => failure,
            Some(Err(_)) | None => Failure::new(
                Reason::Panic,
                format!(
                    "following the namespaces of cluster `{}` panicked",
                    self.cluster
                ),
            ),
        };
        Ended { failure, listed }
    }

    /// True where that changes anything.
    fn hear(&mut self, event: Event) -> Result<bool, Failure> {
        let mut now = self
            .known
            .namespaces
            .as_deref()
            .cloned()
            .unwrap_or_default();
        match event {
            Event::Listed(objects) => {
                // There is no cluster without any: this is no answer, and everything would follow from it.
                if objects.is_empty() {
                    let fact = format!("cluster `{}` lists not a single namespace", self.cluster);
                    return Err(Failure::new(Reason::Malformed, fact).with_help(
                        "what was known before still counts; check what answers there",
                    ));
                }
                now = objects.into_iter().filter_map(seen).collect();
                self.known.trouble = None;
            }
            Event::Changed(object) => now.extend(seen(object)),
            Event::Gone(object) => {
                if let Some((name, _)) = seen(object) {
                    now.remove(&name);
                }
            }
        }
        let changed = self.known.namespaces.as_deref() != Some(&now);
        if changed {
            self.known.namespaces = Some(Arc::new(now));
        }
        Ok(changed)
    }

    /// One stream that broke is no trouble where the next list succeeds.
    async fn fail(&mut self, failure: Failure) {
        if self.failures == 1 && self.known.namespaces.is_some() {
            return;
        }
        let failure = if failure.reason == Reason::TargetDenied {
            failure.with_help(NEEDED)
        } else {
            failure
        };
        if self.warns && self.failures.is_power_of_two() {
            tracing::warn!(
                cluster = %self.cluster, reason = %failure.reason, failures = self.failures, help = failure.help(),
                "the namespaces cannot be followed: {failure}"
            );
        }
        self.known.trouble = Some(failure);
        self.tell().await;
    }

    async fn tell(&self) {
        // Where nobody hears it, the next round ends this.
        let _ = self.news.send((self.make)(self.known.clone())).await;
    }
}

fn seen(object: Object) -> Option<(Namespace, Seen)> {
    // Every object of this collection has a name that is a legal one.
    let name = Namespace::new(object.name.as_str()).ok()?;
    let Object {
        labels, deleting, ..
    } = object;
    Some((name, Seen { labels, deleting }))
}

#[cfg(test)]
mod tests;
