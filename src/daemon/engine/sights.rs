//! What watches tell of the Secrets that entries deliver to.
//!
//! A Secret is compared with what the ledger says was delivered. Where it is another one, or gone, it is looked at like
//! in any check; a watch causes no write of its own. Our own writes are told of too: they are what was delivered as soon
//! as the run that made them has ended, so nothing is compared before that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

use tokio::time::Instant;

use super::{Due, Engine, Look, Which};
use crate::daemon::entries::EntryState;
use crate::decide::state::Turn;
use crate::failure::Reason;
use crate::few;
use crate::kube::{Event, Object};
use crate::names::{ClusterName, EntryName, Namespace, ResourceVersion, Uid};
use crate::state::{SecretId, SecretPart};
use crate::sync::Entry;
use crate::target::Target;

/// What one watch covers. One of a whole cluster stands in for those of its namespaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::daemon) struct Scope {
    pub cluster: ClusterName,
    pub namespace: Option<Namespace>,
}

/// What a watch tells.
#[derive(Debug)]
pub(in crate::daemon) enum Sight {
    Event(Event),
    /// For now nobody sees what happens there.
    Lost,
}

/// One state of a Secret; `None` where there is none.
type Live = Option<(Uid, ResourceVersion)>;

/// What is watched, and what was seen and not looked into.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Where everything that happens is told of.
    synced: BTreeSet<Scope>,
    targets: BTreeMap<SecretId, Vec<(EntryName, usize)>>,
    /// Seen other than it was delivered.
    suspects: BTreeMap<EntryName, few::Map<SecretId, Live>>,
}

impl Watched {
    fn covers(&self, id: &SecretId) -> bool {
        let scope = |namespace| Scope {
            cluster: id.cluster.clone(),
            namespace,
        };
        self.synced.contains(&scope(None))
            || self.synced.contains(&scope(Some(id.namespace.clone())))
    }

    fn is_suspect(&self, name: &EntryName, id: &SecretId) -> bool {
        let suspects = self.suspects.get(name);
        suspects.is_some_and(|suspects| suspects.contains_key(id))
    }

    fn add(&mut self, entry: &Entry) {
        for (index, target) in entry.targets.iter().enumerate() {
            if let Target::Kubernetes(_, id) = target
                && target.is_watched()
            {
                // Nearly all have one.
                let watchers = self.targets.entry(id.clone());
                let watchers = watchers.or_insert_with(|| Vec::with_capacity(1));
                watchers.push((entry.name.clone(), index));
            }
        }
    }

    fn remove(&mut self, entry: &Entry) {
        for target in &entry.targets {
            if let Target::Kubernetes(_, id) = target
                && let Some(watchers) = self.targets.get_mut(id)
            {
                watchers.retain(|(name, _)| *name != entry.name);
                if watchers.is_empty() {
                    self.targets.remove(id);
                }
            }
        }
    }
}

impl Scope {
    fn holds(&self, id: &SecretId) -> bool {
        let namespace = self.namespace.as_ref();
        self.cluster == id.cluster && namespace.is_none_or(|it| *it == id.namespace)
    }
}

impl Engine {
    /// Which targets are watched is known anew.
    pub(super) fn index_watched(&mut self) {
        self.watched.targets.clear();
        for entry in self.entries.values() {
            self.watched.add(&entry.entry);
        }
        // What grows in order has only half of each node in use; what is made in one has all.
        self.watched.targets = mem::take(&mut self.watched.targets).into_iter().collect();
        let entries = &self.entries;
        let suspects = &mut self.watched.suspects;
        suspects.retain(|name, _| entries.contains_key(name));
    }

    /// The same, where one entry has other targets than before.
    pub(super) fn watch_anew(&mut self, name: &EntryName, before: &Entry) {
        self.watched.remove(before);
        if let Some(entry) = self.entries.get(name) {
            self.watched.add(&entry.entry);
        }
    }

    pub(super) fn seen(&mut self, scope: &Scope, sight: Sight) {
        match sight {
            Sight::Lost => {
                let over = |it: &Scope| {
                    let whole = scope.namespace.is_none();
                    it.cluster == scope.cluster && (whole || it.namespace == scope.namespace)
                };
                self.watched.synced.retain(|it| !over(it));
            }
            Sight::Event(Event::Listed(objects)) => {
                self.watched.synced.insert(scope.clone());
                self.compare_all(scope, &objects);
            }
            Sight::Event(Event::Changed(object)) => {
                if let Some((id, live)) = named(scope, &object) {
                    self.compare(&id, &Some(live));
                }
            }
            Sight::Event(Event::Gone(object)) => {
                if let Some((id, _)) = named(scope, &object) {
                    self.compare(&id, &None);
                }
            }
        }
    }

