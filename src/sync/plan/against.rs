//! What one target would get beside another Secret of its cluster. Both are read, and nothing is written.

use crate::decide::kubernetes::against::{Compared, against};
use crate::failure::{Failure, Reason};
use crate::names::{Namespace, ObjectName};
use crate::sync::deliver::{self, Staged, Work};
use crate::sync::{Run, read_all, whole, work};

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
    let answers = read_all(run).await;
    let answers = answers.map_err(|not_read| {
        let failed = not_read.failed.into_iter();
        failed.map(|(_, failure)| failure).collect::<Vec<_>>()
    })?;
    let (answers, plan, contents) = whole(run, answers)
        .await
        .map_err(|(_, failure)| vec![failure])?;
    drop(answers);
    let entry = &*run.entry;
    let notes: Vec<Failure> = plan.why().cloned().into_iter().collect();
    let content = work(&[number], &plan, &contents)
        .into_iter()
        .find_map(|(_, work)| match work {
            Work::Write(content) => Some(content),
            Work::Remove | Work::StayAway => None,
        });
    let content = content.ok_or_else(|| {
        let stays = plan.stays.iter().find(|(stays, _)| *stays == number);
        let why = stays.map(|(_, why)| why.clone()).or(plan.why().cloned());
        vec![why.unwrap_or_else(nothing)]
    })?;
    let one = |failure| vec![failure];
    let target = &entry.targets[number];
    let content = deliver::resolved(entry, target, content, &run.state).await;
    let content = content.map_err(one)?;
    let Staged::Kubernetes(target, _, wanted) = deliver::render(target, &content).map_err(one)?
    else {
        return Err(one(nothing()));
    };
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
        notes,
    })
}

fn nothing() -> Failure {
    Failure::new(
        Reason::Invalid,
        "nothing would be written to this target now, so there is nothing to compare",
    )
}
