//! What is known of an entry, as bytes for the state and back: what a restart must not forget.
//!
//! Names, versions, times and failures in our own words; never a value. Bytes that cannot be read are nothing remembered:
//! the entry then begins anew, which costs reads and no content.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Alarms, EntryState, Streak, TargetState};
use crate::daemon::raw::{RawRead, RawStreak, RawVersion, Table, Words, word_of};
use crate::daemon::times::Now;
use crate::decide::change::Version;
use crate::decide::contested::Repairs;
use crate::decide::missing::{Evidence, Gone, Proof};
use crate::few::{self, Seldom};
use crate::names::AccountId;
use crate::report::{Condition, Stage};
use crate::secret::Fingerprint;
use crate::store::Read;
use crate::sync::{Heard, Proofs, Said};

const VERSION: u32 = 1;

/// Reads are numbered by their place in `reads`.
#[derive(Serialize, Deserialize)]
pub(in crate::daemon) struct RawEntry {
    version: u32,
    configuration: [u8; 32],
    reads: Vec<RawRead>,
    found: Vec<(usize, Vec<usize>)>,
    proofs: Vec<(usize, Vec<usize>)>,
    /// The boot that `evidence` counts from, by the wall clock.
    boot: i64,
    evidence: Vec<RawEvidence>,
    allowed: Vec<usize>,
    held: Vec<usize>,
    attempted: Vec<(usize, RawHeard)>,
    without: Vec<usize>,
    trouble: Option<(String, RawStreak)>,
    kept: Option<RawStreak>,
    retry: Option<Timestamp>,
    unfinished: bool,
    last_success: Option<Timestamp>,
    first_seen: Timestamp,
    check: Option<Timestamp>,
    targets: Vec<RawTarget>,
}

#[derive(Serialize, Deserialize)]
struct RawEvidence {
    about: usize,
    proof: usize,
    gone: String,
    account: String,
    /// Milliseconds since the boot, time asleep included.
    first: u64,
    last: u64,
}

#[derive(Serialize, Deserialize)]
struct RawHeard {
    said: RawSaid,
    proofs: Vec<(usize, String, String)>,
}

#[derive(Serialize, Deserialize)]
enum RawSaid {
    Version(RawVersion),
    Missing(String),
}

#[derive(Serialize, Deserialize)]
struct RawTarget {
    name: String,
    tried: bool,
    trouble: Option<RawStreak>,
    retry: Option<Timestamp>,
    delivered: Vec<(usize, RawVersion)>,
    #[serde(default)]
    away: Option<Timestamp>,
    /// When it was put back, and whether that is a fight, with whom.
    #[serde(default)]
    repairs: Vec<Timestamp>,
    #[serde(default)]
    contested: bool,
    #[serde(default)]
    fight: Option<RawStreak>,
}

/// Whether what is remembered is of the present configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::daemon) enum Recalled {
    /// The entry stands as it stood.
    AsItWas,
    /// What its targets hold is known, and nothing else: it has to run.
    Changed,
    Nothing,
}

const GONE: Words<Gone> = &[
    ("not_found", Gone::NotFound),
    ("pending_deletion", Gone::PendingDeletion),
    ("no_value", Gone::NoValue),
    ("no_longer_matches", Gone::NoLongerMatches),
];

const PROOF: Words<Proof> = &[
    ("none", Proof::None),
    ("confirmed", Proof::Confirmed),
    ("held", Proof::Held),
    ("never_there", Proof::NeverThere),
];

impl RawEntry {
    pub(in crate::daemon) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self)
            .expect("these structures have string keys and no floats, so JSON can hold them")
    }
}

