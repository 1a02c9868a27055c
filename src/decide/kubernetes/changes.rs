//! What carrying out a verdict changes, by names.

use crate::decide::changes::{Changes, Delta, Other};
use crate::kube::{FieldKind, LiveSecret};
use crate::names::{MetadataKey, SecretKey};

use super::restart::is_record;
use super::{MANAGED_BY_LABEL, Verdict, Wanted};

/// How a wanted field stands in the Secret.
enum Field {
    Absent,
    Same,
    Other,
}

/// Of a Secret that was judged so.
pub fn changes(wanted: &Wanted, live: Option<&LiveSecret>, verdict: &Verdict) -> Changes {
    let foreign = match verdict {
        Verdict::Unchanged(_) => return Changes::default(),
        Verdict::Create { .. } => return made(wanted),
        Verdict::Apply { judged, .. } => judged.foreign.clone(),
        // What goes is judged once it is ours.
        Verdict::TakeOver { .. } => {
            let keys = live.into_iter().flat_map(|live| live.data.keys());
            keys.cloned().collect()
        }
    };
    let Some(live) = live else {
        return made(wanted);
    };
    let data = wanted.data.iter().map(|(key, value)| {
        let there = live.data.get(key).map(|live| live == value);
        (key.as_str(), Field::of(there))
    });
    let labels = wanted.labels.iter().map(|(key, value)| {
        let there = live.labels.get(key.as_str());
        let there = there.map(|live| live == value.as_str());
        (key.as_str(), Field::of(there))
    });
    // What is to be restarted is told by its own name.
    let told = wanted
        .annotations
        .iter()
        .filter(|(key, _)| !is_record(key.as_str()));
    let annotations = told.map(|(key, value)| {
        let there = live.annotations.get(key.as_str());
        let there = there.map(|live| live.expose() == value.as_bytes());
        (key.as_str(), Field::of(there))
    });
    let mut changes = Changes {
        keys: delta(data),
        labels: delta(labels),
        annotations: delta(annotations),
        ..Changes::default()
    };
    let omitted = live
        .data
        .keys()
        .filter(|key| wanted.data.get(key).is_none());
    let ours = omitted.filter(|key| !foreign.contains(key));
    changes.keys.removed = ours.map(ToString::to_string).collect();
    let omitted = live.labels.keys();
    let omitted = omitted.filter(|key| !wanted.labels.contains_key(key.as_str()));
    let gone = omitted.filter(|key| goes(wanted, live, (FieldKind::Label, key)));
    changes.labels.removed = gone.cloned().collect();
    let omitted = live.annotations.keys();
    let omitted =
        omitted.filter(|key| !wanted.annotations.contains_key(key.as_str()) && !is_record(key));
    let gone = omitted.filter(|key| goes(wanted, live, (FieldKind::Annotation, key)));
    changes.annotations.removed = gone.cloned().collect();
    if changes.is_empty() {
        changes.other = Some(Other::Ownership);
    }
    changes
}

/// Our marks go without saying.
fn made(wanted: &Wanted) -> Changes {
    let ours = |key: &&str| key.starts_with("secretsyncd/") || *key == MANAGED_BY_LABEL.0;
    let added = |keys: &mut dyn Iterator<Item = &str>| Delta {
        added: keys.filter(|key| !ours(key)).map(str::to_owned).collect(),
        ..Delta::default()
    };
    Changes {
        keys: added(&mut wanted.data.keys().map(SecretKey::as_str)),
        labels: added(&mut wanted.labels.keys().map(MetadataKey::as_str)),
        annotations: added(&mut wanted.annotations.keys().map(MetadataKey::as_str)),
        ..Changes::default()
    }
}

fn delta<'a>(fields: impl Iterator<Item = (&'a str, Field)>) -> Delta {
    let mut delta = Delta::default();
    for (key, field) in fields {
        match field {
            Field::Absent => delta.added.push(key.to_owned()),
            Field::Other => delta.changed.push(key.to_owned()),
            Field::Same => {}
        }
    }
    delta
}

impl Field {
    fn of(same: Option<bool>) -> Self {
        match same {
            None => Self::Absent,
            Some(true) => Self::Same,
            Some(false) => Self::Other,
        }
    }
}

/// What our apply leaves out goes where nobody else owns it. A key that is none is somebody else's text.
fn goes(wanted: &Wanted, live: &LiveSecret, (kind, key): (FieldKind, &str)) -> bool {
    let mut owners = live
        .managers
        .iter()
        .filter(|it| it.fields(kind).contains(key));
    let first = owners.next();
    first.is_some_and(|first| first.is(&wanted.manager))
        && owners.next().is_none()
        && MetadataKey::new(key).is_ok()
}
