//! One file per subcommand; each returns its exit code (design 5, after `sysexits.h`).

pub mod check;
#[cfg(test)]
mod fixture;
mod iam_policy;
mod once;
mod reads;
mod run;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::config::{self, Config, Surroundings};

pub(crate) const FAILED: u8 = 1;
pub(crate) const PARTIAL: u8 = 3;
/// `EX_USAGE`.
pub const USAGE: u8 = 64;
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
        Command::IamPolicy { store } => iam_policy::run(&cli.config, store.as_ref()),
    }
}

/// Loads the configuration and shows its problems on stderr.
fn load(path: &Path) -> Result<Config, ExitCode> {
    match config::load(path, &Surroundings::from_process()) {
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

fn show(text: &str) {
    if !text.is_empty() {
        eprintln!("{}", text.trim_end());
    }
}
