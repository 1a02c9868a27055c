//! The one merge patch that takes a Secret over, and the way back.
//!
//! No value is in it: where the content is to be another one, we own all of it from then on, and the next delivery writes
//! it as it writes any change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::keys::is_of_eso;
use super::quiet::{CANARY, DATA_HASH};
use super::{ADOPTED_FROM, SYNC_OPTIONS, Share, Taking};
use crate::decide::kubernetes::{MANAGED_BY_LABEL, MANAGED_LABEL, Wanted, made};
use crate::kube::{FieldKind, LiveSecret, Manager, Metadata};
use crate::names::MetadataKey;
use crate::secret::SecretBytes;

impl Taking {
    /// The API server refuses it for any other state than this. What is kept for the way back was seen before anybody was
    /// told to let go.
    pub fn patch(&self, wanted: &Wanted, live: &LiveSecret, way_back: &Value) -> Metadata {
        let owners = self.kept.iter().map(|owner| owner.raw.clone()).collect();
        Metadata {
            uid: live.uid.clone(),
            resource_version: live.resource_version.clone(),
            owners: (!self.owners.is_empty()).then_some(owners),
            labels: self.new_labels(wanted),
            annotations: self.new_annotations(wanted, live, way_back),
            managers: Some(self.managers(wanted, live)),
        }
    }

