//! What is asked of Parameter Store, and how that is written.

use std::fmt;

use crate::config::Version;
use crate::names::RemoteKey;

/// One value: of a parameter by its name or ARN, in one version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) key: &'a RemoteKey,
    pub(super) version: &'a Version,
}

impl<'a> Asked<'a> {
    /// What stands behind the name: a number or a label.
    pub(super) fn selector(self) -> Option<&'a str> {
        match self.version {
            Version::Current => None,
            Version::Stage(text) | Version::Id(text) => Some(text),
        }
    }

    /// The name as AWS takes it (API reference, `GetParameter`).
    pub(super) fn sent(self) -> String {
        match self.selector() {
            Some(selector) => format!("{}:{selector}", self.key),
            None => self.key.to_string(),
        }
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sent())
    }
}

/// The parts of `arn:PARTITION:ssm:REGION:ACCOUNT:parameter/NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    pub(super) region: &'a str,
    /// Empty where AWS itself publishes the parameter.
    pub(super) account: &'a str,
    /// Without the slash in front that the name may have.
    pub(super) bare: &'a str,
}

impl<'a> Arn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", _partition, "ssm", region, account, resource] = parts.as_slice() else {
            return None;
        };
        let bare = resource.strip_prefix("parameter/")?;
        (!region.is_empty() && !bare.is_empty()).then_some(Self {
            region,
            account,
            bare,
        })
    }
}

/// A name without the slash in front, as it stands in an ARN.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// The same for a key, which is a name or an ARN.
pub(super) fn bare_of(key: &RemoteKey) -> &str {
    Arn::parse(key.as_str()).map_or(bare(key.as_str()), |arn| arn.bare)
}
