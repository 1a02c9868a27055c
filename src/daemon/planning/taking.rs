//! Secrets that other controllers keep, and taking them over, beside a daemon or without one.
//!
//! As a plan, it builds and reads everything for itself and needs no state: what was taken over says itself that it is
//! ours, and whoever delivers next reads that.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;

use super::{Ground, ground, run};
use crate::config::{Config, Target as Configured};
use crate::daemon::Stopped;
use crate::daemon::entries::EntryState;
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::state::State;
use crate::store::desk::Desk;
use crate::sync::adopt::suspended;
use crate::sync::plan::prepared::{Prepared, prepared};
use crate::sync::taking::{Hand, Hands, Presence, Seat, Wish};
use crate::sync::{Entry, Selected};

/// What is to be taken over, looked at for the first time.
#[derive(Debug)]
pub struct Begun {
    pub hands: Hands,
    /// Selectors of these entries that cannot be followed: what they would find may be kept by an old controller.
    pub unfollowed: Vec<(EntryName, Selected)>,
    /// Names of no entry and no Secret.
    pub unknown: Vec<String>,
}

/// Of the Secrets that go by one of these names, of an entry or a target; without names, those that an old controller
/// keeps. Who is about to delete what is left of it has to know of those of suspended entries, too.
pub async fn taking(config: Config, names: &[String], wish: Wish) -> Result<Begun, Stopped> {
    let entries = concerned(&config, names);
    if entries.is_empty() {
        return Ok(Begun {
            hands: Hands::new(Vec::new()),
            unfollowed: Vec::new(),
            unknown: names.to_vec(),
        });
    }
    let Ground {
        house,
        entries,
        counter,
        desk,
        wants,
        ..
    } = ground(config, &entries).await?;
    let mut unknown: BTreeSet<String> = names.iter().cloned().collect();
    for state in &entries {
        unknown.remove(state.entry.name.as_str());
        for target in &state.entry.targets {
            unknown.remove(&target.to_string());
        }
    }
    let unfollowed = entries
        .iter()
        .flat_map(|state| unfollowed(&state.entry, names));
    let unfollowed: Vec<_> = unfollowed.collect();
    unknown.retain(|name| !unfollowed.iter().any(|(_, it)| it.may_have(name)));
    let work = entries.into_iter().map(|state| {
        let site = (desk.clone(), Arc::clone(&house.state));
        Box::pin(of_entry(state, names, (site, wish)))
    });
    let mut work = std::pin::pin!(join_all(work));
    drop(desk);
    let mut reading = std::pin::pin!(counter.serve(wants));
    let hands = loop {
        tokio::select! {
            () = &mut reading => {}
            done = &mut work => break done,
        }
    };
    Ok(Begun {
        hands: Hands::new(hands.into_iter().flatten().collect()),
        unfollowed,
        unknown: unknown.into_iter().collect(),
    })
}

/// Entries that may have what is named. What a selector finds is known only when it has looked.
fn concerned(config: &Config, names: &[String]) -> Vec<EntryName> {
    let all_named = names
        .iter()
        .all(|name| config.entries.keys().any(|entry| entry.as_str() == name));
    let entries = config.entries.iter().filter(|(name, spec)| {
        let mut targets = spec.targets.iter();
        let delivers = !spec.selections.is_empty()
            || targets.any(|target| matches!(target, Configured::Kubernetes(_)));
        let is_named = names.iter().any(|it| it == name.as_str());
        delivers && (is_named || names.is_empty() || !all_named)
    });
    entries.map(|(name, _)| name.clone()).collect()
}

/// Where targets are named, these are what matters.
fn unfollowed(entry: &Entry, names: &[String]) -> Vec<(EntryName, Selected)> {
    let is_chosen = |it: &Selected| {
        let mut names_of_it = names.iter();
        names.is_empty() || names_of_it.any(|name| name == entry.name.as_str() || it.may_have(name))
    };
    let failing = entry.selected.iter().filter(|it| it.failure().is_some());
    let chosen = failing.filter(|it| is_chosen(it));
    chosen.map(|it| (entry.name.clone(), it.clone())).collect()
}

async fn of_entry(
    state: EntryState,
    names: &[String],
    ((desk, copy), wish): ((Desk, Arc<State>), Wish),
) -> Vec<Hand> {
    let entry = &state.entry;
    let is_named = |target: &str| {
        let mut names = names.iter();
        names.any(|name| name == target || name == entry.name.as_str())
    };
    let seats = entry
        .targets
        .iter()
        .enumerate()
        .filter_map(|(number, target)| {
            let is_asked_for = is_named(&target.to_string());
            let chosen = is_asked_for || names.is_empty();
            let seat = Seat::of(entry, target).filter(|_| chosen)?;
            Some((number, seat, is_asked_for))
        });
    let hands = join_all(seats.map(async |(number, seat, is_asked_for)| {
        let keeper = seat.keeper().await;
        let mut hand = Hand::new(seat);
        match keeper {
            _ if entry.suspended && is_asked_for => hand.refuse(suspended(entry)),
            Err(failure) => hand.refuse(failure),
            Ok(Presence::Kept(_)) if entry.suspended => hand.suspend(),
            Ok(Presence::Adopted) if entry.suspended => return None,
            Ok(Presence::Kept(_) | Presence::Adopted) => {}
            Ok(Presence::Absent | Presence::Other) if is_asked_for => {}
            Ok(Presence::Absent | Presence::Other) => return None,
        }
        Some((number, hand))
    }));
    let mut hands: Vec<(usize, Hand)> = hands.await.into_iter().flatten().collect();
    let open = hands.iter().filter(|(_, hand)| hand.end().is_none());
    let numbers: Vec<usize> = open.map(|(number, _)| *number).collect();
    if !numbers.is_empty() {
        let run = run(&state, (desk, Arc::clone(&copy)));
        begin(
            &mut hands,
            prepared(&run, &numbers).await,
            (wish, &state, &copy),
        )
        .await;
    }
    hands.into_iter().map(|(_, hand)| hand).collect()
}

async fn begin(
    hands: &mut [(usize, Hand)],
    prepared: Result<Prepared, Vec<Failure>>,
    (wish, state, copy): (Wish, &EntryState, &State),
) {
    let mut prepared = match prepared {
        Ok(prepared) => prepared,
        Err(failures) => {
            let first = failures.into_iter().next();
            let failure =
                first.unwrap_or_else(|| Failure::new(Reason::Invalid, "nothing was read"));
            for (_, hand) in hands.iter_mut().filter(|(_, hand)| hand.end().is_none()) {
                hand.refuse(failure.clone());
            }
            return;
        }
    };
    let open = hands.iter_mut().filter(|(_, hand)| hand.end().is_none());
    let begun = open.map(|(number, hand)| {
        let at = prepared.wanted.iter().position(|(at, _)| at == number);
        let wanted = at.map(|at| prepared.wanted.swap_remove(at).1);
        async {
            match wanted {
                Some(Ok(wanted)) => hand.begin(wanted, wish, (&state.entry, copy)).await,
                Some(Err(failure)) => hand.refuse(failure),
                None => {}
            }
        }
    });
    let begun: Vec<_> = begun.collect();
    join_all(begun).await;
}
