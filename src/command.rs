//! One file per subcommand; each returns its exit code (design 5, after `sysexits.h`).

pub mod check;
#[cfg(test)]
mod fixture;
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
        Command::Check { strict } => {
            let options = check::Options {
                strict,
                color: colour(),
            };
            ExitCode::from(check::run(&cli.config, options))
        }
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

fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn show(text: &str) {
    if !text.is_empty() {
        eprintln!("{}", text.trim_end());
    }
}
