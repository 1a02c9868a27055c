//! Users and groups that something is given to.
//!
//! A group takes being a member of it; a user takes capabilities. Neither is enough by itself: a user namespace knows
//! nobody but the service's own user, and the unit allows no change of owner.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Directive, DropIn, text, unit};
use crate::account::Account;
use crate::config::{Config, FileTarget, Target};

pub(super) fn add(drop_in: &mut DropIn, config: &Config) {
    if let Some(name) = &config.daemon.control_group {
        group(drop_in, name, "`control_group`");
    }
    for (entry, file) in files(config) {
        let whose = format!("entry {entry}");
        match (foreign(file.owner.as_ref()), foreign(file.group.as_ref())) {
            // With it the group is given, too.
            (Some(_), _) => owner(drop_in, &whose),
            (None, Some(name)) => group(drop_in, &name, &whose),
            (None, None) => {}
        }
    }
}

/// The one group to which all files below this directory are given.
pub(super) fn group_of<'c>(config: &'c Config, directory: &Path) -> Option<&'c str> {
    let below = files(config).filter(|(_, file)| file.path.starts_with(directory));
    let groups: BTreeSet<_> = below.map(|(_, file)| file.group.as_ref()).collect();
    let mut groups = groups.into_iter();
    match (groups.next(), groups.next()) {
        (Some(Some(Account::Name(name))), None) => text::name(name),
        _ => None,
    }
}

fn files(config: &Config) -> impl Iterator<Item = (&str, &FileTarget)> {
    let targets = config.entries.iter().flat_map(|(name, entry)| {
        let targets = entry.targets.iter();
        targets.map(move |target| (name.as_str(), target))
    });
    targets.filter_map(|(name, target)| match target {
        Target::File(file) => Some((name, &**file)),
        Target::Kubernetes(_) => None,
    })
}

/// Another one than the service's own.
fn foreign(account: Option<&Account>) -> Option<String> {
    let name = account?.to_string();
    (name != unit::USER).then_some(name)
}

fn group(drop_in: &mut DropIn, name: &str, whose: &str) {
    let Some(name) = text::name(name) else {
        let fact = "this group has a name that a unit cannot hold".to_owned();
        drop_in.problem(fact, "use the group's number", whose);
        return;
    };
    let why = "a member may give to the group";
    drop_in.set(Directive::SupplementaryGroups, name, why, whose);
    let why = "in a user namespace there is no other group";
    drop_in.set(Directive::PrivateUsers, "no", why, whose);
    let why = "to give something to a group of its own; not a capability";
    drop_in.set(Directive::SystemCallFilter, "@chown", why, whose);
}

/// As `secretsyncd-chown.conf`. Deliberately without `CAP_DAC_READ_SEARCH`: what is closed to us once it was given away is
/// compared by what the ledger knows.
fn owner(drop_in: &mut DropIn, whose: &str) {
    let why = "to give files to another owner, and to set the modes of such files";
    drop_in.set(Directive::CapabilityBoundingSet, unit::OWNERS, why, whose);
    drop_in.set(Directive::AmbientCapabilities, unit::OWNERS, why, whose);
    let why = "in a user namespace there is no other user or group";
    drop_in.set(Directive::PrivateUsers, "no", why, whose);
    let why = "to give something away";
    drop_in.set(Directive::SystemCallFilter, "@chown", why, whose);
}
