//! `once`: everything once, then one line per entry.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::{FAILED, PARTIAL, TEMPORARY, USAGE, load, no_such, show};
use crate::daemon::{self, Stopped};
use crate::names::EntryName;
use crate::report::Condition;
use crate::status::{EntryStatus, Trouble};

pub(super) async fn run(path: &Path, names: &[EntryName]) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Some(unknown) = names
        .iter()
        .find(|name| !config.entries.contains_key(*name))
    {
        let known = config.entries.keys().map(EntryName::as_str);
        show(&no_such("entry", unknown.as_str(), known));
        return ExitCode::from(USAGE);
    }
    match daemon::once(config, names).await {
        Ok(entries) => {
            // A reader that went away does not change what was delivered.
            let _ = std::io::stdout().write_all(table(&entries).as_bytes());
            ExitCode::from(exit_code(&entries))
        }
        Err(held @ Stopped::StateHeld(_)) => {
            show(&format!("error: {held}"));
            ExitCode::from(TEMPORARY)
        }
        Err(stopped) => {
            show(&format!("error: {stopped}"));
            ExitCode::from(FAILED)
        }
    }
}

fn exit_code(entries: &[EntryStatus]) -> u8 {
    let worst = entries.iter().map(|entry| entry.state).min();
    match worst {
        None | Some(Condition::Fresh) => 0,
        Some(Condition::Partial) => PARTIAL,
        Some(Condition::Contested | Condition::Stale | Condition::Failing | Condition::Pending) => {
            FAILED
        }
    }
}

/// One line per entry. Where it is not fresh: one more per target, and what to do.
fn table(entries: &[EntryStatus]) -> String {
    let names = entries.iter().map(|entry| entry.name.len());
    let width = names.max().unwrap_or(0);
    let mut lines = Vec::new();
    for entry in entries {
        let targets = entry.targets.len();
        let plural = if targets == 1 { "" } else { "s" };
        lines.push(format!(
            "{:width$}  {:9}  {targets} target{plural}",
            entry.name, entry.state
        ));
        if entry.state == Condition::Fresh {
            continue;
        }
        for target in &entry.targets {
            lines.push(format!("  {:9}  {}", target.state, target.target));
            lines.extend(target.error.iter().flat_map(explained));
        }
        let own = entry.error.iter();
        let own = own.filter(|_| entry.targets.iter().all(|target| target.error.is_none()));
        lines.extend(own.flat_map(explained));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn explained(trouble: &Trouble) -> [String; 2] {
    [
        format!("    {} ({})", trouble.message, trouble.reason),
        format!("    help: {}", trouble.help),
    ]
}
