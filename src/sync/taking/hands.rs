//! All Secrets that are to be taken over, together: each comes to its own end, and what waiting there is is waited once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::join_all;

use super::Seat;
use super::hand::{End, Hand, Insight, Made, Stage, Way, Wish};
use super::surroundings::{Seen, Surroundings};
use crate::decide::kubernetes::adoption::Keeper;
use crate::decide::kubernetes::adoption::quiet::{
    Aftermath, Stopped, Untold, spec_before, spec_of_rest, untold,
};
use crate::failure::{Failure, Reason};
use crate::kube::{ExternalSecret, Run as How, Scale, Tracker};
use crate::logging::AUDIT;
use crate::report::TargetKind;
use crate::sync::deliver::in_time;

#[derive(Debug)]
pub struct Hands {
    all: Vec<Hand>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// That the old controllers hear that they are to let go.
    Quiescing,
    /// Whether one of them writes.
    Watching,
    /// Whether one of them comes back.
    Verifying,
}

/// What is to be said of a Secret some time after it was taken over.
#[derive(Debug)]
pub struct Farewell {
    /// Fails where it could not be looked at.
    pub aftermath: Result<Aftermath, Failure>,
    /// The objects that would make it still; fails where they cannot be seen.
    pub makers: Result<Vec<ExternalSecret>, Failure>,
    /// Secrets whose owner still is one of them, or was one of its own.
    pub remaining: Result<Vec<String>, Failure>,
}

impl Hands {
    pub fn new(all: Vec<Hand>) -> Self {
        Self { all }
    }

    pub fn all(&self) -> &[Hand] {
        &self.all
    }

    fn is_under_way(&self) -> bool {
        self.all.iter().any(|hand| hand.way.is_some())
    }

    /// What taking over would be.
    pub async fn look(&mut self, wish: Wish) {
        self.survey().await;
        self.each(async |seat, way| {
            let restless = way.restless();
            if wish.quiesce {
                rehearsed(seat, &restless, &way.makers).await?;
            }
            let makers = std::mem::take(&mut way.makers);
            Ok(Some(match &way.stage {
                Stage::Adopted(_) if makers.is_empty() => End::Ours,
                Stage::Adopted(_) => End::Before(makers),
                Stage::Absent => match restless.first() {
                    Some(first) if !wish.quiesce => return Err(awaited(first).into()),
                    Some(_) | None => End::Absent(makers),
                },
                Stage::Kept(kept) => End::Would(Box::new(Insight {
                    taking: kept.taking.clone(),
                    makers,
                    restless,
                    scales: std::mem::take(&mut way.scales),
                })),
            }))
        })
        .await;
    }

    /// Takes over whatever no old controller has its hand on. `tell` hears before each wait.
    pub async fn take(&mut self, wish: Wish, mut tell: impl FnMut(Pause)) {
        self.survey().await;
        self.each(async |_, way| Ok(earlier(way))).await;
        self.each(async |_, way| heard_within(way, wish.window))
            .await;
        if wish.quiesce && self.quiesce().await {
            tell(Pause::Quiescing);
            tokio::time::sleep(wish.window).await;
            self.survey().await;
        }
        self.each(async |_, way| at_rest(way)).await;
        self.each(async |_, way| Ok(absent(way))).await;
        self.one_for_each();
        self.each(async |seat, way| {
            if let Stage::Kept(kept) = &way.stage {
                way.canary = Some(seat.mark(&way.wanted, kept.taking.from).await?);
            }
            Ok(None)
        })
        .await;
        if !self.is_under_way() {
            return;
        }
        tell(Pause::Watching);
        tokio::time::sleep(wish.window).await;
        self.survey().await;
        self.each(async |_, way| at_rest(way)).await;
        let tried: Vec<bool> = self.all.iter().map(|hand| hand.way.is_some()).collect();
        self.each(async |seat, way| taken(seat, way, wish).await)
            .await;
        for (hand, tried) in self.all.iter_mut().zip(tried) {
            hand.may_be_ours = tried && hand.is_unanswered();
        }
    }

    /// What is to be said of those that were taken over, once a window has passed.
    pub async fn verify(&mut self) -> Vec<(&Hand, Farewell)> {
        let is_taken = |hand: &&Hand| matches!(hand.end, Some(End::Taken(_)));
        let seats = self.all.iter().filter(is_taken).map(|hand| &hand.seat);
        let surroundings = Surroundings::of(seats).await;
        let all = join_all(self.all.iter().map(async |hand| match &hand.end {
            Some(End::Taken(made)) => Some(farewell(&hand.seat, made, &surroundings).await),
            Some(_) | None => None,
        }));
        let mut said = Vec::new();
        for (at, farewell) in all.await.into_iter().enumerate() {
            match farewell {
                Some(Ok(farewell)) => said.push((at, farewell)),
                Some(Err(failure)) => self.all[at].end = Some(End::Returned(failure)),
                None => {}
            }
        }
        let all = &self.all;
        said.into_iter().map(|(at, it)| (&all[at], it)).collect()
    }

