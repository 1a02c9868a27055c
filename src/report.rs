//! The closed set of facts the program states about itself.
//!
//! Whoever does something says what happened as a [`Fact`]; `metrics` turns facts into series. Nobody else names a
//! metric, and no fact can carry a value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::Drift;
use crate::failure::Reason;
use crate::names::{ClusterName, EntryName, StoreName};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Fact<'a> {
    /// One call to a store's service, retries inside the SDK included.
    StoreRequest {
        store: &'a StoreName,
        operation: StoreOperation,
        code: RequestCode,
        took: Duration,
    },
    /// Everything that is shared by the reads of a store is in trouble, for that reason; `None`: no longer.
    StorePaused {
        store: &'a StoreName,
        reason: Option<Reason>,
    },
    /// Nothing is asked of a cluster but one probe now and then, for that reason; `None`: no longer.
    ClusterPaused {
        cluster: &'a ClusterName,
        reason: Option<Reason>,
    },
    /// One HTTP request to a cluster.
    ClusterRequest {
        cluster: &'a ClusterName,
        verb: ClusterVerb,
        code: RequestCode,
        took: Duration,
    },
    /// An entry was synced, or was not.
    Run {
        store: &'a StoreName,
        outcome: Outcome,
        /// `None` for what was no run: a check for drift, or a routine read that failed.
        took: Option<Duration>,
    },
    /// One stage of a run ended, well or not.
    Stage {
        stage: Stage,
        took: Duration,
    },
    /// A run, or a routine read for an entry, failed.
    Failed {
        store: &'a StoreName,
        stage: Stage,
        reason: Reason,
    },
    /// A newer version replaced a delivered one in one target.
    Propagated {
        store: &'a StoreName,
        target: TargetKind,
        took: Duration,
    },
    TargetWritten {
        target: TargetKind,
        result: WriteResult,
    },
    DriftRepaired {
        target: TargetKind,
        drift: Drift,
    },
    /// An action ran to its end, or to where it failed.
    Action {
        kind: ActionKind,
        result: ActionResult,
        took: Duration,
    },
    /// The actions of a kind that have to run, and since when the first of them has.
    ActionsPending {
        kind: ActionKind,
        count: usize,
        oldest: Option<Timestamp>,
    },
    /// An entry's condition; `None` for what is not (yet, or any more) there.
    EntryCondition {
        entry: &'a EntryName,
        store: &'a StoreName,
        was: Option<Condition>,
        now: Option<Condition>,
    },
    TargetCondition {
        target: TargetKind,
        cluster: Option<&'a ClusterName>,
        was: Option<Condition>,
        now: Option<Condition>,
    },
    /// Every target of an entry ended fresh.
    Success {
        entry: &'a EntryName,
        at: Timestamp,
    },
    /// When an entry is next checked or retried; `None` where that is never.
    NextSync {
        entry: &'a EntryName,
        at: Option<Timestamp>,
    },
    /// An entry is no longer configured.
    EntryGone {
        entry: &'a EntryName,
    },
    /// A version that was read and is not in every target yet; `None` when there is none.
    Undelivered {
        entry: &'a EntryName,
        created: Option<Timestamp>,
    },
    /// The configuration was reloaded, or the one from before goes on.
    Reloaded {
        successful: bool,
        at: Timestamp,
    },
    /// Targets that would lose something and are held by the brake.
    DeletionsHeld(usize),
    /// Targets that no entry writes any more.
    TargetsOrphaned(usize),
    /// When the credentials there end, unless they are renewed; `None` where no end is known.
    CredentialsEnd {
        of: Login<'a>,
        at: Option<Timestamp>,
    },
    /// Whether this machine may write Kubernetes targets.
    Leads(bool),
    /// How late something due was begun.
    Lag(Duration),
    /// The scheduler is alive.
    Progress {
        at: Timestamp,
    },
}

/// What credentials are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login<'a> {
    Store(&'a StoreName),
    Cluster(&'a ClusterName),
}

impl Login<'_> {
    /// The words for it in metrics.
    pub fn labels(&self) -> [&str; 2] {
        match self {
            Self::Store(name) => ["store", name.as_str()],
            Self::Cluster(name) => ["cluster", name.as_str()],
        }
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The word for it in metrics, logs and `/status`.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

words! {
    /// One kind of call to a store, as AWS calls it.
    StoreOperation {
        BatchGetSecretValue = "BatchGetSecretValue",
        GetSecretValue = "GetSecretValue",
        DescribeSecret = "DescribeSecret",
        ListSecrets = "ListSecrets",
        GetParameters = "GetParameters",
        GetParameter = "GetParameter",
        GetParametersByPath = "GetParametersByPath",
        DescribeParameters = "DescribeParameters",
        ListTagsForResource = "ListTagsForResource",
        ReadFile = "ReadFile",
    }
    ClusterVerb {
        Get = "get",
        List = "list",
        Watch = "watch",
        Create = "create",
        Apply = "apply",
        Patch = "patch",
        Update = "update",
        Delete = "delete",
    }
    Outcome {
        Changed = "changed",
        Unchanged = "unchanged",
        Partial = "partial",
        Failed = "failed",
    }
    Stage {
        Fetch = "fetch",
        Assemble = "assemble",
        Apply = "apply",
        Action = "action",
    }
    TargetKind {
        Kubernetes = "kubernetes",
        File = "file",
    }
    /// What runs when a target has changed.
    ActionKind {
        ReloadUnit = "reload_unit",
        RestartUnit = "restart_unit",
        Signal = "signal",
        Command = "command",
        /// Of a workload.
        Restart = "restart",
    }
    ActionResult {
        Succeeded = "succeeded",
        Failed = "failed",
    }
    WriteResult {
        Created = "created",
        Updated = "updated",
        Deleted = "deleted",
        Refused = "refused",
    }
    /// How a target, or the worst target of an entry, stands. Ordered worst first.
    Condition {
        Contested = "contested",
        Stale = "stale",
        Failing = "failing",
        Partial = "partial",
        /// Not tried yet.
        Pending = "pending",
        Fresh = "fresh",
        /// Nothing happens to it.
        Suspended = "suspended",
    }
}

/// How a request ended, for a label: an HTTP status, or that there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestCode {
    Status(u16),
    /// A request that has no status succeeded (a file).
    Ok,
    /// A request that has no status failed.
    Failed(Reason),
    /// No connection, or it broke.
    Network,
    Timeout,
    /// Something answered that is not the protocol.
    Malformed,
}

impl fmt::Display for RequestCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Ok => f.write_str("ok"),
            Self::Failed(reason) => f.write_str(reason.as_str()),
            Self::Network => f.write_str("network"),
            Self::Timeout => f.write_str("timeout"),
            Self::Malformed => f.write_str("malformed"),
        }
    }
}

/// Where facts go. Cheap to clone; recording never blocks.
#[derive(Clone)]
pub struct Reporter(Arc<dyn Fn(&Fact<'_>) + Send + Sync>);

impl Reporter {
    pub fn new(record: impl Fn(&Fact<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }

    pub fn record(&self, fact: &Fact<'_>) {
        (self.0)(fact);
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}
