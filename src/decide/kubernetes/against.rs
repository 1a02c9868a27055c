//! How what we would write stands beside another Secret that is there, by names alone. Pure.
//!
//! Nothing is judged: whose that Secret is, and who else writes it, is all the same.

use crate::assemble::json_format;
use crate::kube::LiveSecret;
use crate::secret::SecretBytes;

use super::restart::is_record;
use super::{MANAGED_BY_LABEL, Wanted};

/// What of a Secret is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Key,
    Type,
    Label,
    Annotation,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Equal,
    Different,
    /// Other bytes, and yet the same JSON.
    SameJson,
    OnlyHere,
    OnlyThere,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    pub part: Part,
    /// Of the type: ours. Texts of the server are not checked for anything.
    pub name: String,
    pub standing: Standing,
}

/// By part and name. Of labels and annotations, ours that go without saying are told only where they differ. The type of
/// what is merely added to is somebody else's.
pub fn against(wanted: &Wanted, live: &LiveSecret) -> Vec<Compared> {
    let mut all = Vec::new();
    let mut tell = |part, name: &str, standing| {
        let name = name.to_owned();
        all.push(Compared {
            part,
            name,
            standing,
        });
    };
    for (key, value) in wanted.data.iter() {
        let there = live.data.get(key);
        tell(Part::Key, key.as_str(), of_value(value, there));
    }
    for key in live.data.keys() {
        if wanted.data.get(key).is_none() {
            tell(Part::Key, key.as_str(), Standing::OnlyThere);
        }
    }
    if wanted.policy.is_whole() && wanted.secret_type != live.secret_type {
        tell(Part::Type, &wanted.secret_type, Standing::Different);
    }
    for (key, value) in &wanted.labels {
        let there = live.labels.get(key.as_str());
        let there = there.map(|there| there == value.as_str());
        tell(Part::Label, key.as_str(), of_text(there));
    }
    for key in live.labels.keys() {
        if !wanted.labels.contains_key(key.as_str()) {
            tell(Part::Label, key, Standing::OnlyThere);
        }
    }
    for (key, value) in &wanted.annotations {
        let there = live.annotations.get(key.as_str());
        let there = there.map(|there| there.expose() == value.as_bytes());
        tell(Part::Annotation, key.as_str(), of_text(there));
    }
    for key in live.annotations.keys() {
        if !wanted.annotations.contains_key(key.as_str()) {
            tell(Part::Annotation, key, Standing::OnlyThere);
        }
    }
    all.retain(is_told);
    all.sort_by(|a, b| (a.part, &a.name).cmp(&(b.part, &b.name)));
    all
}

fn of_value(value: &SecretBytes, there: Option<&SecretBytes>) -> Standing {
    match there {
        None => Standing::OnlyHere,
        Some(there) if there == value => Standing::Equal,
        Some(there) if json_format::is_same(value, there) => Standing::SameJson,
        Some(_) => Standing::Different,
    }
}

fn of_text(same: Option<bool>) -> Standing {
    match same {
        None => Standing::OnlyHere,
        Some(true) => Standing::Equal,
        Some(false) => Standing::Different,
    }
}

fn is_told(compared: &Compared) -> bool {
    let name = &compared.name;
    let ours = match compared.part {
        Part::Key | Part::Type => false,
        Part::Label => name.starts_with("secretsyncd/") || name == MANAGED_BY_LABEL.0,
        Part::Annotation => name.starts_with("secretsyncd/"),
    };
    let as_always = matches!(compared.standing, Standing::Equal | Standing::OnlyHere);
    // What is to be restarted is no part of what is delivered.
    let passes = compared.part == Part::Annotation && is_record(name);
    let untold = passes || (ours && as_always);
    !untold
}

#[cfg(test)]
mod tests;
