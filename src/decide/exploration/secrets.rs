//! Every small world of one Secret with one key of doubtful owners: nothing of somebody else's is replaced or removed.

use std::collections::BTreeMap;

use crate::config::CreationPolicy;
use crate::decide::kubernetes::{
    DeliveredSecret, ENTRY_ANNOTATION, INSTANCE_ANNOTATION, Known, Verdict, Wanted, Wrote,
    field_manager, judge,
};
use crate::kube::{Controller, LiveSecret, Manager, Operation};
use crate::names::{EntryName, Instance, ResourceVersion, SecretKey, Uid};
use crate::secret::{Fingerprint, Payload, SecretBytes};

const ANY: [bool; 2] = [false, true];

/// The Secret, and who says to own its key `a`.
#[derive(Clone, Copy, Debug)]
struct World {
    policy: CreationPolicy,
    adopt: bool,
    /// Whether we want `a`; we always want `b`.
    wanted: bool,
    origin: Origin,
    live: Live,
    ledger: Option<Ledger>,
}

/// Where the entry's keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Named,
    Found,
}

/// Who is among the managers, and holds `a` where it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holders {
    Nobody,
    We,
    They,
    Both,
}

impl Holders {
    fn are_we(self) -> bool {
        matches!(self, Self::We | Self::Both)
    }

    fn are_they(self) -> bool {
        matches!(self, Self::They | Self::Both)
    }
}

#[derive(Clone, Copy, Debug)]
struct Live {
    key: Key,
    holders: Holders,
    instance: Option<&'static str>,
    entry: &'static str,
    external: bool,
    controlled: bool,
}

/// What is under `a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Absent,
    AsWanted,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Ledger {
    life: Life,
    wrote: bool,
    whole: bool,
}

/// What the ledger speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    This,
    /// This one, as it was left by a configuration; others wrote it since.
    Left,
    Earlier,
}

fn ledgers() -> Vec<Option<Ledger>> {
    let mut all = vec![None];
    for life in [Life::This, Life::Left, Life::Earlier] {
        for row in super::combinations(&ANY, 2) {
            all.push(Some(Ledger {
                life,
                wrote: row[0],
                whole: row[1],
            }));
        }
    }
    all
}

fn lives() -> Vec<Live> {
    let mut all = Vec::new();
    let holders = [Holders::Nobody, Holders::We, Holders::They, Holders::Both];
    for key in [Key::Absent, Key::AsWanted, Key::Other] {
        for holders in holders {
            for instance in [None, Some("here"), Some("there")] {
                for entry in ["db", "other"] {
                    for row in super::combinations(&ANY, 2) {
                        all.push(Live {
                            key,
                            holders,
                            instance,
                            entry,
                            external: row[0],
                            controlled: row[1],
                        });
                    }
                }
            }
        }
    }
    all
}

impl World {
    fn name(text: &str) -> SecretKey {
        SecretKey::new(text).unwrap()
    }

    fn wanted(&self) -> Wanted {
        let instance = Instance::new("here").unwrap();
        let entry = EntryName::new("db").unwrap();
        let mut data = Payload::default();
        data.insert(Self::name("b"), SecretBytes::new(b"b".to_vec()));
        if self.wanted {
            data.insert(Self::name("a"), SecretBytes::new(b"new".to_vec()));
        }
        Wanted {
            secret_type: "Opaque".into(),
            data,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            policy: self.policy,
            adopt: self.adopt,
            manager: field_manager(self.policy, &instance, &entry),
            instance,
            entry,
            fingerprint: Fingerprint::from_bytes([1; 32]),
        }
    }

    fn secret(&self, wanted: &Wanted) -> LiveSecret {
        let live = self.live;
        let value = match live.key {
            Key::Absent => None,
            Key::AsWanted => Some("new"),
            Key::Other => Some("other"),
        };
        let bytes = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
        let manager = |name: &str, operation| Manager {
            name: name.to_owned(),
            operation,
            data: value.iter().map(|_| "a".to_owned()).collect(),
            ..Manager::default()
        };
        let ours = || manager(wanted.manager.as_str(), Operation::Apply);
        let ours = live.holders.are_we().then(ours);
        let theirs = || manager("kubectl", Operation::Update);
        let theirs = live.holders.are_they().then(theirs);
        let mut annotations: BTreeMap<String, SecretBytes> =
            [(ENTRY_ANNOTATION.to_owned(), bytes(live.entry))].into();
        if let Some(instance) = live.instance {
            annotations.insert(INSTANCE_ANNOTATION.to_owned(), bytes(instance));
        }
        let external = live.external.then(|| {
            let label = "reconcile.external-secrets.io/managed".to_owned();
            (label, "true".to_owned())
        });
        LiveSecret {
            uid: Uid::new("u-1").unwrap(),
            resource_version: ResourceVersion::new("7").unwrap(),
            secret_type: "Opaque".into(),
            data: value
                .map(|it| (Self::name("a"), bytes(it)))
                .into_iter()
                .collect(),
            labels: external.into_iter().collect(),
            annotations,
            managers: ours.into_iter().chain(theirs).collect(),
            controller: live.controlled.then(|| Controller {
                kind: "X".into(),
                group: "y".into(),
            }),
            immutable: false,
            deleting: false,
        }
    }

