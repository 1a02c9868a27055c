//! `restart`: the workloads whose pods read a Secret, each written as `kind/name`.

use super::Lowering;
use crate::config::problems::{At, Problem};
use crate::config::tree::Value;
use crate::config::{Workload, WorkloadKind};
use crate::names::ObjectName;

/// More of them on one Secret are a list that nobody meant.
const MOST: usize = 64;

pub(super) fn workloads(cx: &Lowering<'_>, value: Value<'_>) -> Option<Vec<Workload>> {
    let at = value.at;
    let texts = value.strings()?;
    if texts.len() > MOST {
        let message = format!("`restart` names more than {MOST} workloads");
        cx.problems.error(at, message);
        return None;
    }
    let mut workloads = Vec::new();
    let mut all = true;
    for text in texts {
        match workload(cx, text) {
            Some(workload) if workloads.contains(&workload) => {}
            Some(workload) => workloads.push(workload),
            None => all = false,
        }
    }
    all.then_some(workloads)
}

fn workload(cx: &Lowering<'_>, text: At<&str>) -> Option<Workload> {
    let refuse = |help: &str| {
        let message =
            "a workload is written `deployment/NAME`, `statefulset/NAME` or `daemonset/NAME`";
        cx.problems
            .push(Problem::error(text.at, message).help(help));
    };
    let Some((kind, name)) = text.value.split_once('/') else {
        refuse("say of which kind it is");
        return None;
    };
    let kind = match kind.to_ascii_lowercase().as_str() {
        "deployment" | "deployments" | "deploy" => WorkloadKind::Deployment,
        "statefulset" | "statefulsets" | "sts" => WorkloadKind::StatefulSet,
        "daemonset" | "daemonsets" | "ds" => WorkloadKind::DaemonSet,
        _ => {
            refuse("pods of no other kind are restarted by a change of their template");
            return None;
        }
    };
    let name = At {
        value: name,
        at: text.at,
    };
    let name = cx.name("the workload's name", name, ObjectName::new)?.value;
    Some(Workload { kind, name })
}
