//! What a run of each entry would do now: everything is built and read as for `once`, and nothing is written.
//!
//! The state is a copy, so a daemon may work beside it, and nobody is kept out. What it knows, only it knows: that a file
//! is ours, which `find` listed what. Without one, only what the targets themselves prove is ours.

mod comparing;
mod counter;
mod taking;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::comparing::{Beside, Pair, Unchosen, compare};
use self::counter::Counter;
pub use self::taking::{Begun, taking};
use super::configured::Configured;
use super::entries::{EntryState, Rest};
use super::house::{House, Supplied, Supply};
use super::times::Now;
use super::{Progress, Stopped, TELL_PROGRESS, list_namespaces};
use crate::config::Config;
use crate::failure::Failure;
use crate::few;
use crate::kube::Tenure;
use crate::names::{EntryName, StoreName};
use crate::report::Reporter;
use crate::schedule::rhythm::Rhythm;
use crate::state::{Copied, Remembered, State};
use crate::store::Store;
use crate::store::desk::{Desk, Want};
use crate::sync::plan::{self, Gates, Outlook, Step, View};
use crate::sync::{Entry, Proving, Run, Selected, Which};
use crate::target::Target;

/// What would become of one entry.
#[derive(Debug)]
pub struct Planned {
    pub name: EntryName,
    /// As the configuration has them.
    pub targets: Vec<String>,
    /// Its selectors in one cluster each.
    pub selected: Vec<Selected>,
    /// `None`: it is suspended, and nothing happens to it.
    pub outlook: Option<Outlook>,
}

#[derive(Debug)]
pub struct Plan {
    /// By name.
    pub entries: Vec<Planned>,
    /// Why nothing is known of earlier deliveries, where there is something to know.
    pub unknown: Option<Failure>,
}

/// Says what would be done to the entries named (all without names), in that view. `progress` hears now and then how far it has come.
pub async fn plan(
    config: Config,
    (names, view): (&[EntryName], View),
    mut progress: impl FnMut(Progress),
) -> Result<Plan, Stopped> {
    let gates = Gates::new(config.clusters.keys());
    let Ground {
        house,
        entries,
        counter,
        desk,
        wants,
        unknown,
    } = ground(config, names).await?;
    let work = entries.into_iter().map(|state| {
        let site = (desk.clone(), Arc::clone(&house.state));
        Box::pin(of_entry(state, site, (&gates, view)))
    });
    let mut work: FuturesUnordered<_> = work.collect();
    drop(desk);
    let all = work.len();
    let mut done = Vec::with_capacity(all);
    let mut tell = tokio::time::interval(TELL_PROGRESS);
    let mut reading = std::pin::pin!(counter.serve(wants));
    loop {
        tokio::select! {
            () = &mut reading => {}
            ended = work.next() => match ended {
                Some(planned) => done.push(planned),
                None => break,
            },
            _ = tell.tick() => progress(Progress { done: done.len(), all }),
        }
    }
    done.sort_by(|a: &Planned, b| a.name.cmp(&b.name));
    Ok(Plan {
        entries: done,
        unknown,
    })
}

/// What there is to look with.
struct Ground {
    house: House,
    /// Those that were asked for.
    entries: Vec<EntryState>,
    counter: Counter,
    desk: Desk,
    /// What comes in at the desk.
    wants: UnboundedReceiver<Want>,
    unknown: Option<Failure>,
}

async fn ground(config: Config, names: &[EntryName]) -> Result<Ground, Stopped> {
    let mut config = config;
    let Copied { state, unknown } = State::copy(&config.daemon.state_dir)?;
    // Those that are not asked for write, too.
    let whole = config.clone();
    if !names.is_empty() {
        config.entries.retain(|name, _| names.contains(name));
    }
    let past = state.take_remembered();
    // Nothing is written: who leads is all the same.
    let (mut house, _) = House::over(state, &config)?;
    // What is not listed then is not known: that is said, and what is named goes on.
    list_namespaces(&mut house, &config, names).await;
    Configured::of(&whole, &house.territory, &house.state).remember(&house.state);
    let Supply {
        stores, entries, ..
    } = house.supply(&config);
    let (desk, wants) = Desk::new();
    let counter = Counter::new(opened(stores));
    let entries = entries.into_iter();
    Ok(Ground {
        entries: entries.map(|entry| recalled(entry, &past)).collect(),
        house,
        counter,
        desk,
        wants,
        unknown,
    })
}

fn opened(stores: BTreeMap<StoreName, Supplied>) -> BTreeMap<StoreName, Store> {
    let stores = stores.into_iter();
    stores
        .filter_map(|(name, supplied)| Some((name, supplied.store?)))
        .collect()
}

/// The entry with what is known of it.
fn recalled(entry: Entry, past: &Remembered) -> EntryState {
    let now = Now::read();
    let bytes = past.entries.get(&entry.name);
    let rhythm = Rhythm::new(entry.refresh_interval, now.instant, 0);
    let mut state = EntryState::new(Arc::new(entry), rhythm, Instant::now());
    if let Some(bytes) = bytes {
        // Of another configuration only what was delivered is left, which is right here, too.
        let _ = state.recall(bytes, &now);
    }
    state
}

async fn of_entry(
    state: EntryState,
    site: (Desk, Arc<State>),
    (gates, view): (&Gates, View),
) -> Planned {
    let entry = Arc::clone(&state.entry);
    let outlook = match state.rest() {
        Some(Rest::Suspended | Rest::StandsBy) => None,
        Some(Rest::Delivered) => Some(Outlook {
            targets: entry
                .targets
                .iter()
                .map(|_| Ok(Step::unchanged()))
                .collect(),
            failures: Vec::new(),
        }),
        // No namespace matches, or nobody says which do.
        Some(Rest::Nowhere) => Some(Outlook::default()),
        None => Some(plan::plan(run(&state, site), gates, view).await),
    };
    Planned {
        name: entry.name.clone(),
        targets: entry.targets.iter().map(Target::to_string).collect(),
        selected: entry.selected.clone(),
        outlook,
    }
}

/// As the daemon would begin it; but a version older than the delivered one is taken at its word, for to wait for a
/// second read that agrees is a matter of when.
fn run(state: &EntryState, (desk, copy): (Desk, Arc<State>)) -> Run {
    let known = state.delivered.iter().map(|(read, version)| {
        let proving = Proving::of(read, &version.identity);
        (read.clone(), proving)
    });
    Run {
        entry: Arc::clone(&state.entry),
        desk,
        state: copy,
        reporter: Reporter::new(|_| {}),
        handed: None,
        delivered: few::Map::new(),
        confirmed: BTreeMap::new(),
        known: known.collect(),
        without: (*state.without).clone(),
        proofs: state.all_proofs(),
        which: Which::All,
        contested: BTreeSet::new(),
        away: state.away(),
        may_go: (0..state.targets.len()).collect(),
        ours: (0..state.targets.len()).collect(),
        tenure: Tenure::never(),
        dismissed: CancellationToken::new(),
        impatient: None,
    }
}
