//! The watches of Secrets: which there are, one after another failed, and who hears what they tell.
//!
//! A cluster is watched as a whole where we may; else each of its namespaces that holds a watched target is. Where nobody
//! watches, the engine asks as it does without: a watch that fails costs nothing but the time that drift is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::engine::{Order, Scope, Sight};
use crate::failure::{Failure, Reason};
use crate::kube::{Client, Collection, Event};
use crate::names::{ClusterName, Namespace};
use crate::schedule::backoff;

/// Events on their way to the engine; the stream waits meanwhile.
const EVENTS: usize = 16;

/// What an interval is to a watch that fails: permanent errors cost a request in this time.
const AGAIN: Duration = Duration::from_hours(1);

/// A watch that went well for so long begins a new count of failures.
const GOOD: Duration = Duration::from_mins(1);

const AGAIN_AFTER_PANIC: Duration = Duration::from_mins(1);

/// The namespaces that are watched, by cluster. A cluster without any is none of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan(BTreeMap<ClusterName, Followed>);

#[derive(Clone, Debug)]
struct Followed {
    client: Arc<Client>,
    namespaces: BTreeSet<Namespace>,
}

impl Plan {
    pub(super) fn add(&mut self, client: &Arc<Client>, namespace: Namespace) {
        let followed = self.0.entry(client.name().clone());
        let followed = followed.or_insert_with(|| Followed {
            client: Arc::clone(client),
            namespaces: BTreeSet::new(),
        });
        followed.namespaces.insert(namespace);
    }
}

/// Watches by that plan, and by those that are sent.
pub(super) fn begin(
    vital: &mut JoinSet<&'static str>,
    plan: Plan,
    orders: &mpsc::Sender<Order>,
) -> watch::Sender<Plan> {
    let (plans, planned) = watch::channel(plan);
    vital.spawn(follow(planned, orders.clone()));
    plans
}

/// What is watched of one cluster, and who hears of which namespaces.
struct UnderWay {
    client: Arc<Client>,
    namespaces: watch::Sender<BTreeSet<Namespace>>,
    task: AbortHandle,
}

