//! Labels and annotations: legal ones, and none that we write ourselves.

use std::collections::BTreeMap;

use super::Lowering;
use crate::config::problems::{At, Problem};
use crate::config::tree::Value;
use crate::names::{LabelValue, MetadataKey};

/// Kubernetes' limit on all annotations of an object together.
const LARGEST_ANNOTATIONS: usize = 256 * 1024;

pub(super) fn labels(
    cx: &Lowering<'_>,
    value: Value<'_>,
) -> Option<BTreeMap<MetadataKey, LabelValue>> {
    let mut labels = BTreeMap::new();
    for (key, value) in value.string_map()? {
        let key = metadata_key(cx, key);
        let value = cx.name("a label's value", value, LabelValue::new);
        if let (Some(key), Some(value)) = (key, value) {
            labels.insert(key, value.value);
        }
    }
    Some(labels)
}

pub(super) fn annotations(
    cx: &Lowering<'_>,
    value: Value<'_>,
) -> Option<BTreeMap<MetadataKey, String>> {
    let at = value.key_at;
    let mut annotations = BTreeMap::new();
    let mut size = 0;
    for (key, value) in value.string_map()? {
        size += key.value.len() + value.value.len();
        if let Some(key) = metadata_key(cx, key) {
            annotations.insert(key, value.value.to_owned());
        }
    }
    if size > LARGEST_ANNOTATIONS {
        cx.problems
            .error(at, "annotations may have 256 KiB altogether");
    }
    Some(annotations)
}

pub(super) fn metadata_key(cx: &Lowering<'_>, key: At<&str>) -> Option<MetadataKey> {
    let key = cx.name("this key", key, MetadataKey::new)?;
    let text = key.value.as_str();
    if text.starts_with("secretsyncd/") || text == "app.kubernetes.io/managed-by" {
        cx.problems.push(
            Problem::error(key.at, "this key is written by secretsyncd itself")
                .help("`secretsyncd/*` and `app.kubernetes.io/managed-by` say whose a Secret is"),
        );
        return None;
    }
    Some(key.value)
}