    /// Labels or annotations that are written right here. Where only keys are ours, the first delivery writes them, if
    /// nobody else has.
    fn ours<'a, T>(
        &self,
        all: &'a BTreeMap<MetadataKey, T>,
    ) -> impl Iterator<Item = (&'a MetadataKey, &'a T)> {
        let is_whole = matches!(self.share, Share::Whole { .. });
        all.iter().filter(move |_| is_whole)
    }

    fn new_labels(&self, wanted: &Wanted) -> BTreeMap<String, Option<String>> {
        let gone = self.labels.iter().map(|key| (key.clone(), None));
        let ours = self.ours(&wanted.labels);
        let ours = ours.map(|(key, value)| (key.to_string(), Some(value.to_string())));
        gone.chain(ours).collect()
    }

    fn new_annotations(
        &self,
        wanted: &Wanted,
        live: &LiveSecret,
        way_back: &Value,
    ) -> BTreeMap<String, Option<String>> {
        let gone = self.annotations.iter().map(|key| (key.clone(), None));
        let ours = self.ours(&wanted.annotations);
        let ours = ours.map(|(key, value)| (key.to_string(), Some(value.clone())));
        let canary = (CANARY.to_owned(), None);
        let mut all: BTreeMap<_, _> = gone.chain([canary]).collect();
        if let Share::Whole { sync_options } = &self.share {
            all.insert(SYNC_OPTIONS.to_owned(), Some(sync_options.clone()));
        }
        // What was kept when its owner went says more than what is left of it now.
        if !(self.owners.is_empty() && live.annotations.contains_key(ADOPTED_FROM)) {
            all.insert(ADOPTED_FROM.to_owned(), Some(way_back.to_string()));
        }
        all.extend(ours);
        all
    }

    /// What goes and what comes, as a merge patch that undoes it on this life of the Secret. Not ESO's hash of the values,
    /// which it makes anew, nor what labels and annotations of an entry overwrite: they may be made of values.
    pub fn way_back(&self, wanted: &Wanted, live: &LiveSecret) -> Value {
        let theirs = self.labels.iter().map(String::as_str);
        let mut labels: BTreeMap<&str, Option<&str>> = theirs
            .filter_map(|key| Some((key, Some(live.labels.get(key)?.as_str()))))
            .collect();
        let ours = self.ours(&wanted.labels).map(|(key, _)| key.as_str());
        labels.extend(ours.filter_map(|key| match live.labels.get(key) {
            None => Some((key, None)),
            Some(text) => (key == MANAGED_BY_LABEL.0).then_some((key, Some(text.as_str()))),
        }));
        let text = |key: &str| std::str::from_utf8(live.annotations.get(key)?.expose()).ok();
        let theirs = self.annotations.iter().map(String::as_str);
        let mut annotations: BTreeMap<&str, Option<&str>> = theirs
            .filter(|key| *key != DATA_HASH)
            .filter_map(|key| Some((key, Some(text(key)?))))
            .collect();
        let ours = self.ours(&wanted.annotations);
        let ours = ours.map(|(key, _)| key.as_str());
        let ours = ours.filter(|key| !live.annotations.contains_key(*key));
        annotations.extend(ours.map(|key| (key, None)));
        let mut metadata = json!({ "uid": live.uid.as_str() });
        // Of keys it stays: with the marks back on, it tells that these were not ours first.
        if let Share::Whole { .. } = self.share {
            annotations.insert(ADOPTED_FROM, None);
            annotations.insert(SYNC_OPTIONS, text(SYNC_OPTIONS));
            let owners = self.owners.iter().chain(&self.kept);
            let owners = owners.map(|owner| owner.raw.clone());
            metadata["ownerReferences"] = owners.collect();
        }
        metadata["labels"] = json!(labels);
        metadata["annotations"] = json!(annotations);
        json!({ "metadata": metadata })
    }

    /// Who owns which field from then on. All data, or all keys that we merge into it, is ours as if we had applied it, so
    /// that a key that a later apply omits really goes; of labels and annotations, whoever wrote what neither goes nor is
    /// ours keeps it.
    fn managers(&self, wanted: &Wanted, live: &LiveSecret) -> Vec<Manager> {
        let mut ours = made(wanted);
        ours.data = self.data(wanted, live);
        let others = live.managers.iter();
        let others = others.filter(|manager| !manager.is(&wanted.manager));
        let others = others.filter_map(|manager| {
            let mut rest = manager.clone();
            match &self.share {
                Share::Whole { .. } => rest.data.clear(),
                Share::Keys { held, .. } if is_of_eso(manager) => {
                    rest.data.retain(|name| !held.contains(name));
                }
                Share::Keys { .. } => return Some(rest),
            }
            let gone = [
                (FieldKind::Label, &self.labels, &ours.labels),
                (FieldKind::Annotation, &self.annotations, &ours.annotations),
            ];
            for (kind, gone, ours) in gone {
                let fields = rest.fields_mut(kind);
                fields.retain(|name| !gone.contains(name) && !ours.contains(name));
            }
            let mut kinds = FieldKind::ALL.into_iter();
            let is_empty = kinds.all(|kind| rest.fields(kind).is_empty());
            (!is_empty || self.ties_by(&rest.raw)).then_some(rest)
        });
        let mut all: Vec<Manager> = others.collect();
        // What this patch changes is its own manager's, until the first delivery makes it our apply's.
        let is_there = |name: &String| match wanted.labels.get(name.as_str()) {
            Some(value) => live.labels.get(name).is_some_and(|it| it == value.as_str()),
            None => false,
        };
        let labels = std::mem::take(&mut ours.labels);
        ours.labels = labels.into_iter().filter(is_there).collect();
        // By this one it is seen that a delivery was there.
        let mut before = live.managers.iter().filter(|it| it.is(&wanted.manager));
        if !before.any(|it| it.labels.contains(MANAGED_LABEL.0)) {
            ours.labels.remove(MANAGED_LABEL.0);
        }
        let is_there = |name: &String| {
            let value = wanted.annotations.get(name.as_str()).map(String::as_bytes);
            value.is_some() && value == live.annotations.get(name).map(SecretBytes::expose)
        };
        let annotations = std::mem::take(&mut ours.annotations);
        ours.annotations = annotations.into_iter().filter(is_there).collect();
        all.push(ours);
        all
    }

    /// Names of the keys that are ours from then on. What an entry merged before and no longer wants goes with its next
    /// apply.
    fn data(&self, wanted: &Wanted, live: &LiveSecret) -> BTreeSet<String> {
        let there = live.data.keys();
        match self.share {
            Share::Whole { .. } => there.map(ToString::to_string).collect(),
            Share::Keys { .. } => {
                let before = live.managers.iter().filter(|it| it.is(&wanted.manager));
                let before = before.flat_map(|it| it.data.iter().cloned());
                let wants = there.filter(|key| wanted.data.get(key).is_some());
                before.chain(wants.map(ToString::to_string)).collect()
            }
        }
    }

    /// Whether that entry of a manager owns an owner that stays, or a finalizer.
    fn ties_by(&self, raw: &Value) -> bool {
        let metadata = &raw["fieldsV1"]["f:metadata"];
        let owners = metadata["f:ownerReferences"].as_object().into_iter();
        let mut owners = owners.flatten().filter_map(|(key, _)| {
            let key: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
            Some(key["uid"].as_str()?.to_owned())
        });
        owners.any(|uid| self.kept.iter().any(|it| it.uid == uid))
            || metadata["f:finalizers"].is_object()
    }
}
