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
    /// They as well, and they apply it.
    BothApply,
    /// We made the Secret, and did not make it our own yet.
    WeMade,
    WeMadeAndThey,
}

impl Holders {
    const ALL: [Self; 7] = [
        Self::Nobody,
        Self::We,
        Self::They,
        Self::Both,
        Self::BothApply,
        Self::WeMade,
        Self::WeMadeAndThey,
    ];

    fn are_we(self) -> bool {
        self.have_we_applied() || self.have_we_made()
    }

    fn have_we_applied(self) -> bool {
        matches!(self, Self::We | Self::Both | Self::BothApply)
    }

    fn have_we_made(self) -> bool {
        matches!(self, Self::WeMade | Self::WeMadeAndThey)
    }

    fn are_they(self) -> Option<Operation> {
        match self {
            Self::Nobody | Self::We | Self::WeMade => None,
            Self::They | Self::Both | Self::WeMadeAndThey => Some(Operation::Update),
            Self::BothApply => Some(Operation::Apply),
        }
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
    for key in [Key::Absent, Key::AsWanted, Key::Other] {
        for holders in Holders::ALL {
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
            immutable: false,
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
        let applied = || manager(wanted.manager.as_str(), Operation::Apply);
        let applied = live.holders.have_we_applied().then(applied);
        let made = || manager(wanted.manager.for_making().as_str(), Operation::Update);
        let made = live.holders.have_we_made().then(made);
        let theirs = live.holders.are_they().map(|how| manager("kubectl", how));
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
            managers: applied.into_iter().chain(made).chain(theirs).collect(),
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
            manager: None,
            fingerprint: Fingerprint::from_bytes([2; 32]),
            author: None,
            left: ledger.life == Life::Left,
            restart: None,
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
        let alone = matches!(self.live.holders, Holders::We | Holders::WeMade);
        self.adopt || alone || self.known().is_some_and(|it| it.wrote)
    }

    /// Whether an apply destroys nothing of others. A key that is not wanted goes by it only when our manager holds it;
    /// what is there as wanted stays as it is.
    fn allows_an_apply(&self) -> Result<(), &'static str> {
        if self.policy.is_whole() && !self.may_own() {
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

    /// Whether what that makes ours is: no field that was not, but for what we wrote and still want and nobody holds,
    /// and nothing of theirs, but for what we wrote, hold and drop, and they do not apply.
    fn allows_a_takeover(&self, wanted: &Wanted, after: &LiveSecret) -> bool {
        let holds = |ours: bool| {
            let mut managers = after.managers.iter();
            managers.any(|m| m.is(&wanted.manager) == ours && m.data.contains("a"))
        };
        let (before, wrote) = (self.live.holders, self.known().is_some_and(|it| it.wrote));
        let there = self.live.key != Key::Absent;
        let new = holds(true) && !(there && before.are_we());
        let restored = before == Holders::Nobody && self.wanted && self.live.key == Key::AsWanted;
        let lost = there && before.are_they().is_some() && !holds(false);
        let shared = before.are_we() && before.are_they() == Some(Operation::Update);
        (!self.policy.is_whole() || self.may_own())
            && (!new || (wrote && restored))
            && (!lost || (wrote && shared && !self.wanted))
    }
}

const SECRET: &str = "the Secret is not ours";
const KEY: &str = "the key is not ours";
const NOT_FOUND: &str = "a key was not found, and nothing proves that it was delivered";

fn each(mut see: impl FnMut(World)) {
    for policy in [
        CreationPolicy::Owner,
        CreationPolicy::Orphan,
        CreationPolicy::Merge,
        CreationPolicy::CreateOrMerge,
    ] {
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
    let (mut applied, mut taken_over) = (0, 0);
    // What a judge that refuses nothing would be caught by.
    let mut refused = BTreeMap::from([(SECRET, 0), (KEY, 0), (NOT_FOUND, 0)]);
    each(|world| {
        let wanted = world.wanted();
        let mut live = world.secret(&wanted);
        let delivered = world.delivered();
        let known = Known {
            own: delivered.as_ref(),
            found: world.origin == Origin::Found,
            ..Known::default()
        };
        let mut verdict = judge(&wanted, Some(&live), known);
        if let Ok(Verdict::TakeOver { ownership, .. }) = verdict {
            taken_over += 1;
            live.managers = ownership.managers;
            assert!(world.allows_a_takeover(&wanted, &live), "{world:?}");
            verdict = judge(&wanted, Some(&live), known);
        }
        match verdict {
            Ok(Verdict::Unchanged(_)) => {}
            Ok(Verdict::Create { .. }) => panic!("there is one: {world:?}"),
            Ok(Verdict::TakeOver { .. }) => panic!("once is enough: {world:?}"),
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
    assert!(
        applied > 1_000 && taken_over > 1_000,
        "{applied} {taken_over}"
    );
    assert!(refused.values().all(|count| *count > 100), "{refused:?}");
}
