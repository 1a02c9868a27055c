//! An entry, ready to run: its distinct reads, its items over them, and its targets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::absent::{Absences, Slot, keys_of};
use super::{Answers, Selected};
use crate::assemble::bulk::{Absent, Shape};
use crate::assemble::decode::Decoding;
use crate::assemble::json_format::JsonFormat;
use crate::assemble::select::Property;
use crate::assemble::{self, Content, Templates};
use crate::config::{
    self, BulkSource, DeletionPolicy, Find, NamePattern, OnMissing, RefreshPolicy, Source, Version,
};
use crate::failure::Failure;
use crate::names::{ClusterName, EntryName, RemoteKey, SecretKey, StoreName};
use crate::secret::Fingerprint;
use crate::state::FoundId;
use crate::store::{Match, Read};
use crate::target::Target;

#[derive(Debug)]
pub struct Entry {
    pub name: EntryName,
    /// Of everything that decides what it delivers, and where.
    pub configuration: Fingerprint,
    pub refresh_policy: RefreshPolicy,
    pub suspended: bool,
    /// The `store` label of its metrics.
    pub store: StoreName,
    pub refresh_interval: Duration,
    pub max_stale: Duration,
    /// Distinct, in the order of the items. What a `find` among them matches is read, too.
    pub reads: Vec<Read>,
    pub items: Vec<Item>,
    pub json_format: JsonFormat,
    pub templates: Option<Arc<Templates>>,
    pub targets: Vec<Target>,
    /// Where more of them come from: what was found is among `targets`.
    pub selected: Vec<Selected>,
}

/// What becomes of one of `reads`. Later items win.
#[derive(Debug)]
pub enum Item {
    /// One key of the result.
    One {
        secret_key: SecretKey,
        property: Option<Property>,
        decoding: Decoding,
        on_missing: OnMissing,
        read: usize,
    },
    /// A key for each member of a JSON object.
    Extract {
        property: Option<Property>,
        shape: Shape,
        on_missing: OnMissing,
        read: usize,
    },
    /// A key for each match of a `find`.
    Found {
        shape: Shape,
        on_missing: OnMissing,
        read: usize,
    },
}

impl Item {
    pub fn read(&self) -> usize {
        match self {
            Self::One { read, .. } | Self::Extract { read, .. } | Self::Found { read, .. } => *read,
        }
    }

    pub fn on_missing(&self) -> OnMissing {
        match self {
            Self::One { on_missing, .. }
            | Self::Extract { on_missing, .. }
            | Self::Found { on_missing, .. } => *on_missing,
        }
    }

    fn is_tolerant(&self) -> bool {
        self.on_missing() != OnMissing::Fail
    }

    /// The keys that come from it, or from that match of it; `None` where only values tell.
    pub fn keys(&self, found: Option<&RemoteKey>) -> Option<BTreeSet<SecretKey>> {
        match (self, found) {
            (Self::One { secret_key, .. }, _) => Some([secret_key.clone()].into()),
            (Self::Extract { shape, .. }, _) => shape.all_keys(),
            (Self::Found { shape, .. }, Some(name)) => Some([shape.key_of(name.as_str())?].into()),
            (Self::Found { .. }, None) => None,
        }
    }
}

impl Entry {
    pub fn new(
        name: EntryName,
        spec: &config::Entry,
        targets: Vec<Target>,
        configuration: Fingerprint,
    ) -> Self {
        let mut reads: Vec<Read> = Vec::new();
        let mut place = |store: &StoreName, source: Source| {
            let store = store.clone();
            let read = Read::new(store, source);
            reads
                .iter()
                .position(|known| *known == read)
                .unwrap_or_else(|| {
                    reads.push(read);
                    reads.len() - 1
                })
        };
        let mut items = Vec::new();
        for item in &spec.data_from {
            let read = place(&item.store, item.source());
            let (shape, on_missing) = (item.shape.clone(), item.on_missing);
            items.push(match &item.bulk {
                BulkSource::Find(_) => Item::Found {
                    shape,
                    on_missing,
                    read,
                },
                BulkSource::Extract { property, .. } => Item::Extract {
                    property: property.clone(),
                    shape,
                    on_missing,
                    read,
                },
            });
        }
        for item in &spec.data {
            items.push(Item::One {
                secret_key: item.secret_key.clone(),
                property: item.property.clone(),
                decoding: item.decoding,
                on_missing: item.on_missing,
                read: place(&item.store, item.source.clone()),
            });
        }
        // Most have one of each.
        reads.shrink_to_fit();
        items.shrink_to_fit();
        Self {
            name,
            configuration,
            refresh_policy: spec.refresh_policy,
            suspended: spec.suspended,
            store: spec.store.clone(),
            refresh_interval: spec.refresh_interval,
            max_stale: spec.max_stale,
            reads,
            items,
            json_format: spec.json_format,
            templates: spec.templates.clone(),
            targets,
            selected: Vec::new(),
        }
    }
}

impl Entry {
    /// Whether the configuration says the same of both. Where a selector finds namespaces is not said there.
    pub fn is_configured_as(&self, other: &Self) -> bool {
        self.configuration == other.configuration
            && self.refresh_policy == other.refresh_policy
            && self.suspended == other.suspended
            && self.refresh_interval == other.refresh_interval
            && self.max_stale == other.max_stale
    }

