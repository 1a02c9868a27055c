//! How many targets are looked at at once, and that one dead cluster costs a few waits and not one for each target.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use tokio::sync::Semaphore;

use crate::failure::{Failure, Reason};
use crate::names::ClusterName;
use crate::sync::deliver::in_turn;
use crate::target::Target;

/// Targets of one cluster, or files, at a time.
const AT_ONCE: usize = 16;

#[derive(Debug)]
pub struct Gates {
    clusters: BTreeMap<ClusterName, Gate>,
    files: Gate,
}

#[derive(Debug)]
struct Gate {
    places: Semaphore,
    /// What strikes every target behind it.
    down: OnceLock<Failure>,
}

impl Gates {
    pub fn new<'a>(clusters: impl IntoIterator<Item = &'a ClusterName>) -> Self {
        let clusters = clusters.into_iter();
        Self {
            clusters: clusters.map(|name| (name.clone(), Gate::new())).collect(),
            files: Gate::new(),
        }
    }

    /// Looks at a target when it is its turn, unless it is known that there is no answer.
    pub(super) async fn pass<T>(
        &self,
        target: &Target,
        look: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let gate = target.cluster().and_then(|name| self.clusters.get(name));
        let shares = gate.is_some();
        let gate = gate.unwrap_or(&self.files);
        let closed = |_| Failure::new(Reason::Io, "secretsyncd is stopping");
        let _place = gate.places.acquire().await.map_err(closed)?;
        if let Some(failure) = gate.down.get() {
            return Err(failure.clone());
        }
        let looked = in_turn(target, look).await;
        if let Err(failure) = &looked
            && shares
            && failure.reason.is_shared()
        {
            // The first says it as well as any other.
            let _ = gate.down.set(failure.clone());
        }
        looked
    }
}

impl Gate {
    fn new() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            down: OnceLock::new(),
        }
    }
}
