//! What is to be written, before it is TOML. Everything in here is a reference; a value is in [`Literals`] alone.

use std::collections::BTreeMap;

use crate::secret::SecretBytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    SecretsManager,
    ParameterStore,
}

/// One `[stores.NAME.KIND]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Store {
    pub name: String,
    pub service: Service,
    pub region: Option<String>,
    pub prefix: Option<String>,
    pub endpoint: Option<String>,
    pub auth: Auth,
    pub comments: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Auth {
    pub keys: Option<Keys>,
    pub chain: Vec<String>,
    pub role: Option<String>,
    pub external_id: Option<String>,
    pub session_name: Option<String>,
    pub session_tags: Vec<(String, String)>,
    pub transitive_tag_keys: Vec<String>,
    pub sts_endpoint: Option<String>,
}

/// Where static credentials are; never what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    pub id: KeySource,
    pub secret: KeySource,
    pub token: Option<KeySource>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeySource {
    Env(&'static str),
    Secret {
        namespace: String,
        name: String,
        key: String,
    },
}

/// One `[secrets.NAME]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub name: String,
    /// Absent: in more than one.
    pub namespace: Option<String>,
    /// Our name of it.
    pub store: String,
    /// Absent: nothing is said.
    pub interval: Option<String>,
    pub once: bool,
    pub suspend: bool,
    pub json_format: Option<&'static str>,
    pub data_from: Vec<Bulk>,
    pub data: Vec<Item>,
    pub template: Option<Template>,
    pub targets: Vec<Target>,
    pub literals: Literals,
    pub words: Words,
}

/// Whose words the input has for what is in an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Words {
    #[default]
    Eso,
    /// Inside of a `ClusterExternalSecret`.
    EsoCluster,
    Kes,
    /// With a `secretDescriptor` in place of `spec`.
    KesLegacy,
}

/// The item of a list of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// As the input calls it.
    pub list: &'static str,
    pub index: usize,
    pub line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub key: String,
    pub remote: Remote,
    /// Where it is not the entry's.
    pub store: Option<String>,
    /// Absent: a value that stood in the input.
    pub spot: Option<Spot>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remote {
    pub key: String,
    pub property: Option<String>,
    pub version: Option<String>,
    pub decoding: Option<&'static str>,
    pub metadata: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bulk {
    pub what: What,
    pub rewrite: Vec<Rewrite>,
    pub conversion: Option<&'static str>,
    pub store: Option<String>,
    pub spot: Spot,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Extract(Remote),
    Find {
        path: Option<String>,
        regexp: Option<String>,
        tags: Vec<(String, String)>,
        decoding: Option<&'static str>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rewrite {
    Regexp {
        source: String,
        target: String,
    },
    Transform(String),
    Merge {
        into: Option<String>,
        strategy: Option<&'static str>,
        conflict_policy: Option<&'static str>,
        priority: Vec<String>,
        priority_policy: Option<&'static str>,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    /// Beside what was fetched, not instead of it.
    pub merge: bool,
    pub data: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

/// One `[[secrets.NAME.kubernetes]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub namespaces: Vec<String>,
    pub selector: Option<String>,
    pub name: String,
    pub secret_type: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub creation: Option<&'static str>,
    pub deletion: Option<&'static str>,
    pub immutable: bool,
    /// Its labels and annotations are those of the object.
    pub copied: bool,
}

/// Values that stood in the input, by the key under which a file store will have them.
pub(super) type Literals = BTreeMap<String, SecretBytes>;

impl Service {
    /// The name of the table.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::SecretsManager => "aws_secrets_manager",
            Self::ParameterStore => "aws_parameter_store",
        }
    }
}