    async fn each(&mut self, step: impl AsyncFn(&Seat, &mut Way) -> Result<Option<End>, Stopped>) {
        let step = &step;
        let all = self.all.iter_mut().map(|hand| hand.step(step));
        join_all(all).await;
    }

    /// Several entries may merge into one Secret: only one run at a time can tell by a mark on it that it is left alone.
    fn one_for_each(&mut self) {
        let mut seen = BTreeSet::new();
        for hand in self.all.iter_mut().filter(|hand| hand.way.is_some()) {
            if !seen.insert(hand.seat.id.clone()) {
                hand.give_way();
            }
        }
    }

    async fn survey(&mut self) {
        let under_way = self.all.iter().filter(|hand| hand.way.is_some());
        let surroundings = Surroundings::of(under_way.map(|hand| &hand.seat)).await;
        self.each(async |seat, way| {
            way.makers = surroundings.makers(seat)?;
            way.scales = surroundings.scales(seat);
            Ok(None)
        })
        .await;
        for hand in &mut self.all {
            hand.remember();
        }
    }

    /// Tells the old controllers to let go; whether there was anything to tell.
    async fn quiesce(&mut self) -> bool {
        let all = self.all.iter_mut().map(async |hand| {
            let Some(way) = &hand.way else { return };
            let mut refused = None;
            for object in way.restless() {
                if let Some(why) = untold(&object, &way.makers) {
                    refused = Some(not_to_be_told(&object, &why));
                    break;
                }
                if let Err(failure) = told(&hand.seat, &object, How::Dry).await {
                    refused = Some(failure);
                    break;
                }
                // Before it is sent: an answer that does not come says nothing of what was done.
                hand.quiesced.retain(|known| known.uid != object.uid);
                hand.quiesced.push(object.clone());
                if let Err(failure) = told(&hand.seat, &object, How::Real).await {
                    if is_refusal(&failure) {
                        hand.quiesced.pop();
                    }
                    refused = Some(failure);
                    break;
                }
            }
            if let Some(failure) = refused {
                hand.refuse(failure);
            }
        });
        join_all(all).await;
        self.all.iter().any(|hand| !hand.quiesced.is_empty())
    }
}

/// What was taken over earlier has nothing left to take.
fn earlier(way: &mut Way) -> Option<End> {
    let Stage::Adopted(live) = &way.stage else {
        return None;
    };
    if way.makers.is_empty() {
        return Some(End::Ours);
    }
    let makers = std::mem::take(&mut way.makers);
    let made = Made::earlier(way.wanted.clone(), (**live).clone(), makers);
    Some(End::Taken(Box::new(made)))
}

/// KES does not call off the poll that its timer waits for (`lib/poller.js`), whatever the object says by then.
fn heard_within(way: &Way, window: Duration) -> Result<Option<End>, Stopped> {
    for object in &way.makers {
        let keeper = Keeper::of(object.api);
        let Some(Ok(Scale::Up {
            polls_every: Some(interval),
        })) = way.scales.get(&keeper)
        else {
            continue;
        };
        if *interval >= window {
            let fact = format!(
                "{keeper} polls every {interval:?}, and may write the Secret once more that long after its ExternalSecret `{}` \
                 was told to let go",
                object.name
            );
            let help = format!(
                "give `--watch` more than {interval:?}, or scale {keeper} to 0 and wait until no pod is left"
            );
            let failure = Failure::new(Reason::Conflict, fact);
            return Err(failure.with_help(help).into());
        }
    }
    Ok(None)
}

/// What is not there is made by the next delivery.
fn absent(way: &mut Way) -> Option<End> {
    let is_absent = matches!(way.stage, Stage::Absent);
    is_absent.then(|| End::Absent(std::mem::take(&mut way.makers)))
}

fn at_rest(way: &Way) -> Result<Option<End>, Stopped> {
    match (&way.restless()[..], &way.stage) {
        ([], _) => Ok(None),
        ([first, ..], Stage::Absent) => Err(awaited(first).into()),
        ([first, ..], Stage::Kept(_) | Stage::Adopted(_)) => Err(awake(first, &way.scales).into()),
    }
}

/// Tells one object to let go of the Secret.
async fn told(seat: &Seat, object: &ExternalSecret, how: How) -> Result<(), Failure> {
    let (client, namespace) = (seat.target.client(), &seat.id.namespace);
    let (spec, before) = (spec_of_rest(object), spec_before(object));
    let change = client.change_spec(namespace, object, (&spec, &before), how);
    seat.turn(change).await?;
    if how == How::Real {
        tracing::info!(
            target: AUDIT, entry = %seat.entry, target.name = %seat.id, cause = "adopt --quiesce",
            external_secret = %object.name, %before, "told the old controller to let go"
        );
    }
    Ok(())
}

/// Whether they could be told.
async fn rehearsed(
    seat: &Seat,
    restless: &[ExternalSecret],
    makers: &[ExternalSecret],
) -> Result<(), Failure> {
    for object in restless {
        if let Some(why) = untold(object, makers) {
            return Err(not_to_be_told(object, &why));
        }
        told(seat, object, How::Dry).await?;
    }
    Ok(())
}

