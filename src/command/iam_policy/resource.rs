//! From a key of the configuration to what IAM calls it.

use super::roles;
use crate::aws::Service;
use crate::config::AwsStore;
use crate::names::RemoteKey;

/// Where a store's secrets are; what is not known is `*`.
pub(super) struct Scope {
    partition: String,
    service: &'static str,
    region: String,
    account: String,
}

impl Scope {
    pub(super) fn new(service: Service, spec: &AwsStore) -> Self {
        let account = spec.account.clone().or_else(|| spec.auth.account());
        let open = || "*".to_owned();
        Self {
            partition: partition(spec),
            service: match service {
                Service::SecretsManager => "secretsmanager",
                Service::ParameterStore => "ssm",
            },
            region: spec.region.clone().unwrap_or_else(open),
            account: account.map_or_else(open, |account| account.to_string()),
        }
    }

    /// A secret by its key: a name, an ARN, or an ARN without its six random characters.
    pub(super) fn secret(&self, key: &RemoteKey) -> String {
        let key = key.as_str();
        if !key.starts_with("arn:") {
            return self.arn(&format!("secret:{}-??????", literal(key)));
        }
        if is_complete(key) {
            literal(key)
        } else {
            literal(key) + "-??????"
        }
    }

    /// Every secret whose name begins so.
    pub(super) fn secrets(&self, path: Option<&str>) -> String {
        self.arn(&format!("secret:{}*", literal(path.unwrap_or_default())))
    }

    pub(super) fn parameter(&self, key: &RemoteKey) -> String {
        let key = key.as_str();
        if key.starts_with("arn:") {
            return literal(key);
        }
        let name = format!("parameter/{}", literal(key.trim_start_matches('/')));
        // AWS's own parameters belong to no account.
        if key.starts_with("/aws/") {
            let (partition, region) = (&self.partition, &self.region);
            return format!("arn:{partition}:ssm:{region}::{name}");
        }
        self.arn(&name)
    }

    /// Every parameter below a path.
    pub(super) fn parameters(&self, path: Option<&str>) -> String {
        let path = path.unwrap_or_default().trim_matches('/');
        match path {
            "" => self.arn("parameter/*"),
            path => self.arn(&format!("parameter/{}/*", literal(path))),
        }
    }

    /// What listing a path is checked against: the path itself, and what is below it.
    pub(super) fn levels(&self, path: Option<&str>) -> Vec<String> {
        let below = self.parameters(path);
        let itself = path.unwrap_or_default().trim_matches('/');
        if itself.is_empty() {
            return vec![below];
        }
        vec![self.arn(&format!("parameter/{}", literal(itself))), below]
    }

    fn arn(&self, name: &str) -> String {
        let Self {
            partition,
            service,
            region,
            account,
        } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{name}")
    }
}

/// The partition of the region, else that of the role.
fn partition(spec: &AwsStore) -> String {
    const PARTITIONS: [(&str, &str); 6] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    let Some(region) = &spec.region else {
        let role = roles(&spec.auth).pop();
        let partition = role.and_then(|role| role.as_str().split(':').nth(1));
        return partition.unwrap_or("aws").to_owned();
    };
    let found = PARTITIONS
        .iter()
        .find(|(start, _)| region.starts_with(start));
    found.map_or("aws", |(_, partition)| *partition).to_owned()
}

/// Whether an ARN has the random end of every secret's.
fn is_complete(arn: &str) -> bool {
    let end = arn.rsplit_once('-').map_or("", |(_, end)| end);
    end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A text that means itself in a policy, where three characters mean something else (IAM user guide, policy variables).
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '$' => literal.extend(['$', '{', c, '}']),
            c => literal.push(c),
        }
    }
    literal
}

/// Whether everything that is `inner` is `outer`, too. A `false` may be wrong, a `true` is not.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    let open = outer.strip_suffix('*');
    outer != inner && open.is_some_and(|start| inner.starts_with(start))
}
