//! `systemd-dropin`: what a configuration needs beyond the shipped unit, each line with its reason.
//!
//! The drop-in goes to stdout. What no directive can put right stands in it as a comment, and on stderr. Directories
//! are named with a leading `-`: one that is missing is the trouble of its entries and must not keep the service from
//! starting.

mod accounts;
mod needs;
mod paths;
mod place;
mod polkit;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use self::polkit::{Units, Verb};
use super::{load_in, print, show};
use crate::config::{Config, Surroundings};

/// What the shipped unit has; a test holds it to that.
mod unit {
    pub(super) const CONFIG: &str = "/etc/secretsyncd/secretsyncd.toml";
    pub(super) const STATE_DIRECTORY: &str = "/var/lib/secretsyncd";
    pub(super) const RUNTIME_DIRECTORY: &str = "/run/secretsyncd";
    pub(super) const USER: &str = "secretsyncd";
    pub(super) const TIMEOUT_STOP_SECONDS: u64 = 45;
    /// What the shipped drop-in for owners adds.
    pub(super) const OWNERS: &str = "CAP_CHOWN CAP_FOWNER";
}

/// So many are named in one comment.
const NAMED: usize = 5;

pub(super) fn run(path: &Path, polkit: bool) -> ExitCode {
    // Defaults are those of the service, whoever asks.
    let service = Surroundings {
        state_directory: Some(unit::STATE_DIRECTORY.into()),
        runtime_directory: Some(unit::RUNTIME_DIRECTORY.into()),
        ..Surroundings::default()
    };
    let config = match load_in(path, &service) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let drop_in = DropIn::of(&config, Path::exists);
    if polkit {
        let none = || format!("// {} needs nothing of polkit.\n", drop_in.config);
        return print(&drop_in.rule().unwrap_or_else(none), 0);
    }
    show(&drop_in.problems());
    print(&drop_in.text(), 0)
}

/// In the order in which they are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Directive {
    Environment,
    StateDirectory,
    ReadWritePaths,
    ProtectHome,
    BindPaths,
    BindReadOnlyPaths,
    SupplementaryGroups,
    CapabilityBoundingSet,
    AmbientCapabilities,
    PrivateUsers,
    SystemCallFilter,
    TimeoutStopSec,
}

impl Directive {
    fn name(self) -> &'static str {
        match self {
            Self::Environment => "Environment",
            Self::StateDirectory => "StateDirectory",
            Self::ReadWritePaths => "ReadWritePaths",
            Self::ProtectHome => "ProtectHome",
            Self::BindPaths => "BindPaths",
            Self::BindReadOnlyPaths => "BindReadOnlyPaths",
            Self::SupplementaryGroups => "SupplementaryGroups",
            Self::CapabilityBoundingSet => "CapabilityBoundingSet",
            Self::AmbientCapabilities => "AmbientCapabilities",
            Self::PrivateUsers => "PrivateUsers",
            Self::SystemCallFilter => "SystemCallFilter",
            Self::TimeoutStopSec => "TimeoutStopSec",
        }
    }
}

/// What has to be said of one line or problem: a sentence, and for whom it is.
#[derive(Debug, Default)]
struct Reason {
    why: String,
    whose: Vec<String>,
}

#[derive(Debug, Default)]
struct DropIn {
    config: String,
    settings: BTreeMap<(Directive, String), Reason>,
    /// By their sentence.
    problems: BTreeMap<String, Reason>,
    units: Units,
}

impl DropIn {
    /// `exists` is asked about directories that are written to.
    fn of(config: &Config, exists: impl Fn(&Path) -> bool) -> Self {
        let mut drop_in = Self::default();
        needs::add(&mut drop_in, config, exists);
        drop_in
    }

    fn set(&mut self, directive: Directive, value: &str, why: &str, whose: &str) {
        let setting = (directive, value.to_owned());
        self.settings.entry(setting).or_default().add(why, whose);
    }

    /// What is done to a unit, which polkit has to allow.
    fn unit(&mut self, name: &str, verb: Verb, whose: &str) {
        let unit = (name.to_owned(), verb);
        let reason = self.units.entry(unit).or_default();
        reason.add(verb.key(), whose);
    }

    fn rule(&self) -> Option<String> {
        polkit::rule(&self.config, &self.units)
    }

    /// What no directive can put right, and what to do.
    fn problem(&mut self, fact: String, next_step: &str, whose: &str) {
        let problem = self.problems.entry(fact).or_default();
        problem.add(next_step, whose);
    }

    /// For people.
    fn problems(&self) -> String {
        let lines = self.problems.iter().map(|(fact, reason)| {
            let whose = reason.whose();
            format!("problem: {whose}: {fact}\n  help: {}\n", reason.why)
        });
        lines.collect()
    }

    fn text(&self) -> String {
        let config = &self.config;
        let mut text = String::new();
        // Writing to a text cannot fail.
        if self.settings.is_empty() {
            let _ = writeln!(text, "# {config} needs nothing beyond secretsyncd.service.");
        } else {
            let _ = write!(
                text,
                "# What {config} needs beyond secretsyncd.service.\n\
                 # For /etc/systemd/system/secretsyncd.service.d/config.conf; then: systemctl daemon-reload\n"
            );
        }
        if !self.units.is_empty() {
            text.push_str(
                "\n# What it does to units, polkit has to allow: `secretsyncd systemd-dropin --polkit` prints the rule.\n",
            );
        }
        for (fact, reason) in &self.problems {
            let whose = reason.whose();
            let _ = write!(text, "\n# PROBLEM: {whose}: {fact}\n#   {}\n", reason.why);
        }
        if !self.settings.is_empty() {
            text.push_str("\n[Service]\n");
        }
        for ((directive, value), reason) in &self.settings {
            let (whose, name) = (reason.whose(), directive.name());
            let _ = write!(text, "# {whose}: {}\n{name}={value}\n", reason.why);
        }
        text
    }
}

impl Reason {
    fn add(&mut self, why: &str, whose: &str) {
        why.clone_into(&mut self.why);
        if !self.whose.iter().any(|it| it == whose) {
            self.whose.push(whose.to_owned());
        }
    }

    fn whose(&self) -> String {
        let named = self.whose.iter().take(NAMED).cloned();
        let named = named.collect::<Vec<_>>().join(", ");
        match self.whose.len().saturating_sub(NAMED) {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests;
