//! Parameters, their versions, labels and tags. Pure data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::aws::{ACCOUNT, REGION, now};
use super::super::paging::Pages;
use super::{Fault, Log};

#[derive(Default)]
pub struct State {
    pub parameters: BTreeMap<String, Parameter>,
    pub faults: BTreeMap<String, Fault>,
    /// The fault of everything that has none of its own.
    pub fault_of_all: Option<Fault>,
    pub pages: Pages,
    pub log: Log,
}

pub struct Parameter {
    pub name: String,
    pub tags: BTreeMap<String, String>,
    /// Version 1 comes first.
    versions: Vec<Version>,
}

pub struct Version {
    number: u64,
    kind: &'static str,
    value: String,
    modified: f64,
    labels: BTreeSet<String>,
}

impl State {
    pub fn put(&mut self, name: &str, kind: &'static str, value: &str) -> u64 {
        let entry = self.parameters.entry(name.to_owned());
        let parameter = entry.or_insert_with(|| Parameter {
            name: name.to_owned(),
            tags: BTreeMap::new(),
            versions: Vec::new(),
        });
        let number = parameter.versions.len() as u64 + 1;
        parameter.versions.push(Version {
            number,
            kind,
            value: value.to_owned(),
            modified: now(),
            labels: BTreeSet::new(),
        });
        number
    }

    pub fn parameter(&mut self, name: &str) -> &mut Parameter {
        self.parameters
            .get_mut(name)
            .unwrap_or_else(|| panic!("the test never made the parameter {name}"))
    }

    pub fn label(&mut self, name: &str, label: &str, version: u64) {
        let versions = &mut self.parameter(name).versions;
        assert!(version >= 1 && version <= versions.len() as u64);
        for candidate in versions {
            candidate.labels.remove(label);
            if candidate.number == version {
                candidate.labels.insert(label.to_owned());
            }
        }
    }

    pub fn fault(&self, name: &str) -> Option<Fault> {
        self.faults.get(name).copied().or(self.fault_of_all)
    }

    /// A parameter by name or ARN.
    pub fn find(&self, name: &str) -> Option<&Parameter> {
        let own = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter");
        match name.strip_prefix(&own) {
            // The ARN of `simple` has a slash that its name does not have.
            Some(path) => {
                let found = self.parameters.get(path);
                found.or_else(|| self.parameters.get(path.strip_prefix('/')?))
            }
            None => self.parameters.get(name),
        }
    }
}

impl Parameter {
    pub fn arn(&self) -> String {
        let name = self.name.trim_start_matches('/');
        format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name}")
    }

    pub fn latest(&self) -> &Version {
        self.versions.last().expect("a parameter has a version")
    }

    /// The version of that number or with that label.
    pub fn selected(&self, selector: &str) -> Option<&Version> {
        let mut versions = self.versions.iter();
        match selector.parse::<u64>() {
            Ok(number) => versions.find(|version| version.number == number),
            Err(_) => versions.find(|version| version.labels.contains(selector)),
        }
    }

    /// As answers to reads hold it.
    pub fn read(&self, version: &Version, decrypt: bool) -> Value {
        let mut answer = self.described(version);
        answer["Value"] = if version.kind == "SecureString" && !decrypt {
            json!(format!("AQICAHg-not-decrypted-{}", version.number))
        } else {
            json!(version.value)
        };
        answer
    }

    pub fn described(&self, version: &Version) -> Value {
        json!({
            "ARN": self.arn(),
            "Name": self.name,
            "Type": version.kind,
            "DataType": "text",
            "Version": version.number,
            "LastModifiedDate": version.modified,
        })
    }
}
