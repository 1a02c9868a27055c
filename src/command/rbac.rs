//! `rbac`: the least that the identity of each cluster has to be allowed, as roles and their bindings.
//!
//! YAML on stdout, each verb with its reason as a comment. Nothing is asked: whom a kubeconfig logs in as only its
//! cluster knows, so the subject is an option.

mod rules;
mod yaml;

use std::path::Path;
use std::process::ExitCode;

use super::permissions::{self, Watching};
use super::{USAGE, load, no_such, print, show};
use crate::cli::{Rbac, ServiceAccount};
use crate::config::Config;
use crate::names::ClusterName;

/// To whom it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    User(String),
    Group(String),
    ServiceAccount(ServiceAccount),
    /// Nobody said: the binding names nobody, and says so.
    Unsaid,
}

impl Subject {
    fn of(options: &Rbac) -> Self {
        let Rbac {
            user,
            group,
            service_account,
            ..
        } = options.clone();
        let user = user.map(Self::User);
        let group = group.map(Self::Group);
        let account = service_account.map(Self::ServiceAccount);
        user.or(group).or(account).unwrap_or(Self::Unsaid)
    }
}

pub(super) fn run(path: &Path, options: &Rbac) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let named = options.cluster.as_ref();
    if let Some(unknown) = named.filter(|name| !config.clusters.contains_key(*name)) {
        let known = config.clusters.keys().map(ClusterName::as_str);
        show(&no_such("cluster", unknown.as_str(), known));
        return ExitCode::from(USAGE);
    }
    if config.clusters.is_empty() {
        show("there is no cluster: nothing is needed");
        return ExitCode::SUCCESS;
    }
    let subject = Subject::of(options);
    if subject == Subject::Unsaid {
        show(
            "note: the bindings name nobody yet: say whom the cluster takes us for with --user, --group or \
             --service-account (`kubectl auth whoami` tells)",
        );
    }
    let watching = if options.cluster_wide_watch {
        Watching::WholeCluster
    } else {
        Watching::EachNamespace
    };
    print(&text(&config, (named, &subject), watching), 0)
}

fn text(
    config: &Config,
    (named, subject): (Option<&ClusterName>, &Subject),
    watching: Watching,
) -> String {
    let clusters = permissions::of(config, watching);
    let wanted = |name: &ClusterName| named.is_none_or(|named| named == name);
    let wanted = clusters.iter().filter(|(name, _)| wanted(name));
    let documents = wanted.map(|(cluster, needs)| {
        let roles = rules::roles(needs);
        yaml::text((cluster, &config.daemon.instance), &roles, subject)
    });
    documents.collect()
}

#[cfg(test)]
mod tests;
