//! One Secret that is to be taken over, on its way to its own end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::surroundings::Seen;
use super::{Found, Kept, Seat};
use crate::config::CreationPolicy;
use crate::decide::kubernetes::Wanted;
use crate::decide::kubernetes::adoption::quiet::{Canary, Stopped, restless, told};
use crate::decide::kubernetes::adoption::{ADOPTED_FROM, Content, Keeper, Taking};
use crate::failure::{Failure, Reason};
use crate::kube::{ExternalSecret, LiveSecret, Owner, Scale};
use crate::state::State;
use crate::sync::Entry;

/// How it is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub content: Content,
    /// A Secret that is not there is no mistake.
    pub create: bool,
    /// The old controllers are told to let go.
    pub quiesce: bool,
    /// For how long an old controller that is at work may write nothing.
    pub window: Duration,
}

/// One Secret on its way.
#[derive(Debug)]
pub struct Hand {
    pub seat: Seat,
    /// Absent once it has come to an end.
    pub(super) way: Option<Way>,
    pub(super) end: Option<End>,
    /// What was told to let go, as it was before.
    pub(super) quiesced: Vec<ExternalSecret>,
    /// The patch that takes it over was sent, and no answer said what became of it.
    pub(super) may_be_ours: bool,
}

#[derive(Debug)]
pub(super) struct Way {
    pub(super) wanted: Wanted,
    pub(super) stage: Stage,
    pub(super) makers: Vec<ExternalSecret>,
    pub(super) scales: BTreeMap<Keeper, Seen>,
    pub(super) canary: Option<Canary>,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// An old controller keeps it.
    Kept(Box<Kept>),
    /// It was taken over earlier, by a run that may have been broken off after it.
    Adopted(Box<LiveSecret>),
    /// There is none, which is no mistake.
    Absent,
}

/// What came of one Secret.
#[derive(Debug)]
pub enum End {
    /// An ordinary delivery writes it.
    Ours,
    /// An old controller keeps it, and the entry is suspended: it stays as it is.
    Suspended,
    /// An ordinary delivery makes it. These would, too, and rest.
    Absent(Vec<ExternalSecret>),
    Refused(Failure),
    /// Another run has it in its hands, or took it over.
    Elsewhere(Failure),
    /// What taking it over would be.
    Would(Box<Insight>),
    /// It was taken over earlier, and these are still there.
    Before(Vec<ExternalSecret>),
    Taken(Box<Made>),
    /// It was taken over, and was not left alone after it.
    Returned(Failure),
}

/// What is known before.
#[derive(Debug)]
pub struct Insight {
    pub taking: Taking,
    pub makers: Vec<ExternalSecret>,
    /// Those of them that are not known to rest.
    pub restless: Vec<ExternalSecret>,
    pub scales: BTreeMap<Keeper, Seen>,
}

#[derive(Debug)]
pub struct Made {
    /// Absent where it was taken over earlier.
    pub from: Option<Keeper>,
    pub makers: Vec<ExternalSecret>,
    /// Owners that stayed.
    pub kept: Vec<Owner>,
    /// A merge patch.
    pub way_back: Value,
    /// As it was just before.
    pub(super) taken: LiveSecret,
    pub(super) wanted: Wanted,
}

impl End {
    /// Why it is not ours.
    pub fn refusal(&self) -> Option<&Failure> {
        match self {
            Self::Refused(failure) | Self::Elsewhere(failure) => Some(failure),
            Self::Ours
            | Self::Suspended
            | Self::Absent(_)
            | Self::Would(_)
            | Self::Before(_)
            | Self::Taken(_)
            | Self::Returned(_) => None,
        }
    }

    /// That it was taken over, now or earlier.
    pub fn made(&self) -> Option<&Made> {
        match self {
            Self::Taken(made) => Some(made),
            Self::Ours
            | Self::Suspended
            | Self::Absent(_)
            | Self::Refused(_)
            | Self::Elsewhere(_)
            | Self::Would(_)
            | Self::Before(_)
            | Self::Returned(_) => None,
        }
    }

    /// Why it does not stay ours.
    pub fn returned(&self) -> Option<&Failure> {
        match self {
            Self::Returned(failure) => Some(failure),
            Self::Ours
            | Self::Suspended
            | Self::Absent(_)
            | Self::Refused(_)
            | Self::Elsewhere(_)
            | Self::Would(_)
            | Self::Before(_)
            | Self::Taken(_) => None,
        }
    }
}

impl Hand {
    pub fn new(seat: Seat) -> Self {
        Self {
            seat,
            way: None,
            end: None,
            quiesced: Vec::new(),
            may_be_ours: false,
        }
    }

    pub fn may_be_ours(&self) -> bool {
        self.may_be_ours
    }

    /// What was told to let go, as it was before.
    pub fn quiesced(&self) -> &[ExternalSecret] {
        &self.quiesced
    }

    pub fn refuse(&mut self, failure: Failure) {
        self.way = None;
        self.end = Some(End::Refused(failure));
    }

    /// Another entry takes its own keys of the same Secret over first.
    pub(super) fn give_way(&mut self) {
        let fact = "another entry takes over its own keys of the same Secret";
        let failure = Failure::new(Reason::Conflict, fact);
        let failure = failure.with_help("run `adopt` again once that is done");
        self.way = None;
        self.end = Some(End::Elsewhere(failure));
    }

