//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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

    /// How log lines are written on stderr. Without this: as fields where stderr is the journal, else as text.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<Format>,

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
    /// Ask the daemon how everything stands, the worst first.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let the daemon read and deliver entries now, and wait for it.
    Sync(SyncWhich),
    /// List the targets that were delivered to and that no entry writes any more.
    Prune {
        /// Remove them; not supported yet.
        #[arg(long)]
        apply: bool,
    },
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Print the least AWS policy that the stores' identities need, as JSON, without any call.
    ///
    /// One policy document where all AWS stores have one identity, else one object with a member for each store. Why
    /// each statement is needed goes to stderr.
    IamPolicy {
        /// Only what this store needs.
        #[arg(value_name = "STORE", value_parser = store_name)]
        store: Option<StoreName>,
    },
    /// Print a drop-in with what this configuration needs beyond the shipped unit, each line with its reason.
    ///
    /// What no directive can put right goes to stderr, too, with what to do instead. Nothing is changed.
    SystemdDropin,
    /// Print completions of this command line for a shell.
    Completions {
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for packages.
    #[command(hide = true)]
    Man,
}

#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false)]
pub struct SyncWhich {
    /// These entries.
    #[arg(value_name = "NAME", value_parser = entry_name, group = "which")]
    pub names: Vec<EntryName>,
    /// Every entry that is neither fresh nor waiting for its first try.
    #[arg(long, group = "which")]
    pub failing: bool,
    /// Every entry.
    #[arg(long, group = "which")]
    pub all: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed; `once`: an entry is not delivered, or not to all its targets;
      `check --online`: a read is not answered; `status`, `sync`: an entry is not fresh
  3   `once`: some entries are partial, none worse
  64  usage error
  69  `status`, `sync`: no daemon answers
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
