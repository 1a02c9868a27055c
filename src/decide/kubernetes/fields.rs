//! Which fields differ, whose they are, and whether putting ours in their place takes force.
//!
//! Force is asked for only where a field that differs has another owner, and only when its value was there because of
//! us or `adopt` says to take it: owning a field together with somebody who had it first proves nothing. The apply
//! names the very state judged here, so force can reach nothing else.

use crate::failure::{Failure, Reason};
use crate::kube::{FieldKind, Force, LiveSecret, Manager};
use crate::names::SecretKey;

use super::{DeliveredSecret, Wanted, Wrote};

/// How many names a sentence lists.
const NAMED: usize = 5;

#[derive(Debug)]
pub(super) struct Difference {
    /// Keys to be added, changed or removed.
    pub(super) content: bool,
    /// Labels and annotations to be added, changed or removed, or ownership to be taken of what is already right.
    pub(super) metadata: bool,
    pub(super) force: Force,
    /// Keys of the Secret that are neither wanted nor ours.
    pub(super) foreign: Vec<SecretKey>,
    pub(super) wrote: Wrote,
}

/// One field that is in the way: named for the sentence that says so.
struct Obstacle {
    kind: FieldKind,
    key: String,
    owner: Option<String>,
}

struct Comparison<'a> {
    wanted: &'a Wanted,
    live: &'a LiveSecret,
    ledger: Option<&'a DeliveredSecret>,
    difference: Difference,
    obstacles: Vec<Obstacle>,
}

pub(super) fn compare(
    wanted: &Wanted,
    live: &LiveSecret,
    ledger: Option<&DeliveredSecret>,
) -> Result<Difference, Failure> {
    let mut comparison = Comparison {
        wanted,
        live,
        ledger,
        difference: Difference {
            content: false,
            metadata: false,
            force: Force::No,
            foreign: Vec::new(),
            wrote: Wrote::default(),
        },
        obstacles: Vec::new(),
    };
    comparison.data();
    comparison.labels();
    comparison.annotations();
    comparison.immutable();
    if comparison.obstacles.is_empty() {
        Ok(comparison.difference)
    } else {
        Err(in_the_way(&comparison.obstacles))
    }
}

