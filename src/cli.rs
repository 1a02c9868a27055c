//! The command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config;
use crate::logging::{Format, Level};
use crate::names::{ClusterName, EntryName, Namespace, ObjectName, StoreName};

/// Where the configuration is unless somebody says.
const USUAL: &str = "/etc/secretsyncd/secretsyncd.toml";

/// Keeps Kubernetes Secrets and files in step with AWS Secrets Manager and Parameter Store.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SECRETSYNCD_CONFIG",
        default_value = USUAL
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
        /// Then read everything once, ask each cluster for what we may do there, and say what is not answered or not
        /// allowed, and why; nothing is written.
        #[arg(long)]
        online: bool,
    },
    /// Read everything (or the entries named) and say what would be done to each target; nothing is written.
    ///
    /// Key names are shown, never values. What a cluster would be sent is sent as a dry run, so that its admission and
    /// permissions are heard. Works beside a running daemon, and without a state.
    Plan {
        /// Only these entries.
        #[arg(value_name = "NAME", value_parser = entry_name)]
        names: Vec<EntryName>,
        /// Compare, by keys, what the one entry named would write with this Secret of the target's cluster: one of another
        /// name, or one that somebody else still owns.
        #[arg(long, value_name = "[CLUSTER/]NAMESPACE/NAME", value_parser = secret_place)]
        against: Option<SecretPlace>,
        /// With `--against`: which Secret of the entry, where it has several.
        #[arg(long, value_name = "CLUSTER/NAMESPACE/NAME", requires = "against")]
        target: Option<String>,
        /// Exit with 2 when something would change (or with `--against`, differs).
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Ask the daemon how everything stands, the worst first.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let the daemon read and deliver entries now, and wait for it.
    Sync(SyncWhich),
    /// List what others wrote where entries are to deliver, and what would change if they took it over.
    ///
    /// Files, and Secrets that Kubernetes External Secrets or External Secrets Operator keep. Key names are shown, never
    /// values. Nothing that is no plain file is taken over, and no Secret that its old controller has a hand on.
    Adopt(Adopt),
    /// List the targets that were delivered to and that no entry writes any more.
    ///
    /// And the deletions that are held.
    Prune {
        /// Remove the targets that are left, as far as they are proven to be ours.
        #[arg(long)]
        apply: bool,
        /// Only what is left of these entries or targets, and what is held of these entries.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Turn manifests of Kubernetes External Secrets and External Secrets Operator into a configuration, without any call.
    ///
    /// TOML that `check` accepts on stdout; on stderr what became of every object, each key that is warned of or refused,
    /// and how many of the others are exact or noted. An object of which anything is refused is not in the output.
    Import(Import),
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
    /// Print the least roles and bindings that the clusters' identities need, as YAML, without any call.
    ///
    /// One Role for each namespace, each verb with its reason. What RBAC cannot limit is said.
    Rbac(Rbac),
    /// Print a drop-in with what this configuration needs beyond the shipped unit, each line with its reason.
    ///
    /// What no directive can put right goes to stderr, too, with what to do instead. Nothing is changed.
    SystemdDropin {
        /// Print the rule of polkit that the units in `on_change` need instead.
        #[arg(long)]
        polkit: bool,
    },
    /// Print completions of this command line for a shell.
    Completions {
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for packages.
    #[command(hide = true)]
    Man,
}

/// What `adopt` takes over, and how.
#[derive(Debug, Args)]
pub struct Adopt {
    /// Take it over, as it is found then, and deliver at once.
    #[arg(long)]
    pub apply: bool,
    #[command(flatten)]
    pub content: Accepted,
    #[command(flatten)]
    pub quiet: Quiet,
    /// Only at these targets, or those of these entries.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// What of a Secret may be other than it should.
#[derive(Clone, Copy, Debug, Args)]
pub struct Accepted {
    /// A Secret that is named and not there is no mistake: the next delivery makes it.
    #[arg(long)]
    pub create: bool,
    /// Take over Secrets that hold other content than would be written, too; the next delivery writes it.
    #[arg(long)]
    pub accept_changes: bool,
}

/// How an old controller is made sure of.
#[derive(Clone, Copy, Debug, Args)]
pub struct Quiet {
    /// Change each `ExternalSecret` so that the old controller lets go of what it makes, then take that over. Without
    /// `--apply`, try whether it may be changed.
    #[arg(long)]
    pub quiesce: bool,
    /// For how long an old controller may write nothing before a Secret is taken over, and again after it. Longer than its
    /// interval: KES polls every 10 s unless it was told otherwise.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub watch: Duration,
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

#[derive(Clone, Debug, Default, Args)]
pub struct Rbac {
    /// Only what this cluster needs.
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub cluster: Option<ClusterName>,
    /// Grant it to this user.
    #[arg(long, value_name = "NAME", value_parser = subject, group = "subject")]
    pub user: Option<String>,
    /// Grant it to this group.
    #[arg(long, value_name = "NAME", value_parser = subject, group = "subject")]
    pub group: Option<String>,
    /// Grant it to this service account.
    #[arg(long, value_name = "NAMESPACE:NAME", value_parser = service_account, group = "subject")]
    pub service_account: Option<ServiceAccount>,
    /// For `drift = "watch"`: one watch of the whole cluster instead of one in each namespace.
    #[arg(long)]
    pub cluster_wide_watch: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Import {
    /// Manifests in YAML or JSON; directories of them; `-` for stdin.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The region of what says none.
    #[arg(long, value_name = "REGION", value_parser = subject)]
    pub region: Option<String>,
    /// The namespace of objects that say none.
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<Namespace>,
    /// What the cluster of the objects is called in the configuration.
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub cluster: Option<ClusterName>,
    /// A store of the input (NAME, NAMESPACE/NAME or cluster/NAME) is this one of yours, which is not defined again.
    #[arg(long = "store", value_name = "NAME=OURS", value_parser = same_store)]
    pub stores: Vec<(String, StoreName)>,
    /// Begin the names of entries, stores and files with the cluster's, so that what comes from several clusters goes
    /// into one configuration.
    #[arg(long, requires = "cluster")]
    pub qualify: bool,
    /// Write a file for each namespace, and one for stores, into this directory, instead of stdout.
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
    /// Write values that stand in the input to this file, for a file store. Without this they are refused.
    #[arg(long, value_name = "FILE")]
    pub literals: Option<PathBuf>,
    /// Exit with 1 on warnings, too.
    #[arg(long)]
    pub strict: bool,
    /// How the report is written on stderr; json names every key that is not exact, and is all that stands there.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub report: ReportFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    pub namespace: Namespace,
    pub name: ObjectName,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPlace {
    /// Where it is said, as what lists targets does.
    pub cluster: Option<ClusterName>,
    pub namespace: Namespace,
    pub name: ObjectName,
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cluster) = &self.cluster {
            write!(f, "{cluster}/")?;
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   failed; `once`: an entry is not delivered, or not to all its targets;
      `check --online`: a read is not answered, or something not allowed;
      `plan`: an error or a conflict; `status`, `sync`: an entry is not fresh;
      `sync NAME`: it is suspended;
      `adopt`, `prune`: something that was asked for was not done;
      `import`: something was refused
  2   `plan --detailed-exitcode`: something would change, or differs
  3   `once`: some entries are partial, none worse
  64  usage error
  69  `status`, `sync`: no daemon answers
  75  `once`: a daemon holds the state directory
  78  the configuration has errors";

/// How a command is called for this configuration, to be copied into a shell.
pub fn call(command: &str, config: &Path) -> String {
    if config == Path::new(USUAL) {
        return format!("secretsyncd {command}");
    }
    // Whoever reads this may be in another directory.
    let path = std::path::absolute(config);
    let path = path.ok().as_deref().and_then(Path::to_str).and_then(word);
    // What cannot be shown as it is, they know better.
    let path = path.unwrap_or_else(|| "PATH".to_owned());
    format!("secretsyncd {command} --config {path}")
}

/// A text as a shell reads it; `None` for what spoils a line.
fn word(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:=@%".contains(c);
    if text.chars().any(char::is_control) {
        None
    } else if text.chars().all(plain) {
        Some(text.to_owned())
    } else {
        Some(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

fn entry_name(text: &str) -> Result<EntryName, String> {
    EntryName::new(text).map_err(|expected| format!("expected {expected}"))
}

fn store_name(text: &str) -> Result<StoreName, String> {
    StoreName::new(text).map_err(|expected| format!("expected {expected}"))
}

fn cluster_name(text: &str) -> Result<ClusterName, String> {
    ClusterName::new(text).map_err(|expected| format!("expected {expected}"))
}

fn namespace(text: &str) -> Result<Namespace, String> {
    Namespace::new(text).map_err(|expected| format!("expected {expected}"))
}

fn same_store(text: &str) -> Result<(String, StoreName), String> {
    let (theirs, ours) = text.split_once('=').ok_or("expected NAME=OURS")?;
    if theirs.is_empty() {
        return Err("expected NAME=OURS".to_owned());
    }
    Ok((theirs.to_owned(), store_name(ours)?))
}

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).map_err(|hint| format!("expected a duration such as 30s: {hint}"))
}

/// Users and groups are called whatever an identity provider likes.
fn subject(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 1024 || text.chars().any(char::is_control) {
        return Err("expected 1 to 1024 characters without control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn service_account(text: &str) -> Result<ServiceAccount, String> {
    let expected = || "expected NAMESPACE:NAME".to_owned();
    let (namespace, name) = text.split_once(':').ok_or_else(expected)?;
    Ok(ServiceAccount {
        namespace: Namespace::new(namespace).map_err(|_| expected())?,
        name: ObjectName::new(name).map_err(|_| expected())?,
    })
}

fn secret_place(text: &str) -> Result<SecretPlace, String> {
    let expected = || "expected NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME".to_owned();
    let (before, name) = text.rsplit_once('/').ok_or_else(expected)?;
    // Clusters may be called with a `/`.
    let (cluster, namespace) = match before.rsplit_once('/') {
        Some((cluster, namespace)) => (Some(cluster), namespace),
        None => (None, before),
    };
    let cluster = cluster.map(ClusterName::new).transpose();
    Ok(SecretPlace {
        cluster: cluster.map_err(|_| expected())?,
        namespace: Namespace::new(namespace).map_err(|_| expected())?,
        name: ObjectName::new(name).map_err(|_| expected())?,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_names_its_configuration_as_a_shell_reads_it() {
        let check = |path: &str| call("check", Path::new(path));
        assert_eq!(check(USUAL), "secretsyncd check");
        for (path, shown) in [
            ("/a/b-c.toml", "/a/b-c.toml"),
            ("/my files/c.toml", "'/my files/c.toml'"),
            ("/it's/$HOME", r"'/it'\''s/$HOME'"),
            ("/a\nb", "PATH"),
        ] {
            assert_eq!(check(path), format!("secretsyncd check --config {shown}"));
        }
        let here = std::env::current_dir().unwrap();
        let own = call("check", Path::new("c.toml"));
        assert!(
            own.contains(here.to_str().unwrap()) && own.contains("/c.toml"),
            "{own}"
        );
    }
}