/// Never returns.
async fn follow(mut plans: watch::Receiver<Plan>, orders: mpsc::Sender<Order>) -> &'static str {
    let mut tasks = JoinSet::new();
    let mut under_way: BTreeMap<ClusterName, UnderWay> = BTreeMap::new();
    loop {
        let plan = plans.borrow_and_update().clone();
        let stays = |name: &ClusterName, one: &UnderWay| {
            let wanted = plan.0.get(name);
            wanted.is_some_and(|wanted| Arc::ptr_eq(&wanted.client, &one.client))
        };
        let over = under_way.extract_if(.., |name, one| !stays(name, one));
        for (cluster, one) in over.collect::<Vec<_>>() {
            one.task.abort();
            lost(&orders, &whole(&cluster)).await;
        }
        for (name, followed) in plan.0 {
            let Followed { client, namespaces } = followed;
            if let Some(one) = under_way.get(&name) {
                one.namespaces.send_if_modified(|known| {
                    let is_news = *known != namespaces;
                    *known = namespaces;
                    is_news
                });
                continue;
            }
            let (sender, receiver) = watch::channel(namespaces);
            let task = without_panic((Arc::clone(&client), receiver), orders.clone());
            let one = UnderWay {
                client,
                namespaces: sender,
                task: tasks.spawn(task),
            };
            under_way.insert(name, one);
        }
        tokio::select! {
            changed = plans.changed() => if changed.is_err() {
                // Nobody plans any more: the daemon is stopping.
                std::future::pending::<()>().await;
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

fn whole(cluster: &ClusterName) -> Scope {
    Scope {
        cluster: cluster.clone(),
        namespace: None,
    }
}

/// Where the engine is gone, the daemon is stopping.
async fn lost(orders: &mpsc::Sender<Order>, scope: &Scope) {
    let _ = orders.send(Order::Seen(scope.clone(), Sight::Lost)).await;
}

/// A cluster with the namespaces in which something is watched.
type Site = (Arc<Client>, watch::Receiver<BTreeSet<Namespace>>);

/// What panics here is not vital: the engine asks for itself meanwhile.
async fn without_panic((client, namespaces): Site, orders: mpsc::Sender<Order>) {
    let cluster = client.name().clone();
    let mut one = JoinSet::new();
    loop {
        let site = (Arc::clone(&client), namespaces.clone());
        one.spawn(follow_cluster(site, orders.clone()));
        if let Some(Err(_)) = one.join_next().await {
            tracing::error!(%cluster, "a watch panicked; it begins again in a minute");
        }
        lost(&orders, &whole(&cluster)).await;
        tokio::time::sleep(AGAIN_AFTER_PANIC).await;
    }
}

/// Returns only when nobody plans any more. A watch of the whole cluster goes on whatever namespaces there are.
async fn follow_cluster((client, mut namespaces): Site, orders: mpsc::Sender<Order>) {
    let following = Following {
        client,
        orders,
        told: Mutex::default(),
    };
    let scope = |namespace| Scope {
        cluster: following.client.name().clone(),
        namespace,
    };
    loop {
        // For one namespace, the rest of the cluster would be told for nothing.
        let several = namespaces.borrow().len() > 1;
        if several {
            following.follow(&scope(None)).await;
        }
        let now = namespaces.borrow_and_update().clone();
        let each = now.into_iter().map(async |namespace| {
            following.follow(&scope(Some(namespace))).await;
        });
        tokio::select! {
            _ = join_all(each) => {}
            changed = namespaces.changed() => if changed.is_err() {
                return;
            },
        }
        lost(&following.orders, &scope(None)).await;
    }
}

struct Following {
    client: Arc<Client>,
    orders: mpsc::Sender<Order>,
    /// The troubles that the log has since all was well.
    told: Mutex<BTreeSet<&'static str>>,
}

impl Following {
    /// Watches one scope, time after time. Returns where we may not watch the whole cluster.
    async fn follow(&self, scope: &Scope) {
        let (mut failures, mut denied) = (0, false);
        loop {
            let began = Instant::now();
            let failure = self.watch(scope).await;
            lost(&self.orders, scope).await;
            let good = began.elapsed() >= GOOD;
            failures = if good { 1 } else { failures + 1 };
            if failure.reason == Reason::TargetDenied {
                if scope.namespace.is_none() {
                    tracing::debug!(cluster = %scope.cluster, "Secrets are watched in each namespace: {failure}");
                    return;
                }
                if !std::mem::replace(&mut denied, true) {
                    tell_denied(scope, &failure);
                }
            } else {
                denied = false;
                self.tell(scope, &failure);
            }
            let usual = backoff::delay(failure.reason.retry(), failures, AGAIN, fastrand::f64());
            let wait = failure.retry_after.map_or(usual, |wish| wish.max(usual));
            tokio::time::sleep(wait).await;
        }
    }

    /// One watch, as long as it goes on.
    async fn watch(&self, scope: &Scope) -> Failure {
        let collection = Collection::Secrets {
            namespace: scope.namespace.clone(),
        };
        let (events, mut heard) = mpsc::channel(EVENTS);
        let forward = async {
            while let Some(event) = heard.recv().await {
                if matches!(event, Event::Listed(_)) {
                    self.recovered();
                }
                let order = Order::Seen(scope.clone(), Sight::Event(event));
                if self.orders.send(order).await.is_err() {
                    break;
                }
            }
            // The engine is gone.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            failure = self.client.watch(&collection, &events) => failure,
            () = forward => Failure::new(Reason::Network, "nobody listens"),
        }
    }

    /// A cluster that is down fails all its watches at once: each trouble is told once.
    fn tell(&self, scope: &Scope, failure: &Failure) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = &scope.cluster;
        if told.insert(failure.reason.as_str()) {
            tracing::warn!(
                %cluster, reason = %failure.reason, help = failure.help(),
                "Secrets are not watched for now, but looked at in each interval: {failure}"
            );
        } else {
            tracing::debug!(%cluster, reason = %failure.reason, "a watch of Secrets failed: {failure}");
        }
    }

    fn recovered(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut *told).is_empty() {
            tracing::info!(cluster = %self.client.name(), "Secrets are watched again");
        }
    }
}

fn tell_denied(scope: &Scope, failure: &Failure) {
    let namespace = scope.namespace.as_ref().map_or("", Namespace::as_str);
    tracing::warn!(
        cluster = %scope.cluster, namespace, help = failure.help(),
        "Secrets in namespace `{namespace}` cannot be watched and are looked at in each interval, as with `drift = \"refresh\"`: {failure}"
    );
}