/// Whether the API server itself said no. Any other answer says nothing of what was done.
fn is_refusal(failure: &Failure) -> bool {
    matches!(
        failure.reason,
        Reason::TargetDenied
            | Reason::Credentials
            | Reason::Invalid
            | Reason::Conflict
            | Reason::TargetMissing
            | Reason::Throttled
    )
}

fn not_to_be_told(object: &ExternalSecret, why: &Untold) -> Failure {
    let (keeper, name) = (Keeper::of(object.api), &object.name);
    let fact = match why {
        Untold::Made(kind) if kind == "ClusterExternalSecret" => format!(
            "the ExternalSecret `{name}` is made by a ClusterExternalSecret, which would put back what is changed there"
        ),
        Untold::Made(_) => {
            format!(
                "the ExternalSecret `{name}` has a controller, which would put back what is changed there"
            )
        }
        Untold::Tracked(Tracker::ArgoCd) => {
            format!(
                "Argo CD keeps the ExternalSecret `{name}`, and may put back what is changed there"
            )
        }
        Untold::Tracked(Tracker::Flux) => {
            format!("Flux keeps the ExternalSecret `{name}`, and puts back what is changed there")
        }
        Untold::Shared => format!(
            "the ExternalSecret `{name}` shares the Secret with others, and would write over what is theirs if it were \
             told to let go"
        ),
    };
    let help = match why {
        Untold::Tracked(_) => format!(
            "make the change that `adopt` without `--apply` prints in the repository, or scale {keeper} to 0 and wait until \
             no pod is left; then run `adopt` again"
        ),
        Untold::Made(_) | Untold::Shared => {
            format!("scale {keeper} to 0 and wait until no pod is left, then run `adopt` again")
        }
    };
    Failure::new(Reason::Conflict, fact).with_help(help)
}

async fn taken(seat: &Seat, way: &mut Way, wish: Wish) -> Result<Option<End>, Stopped> {
    let (Stage::Kept(kept), Some(canary)) = (&way.stage, &way.canary) else {
        return Ok(None);
    };
    let from = kept.taking.from;
    // Before anybody was told to let go.
    let way_back = kept.taking.way_back(&way.wanted, &kept.live);
    let wanted = (&way.wanted, wish.content);
    let live = seat.take(wanted, (canary, from), &way_back).await?;
    tracing::info!(
        target: AUDIT, entry = %seat.entry, target.kind = %TargetKind::Kubernetes, target.name = %seat.id,
        cause = "adopt", "taken over"
    );
    Ok(Some(End::Taken(Box::new(Made {
        from: Some(from),
        makers: std::mem::take(&mut way.makers),
        kept: kept.taking.kept.clone(),
        way_back,
        taken: live,
        wanted: way.wanted.clone(),
    }))))
}

/// Fails where it was not left alone.
async fn farewell(
    seat: &Seat,
    made: &Made,
    surroundings: &Surroundings,
) -> Result<Farewell, Failure> {
    let aftermath = match seat.verify(&made.wanted, &made.taken).await {
        Ok(aftermath) => Ok(aftermath?),
        Err(unseen) => Err(unseen),
    };
    let makers = surroundings.makers(seat);
    let client = seat.target.client();
    let secrets = in_time(client.owned_secrets(&seat.id.namespace)).await;
    let mut uids = made.owners();
    uids.extend(makers.iter().flatten().map(|it| it.uid.to_string()));
    let remaining = secrets.map(|secrets| {
        let owned = secrets
            .into_iter()
            .filter(|it| it.owners.iter().any(|owner| uids.contains(&owner.uid)));
        owned.map(|it| it.name).collect()
    });
    Ok(Farewell {
        aftermath,
        makers,
        remaining,
    })
}

fn awake(object: &ExternalSecret, scales: &BTreeMap<Keeper, Seen>) -> Failure {
    let keeper = Keeper::of(object.api);
    let mut fact = format!(
        "{keeper} still has it: the ExternalSecret `{}` makes it",
        object.name
    );
    if let Some(Err(unseen)) = scales.get(&keeper) {
        let _ = write!(fact, "; whether it runs could not be seen: {}", unseen.fact);
    }
    Failure::new(Reason::Conflict, fact).with_help(
        "make it let go by the command that `adopt` without `--apply` prints, or let `--quiesce` do it; or scale the \
         controller to 0, with credentials that may `list` deployments and pods",
    )
}

/// Two would make it.
fn awaited(object: &ExternalSecret) -> Failure {
    let keeper = Keeper::of(object.api);
    let fact = format!(
        "{keeper} may make it at any time: the ExternalSecret `{}` is for that very Secret",
        object.name
    );
    Failure::new(Reason::Conflict, fact).with_help(format!(
        "scale {keeper} to 0 and wait until no pod is left, or let `--apply --quiesce` tell the ExternalSecret to let go; \
         where the Secret is there by then, `adopt` takes it over"
    ))
}