    /// Nothing is done about it.
    pub fn suspend(&mut self) {
        self.end = Some(End::Suspended);
    }

    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// It ended because something did not answer.
    pub(super) fn is_unanswered(&self) -> bool {
        match &self.end {
            Some(End::Refused(failure)) => {
                matches!(failure.reason, Reason::Timeout | Reason::Network)
            }
            Some(_) | None => false,
        }
    }

    /// What an earlier run told to let go is to be taken back like what this one told.
    pub(super) fn remember(&mut self) {
        let makers = self.way.iter().flat_map(|way| &way.makers);
        let told = makers.filter(|it| told(it).is_some());
        let told: Vec<_> = told
            .filter(|it| self.quiesced.iter().all(|known| known.uid != it.uid))
            .cloned()
            .collect();
        self.quiesced.extend(told);
    }

    /// First look, with what its entry would write.
    pub async fn begin(&mut self, wanted: Wanted, wish: Wish, (entry, state): (&Entry, &State)) {
        let found = self
            .seat
            .look((&wanted, wish.content), (entry, state))
            .await;
        match found {
            Err(failure) => self.refuse(failure),
            Ok(Found::Absent) if wanted.policy == CreationPolicy::Merge => {
                self.refuse(never_made());
            }
            Ok(Found::Absent) if wish.create => self.go((wanted, Stage::Absent)),
            Ok(Found::Absent) => self.refuse(absent()),
            Ok(Found::Ours) => self.end = Some(End::Ours),
            Ok(Found::Adopted(live)) => self.go((wanted, Stage::Adopted(live))),
            Ok(Found::Kept(kept)) => {
                let judged = match removable(&kept.taking, entry) {
                    Ok(()) => self.seat.rehearse(&wanted, &kept).await,
                    refused => refused,
                };
                match judged {
                    Err(failure) => self.refuse(failure),
                    Ok(()) => self.go((wanted, Stage::Kept(kept))),
                }
            }
        }
    }

    fn go(&mut self, (wanted, stage): (Wanted, Stage)) {
        self.way = Some(Way {
            wanted,
            stage,
            makers: Vec::new(),
            scales: BTreeMap::new(),
            canary: None,
        });
    }

    /// One step, unless it has come to an end.
    pub(super) async fn step(
        &mut self,
        step: impl AsyncFnOnce(&Seat, &mut Way) -> Result<Option<End>, Stopped>,
    ) {
        let Some(way) = &mut self.way else {
            return;
        };
        let stepped = step(&self.seat, way).await;
        if let (Err(_), Some(canary)) = (&stepped, &way.canary) {
            self.seat.unmark(canary).await;
        }
        let end = match stepped {
            Ok(None) => return,
            Ok(Some(end)) => end,
            Err(Stopped::Refused(failure)) => End::Refused(failure),
            Err(Stopped::Elsewhere(failure)) => End::Elsewhere(failure),
        };
        self.way = None;
        self.end = Some(end);
    }
}

impl Way {
    pub(super) fn restless(&self) -> Vec<ExternalSecret> {
        let scale = |keeper| match self.scales.get(&keeper) {
            Some(Ok(scale)) => *scale,
            Some(Err(_)) | None => Scale::Unknown,
        };
        restless(&self.makers, scale).cloned().collect()
    }
}

impl Made {
    /// Of one that was taken over earlier: what was kept on it then.
    pub(super) fn earlier(wanted: Wanted, live: LiveSecret, makers: Vec<ExternalSecret>) -> Self {
        let kept = live.annotations.get(ADOPTED_FROM);
        let kept = kept.and_then(|text| serde_json::from_slice(text.expose()).ok());
        Self {
            from: None,
            makers,
            kept: Vec::new(),
            way_back: kept.unwrap_or_default(),
            taken: live,
            wanted,
        }
    }

    /// Else it was made by us.
    pub fn was_taken_over(&self) -> bool {
        !self.way_back.is_null()
    }

    /// Keys changed hands, and no owner.
    pub fn is_of_keys(&self) -> bool {
        let metadata = self.way_back.get("metadata");
        metadata.is_some_and(|it| it.get("ownerReferences").is_none())
    }

    /// Uids of the owners that went. Texts of the server, not checked for anything.
    pub fn owners(&self) -> Vec<String> {
        let owners = self.way_back.pointer("/metadata/ownerReferences");
        let owners = owners.and_then(Value::as_array).into_iter().flatten();
        let owners = owners.filter_map(|owner| Owner::try_from(owner.clone()).ok());
        let went = owners.filter(|owner| Keeper::owning(owner).is_some());
        went.map(|owner| owner.uid).collect()
    }
}

/// What a `find` no longer lists may merely not have been listed, and no delivery removes it without a record of its own.
fn removable(taking: &Taking, entry: &Entry) -> Result<(), Failure> {
    if taking.content.removed.is_empty() || entry.finds().next().is_none() {
        return Ok(());
    }
    let fact = format!(
        "the Secret has keys that the `find` of the entry does not list: {}",
        taking.content.removed.join(", ")
    );
    Err(Failure::new(Reason::Conflict, fact).with_help(
        "see why it does not list them; where they may go, remove them from the Secret by hand",
    ))
}

fn never_made() -> Failure {
    let fact = "there is no such Secret, and `creation_policy = \"merge\"` never makes one";
    Failure::new(Reason::TargetMissing, fact).with_help(
        "check cluster, namespace and name of the target; with `creation_policy = \"create_or_merge\"` a delivery makes it",
    )
}

fn absent() -> Failure {
    Failure::new(Reason::TargetMissing, "there is no such Secret").with_help(
        "check cluster, namespace and name of the target; with `--create` the next delivery makes it",
    )
}