    /// Whether it can do without this read when what it asks for is gone. `finds`: those that match it.
    pub fn tolerates<'a>(&self, read: &Read, finds: impl IntoIterator<Item = &'a Read>) -> bool {
        let finds: BTreeSet<&Read> = finds.into_iter().collect();
        let mut users = self.items.iter().filter(|item| {
            let own = &self.reads[item.read()];
            own == read || finds.contains(own)
        });
        // What goes by the policy of a target is no failure of the read either: the targets are judged one by one.
        let removes = self.removes();
        let mut tolerant = users.by_ref().map(|item| removes || item.is_tolerant());
        // Nobody's read is nothing to do without.
        tolerant
            .next()
            .is_some_and(|first| first && tolerant.all(|it| it))
    }

    /// Whether something of it goes by the policy of a target.
    fn removes(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.deletion_policy() != DeletionPolicy::Retain)
    }

    /// The targets that lose something when it is certain that one of its sources is gone. Those that go as a whole ask
    /// the brake when they do.
    pub fn losing(&self) -> Vec<usize> {
        let drops = self.drops();
        let targets = self.targets.iter().enumerate();
        let losing = targets
            .filter(|(_, target)| drops || target.deletion_policy() == DeletionPolicy::Merge);
        losing.map(|(index, _)| index).collect()
    }

    /// Whether it leaves out what is gone for certain.
    fn drops(&self) -> bool {
        let mut items = self.items.iter();
        items.any(|item| item.on_missing() == OnMissing::Drop)
    }

    /// Whether it can do without what this `find` no longer lists.
    pub fn tolerates_lost(&self, find: &Read) -> bool {
        self.tolerates(find, [])
    }

    /// The clusters it goes to; one as often as it has targets there.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterName> {
        self.targets.iter().filter_map(Target::cluster)
    }

    /// Its finds, and how the state knows them.
    pub fn finds(&self) -> impl Iterator<Item = (&Read, FoundId)> {
        self.reads.iter().filter_map(|read| {
            let Source::Find(find) = &read.source else {
                return None;
            };
            let id = FoundId {
                entry: self.name.clone(),
                question: question(&read.store, find),
            };
            Some((read, id))
        })
    }
}

/// Equal texts only for equal questions, whatever is in them, and the same in every release.
fn question(store: &StoreName, find: &Find) -> String {
    let name = find.name.as_ref().map(NamePattern::as_str);
    let mut parts = vec![
        serde_json::json!(store.as_str()),
        serde_json::json!(find.path),
        serde_json::json!(name),
        serde_json::json!(find.tags),
    ];
    parts.extend(find.keys.as_ref().map(|keys| serde_json::json!(keys)));
    serde_json::Value::from(parts).to_string()
}

/// Whether both are asked of the same store for the same tags: then names alone say whether what one of them found
/// belongs to the other.
pub(super) fn is_akin(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let parts: Option<Vec<serde_json::Value>> = serde_json::from_str(text).ok();
        parts.filter(|parts| parts.len() >= 4)
    };
    let (one, other) = (parts(one), parts(other));
    one.zip(other)
        .is_some_and(|(one, other)| one[0] == other[0] && one[3] == other[3])
}

/// How a match of `find` is read: by its ARN, which names one life of the secret and no other.
pub fn read_of(find: &Read, found: &Match) -> Read {
    Read::new(
        find.store.clone(),
        Source::Value {
            key: found.arn.clone(),
            version: Version::Current,
        },
    )
}

/// The content of an entry, without what the run does without.
pub(super) fn assemble(
    entry: &Entry,
    answers: &Answers,
    absences: &Absences,
) -> Result<Content, Failure> {
    let absent: Vec<Absent> = (0..entry.items.len())
        .map(|index| absences.names(index))
        .collect();
    let mut items = Vec::with_capacity(entry.items.len());
    for (index, item) in entry.items.iter().enumerate() {
        items.extend(assembled(entry, item, (answers, &absent[index])));
        let kept = absences.kept.iter().filter(|slot| slot.item == index);
        let kept: BTreeSet<SecretKey> = kept
            .filter_map(|slot: &Slot| keys_of(entry, slot))
            .flatten()
            .collect();
        if !kept.is_empty() {
            items.push(assemble::Item::Kept(kept));
        }
    }
    assemble::assemble(items, entry.json_format, entry.templates.as_deref())
}

/// An item with what was read for it; nothing where it is one of those the run does without.
fn assembled<'a>(
    entry: &'a Entry,
    item: &'a Item,
    (answers, absent): (&'a Answers, &'a Absent),
) -> Option<assemble::Item<'a>> {
    let read = &entry.reads[item.read()];
    Some(match item {
        Item::One {
            secret_key,
            property,
            decoding,
            ..
        } => assemble::Item::One {
            secret_key,
            from: &read.source,
            property: property.as_ref(),
            decoding: *decoding,
            value: answers.value(read)?,
        },
        Item::Extract {
            property, shape, ..
        } => assemble::Item::Extract {
            from: &read.source,
            property: property.as_ref(),
            shape,
            value: answers.value(read)?,
        },
        Item::Found { shape, .. } => {
            let members = answers.matches(read).iter().filter_map(|found| {
                let value = answers.value(&read_of(read, found))?;
                Some((&found.name, value))
            });
            assemble::Item::Found {
                find: &read.source,
                shape,
                members: members.collect(),
                absent,
            }
        }
    })
}
