//! One target of one entry beside another Secret, instead of what is in its own place.
//!
//! It is asked for by name, so it is compared whatever rests: suspended, delivered once, or for another machine to write.

use std::sync::Arc;

use super::{Ground, ground, run};
use crate::config::Config;
use crate::daemon::Stopped;
use crate::failure::Failure;
use crate::names::{ClusterName, EntryName, Namespace, ObjectName};
use crate::sync::plan::against::{self, Comparison};
use crate::sync::{Entry, Selected};
use crate::target::Target;

/// What is compared with what.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    pub entry: &'a EntryName,
    /// Which of the entry's Secrets, as `plan` lists it; needed where there are several.
    pub target: Option<&'a str>,
    /// Has to be the target's own, where it is said.
    pub cluster: Option<&'a ClusterName>,
    pub namespace: &'a Namespace,
    pub name: &'a ObjectName,
}

/// Why there is no one Secret of the entry to compare; all that it has.
#[derive(Debug)]
pub enum Unchosen {
    None,
    /// It selects namespaces, and there is none that it could be in.
    Nowhere(Vec<Selected>),
    Several(Vec<String>),
    NoSuch(Vec<String>),
    /// It is in another cluster than what it is to be compared with.
    Apart(String),
}

#[derive(Debug)]
pub struct Beside {
    /// As `plan` lists it.
    pub target: String,
    pub comparison: Result<Comparison, Vec<Failure>>,
    /// Why nothing is known of earlier deliveries, where there is something to know.
    pub unknown: Option<Failure>,
}

pub async fn compare(config: Config, pair: Pair<'_>) -> Result<Result<Beside, Unchosen>, Stopped> {
    let names = std::slice::from_ref(pair.entry);
    let Ground {
        house,
        mut entries,
        counter,
        desk,
        wants,
        unknown,
    } = ground(config, names).await?;
    let Some(state) = entries.pop() else {
        return Ok(Err(Unchosen::None));
    };
    let (number, target) = match chosen(&state.entry, pair.target) {
        Ok(chosen) => chosen,
        Err(unchosen) => return Ok(Err(unchosen)),
    };
    let own = state.entry.targets[number].cluster();
    if pair.cluster.is_some_and(|said| own != Some(said)) {
        return Ok(Err(Unchosen::Apart(target)));
    }
    let run = run(&state, (desk, Arc::clone(&house.state)));
    let place = (pair.namespace, pair.name);
    let mut work = std::pin::pin!(against::compare(&run, number, place));
    let mut reading = std::pin::pin!(counter.serve(wants));
    let comparison = loop {
        tokio::select! {
            () = &mut reading => {}
            done = &mut work => break done,
        }
    };
    Ok(Ok(Beside {
        target,
        comparison,
        unknown,
    }))
}

fn chosen(entry: &Entry, wish: Option<&str>) -> Result<(usize, String), Unchosen> {
    let targets = entry.targets.iter().enumerate();
    let secrets: Vec<(usize, String)> = targets
        .filter_map(|(number, target)| match target {
            Target::Kubernetes(..) => Some((number, target.to_string())),
            Target::File(_) => None,
        })
        .collect();
    let names = || secrets.iter().map(|(_, name)| name.clone()).collect();
    match (wish, &secrets[..]) {
        (_, []) if entry.selected.is_empty() => Err(Unchosen::None),
        (_, []) => Err(Unchosen::Nowhere(entry.selected.clone())),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Unchosen::Several(names())),
        (Some(wish), _) => {
            let found = secrets.iter().find(|(_, name)| name == wish);
            found.cloned().ok_or_else(|| Unchosen::NoSuch(names()))
        }
    }
}
