//! What holds a Secret, beside what a delivery looks at: by its owners the garbage collector takes it along.

use serde::Deserialize;
use serde_json::Value;

/// One of `metadata.ownerReferences`. Texts of the server, not checked for anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Owner {
    pub group: String,
    pub kind: String,
    pub name: String,
    pub uid: String,
    pub controller: bool,
    /// All of it as the server wrote it, so that it can be sent back.
    pub raw: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    pub owners: Vec<Owner>,
    pub finalizers: Vec<String>,
}

impl TryFrom<Value> for Owner {
    type Error = serde_json::Error;

    fn try_from(raw: Value) -> Result<Self, Self::Error> {
        let said = Said::deserialize(&raw)?;
        let group = said.api_version.split_once('/');
        Ok(Self {
            group: group.map_or_else(String::new, |(group, _)| group.to_owned()),
            kind: said.kind,
            name: said.name,
            uid: said.uid,
            controller: said.controller.unwrap_or(false),
            raw,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    api_version: String,
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
    controller: Option<bool>,
}
