//! Every small world of one Secret that is to go: nothing goes that is not proven to be ours alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::CreationPolicy;
use crate::decide::kubernetes::removal::{Author, Removal, delete, orphaned};
use crate::decide::kubernetes::{
    DeliveredSecret, ENTRY_ANNOTATION, INSTANCE_ANNOTATION, MANAGED_LABEL, Wrote,
};
use crate::kube::{Controller, FieldManager, LiveSecret, Manager, Operation};
use crate::names::{EntryName, Instance, ResourceVersion, SecretKey, Uid};
use crate::secret::{Fingerprint, SecretBytes};

const ANY: [bool; 2] = [false, true];

const POLICIES: [CreationPolicy; 4] = [
    CreationPolicy::Owner,
    CreationPolicy::Orphan,
    CreationPolicy::Merge,
    CreationPolicy::CreateOrMerge,
];

/// Who holds the key `a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    /// As the owner.
    We,
    /// Under the name of the entry, as who merges.
    Merged,
    They,
    Both,
}

const HOLDERS: [Holder; 5] = [
    Holder::Nobody,
    Holder::We,
    Holder::Merged,
    Holder::They,
    Holder::Both,
];

/// What keeps a Secret from going, or not, whoever holds its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trait {
    /// The ledger knows another life of the Secret.
    OtherLife,
    ForeignKey,
    Unlabelled,
    Controlled,
    Deleting,
    Immutable,
}

const TRAITS: [Trait; 6] = [
    Trait::OtherLife,
    Trait::ForeignKey,
    Trait::Unlabelled,
    Trait::Controlled,
    Trait::Deleting,
    Trait::Immutable,
];

#[derive(Clone, Debug)]
struct World {
    policy: CreationPolicy,
    holder: Holder,
    instance: &'static str,
    entry: &'static str,
    traits: Vec<Trait>,
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn entry() -> EntryName {
    EntryName::new("db").unwrap()
}

fn here() -> Instance {
    Instance::new("here").unwrap()
}

impl World {
    fn is(&self, one: Trait) -> bool {
        self.traits.contains(&one)
    }

    fn record(&self) -> DeliveredSecret {
        DeliveredSecret {
            uid: Uid::new(if self.is(Trait::OtherLife) {
                "u-0"
            } else {
                "u-1"
            })
            .unwrap(),
            resource_version: ResourceVersion::new("6").unwrap(),
            whole: self.policy.is_whole().then(here),
            wrote: Wrote::default(),
            manager: None,
            fingerprint: Fingerprint::from_bytes([1; 32]),
            author: Some(Arc::new(Author {
                policy: self.policy,
                instance: here(),
            })),
            left: true,
            restart: None,
        }
    }

    fn secret(&self) -> LiveSecret {
        let manager = |name: &FieldManager, operation| Manager {
            name: name.as_str().to_owned(),
            operation,
            data: ["a".to_owned()].into(),
            ..Manager::default()
        };
        let we = manager(&FieldManager::new(&[]), Operation::Apply);
        let merged = manager(&FieldManager::new(&["here", "db"]), Operation::Apply);
        let they = manager(&FieldManager::new(&[]), Operation::Update);
        let mut data = BTreeMap::from([(SecretKey::new("a").unwrap(), bytes("1"))]);
        if self.is(Trait::ForeignKey) {
            data.insert(SecretKey::new("b").unwrap(), bytes("2"));
        }
        let labelled = !self.is(Trait::Unlabelled);
        let labels = labelled.then(|| (MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned()));
        let annotations = [
            (INSTANCE_ANNOTATION, self.instance),
            (ENTRY_ANNOTATION, self.entry),
        ];
        LiveSecret {
            uid: Uid::new("u-1").unwrap(),
            resource_version: ResourceVersion::new("7").unwrap(),
            secret_type: "Opaque".into(),
            data,
            labels: labels.into_iter().collect(),
            annotations: annotations
                .map(|(key, value)| (key.to_owned(), bytes(value)))
                .into(),
            managers: match self.holder {
                Holder::Nobody => Vec::new(),
                Holder::We => vec![we],
                Holder::Merged => vec![merged],
                Holder::They => vec![they],
                Holder::Both => vec![we, they],
            },
            controller: self.is(Trait::Controlled).then(|| Controller {
                kind: "X".into(),
                group: "y".into(),
            }),
            immutable: self.is(Trait::Immutable),
            deleting: self.is(Trait::Deleting),
        }
    }

    /// Design 7.1 and 7.4: our ledger wrote it as its owner, it says so, and nobody else has anything in it.
    fn is_ours_alone(&self) -> bool {
        let ledger = self.policy == CreationPolicy::Owner;
        let says = self.instance == "here" && self.entry == "db";
        let harmless = self.traits.iter().all(|one| *one == Trait::Immutable);
        ledger && says && self.holder == Holder::We && harmless
    }

    fn holds_merged(&self) -> bool {
        let merged = self.holder == Holder::Merged && !self.is(Trait::OtherLife);
        !self.policy.is_whole() && merged
    }
}

fn each(mut see: impl FnMut(&World)) {
    for policy in POLICIES {
        for holder in HOLDERS {
            for instance in ["here", "there"] {
                for entry in ["db", "other"] {
                    for row in super::combinations(&ANY, TRAITS.len()) {
                        let traits = TRAITS.iter().zip(row);
                        let traits = traits.filter(|(_, is)| *is);
                        see(&World {
                            policy,
                            holder,
                            instance,
                            entry,
                            traits: traits.map(|(one, _)| *one).collect(),
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn a_secret_goes_only_when_it_is_ours_alone_and_keys_only_by_our_own_manager() {
    let (mut deleted, mut given_back, mut stayed) = (0, 0, 0);
    each(|world| {
        let (record, live) = (world.record(), world.secret());
        let both = [
            delete(&entry(), Some(&record), Some(&live)),
            orphaned(&entry(), &record, Some(&live)),
        ];
        for (by_policy, result) in [true, false].into_iter().zip(both) {
            match result {
                Ok(Removal::Delete(at)) => {
                    deleted += 1;
                    assert!(world.is_ours_alone(), "{world:?}");
                    let judged = (at.uid, at.resource_version);
                    assert_eq!(judged, (live.uid.clone(), live.resource_version.clone()));
                }
                Ok(Removal::GiveBack(_, manager)) => {
                    given_back += 1;
                    assert!(world.holds_merged() && !by_policy, "{world:?}");
                    let stays = world.is(Trait::Deleting) || world.is(Trait::Immutable);
                    assert!(!stays, "{world:?}");
                    assert_eq!(manager, FieldManager::new(&["here", "db"]));
                }
                Ok(Removal::Release) => {
                    assert!(world.policy == CreationPolicy::Orphan && !by_policy);
                }
                Ok(Removal::Gone) => {
                    // Nothing is done to what is there.
                    let nothing_of_ours = !world.policy.is_whole() && !world.holds_merged();
                    assert!(world.is(Trait::OtherLife) || nothing_of_ours, "{world:?}");
                    assert!(!by_policy, "{world:?}");
                }
                Err(_) => {
                    stayed += 1;
                    assert!(!world.is_ours_alone(), "{world:?}");
                }
            }
        }
    });
    assert!(deleted > 1 && given_back > 10 && stayed > 1_000);
}