    fn compare_all(&mut self, scope: &Scope, objects: &[Object]) {
        let live: HashMap<SecretId, (Uid, ResourceVersion)> =
            objects.iter().filter_map(|it| named(scope, it)).collect();
        let ids: Vec<SecretId> = self
            .watched
            .targets
            .keys()
            .filter(|id| scope.holds(id))
            .cloned()
            .collect();
        for id in ids {
            self.compare(&id, &live.get(&id).cloned());
        }
    }

    fn compare(&mut self, id: &SecretId, live: &Live) {
        let watchers = self.watched.targets.get(id).cloned().unwrap_or_default();
        for (name, index) in watchers {
            if live.is_none() && self.waits_for_its_end(&name, index) {
                self.start_run(&name, None, Which::Retry(vec![index]));
                continue;
            }
            let suspects = self.watched.suspects.entry(name.clone()).or_default();
            suspects.insert(id.clone(), live.clone());
            self.look_at_secrets(&name);
        }
    }

    /// What was being deleted is gone: now it can be made anew.
    fn waits_for_its_end(&self, name: &EntryName, index: usize) -> bool {
        let entry = self.entries.get(name);
        let entry = entry.filter(|it| it.turn(index) == Turn::Ours);
        let target = entry.and_then(|it| it.targets.get(index));
        let trouble = target.and_then(|target| target.trouble.as_ref());
        trouble.is_some_and(|streak| streak.failure.reason == Reason::TargetMissing)
    }

    /// Looks into what was seen of an entry's targets, unless something is under way that may have caused it.
    pub(super) fn look_at_secrets(&mut self, name: &EntryName) {
        let Some(entry) = self.entries.get(name).filter(|_| self.may_look(name)) else {
            return;
        };
        let Some(suspects) = self.watched.suspects.remove(name) else {
            return;
        };
        if entry.rest().is_some() {
            return;
        }
        let now = Instant::now();
        let (mut which, mut later, mut next) = (Vec::new(), few::Map::new(), None);
        for (id, live) in suspects {
            // What is no target any more is nobody's to look at.
            let Some(index) = entry.place_of(&id) else {
                continue;
            };
            if !self.differs(entry, index, &live) {
                continue;
            }
            if entry.targets[index].lags {
                // The run that is at it may be who wrote it.
                later.insert(id, live);
                continue;
            }
            match entry.targets[index].alarms.calm_until {
                Some(calm) if calm > now => {
                    next = Some(next.map_or(calm, |next: Instant| next.min(calm)));
                    later.insert(id, live);
                }
                Some(_) | None => which.push(index),
            }
        }
        if !later.is_empty() {
            self.watched.suspects.insert(name.clone(), later);
        }
        if let Some(next) = next {
            self.schedule.set(Due::Look(name.clone()), next);
        }
        if which.is_empty() {
            return;
        }
        if let Some(entry) = self.entries.get_mut(name) {
            for index in &which {
                entry.targets[*index].alarms.open = true;
            }
        }
        self.check_these(name, which, Look::Sight);
    }

    /// Whether that is not what was delivered. What was never delivered, or failed, has a time of its own.
    fn differs(&self, entry: &EntryState, index: usize, live: &Live) -> bool {
        let (Some(Target::Kubernetes(_, id)), Some(target)) =
            (entry.entry.targets.get(index), entry.targets.get(index))
        else {
            return false;
        };
        if target.trouble.is_some() || entry.turn(index) == Turn::Waits {
            return false;
        }
        let part = SecretPart {
            id: id.clone(),
            entry: entry.entry.name.clone(),
        };
        let Some(delivered) = self.state.secret(&part) else {
            return false;
        };
        live.as_ref().is_none_or(|(uid, version)| {
            *uid != delivered.uid || *version != delivered.resource_version
        })
    }

    /// Whether a target is watched, and nothing was seen that is not looked into yet.
    pub(super) fn is_seen(&self, name: &EntryName, index: usize) -> bool {
        let target = self
            .entries
            .get(name)
            .and_then(|it| it.entry.targets.get(index));
        let Some(Target::Kubernetes(_, id)) = target.filter(|it| it.is_watched()) else {
            return false;
        };
        self.watched.covers(id) && !self.watched.is_suspect(name, id)
    }
}

/// A Secret that was told of, and its state.
fn named(scope: &Scope, object: &Object) -> Option<(SecretId, (Uid, ResourceVersion))> {
    let id = SecretId {
        cluster: scope.cluster.clone(),
        namespace: object.namespace.clone()?,
        name: object.name.clone(),
    };
    Some((id, (object.uid.clone(), object.resource_version.clone())))
}