impl EntryState {
    /// What the state is to keep of it.
    pub(in crate::daemon) fn to_raw(&self, now: &Now) -> RawEntry {
        let mut reads = Table::default();
        let raw = RawEntry {
            version: VERSION,
            configuration: *self.entry.configuration.as_bytes(),
            found: numbered(&mut reads, &self.found),
            proofs: numbered(&mut reads, &self.proofs),
            boot: now.boot(),
            evidence: self.raw_evidence(&mut reads, now),
            allowed: self.allowed.iter().map(|it| reads.number(it)).collect(),
            held: self.held.iter().map(|it| reads.number(it)).collect(),
            attempted: raw_heard(&mut reads, &self.attempted),
            without: self.without.iter().map(|it| reads.number(it)).collect(),
            trouble: self
                .trouble
                .as_ref()
                .map(|(stage, streak)| (stage.to_string(), streak.into())),
            kept: self.kept.as_ref().map(RawStreak::from),
            retry: self.retry.map(|at| now.wall_of(at)),
            // What a run is still at may not have arrived.
            unfinished: self.unfinished || !self.tried || self.owes(),
            last_success: self.last_success.map(|(_, at)| at),
            first_seen: now.wall_of(self.first_seen),
            check: self.check.map(|at| now.wall_of(at)),
            targets: self.raw_targets(&mut reads, now),
            reads: Vec::new(),
        };
        RawEntry {
            reads: reads.into_rows(),
            ..raw
        }
    }

    fn raw_evidence(&self, reads: &mut Table, now: &Now) -> Vec<RawEvidence> {
        let evidence = self.evidence.iter().filter_map(|((about, proof), it)| {
            Some(RawEvidence {
                about: reads.number(about),
                proof: reads.number(proof),
                gone: word_of(GONE, it.gone())?.to_owned(),
                account: it.account().to_string(),
                first: now.since_boot(it.first())?,
                last: now.since_boot(it.last())?,
            })
        });
        evidence.collect()
    }

    fn raw_targets(&self, reads: &mut Table, now: &Now) -> Vec<RawTarget> {
        let names = self.entry.targets.iter().map(ToString::to_string);
        let remembered = self.remembered.iter();
        let remembered = remembered.map(|(name, state)| (name.clone(), state));
        let targets = names.zip(&self.targets).chain(remembered);
        let raw = targets.map(|(name, state)| RawTarget {
            name,
            tried: state.tried,
            trouble: state.trouble.as_ref().map(RawStreak::from),
            retry: state.retry.map(|at| now.wall_of(at)),
            away: state.away,
            repairs: state
                .repairs
                .times()
                .iter()
                .map(|at| now.wall_of(*at))
                .collect(),
            contested: state.repairs.is_contested(),
            fight: state
                .fight
                .as_ref()
                .map(|fight| RawStreak::from(&Streak::next(None, fight.clone()))),
            delivered: state
                .delivered
                .iter()
                .map(|(read, version)| (reads.number(read), version.into()))
                .collect(),
        });
        raw.collect()
    }

    /// Takes up what is remembered. Only for an entry to which nothing has happened yet.
    pub(in crate::daemon) fn recall(&mut self, bytes: &[u8], now: &Now) -> Recalled {
        let Ok(raw) = serde_json::from_slice::<RawEntry>(bytes) else {
            return Recalled::Nothing;
        };
        if raw.version != VERSION {
            return Recalled::Nothing;
        }
        let same = Fingerprint::from_bytes(raw.configuration) == self.entry.configuration;
        let reads = raw.reads.iter().map(|raw| Some(self.shared(raw.read()?)));
        let reads: Option<Vec<Read>> = reads.collect();
        let Some(reads) = reads else {
            return Recalled::Nothing;
        };
        let mut next = Self::new(
            std::sync::Arc::clone(&self.entry),
            self.rhythm,
            self.first_seen,
        );
        next.generation = self.generation;
        if next.take_up(raw, &reads, now).is_none() {
            return Recalled::Nothing;
        }
        if !same {
            next.begin_anew();
        }
        *self = next;
        if same {
            Recalled::AsItWas
        } else {
            Recalled::Changed
        }
    }

    /// Its own reads are kept once.
    fn shared(&self, read: Read) -> Read {
        let own = self.reads().find(|own| **own == read).cloned();
        own.unwrap_or(read)
    }

