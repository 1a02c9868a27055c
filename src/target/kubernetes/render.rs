//! From a payload to the Secret that should be: our marks, and the rules of Kubernetes that can be checked without
//! asking. Pure.

use std::collections::BTreeMap;

use crate::assemble::Content;
use crate::config;
use crate::decide::kubernetes::{
    ENTRY_ANNOTATION, INSTANCE_ANNOTATION, MANAGED_BY_LABEL, MANAGED_LABEL, Wanted, field_manager,
    usable, writable,
};
use crate::failure::{Failure, Reason};
use crate::names::{EntryName, Instance, LabelValue, MetadataKey};
use crate::secret::{Fingerprint, FingerprintKey, Payload};

/// Kubernetes' limit on the values of a Secret, keys not counted.
const DATA_MAX: usize = 1 << 20;
/// Kubernetes' limit on all annotations, keys and values.
const ANNOTATIONS_MAX: usize = 256 << 10;

pub(super) fn render(
    spec: &config::KubernetesTarget,
    (entry, instance): (&EntryName, &Instance),
    content: &Content,
    key: &FingerprintKey,
) -> Result<Wanted, Failure> {
    let payload = &content.data;
    // What is written for this one target comes before what is rendered for all.
    let mut labels = content.metadata.labels.clone();
    labels.extend(spec.labels.clone());
    let mut annotations = content.metadata.annotations.clone();
    annotations.extend(spec.annotations.clone());
    label(&mut labels, MANAGED_LABEL);
    if spec.creation_policy.is_whole() {
        label(&mut labels, MANAGED_BY_LABEL);
        annotations.insert(metadata_key(INSTANCE_ANNOTATION), instance.to_string());
        annotations.insert(metadata_key(ENTRY_ANNOTATION), entry.to_string());
    }
    let fingerprint = fingerprint(spec, (&labels, &annotations), payload, key);
    let wanted = Wanted {
        secret_type: spec.secret_type.to_string(),
        data: payload.clone(),
        labels,
        annotations,
        policy: spec.creation_policy,
        immutable: spec.immutable,
        adopt: spec.adopt,
        manager: field_manager(spec.creation_policy, instance, entry),
        instance: instance.clone(),
        entry: entry.clone(),
        fingerprint,
    };
    writable(&wanted)?;
    fits(&wanted)?;
    usable(&wanted)?;
    Ok(wanted)
}

fn metadata_key(text: &'static str) -> MetadataKey {
    MetadataKey::new(text).expect("our own keys are legal")
}

fn label(labels: &mut BTreeMap<MetadataKey, LabelValue>, (key, value): (&'static str, &str)) {
    let value = LabelValue::new(value).expect("our own label values are legal");
    labels.insert(metadata_key(key), value);
}

/// Of everything that is written. Each part is preceded by what it is, so that no two arrangements look alike.
fn fingerprint(
    spec: &config::KubernetesTarget,
    (labels, annotations): (
        &BTreeMap<MetadataKey, LabelValue>,
        &BTreeMap<MetadataKey, String>,
    ),
    payload: &Payload,
    key: &FingerprintKey,
) -> Fingerprint {
    let mut parts: Vec<&[u8]> = Vec::new();
    if spec.creation_policy.is_whole() {
        parts.extend([b"type".as_slice(), spec.secret_type.as_bytes()]);
    }
    if spec.immutable {
        parts.push(b"immutable");
    }
    for (name, value) in payload.iter() {
        parts.extend([b"data".as_slice(), name.as_str().as_bytes(), value.expose()]);
    }
    for (name, value) in labels {
        parts.extend([
            b"label".as_slice(),
            name.as_str().as_bytes(),
            value.as_str().as_bytes(),
        ]);
    }
    for (name, value) in annotations {
        parts.extend([
            b"annotation".as_slice(),
            name.as_str().as_bytes(),
            value.as_bytes(),
        ]);
    }
    key.of(parts)
}

fn fits(wanted: &Wanted) -> Result<(), Failure> {
    let data: usize = wanted.data.iter().map(|(_, value)| value.len()).sum();
    if data > DATA_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!("the values are {data} bytes together; a Secret holds at most {DATA_MAX}"),
        ));
    }
    let annotations = wanted.annotations.iter();
    let annotations: usize = annotations.map(|(k, v)| k.as_str().len() + v.len()).sum();
    if annotations > ANNOTATIONS_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!(
                "the annotations are {annotations} bytes together; Kubernetes takes at most {ANNOTATIONS_MAX}"
            ),
        )
        .with_help("shorten `annotations`"));
    }
    Ok(())
}