    fn delivered(&self) -> Option<DeliveredSecret> {
        let ledger = self.ledger?;
        let keys = ledger.wrote.then(|| Self::name("a"));
        let (uid, version) = match ledger.life {
            Life::This => ("u-1", "7"),
            Life::Left => ("u-1", "6"),
            Life::Earlier => ("u-0", "7"),
        };
        Some(DeliveredSecret {
            uid: Uid::new(uid).unwrap(),
            resource_version: ResourceVersion::new(version).unwrap(),
            whole: ledger.whole.then(|| Instance::new("here").unwrap()),
            wrote: Wrote {
                keys: keys.into_iter().collect(),
                ..Wrote::default()
            },
            fingerprint: Fingerprint::from_bytes([2; 32]),
            left: ledger.life == Life::Left,
        })
    }

    /// The ledger, where it speaks of this Secret as we left it.
    fn known(&self) -> Option<Ledger> {
        self.ledger.filter(|it| it.life == Life::This)
    }

    /// Design 7.1: ours as a whole by what the Secret says and the API server or our ledger proves, or taken by
    /// `adopt`, which takes none that a controller or External Secrets has.
    fn may_own(&self) -> bool {
        let live = self.live;
        let whole = self.known().is_some_and(|it| it.whole);
        let says = live.instance == Some("here");
        let proven = says && live.holders.are_we() && (whole || live.entry == "db");
        let foreign = live.controlled || live.instance == Some("there");
        !foreign && (proven || (!live.external && (whole || self.adopt)))
    }

    /// Managed fields name nobody but us for `a`, or our ledger says that we wrote it, or `adopt` takes it.
    fn may_change_key(&self) -> bool {
        let alone = self.live.holders == Holders::We;
        self.adopt || alone || self.known().is_some_and(|it| it.wrote)
    }

    /// Whether an apply destroys nothing of others. A key that is not wanted goes by it only when our manager holds it;
    /// what is there as wanted stays as it is.
    fn allows_an_apply(&self) -> Result<(), &'static str> {
        if self.policy == CreationPolicy::Owner && !self.may_own() {
            return Err(SECRET);
        }
        if self.wanted && self.live.key == Key::Other && !self.may_change_key() {
            return Err(KEY);
        }
        let goes = !self.wanted && self.live.key != Key::Absent && self.live.holders.are_we();
        if goes && self.origin == Origin::Found && self.known().is_none() {
            return Err(NOT_FOUND);
        }
        Ok(())
    }
}

const SECRET: &str = "the Secret is not ours";
const KEY: &str = "the key is not ours";
const NOT_FOUND: &str = "a key was not found, and nothing proves that it was delivered";

fn each(mut see: impl FnMut(World)) {
    for policy in [CreationPolicy::Owner, CreationPolicy::Merge] {
        for origin in [Origin::Named, Origin::Found] {
            for row in super::combinations(&ANY, 2) {
                for live in lives() {
                    for ledger in ledgers() {
                        see(World {
                            policy,
                            adopt: row[0],
                            wanted: row[1],
                            origin,
                            live,
                            ledger,
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_of_others_is_replaced_or_removed_in_a_secret() {
    let mut applied = 0;
    // What a judge that refuses nothing would be caught by.
    let mut refused = BTreeMap::from([(SECRET, 0), (KEY, 0), (NOT_FOUND, 0)]);
    each(|world| {
        let wanted = world.wanted();
        let live = world.secret(&wanted);
        let delivered = world.delivered();
        let known = Known {
            own: delivered.as_ref(),
            writer: None,
            found: world.origin == Origin::Found,
        };
        match judge(&wanted, Some(&live), known) {
            Ok(Verdict::Unchanged(_)) => {}
            Ok(Verdict::Create { .. }) => panic!("there is one: {world:?}"),
            Ok(Verdict::Apply { .. }) => {
                applied += 1;
                assert_eq!(world.allows_an_apply(), Ok(()), "{world:?}");
            }
            Err(_) => {
                if let Err(broken) = world.allows_an_apply() {
                    *refused.get_mut(broken).unwrap() += 1;
                }
            }
        }
    });
    assert!(applied > 1_000, "{applied}");
    assert!(refused.values().all(|count| *count > 100), "{refused:?}");
}