    fn take_up(&mut self, raw: RawEntry, reads: &[Read], now: &Now) -> Option<()> {
        self.found = named(reads, &raw.found)?.into();
        let found = self.found.values().flatten();
        self.reads = self.entry.reads.iter().chain(found).cloned().collect();
        self.proofs = named(reads, &raw.proofs)?.into();
        if now.is_same_boot(raw.boot) {
            self.evidence = evidence(reads, &raw.evidence, now)?.into();
            self.allowed = some(reads, &raw.allowed)?.into();
            self.held = some(reads, &raw.held)?.into();
        }
        self.attempted = heard(reads, raw.attempted)?;
        if self.entry.templates.is_some() {
            // Where targets tell by themselves what they hold, they are asked.
            self.without = some(reads, &raw.without)?.into();
        }
        self.trouble = match raw.trouble {
            None => None,
            Some((stage, streak)) => {
                let stage = Stage::ALL.iter().find(|it| it.as_str() == stage)?;
                Some((*stage, streak.streak()?))
            }
        };
        if let Some(kept) = raw.kept {
            self.kept = Some(kept.streak()?);
        }
        let most = self.entry.refresh_interval;
        let waited = self
            .trouble
            .as_ref()
            .filter(|(stage, _)| *stage == Stage::Apply);
        let waited = waited.map(|_| now.instant);
        let retry = raw.retry.map(|at| now.instant_of(at, most));
        self.retry = retry.or(waited);
        self.unfinished = raw.unfinished;
        self.tried = !raw.unfinished;
        self.last_success = raw
            .last_success
            .map(|at| (now.instant_of(at, Duration::ZERO), at));
        self.first_seen = now.instant_of(raw.first_seen, Duration::ZERO);
        self.check = raw.check.map(|at| now.instant_of(at, most.mul_f64(2.0)));
        for (index, target) in self.targets.iter_mut().enumerate() {
            let name = self.entry.targets[index].to_string();
            if let Some(raw) = raw.targets.iter().find(|raw| raw.name == name) {
                *target = raw.target(reads, (now, most))?;
                let held = mem::take(&mut target.delivered);
                target.delivered = as_heard(held, &self.attempted);
            }
        }
        let remembered = self.of_namespaces(&raw.targets, reads, (now, most))?;
        self.remembered = remembered.into();
        self.delivered = self.newest_delivered();
        Some(())
    }
}

impl EntryState {
    /// Those that are there if their namespaces still are.
    fn of_namespaces(
        &self,
        raw: &[RawTarget],
        reads: &[Read],
        (now, most): (&Now, Duration),
    ) -> Option<BTreeMap<String, TargetState>> {
        let unsaid = raw.iter().filter(|raw| self.may_have(&raw.name));
        unsaid
            .map(|raw| Some((raw.name.clone(), raw.target(reads, (now, most))?)))
            .collect()
    }
}

impl RawTarget {
    fn target(&self, reads: &[Read], (now, most): (&Now, Duration)) -> Option<TargetState> {
        let delivered = self
            .delivered
            .iter()
            .map(|(number, version)| Some((reads.get(*number)?.clone(), version.version())));
        let delivered: Option<few::Map<Read, Version>> = delivered.collect();
        let trouble = match &self.trouble {
            Some(trouble) => Some(trouble.streak()?),
            None => None,
        };
        let retry = self.retry.map(|at| now.instant_of(at, most));
        let fight = match &self.fight {
            Some(fight) => Some(fight.streak()?.failure),
            None => None,
        };
        // What waited for a cluster is tried: whether it is back nobody knows.
        let waited = trouble.as_ref().map(|_| now.instant);
        Some(TargetState {
            tried: self.tried,
            lags: false,
            trouble,
            retry: retry.or(waited),
            delivered: delivered?,
            away: self.away,
            shown: Condition::Pending,
            repairs: self.repairs(now, most),
            fight,
            alarms: Alarms::default(),
            action: None,
            failing_restarts: Seldom::none(),
        })
    }
}

impl RawTarget {
    /// A restart ends no fight, and feeds none.
    fn repairs(&self, now: &Now, interval: Duration) -> Repairs {
        let window = Repairs::window(interval);
        let recent = |at: &&Timestamp| {
            let age = Duration::try_from(now.wall.duration_since(**at));
            self.contested || age.is_ok_and(|age| age <= window)
        };
        let times = self.repairs.iter().filter(recent);
        let times = times.map(|at| now.instant_of(*at, Duration::ZERO));
        Repairs::recalled(times.collect(), self.contested)
    }
}

