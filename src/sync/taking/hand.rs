//! One Secret that is to be taken over, on its way to its own end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Found, Kept, Seat};
use crate::decide::kubernetes::Wanted;
use crate::decide::kubernetes::adoption::quiet::{Canary, restless};
use crate::decide::kubernetes::adoption::{Content, Keeper, Taking};
use crate::failure::{Failure, Reason};
use crate::kube::ExternalSecret;
use crate::names::Uid;
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
}

#[derive(Debug)]
pub(super) struct Way {
    pub(super) wanted: Wanted,
    pub(super) kept: Kept,
    pub(super) makers: Vec<ExternalSecret>,
    pub(super) pods: BTreeMap<Keeper, usize>,
    pub(super) canary: Option<Canary>,
}

/// What came of one Secret.
#[derive(Debug)]
pub enum End {
    /// An ordinary delivery writes it.
    Ours,
    /// An ordinary delivery makes it.
    Absent,
    Refused(Failure),
    /// What taking it over would be.
    Would(Box<Insight>),
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
    /// Pods of the old controllers, where we may count them.
    pub pods: BTreeMap<Keeper, usize>,
}

#[derive(Debug)]
pub struct Made {
    pub taking: Taking,
    pub makers: Vec<ExternalSecret>,
    pub uid: Uid,
    /// A merge patch.
    pub way_back: Value,
    pub(super) wanted: Wanted,
}

impl Hand {
    pub fn new(seat: Seat) -> Self {
        Self {
            seat,
            way: None,
            end: None,
            quiesced: Vec::new(),
        }
    }

    /// What was told to let go, as it was before.
    pub fn quiesced(&self) -> &[ExternalSecret] {
        &self.quiesced
    }

    pub fn refuse(&mut self, failure: Failure) {
        self.way = None;
        self.end = Some(End::Refused(failure));
    }

    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// First look, with what its entry would write.
    pub async fn begin(&mut self, wanted: Wanted, wish: Wish, (entry, state): (&Entry, &State)) {
        let found = self
            .seat
            .look((&wanted, wish.content), (entry, state))
            .await;
        match found {
            Err(failure) => self.refuse(failure),
            Ok(Found::Absent) if wish.create => self.end = Some(End::Absent),
            Ok(Found::Absent) => self.refuse(absent()),
            Ok(Found::Ours) => self.end = Some(End::Ours),
            Ok(Found::Kept(kept)) => match self.seat.rehearse(&wanted, &kept).await {
                Err(failure) => self.refuse(failure),
                Ok(()) => {
                    self.way = Some(Way {
                        wanted,
                        kept: *kept,
                        makers: Vec::new(),
                        pods: BTreeMap::new(),
                        canary: None,
                    });
                }
            },
        }
    }

    /// One step, unless it has come to an end.
    pub(super) async fn step(
        &mut self,
        step: impl AsyncFnOnce(&Seat, &mut Way) -> Result<Option<End>, Failure>,
    ) {
        let Some(way) = &mut self.way else {
            return;
        };
        let stepped = step(&self.seat, way).await;
        if let (Err(_), Some(canary)) = (&stepped, &way.canary) {
            self.seat.unmark(canary).await;
        }
        match stepped {
            Ok(None) => {}
            Ok(Some(end)) => {
                self.way = None;
                self.end = Some(end);
            }
            Err(failure) => self.refuse(failure),
        }
    }
}

impl Way {
    pub(super) fn restless(&self) -> Vec<ExternalSecret> {
        let pods = |keeper| self.pods.get(&keeper).copied();
        restless(&self.makers, pods).cloned().collect()
    }
}

fn absent() -> Failure {
    Failure::new(Reason::TargetMissing, "there is no such Secret").with_help(
        "check cluster, namespace and name of the target; with `--create` the next delivery makes it",
    )
}
