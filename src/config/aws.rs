//! An AWS store: where it is, as whom it is read, and how fast.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::names::{AccountId, ClusterName, Namespace, ObjectName, RoleArn, SecretKey};

/// Secrets Manager or Parameter Store of one account and region. Its `prefix` is part of every key already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsStore {
    /// `None`: what the SDK finds (environment, profile, instance metadata).
    pub region: Option<String>,
    /// An answer from another account is malformed.
    pub account: Option<AccountId>,
    pub fetch: Fetch,
    pub requests_per_second: Rates,
    /// Absent: AWS's own endpoint. Endpoints from the environment are ignored.
    pub endpoint_url: Option<String>,
    pub auth: AwsAuth,
}

/// Whether reads travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// In batches where AWS allows it, alone where not.
    Auto,
    Single,
}

/// Calls per second to one account and region, by kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// `BatchGetSecretValue`, `GetParameters`.
    pub batch: u32,
    /// `GetSecretValue`, `DescribeSecret`, `GetParameter`, `ListTagsForResource`.
    pub get: u32,
    /// `ListSecrets`, `GetParametersByPath`, `DescribeParameters`.
    pub list: u32,
}

impl Rates {
    /// Half of what Secrets Manager allows for batches (100/s), far below the rest (10,000/s, 100/s): others in the
    /// account need some, too.
    pub const SECRETS_MANAGER: Self = Self {
        batch: 50,
        get: 500,
        list: 20,
    };
    /// Parameter Store's standard throughput is 40/s for all kinds together.
    pub const PARAMETER_STORE: Self = Self {
        batch: 15,
        get: 10,
        list: 5,
    };
}

/// As whom a store is read. Equal ones share their sessions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AwsAuth {
    pub base: AwsBase,
    /// Roles to assume one after the other, before `role`.
    pub role_chain: Vec<RoleArn>,
    pub role: Option<AwsRole>,
    /// Absent: STS's own endpoint of the store's region. Endpoints from the environment are ignored.
    pub sts_endpoint_url: Option<String>,
}

/// Where the base credentials of a store come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AwsBase {
    /// The SDK's default chain.
    Default,
    Profile(String),
    Static {
        access_key_id: ValueSource,
        secret_access_key: ValueSource,
        session_token: Option<ValueSource>,
    },
    WebIdentity {
        role_arn: RoleArn,
        /// Absolute.
        token_file: PathBuf,
    },
}

/// The last role, which alone gets what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AwsRole {
    pub arn: RoleArn,
    pub external_id: Option<String>,
    /// Default: `secretsyncd`.
    pub session_name: Option<String>,
    pub session_tags: BTreeMap<String, String>,
    pub transitive_tag_keys: Vec<String>,
}

/// Where one credential is read from. Never the credential itself: the configuration holds no values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueSource {
    /// Absolute path; surrounding white space of the content is not part of the value.
    File(PathBuf),
    Env(String),
    /// One key of a Secret of a configured cluster.
    Kubernetes(SecretRef),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    pub cluster: ClusterName,
    pub namespace: Namespace,
    pub name: ObjectName,
    pub key: SecretKey,
}

impl AwsAuth {
    /// The SDK's default chain and nothing more.
    pub const DEFAULT: Self = Self {
        base: AwsBase::Default,
        role_chain: Vec::new(),
        role: None,
        sts_endpoint_url: None,
    };

    /// The account that the last role belongs to, where there is a role.
    pub fn account(&self) -> Option<AccountId> {
        let web_identity = match &self.base {
            AwsBase::WebIdentity { role_arn, .. } => Some(role_arn),
            AwsBase::Default | AwsBase::Profile(_) | AwsBase::Static { .. } => None,
        };
        let last = self.role.as_ref().map(|role| &role.arn);
        let arn = last.or(self.role_chain.last()).or(web_identity)?;
        Some(arn.account())
    }
}
