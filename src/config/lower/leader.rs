//! `[daemon.leader]`.

use super::scalar::duration;
use super::{Lowering, References};
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};
use crate::config::{Leader, LeaderTiming};
use crate::names::{Candidate, Namespace, ObjectName};

/// What the Lease is called unless it is said.
const NAME: &str = "secretsyncd";

pub(super) fn lower(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    references: &References,
) -> Option<Leader> {
    let at = table.at;
    let cluster = table
        .need("cluster")
        .and_then(Value::string)
        .and_then(|text| cx.cluster(text, references));
    let namespace = table
        .need("namespace")
        .and_then(Value::string)
        .and_then(|text| cx.name("`namespace`", text, Namespace::new));
    let name = match table.string("name") {
        Some(text) => cx.name("`name`", text, ObjectName::new).map(|it| it.value),
        None => ObjectName::new(NAME).ok(),
    };
    let identity = table
        .string("identity")
        .and_then(|text| cx.name("`identity`", text, Candidate::new));
    let mut time = |key: &'static str, usual| match table.take(key) {
        Some(value) => duration(value).map(|it| it.value),
        None => Some(usual),
    };
    let usual = LeaderTiming::DEFAULT;
    let times = (
        time("lease_duration", usual.lease_duration()),
        time("renew_deadline", usual.renew_deadline()),
        time("retry_period", usual.retry_period()),
    );
    table.finish();
    let (Some(lease_duration), Some(renew_deadline), Some(retry_period)) = times else {
        return None;
    };
    let timing = match LeaderTiming::new(lease_duration, renew_deadline, retry_period) {
        Ok(timing) => timing,
        Err(why) => {
            let help = "without these keys they are 15 s, 10 s and 2 s, as in Kubernetes itself";
            cx.problems.push(Problem::error(at, why).help(help));
            return None;
        }
    };
    Some(Leader {
        cluster: cluster?.value,
        namespace: namespace?.value,
        name: name?,
        identity: identity.map(|identity| identity.value),
        timing,
    })
}
