//! Users and groups that the configuration names and this machine does not know.
//!
//! Only said, never an error, also with `--strict`: the configuration may be meant for another machine, or the account
//! may come with a package that is installed later. A run names it as the failure of that target.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::account::{Account, Accounts, Kind};
use crate::config::{Config, Target};

/// A warning for each, or nothing.
pub(super) async fn unknown(config: &Config) -> String {
    let (accounts, named) = (Accounts::default(), named(config));
    let looked_up = named.iter().map(async |((kind, account), whose)| {
        let failure = accounts.id(*kind, account).await.err()?;
        let (fact, help) = (&failure.fact, failure.help());
        Some(format!("warning: {whose}: {fact}\n  help: {help}\n"))
    });
    join_all(looked_up).await.into_iter().flatten().collect()
}

/// Each once, with the first entry that names it.
fn named(config: &Config) -> BTreeMap<(Kind, Account), String> {
    let mut named = BTreeMap::new();
    for (entry, spec) in &config.entries {
        for target in &spec.targets {
            let Target::File(file) = target else {
                continue;
            };
            let user = file.owner.as_ref().map(|it| (Kind::User, it));
            let group = file.group.as_ref().map(|it| (Kind::Group, it));
            for (kind, account) in user.into_iter().chain(group) {
                let account = (kind, account.clone());
                named
                    .entry(account)
                    .or_insert_with(|| format!("entry {entry}"));
            }
        }
    }
    named
}
