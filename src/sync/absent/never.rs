//! What was never there, and can be left out at once.

use futures_util::future::try_join_all;

use super::standing::Absent;
use super::{Absences, Slot, keys_of};
use crate::config::OnMissing;
use crate::decide::missing::{Gone, Proof, Standing};
use crate::failure::Failure;
use crate::names::SecretKey;
use crate::secret::Payload;
use crate::store::Read;
use crate::sync::{Answers, Run, deliver, entry};
use crate::target::holdings::Holdings;

const NEVER_THERE: Standing = Standing::Missing {
    gone: Gone::NotFound,
    proof: Proof::NeverThere,
};

/// What was never read and that no target holds can be left out at once: nothing goes by that.
pub(super) async fn never_there(
    run: &Run,
    answers: &Answers,
    mut absent: Vec<Absent>,
) -> Result<Vec<Absent>, Failure> {
    let mut candidates: Vec<usize> = Vec::new();
    for (index, absent) in absent.iter_mut().enumerate() {
        match may_never_have_been(run, absent) {
            // What every target holds was made without it.
            true if run.without.contains(read_of_slot(run, &absent.slot)) => {
                absent.standing = NEVER_THERE;
            }
            true => candidates.push(index),
            false => {}
        }
    }
    if candidates.is_empty() {
        return Ok(absent);
    }
    let targets = run.ours.iter().map(|index| &run.entry.targets[*index]);
    let held = targets.map(|target| {
        deliver::in_turn_soon(
            &run.entry,
            target,
            deliver::holdings(&run.entry, target, &run.state),
        )
    });
    let held = try_join_all(held).await?;
    let rest = the_rest(run, answers, &absent);
    for index in candidates {
        // Of what a template made, no target tells what it was made from.
        let keys = match &run.entry.templates {
            None => keys_of(&run.entry, &absent[index].slot),
            Some(_) => None,
        };
        let holds = |holdings: &Holdings| match &keys {
            Some(keys) => keys.iter().any(|key| may_lose(key, holdings, &rest)),
            None => *holdings != Holdings::Nothing,
        };
        if !held.iter().any(holds) {
            absent[index].standing = NEVER_THERE;
        }
    }
    Ok(absent)
}

/// What the sources that are there give without the others.
fn the_rest(run: &Run, answers: &Answers, absent: &[Absent]) -> Payload {
    let without = Absences {
        dropped: absent.iter().map(|absent| absent.slot.clone()).collect(),
        ..Absences::default()
    };
    // Where it is nothing that could be delivered, nothing is known of it.
    match &run.entry.templates {
        None => entry::assemble(&run.entry, answers, &without)
            .map_or_else(|_| Payload::default(), |content| content.data),
        Some(_) => Payload::default(),
    }
}

/// Whether the target would lose something by the rest alone. That another source gives the key, too, is no loss where
/// the target has just that value.
fn may_lose(key: &SecretKey, holdings: &Holdings, rest: &Payload) -> bool {
    let same = match holdings {
        Holdings::Something {
            delivered: Some(delivered),
            ..
        } => delivered.get(key).is_some() && delivered.get(key) == rest.get(key),
        Holdings::Nothing | Holdings::Unknown | Holdings::Something { .. } => false,
    };
    holdings.may_hold(key) && !same
}

fn may_never_have_been(run: &Run, absent: &Absent) -> bool {
    let read = read_of_slot(run, &absent.slot);
    let not_found = Standing::Missing {
        gone: Gone::NotFound,
        proof: Proof::None,
    };
    absent.standing == not_found
        && absent.on_missing == OnMissing::Drop
        && absent.slot.found.is_none()
        && !run.known.contains_key(read)
        && !run.delivered.contains_key(read)
}

fn read_of_slot<'a>(run: &'a Run, slot: &Slot) -> &'a Read {
    &run.entry.reads[run.entry.items[slot.item].read()]
}