fn numbered(table: &mut Table, of: &BTreeMap<Read, BTreeSet<Read>>) -> Vec<(usize, Vec<usize>)> {
    of.iter()
        .map(|(read, others)| {
            let others = others.iter().map(|it| table.number(it)).collect();
            (table.number(read), others)
        })
        .collect()
}

fn named(reads: &[Read], raw: &[(usize, Vec<usize>)]) -> Option<BTreeMap<Read, BTreeSet<Read>>> {
    raw.iter()
        .map(|(number, others)| Some((reads.get(*number)?.clone(), some(reads, others)?)))
        .collect()
}

fn some(reads: &[Read], numbers: &[usize]) -> Option<BTreeSet<Read>> {
    numbers.iter().map(|it| reads.get(*it).cloned()).collect()
}

fn raw_heard(table: &mut Table, attempted: &few::Map<Read, Heard>) -> Vec<(usize, RawHeard)> {
    let raw = attempted.iter().filter_map(|(read, heard)| {
        let said = match &heard.said {
            Said::Version(identity) => RawSaid::Version(RawVersion::of(identity)),
            Said::Missing(gone) => RawSaid::Missing(word_of(GONE, *gone)?.to_owned()),
        };
        let proofs = heard.proofs.iter().filter_map(|(proof, (gone, said))| {
            let (gone, said) = (word_of(GONE, *gone)?, word_of(PROOF, *said)?);
            Some((table.number(proof), gone.to_owned(), said.to_owned()))
        });
        let proofs = proofs.collect();
        Some((table.number(read), RawHeard { said, proofs }))
    });
    raw.collect()
}

fn heard(reads: &[Read], raw: Vec<(usize, RawHeard)>) -> Option<few::Map<Read, Heard>> {
    let one = |(number, raw): (usize, RawHeard)| {
        let said = match raw.said {
            RawSaid::Version(version) => Said::Version(version.version().identity.clone()),
            RawSaid::Missing(gone) => Said::Missing(meaning(GONE, &gone)?),
        };
        let proof = |(number, gone, said): &(usize, String, String)| {
            let said = (meaning(GONE, gone)?, meaning(PROOF, said)?);
            Some((reads.get(*number)?.clone(), said))
        };
        let proofs: Option<Proofs> = raw.proofs.iter().map(proof).collect();
        let proofs = proofs?;
        Some((reads.get(number)?.clone(), Heard::new(said, proofs)))
    };
    raw.into_iter().map(one).collect()
}

/// What a target holds is mostly what was heard last: in memory it is the same again, as it was before the restart.
fn as_heard(
    held: few::Map<Read, Version>,
    attempted: &few::Map<Read, Heard>,
) -> few::Map<Read, Version> {
    let held = held.into_iter().map(|(read, version)| {
        let heard = attempted.get(&read).map(|heard| &heard.said);
        match heard {
            Some(Said::Version(same)) if *same == version.identity => {
                (read, Version::new(same.clone(), version.created))
            }
            Some(Said::Version(_) | Said::Missing(_)) | None => (read, version),
        }
    });
    held.collect()
}

fn evidence(
    reads: &[Read],
    raw: &[RawEvidence],
    now: &Now,
) -> Option<BTreeMap<(Read, Read), Evidence>> {
    let one = |raw: &RawEvidence| {
        let key = (reads.get(raw.about)?.clone(), reads.get(raw.proof)?.clone());
        let account = AccountId::new(raw.account.as_str()).ok()?;
        let times = (now.at_boot_plus(raw.first)?, now.at_boot_plus(raw.last)?);
        Some((
            key,
            Evidence::recalled(meaning(GONE, &raw.gone)?, account, times),
        ))
    };
    raw.iter().map(one).collect()
}

fn meaning<T: Copy>(words: Words<T>, word: &str) -> Option<T> {
    let found = words.iter().find(|(known, _)| *known == word);
    found.map(|(_, meaning)| *meaning)
}
