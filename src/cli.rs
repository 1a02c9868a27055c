//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::logging::{Format, Level};
use crate::names::{EntryName, StoreName};

/// Keeps Kubernetes Secrets and files in step with AWS Secrets Manager.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SECRETSYNCD_CONFIG",
        default_value = "/etc/secretsyncd/secretsyncd.toml"
    )]
    pub config: PathBuf,

    /// How log lines are written on stderr.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: Format,

    /// The least important log lines to write.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon until SIGTERM or SIGINT.
    Run,
    /// Fetch and deliver everything (or the entries named) once.
    Once {
        /// Only these entries.
        #[arg(value_name = "NAME", value_parser = entry_name)]
        names: Vec<EntryName>,
    },
    /// Report every problem of the configuration, and what its reads cost, without any call.
    Check {
        /// Warnings count as errors.
        #[arg(long)]
        strict: bool,
        /// Then read everything once and say what is not answered, and why; nothing is written.
        #[arg(long)]
        online: bool,
    },
    /// Print the least AWS policy that the stores' identities need, as JSON, without any call.
    ///
    /// One policy document where all AWS stores have one identity, else one object with a member for each store. Why
    /// each statement is needed goes to stderr.
    IamPolicy {
        /// Only what this store needs.
        #[arg(value_name = "STORE", value_parser = store_name)]
        store: Option<StoreName>,
    },
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed; `once`: an entry is not delivered, or not to all its targets;
      `check --online`: a read is not answered
  3   `once`: some entries are partial, none worse
  64  usage error
  75  `once`: a daemon holds the state directory
  78  the configuration has errors";

fn entry_name(text: &str) -> Result<EntryName, String> {
    EntryName::new(text).map_err(|expected| format!("expected {expected}"))
}

fn store_name(text: &str) -> Result<StoreName, String> {
    StoreName::new(text).map_err(|expected| format!("expected {expected}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
