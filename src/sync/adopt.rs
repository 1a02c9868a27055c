//! Taking over files that others wrote at the targets of an entry, because a person says so. Nothing is written by that:
//! the next run may.

use futures_util::future::join_all;

use super::Entry;
use super::deliver::in_time;
use crate::failure::{Failure, Reason};
use crate::target::Target;
use crate::target::file::Adopted;

/// The files of the entry that go by one of these names, of an entry or a target. Without names, all of them: nothing
/// happens to what is suspended.
pub fn chosen(entry: &Entry, names: &[String]) -> Vec<usize> {
    let is_chosen = |target: &Target| {
        if !matches!(target, Target::File(_)) {
            return false;
        }
        if names.is_empty() {
            return !entry.suspended;
        }
        let shown = target.to_string();
        names
            .iter()
            .any(|name| *name == shown || name == entry.name.as_str())
    };
    let targets = entry.targets.iter().enumerate();
    let chosen = targets.filter(|(_, target)| is_chosen(target));
    chosen.map(|(index, _)| index).collect()
}

/// Takes over what is at these targets.
pub async fn adopt(entry: &Entry, which: &[usize]) -> Vec<(usize, Result<Adopted, Failure>)> {
    let work = which.iter().map(async |&index| {
        let adopted = match &entry.targets[index] {
            _ if entry.suspended => Err(suspended(entry)),
            Target::File(target) => in_time(target.take_over()).await,
            // Whoever asks takes a Secret over without us.
            Target::Kubernetes(..) => Ok(Adopted::Ours),
        };
        (index, adopted)
    });
    join_all(work).await
}

pub fn suspended(entry: &Entry) -> Failure {
    let fact = format!(
        "the entry `{}` is suspended, so nothing is done",
        entry.name
    );
    Failure::new(Reason::Invalid, fact).with_help("take `suspend = true` out of its table first")
}
