//! What one target would get beside another Secret of its cluster. Both are read, and nothing is written.

use super::prepared::prepared;
use crate::decide::kubernetes::against::{Compared, against};
use crate::failure::{Failure, Reason};
use crate::names::{Namespace, ObjectName};
use crate::sync::Run;
use crate::target::Target;

/// A target beside a Secret.
#[derive(Debug)]
pub struct Comparison {
    pub compared: Vec<Compared>,
    /// The type of that Secret. A text of the server, not checked for anything.
    pub live_type: String,
    /// Why the last value of something is kept.
    pub notes: Vec<Failure>,
}

/// Of the entry's target of that number, which is a Secret.
pub async fn compare(
    run: &Run,
    number: usize,
    (namespace, name): (&Namespace, &ObjectName),
) -> Result<Comparison, Vec<Failure>> {
    let one = |failure| vec![failure];
    let prepared = prepared(run, &[number]).await?;
    let mut wanted = prepared.wanted.into_iter().map(|(_, wanted)| wanted);
    let (Target::Kubernetes(target, _), Some(wanted)) = (&run.entry.targets[number], wanted.next())
    else {
        return Ok(Comparison {
            compared: Vec::new(),
            live_type: String::new(),
            notes: prepared.notes,
        });
    };
    let wanted = wanted.map_err(one)?;
    let client = target.client();
    let live = client.get_secret(namespace, name).await.map_err(one)?;
    let live = live.ok_or_else(|| {
        let fact = format!(
            "there is no Secret `{name}` in namespace `{namespace}` of cluster `{}`",
            client.name()
        );
        one(Failure::new(Reason::TargetMissing, fact)
            .with_help("name a Secret that is there: `--against NAMESPACE/NAME`"))
    })?;
    Ok(Comparison {
        compared: against(&wanted, &live),
        live_type: live.secret_type,
        notes: prepared.notes,
    })
}
