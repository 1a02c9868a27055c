//! Actions that ask systemd, on a machine that it does not run.
//!
//! Only said, never an error, also with `--strict`: the configuration may be meant for another machine. A run names it as
//! the failure of each action.

use crate::action::WITHOUT_SYSTEMD;
use crate::config::{Action, Config, Entry, SignalTo, Target};
use crate::systemd;

/// One warning, or nothing.
pub(super) fn nobodys(config: &Config) -> String {
    if systemd::is_booted() {
        return String::new();
    }
    let asking: Vec<_> = config.entries.iter().filter(|(_, it)| asks(it)).collect();
    let Some((first, _)) = asking.first() else {
        return String::new();
    };
    let others = match asking.len() - 1 {
        0 => String::new(),
        1 => " (and 1 more)".to_owned(),
        more => format!(" (and {more} more)"),
    };
    format!(
        "warning: entry {first}{others}: `on_change` names a unit, and this machine was not started by systemd\n  help: \
         {WITHOUT_SYSTEMD}\n"
    )
}

fn asks(entry: &Entry) -> bool {
    let files = entry.targets.iter().filter_map(|target| match target {
        Target::File(file) => file.on_change.as_ref(),
        Target::Kubernetes(_) => None,
    });
    files.into_iter().any(|change| match &change.action {
        Action::ReloadUnit(_) | Action::RestartUnit(_) | Action::Signal(SignalTo::Unit(_), _) => {
            true
        }
        Action::Signal(SignalTo::PidFile(_), _) | Action::Command(_) => false,
    })
}
