//! All Secrets that are to be taken over, together: each comes to its own end, and what waiting there is is waited once.

use futures_util::future::join_all;

use super::hand::{End, Hand, Insight, Made, Way, Wish};
use super::surroundings::Surroundings;
use super::{Kept, Seat};
use crate::decide::kubernetes::adoption::Keeper;
use crate::decide::kubernetes::adoption::quiet::{maker, spec_before, spec_of_rest};
use crate::failure::{Failure, Reason};
use crate::kube::{ExternalSecret, Run as How};
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
    /// Secrets whose owner still is one of the objects that made this one.
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
    pub async fn look(&mut self) {
        self.survey().await;
        self.each(async |_, way| {
            let restless = way.restless();
            Ok(Some(End::Would(Box::new(Insight {
                taking: way.kept.taking.clone(),
                makers: std::mem::take(&mut way.makers),
                restless,
                pods: std::mem::take(&mut way.pods),
            }))))
        })
        .await;
    }

    /// Takes over whatever no old controller has its hand on. `tell` hears before each wait.
    pub async fn take(&mut self, wish: Wish, mut tell: impl FnMut(Pause)) {
        self.survey().await;
        if wish.quiesce && self.quiesce().await {
            tell(Pause::Quiescing);
            tokio::time::sleep(wish.window).await;
            self.survey().await;
        }
        self.each(async |_, way| at_rest(way)).await;
        self.each(async |seat, way| {
            way.canary = Some(seat.mark(way.kept.taking.from).await?);
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
        self.each(async |seat, way| taken(seat, way, wish).await)
            .await;
    }

    /// What is to be said of those that were taken over, once a window has passed. One that was not left alone is refused.
    pub async fn verify(&mut self) -> Vec<(&Hand, Farewell)> {
        let all = join_all(self.all.iter().map(async |hand| match &hand.end {
            Some(End::Taken(made)) => Some(farewell(&hand.seat, made).await),
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

    async fn each(&mut self, step: impl AsyncFn(&Seat, &mut Way) -> Result<Option<End>, Failure>) {
        let step = &step;
        let all = self.all.iter_mut().map(|hand| hand.step(step));
        join_all(all).await;
    }

    async fn survey(&mut self) {
        let under_way = self.all.iter().filter(|hand| hand.way.is_some());
        let surroundings = Surroundings::of(under_way.map(|hand| &hand.seat)).await;
        self.each(async |seat, way| {
            way.makers = surroundings.makers(seat, way.kept.taking.from)?;
            way.pods = surroundings.pods(seat);
            Ok(None)
        })
        .await;
    }

    /// Tells the old controllers to let go; whether there was anything to tell.
    async fn quiesce(&mut self) -> bool {
        let all = self.all.iter_mut().map(async |hand| {
            let restless = hand.way.as_ref().map(Way::restless).unwrap_or_default();
            for object in restless {
                match quiesced(&hand.seat, &object).await {
                    Ok(()) => hand.quiesced.push(object),
                    Err(failure) => {
                        hand.refuse(failure);
                        return;
                    }
                }
            }
        });
        join_all(all).await;
        self.all.iter().any(|hand| !hand.quiesced.is_empty())
    }
}

fn at_rest(way: &Way) -> Result<Option<End>, Failure> {
    match &way.restless()[..] {
        [] => Ok(None),
        [first, ..] => Err(awake(first)),
    }
}

async fn quiesced(seat: &Seat, object: &ExternalSecret) -> Result<(), Failure> {
    let keeper = Keeper::of(object.api);
    if let Some(kind) = maker(object) {
        let fact = format!(
            "the ExternalSecret `{}` is made by a {}, which would put back what is changed there",
            object.name,
            if kind == "ClusterExternalSecret" {
                kind
            } else {
                "controller"
            },
        );
        return Err(Failure::new(Reason::Conflict, fact).with_help(format!(
            "scale {keeper} to 0 and wait until no pod is left, then run `adopt` again",
        )));
    }
    let (client, namespace) = (seat.target.client(), &seat.id.namespace);
    let spec = spec_of_rest(keeper);
    for how in [How::Dry, How::Real] {
        let change = client.change_spec(namespace, object, (&spec, how));
        in_time(change).await?;
    }
    tracing::info!(
        target: AUDIT, entry = %seat.entry, target.name = %seat.id, cause = "adopt --quiesce",
        external_secret = %object.name, before = %spec_before(object), "told the old controller to let go"
    );
    Ok(())
}

async fn taken(seat: &Seat, way: &mut Way, wish: Wish) -> Result<Option<End>, Failure> {
    let Some(canary) = &way.canary else {
        return Ok(None);
    };
    let from = way.kept.taking.from;
    let wanted = (&way.wanted, wish.content);
    let Kept { taking, live } = seat.take(wanted, (canary, from)).await?;
    tracing::info!(
        target: AUDIT, entry = %seat.entry, target.kind = %TargetKind::Kubernetes, target.name = %seat.id,
        cause = "adopt", "taken over"
    );
    Ok(Some(End::Taken(Box::new(Made {
        way_back: taking.way_back(&live),
        taking,
        makers: std::mem::take(&mut way.makers),
        uid: live.uid,
        wanted: way.wanted.clone(),
    }))))
}

async fn farewell(seat: &Seat, made: &Made) -> Result<Farewell, Failure> {
    seat.verify(&made.wanted, &made.uid).await?;
    let client = seat.target.client();
    let secrets = in_time(client.owned_secrets(&seat.id.namespace)).await;
    let uids: Vec<&str> = made.makers.iter().map(|it| it.uid.as_str()).collect();
    let remaining = secrets.map(|secrets| {
        let owned = secrets
            .into_iter()
            .filter(|it| it.owners.iter().any(|owner| uids.contains(&&*owner.uid)));
        owned.map(|it| it.name).collect()
    });
    Ok(Farewell { remaining })
}

fn awake(object: &ExternalSecret) -> Failure {
    let keeper = Keeper::of(object.api);
    let fact = format!(
        "{keeper} still has it: the ExternalSecret `{}` makes it",
        object.name
    );
    Failure::new(Reason::Conflict, fact).with_help(
        "make it let go by the command that `adopt` without `--apply` prints, or let `--quiesce` do it; or scale the \
         controller to 0",
    )
}