impl Comparison<'_> {
    fn data(&mut self) {
        let mut wrote = Vec::new();
        for (key, value) in self.wanted.data.iter() {
            let equal = self.live.data.get(key).map(|live| live == value);
            if self.field(FieldKind::Data, key.as_str(), equal) {
                wrote.push(key.clone());
            }
        }
        self.difference.wrote.keys = wrote.into_iter().collect();
        for key in self.live.data.keys() {
            if self.wanted.data.get(key).is_some() {
                continue;
            }
            if self.is_ours(FieldKind::Data, key.as_str()) {
                self.difference.content = true;
            } else {
                self.difference.foreign.push(key.clone());
            }
        }
    }

    fn labels(&mut self) {
        let mut wrote = Vec::new();
        for (key, value) in &self.wanted.labels {
            let live = self.live.labels.get(key.as_str());
            let equal = live.map(|live| live == value.as_str());
            if self.field(FieldKind::Label, key.as_str(), equal) {
                wrote.push(key.clone());
            }
        }
        self.difference.wrote.labels = wrote.into_iter().collect();
        for key in self.live.labels.keys() {
            if !self.wanted.labels.contains_key(key.as_str()) && self.is_ours(FieldKind::Label, key)
            {
                self.difference.metadata = true;
            }
        }
    }

    fn annotations(&mut self) {
        let mut wrote = Vec::new();
        for (key, value) in &self.wanted.annotations {
            let live = self.live.annotations.get(key.as_str());
            let equal = live.map(|live| live.expose() == value.as_bytes());
            if self.field(FieldKind::Annotation, key.as_str(), equal) {
                wrote.push(key.clone());
            }
        }
        self.difference.wrote.annotations = wrote.into_iter().collect();
        for key in self.live.annotations.keys() {
            if !self.wanted.annotations.contains_key(key.as_str())
                && self.is_ours(FieldKind::Annotation, key)
            {
                self.difference.metadata = true;
            }
        }
    }

    /// It is said of the whole Secret: under a policy that owns only keys, it is never wanted.
    fn immutable(&mut self) {
        if !self.wanted.immutable {
            return;
        }
        let mut managers = self.live.managers.iter();
        if !self.live.immutable {
            self.difference.metadata = true;
            let ours = |m: &Manager| m.is(&self.wanted.manager);
            if managers.any(|m| m.immutable && !ours(m)) {
                self.difference.force = Force::Yes;
            }
        } else if !managers.any(|m| m.immutable && m.is(&self.wanted.manager)) {
            self.difference.metadata = true;
        }
    }

    /// One wanted field; `equal` is `None` where the Secret does not have it. True when the value will be there
    /// because of us.
    fn field(&mut self, kind: FieldKind, key: &str, equal: Option<bool>) -> bool {
        let held = self.is_ours(kind, key);
        match equal {
            // Without owning it, a later apply could not remove it. The value stays as it is.
            Some(true) => {
                self.difference.metadata |= !held;
                self.wanted.adopt || self.is_proven(kind, key)
            }
            None => {
                self.differs(kind);
                true
            }
            Some(false) => {
                self.differs(kind);
                let shared = self.live.managers.iter();
                let mut shared = shared.filter(|m| !m.is(&self.wanted.manager));
                if held && !shared.any(|m| m.fields(kind).contains(key)) {
                    return true;
                }
                let may_force = self.may_force(kind, key);
                if may_force {
                    self.difference.force = Force::Yes;
                } else {
                    self.obstacles.push(Obstacle {
                        kind,
                        key: key.to_owned(),
                        owner: self.other_owner(kind, key),
                    });
                }
                may_force
            }
        }
    }

    fn differs(&mut self, kind: FieldKind) {
        match kind {
            FieldKind::Data => self.difference.content = true,
            FieldKind::Label | FieldKind::Annotation => self.difference.metadata = true,
        }
    }

    /// What the API server says to be ours, possibly together with others.
    fn is_ours(&self, kind: FieldKind, key: &str) -> bool {
        let mut managers = self.live.managers.iter();
        managers.any(|m| m.is(&self.wanted.manager) && m.fields(kind).contains(key))
    }

    fn other_owner(&self, kind: FieldKind, key: &str) -> Option<String> {
        let mut managers = self.live.managers.iter();
        managers
            .find(|m| !m.is(&self.wanted.manager) && m.fields(kind).contains(key))
            .map(|m| m.name.clone())
    }

    /// The ledger says that the value was there because of us, or the API server knows nobody else it could be from.
    fn is_proven(&self, kind: FieldKind, key: &str) -> bool {
        let wrote = self.ledger.map(|ledger| &ledger.wrote);
        let recorded = wrote.is_some_and(|wrote| match kind {
            FieldKind::Data => wrote.keys.contains(key),
            FieldKind::Label => wrote.labels.contains(key),
            FieldKind::Annotation => wrote.annotations.contains(key),
        });
        recorded || (self.is_ours(kind, key) && self.other_owner(kind, key).is_none())
    }

    fn may_force(&self, kind: FieldKind, key: &str) -> bool {
        let ours_by_name = match kind {
            FieldKind::Data => false,
            FieldKind::Label | FieldKind::Annotation => {
                self.wanted.policy.is_whole() || key.starts_with("secretsyncd/")
            }
        };
        self.wanted.adopt || ours_by_name || self.is_proven(kind, key)
    }
}

/// Names the fields, which are ours to name since we want them, and their owner when its name is a plain word.
fn in_the_way(obstacles: &[Obstacle]) -> Failure {
    let mut names: Vec<String> = obstacles
        .iter()
        .take(NAMED)
        .map(|obstacle| {
            let kind = match obstacle.kind {
                FieldKind::Data => "key",
                FieldKind::Label => "label",
                FieldKind::Annotation => "annotation",
            };
            format!("{kind} `{}`", obstacle.key)
        })
        .collect();
    if obstacles.len() > NAMED {
        names.push(format!("{} more", obstacles.len() - NAMED));
    }
    let owner = obstacles
        .iter()
        .find_map(|obstacle| obstacle.owner.as_deref().filter(|name| is_plain(name)));
    let by = owner.map_or_else(String::new, |name| format!(", written by `{name}`"));
    Failure::new(
        Reason::Conflict,
        format!(
            "the Secret already has {} with another value{by}",
            names.join(", ")
        ),
    )
    .with_help("remove it there, or set `adopt = true` to take it over")
}

/// Managers' names are chosen by other programs; only what looks like a program's name is repeated.
pub(super) fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:/@".contains(&b))
}
