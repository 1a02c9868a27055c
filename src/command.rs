//! One file per subcommand; each returns its exit code (after `sysexits.h`).

mod adopt;
pub mod check;
#[cfg(test)]
mod fixture;
mod iam_policy;
mod import;
mod once;
mod permissions;
mod plan;
mod progress;
mod prune;
mod rbac;
mod reads;
mod run;
mod schema;
mod shell;
mod status;
mod sync;
mod systemd_dropin;
mod table;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{Cli, Command, SyncWhich};
use crate::config::{self, Config, Surroundings};
use crate::control::{Prune, Which};
use crate::names::EntryName;

pub(crate) const FAILED: u8 = 1;
pub(crate) const WOULD_CHANGE: u8 = 2;
pub(crate) const PARTIAL: u8 = 3;
/// `EX_USAGE`.
pub const USAGE: u8 = 64;
/// `EX_UNAVAILABLE`.
pub(crate) const UNAVAILABLE: u8 = 69;
pub(crate) const TEMPORARY: u8 = 75;

/// Runs what the command line asks for.
pub async fn execute(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Run => run::run(&cli.config).await,
        Command::Once { names } => once::run(&cli.config, &names).await,
        Command::Check { strict, online } => {
            let options = check::Options {
                strict,
                color: colour(),
            };
            ExitCode::from(check::run(&cli.config, options, online).await)
        }
        Command::Plan {
            names,
            against,
            target,
            detailed_exitcode,
        } => {
            let against = against.map(|against| plan::against::Wish { against, target });
            plan::run(&cli.config, &names, against, detailed_exitcode).await
        }
        Command::Status { json } => status::run(&cli.config, json).await,
        Command::Sync(which) => sync::run(&cli.config, asked_for(which)).await,
        Command::Adopt(wish) => adopt::run(&cli.config, &wish).await,
        Command::Prune { apply, names } => {
            prune::run(&cli.config, asked_to_prune(apply, &names), &names).await
        }
        Command::Import(options) => import::run(options),
        Command::Schema => schema::run(),
        Command::IamPolicy { store } => iam_policy::run(&cli.config, store.as_ref()),
        Command::Rbac(options) => rbac::run(&cli.config, &options),
        Command::SystemdDropin { polkit } => systemd_dropin::run(&cli.config, polkit),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man => shell::man(),
    }
}

fn asked_to_prune(apply: bool, names: &[String]) -> Prune {
    if !apply {
        Prune::List
    } else if names.is_empty() {
        Prune::All
    } else {
        Prune::Named(names.to_vec())
    }
}

fn asked_for(which: SyncWhich) -> Which {
    let SyncWhich {
        names,
        failing,
        all,
    } = which;
    if all {
        Which::All
    } else if failing {
        Which::Failing
    } else {
        Which::Names(names.iter().map(ToString::to_string).collect())
    }
}

/// Where the daemon of this configuration is asked. Mistakes elsewhere in it do not keep anybody from asking.
fn find_daemon(path: &Path) -> Result<PathBuf, ExitCode> {
    config::find_socket(path, &Surroundings::from_process()).map_err(|problems| {
        show(&problems.render(colour()));
        show(
            "error: where the daemon is asked cannot be told from this configuration\n  help: correct it, or name with \
             `--config` a file of your own that has `control_socket` of the daemon in [daemon]; nothing else of it is needed",
        );
        ExitCode::from(check::BAD_CONFIG)
    })
}

/// Loads the configuration and shows its problems on stderr.
fn load(path: &Path) -> Result<Config, ExitCode> {
    load_in(path, &Surroundings::from_process())
}

/// The same, where it has all of these entries.
fn load_with(path: &Path, names: &[EntryName]) -> Result<Config, ExitCode> {
    let config = load(path)?;
    let unknown = names
        .iter()
        .find(|name| !config.entries.contains_key(*name));
    if let Some(unknown) = unknown {
        let known = config.entries.keys().map(EntryName::as_str);
        show(&no_such("entry", unknown.as_str(), known));
        return Err(ExitCode::from(USAGE));
    }
    Ok(config)
}

/// The same as if the process were another one.
fn load_in(path: &Path, surroundings: &Surroundings) -> Result<Config, ExitCode> {
    match config::load(path, surroundings) {
        Ok(loaded) => {
            show(&loaded.warnings.render(colour()));
            Ok(loaded.config)
        }
        Err(problems) => {
            show(&problems.render(colour()));
            Err(ExitCode::from(check::BAD_CONFIG))
        }
    }
}

/// A name on the command line that the configuration does not have.
fn no_such<'a>(what: &str, unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    let similar = |name: &&str| strsim::jaro_winkler(name, unknown);
    let nearest = known
        .filter(|name| similar(name) > 0.8)
        .max_by(|a, b| similar(a).total_cmp(&similar(b)));
    let help = match (nearest, what) {
        (Some(name), _) => format!("did you mean `{name}`?"),
        (None, "entry") => "the entries are the names of the [secrets.*] tables".to_owned(),
        (None, _) => format!("the {what}s are the names of the [{what}s.*] tables"),
    };
    format!("error: there is no {what} `{unknown}`\n  help: {help}")
}

fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Data, and how the command ended. A reader that went away has seen what he wanted; a disk that took only a part of it
/// has not kept what was asked for.
fn print(text: &str, ended: u8) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            show(&format!(
                "error: the output could not be written: {}",
                error.kind()
            ));
            ExitCode::from(FAILED)
        }
        Ok(()) | Err(_) => ExitCode::from(ended),
    }
}

fn show(text: &str) {
    if !text.is_empty() {
        eprintln!("{}", text.trim_end());
    }
}
