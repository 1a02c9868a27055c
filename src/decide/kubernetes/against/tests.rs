use super::*;
use crate::config::CreationPolicy;
use crate::decide::kubernetes::restart;
use crate::decide::kubernetes::tests::{applied, wanted};
use crate::names::{LabelValue, MetadataKey, SecretKey};

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn key(name: &str) -> SecretKey {
    SecretKey::new(name).unwrap()
}

fn told(wanted: &Wanted, live: &LiveSecret) -> Vec<(Part, String, Standing)> {
    let all = against(wanted, live).into_iter();
    all.map(|it| (it.part, it.name, it.standing)).collect()
}

fn row(part: Part, name: &str, standing: Standing) -> (Part, String, Standing) {
    (part, name.to_owned(), standing)
}

#[test]
fn what_we_wrote_ourselves_is_equal_and_our_marks_are_not_mentioned() {
    let wanted = wanted(CreationPolicy::Owner);
    assert_eq!(
        told(&wanted, &applied(&wanted)),
        [row(Part::Key, "a", Standing::Equal)]
    );
}

#[test]
fn keys_are_equal_different_the_same_json_or_on_one_side_alone() {
    let mut wanted = wanted(CreationPolicy::Owner);
    let mut live = applied(&wanted);
    for (name, value) in [("b", "x"), ("c", r#"{"n": 1.0}"#), ("d", "only")] {
        wanted.data.insert(key(name), bytes(value));
    }
    for (name, value) in [("b", "y"), ("c", r#"{"n":1}"#), ("e", "theirs")] {
        live.data.insert(key(name), bytes(value));
    }
    assert_eq!(
        told(&wanted, &live),
        [
            row(Part::Key, "a", Standing::Equal),
            row(Part::Key, "b", Standing::Different),
            row(Part::Key, "c", Standing::SameJson),
            row(Part::Key, "d", Standing::OnlyHere),
            row(Part::Key, "e", Standing::OnlyThere),
        ]
    );
}

#[test]
fn labels_annotations_and_the_type_are_told_where_somebody_wants_them() {
    let mut wanted = wanted(CreationPolicy::Owner);
    let mut live = applied(&wanted);
    // Of a Secret that somebody else wrote, nothing of ours is expected.
    live.labels.clear();
    live.annotations.clear();
    let team = MetadataKey::new("team").unwrap();
    wanted.labels.insert(team, LabelValue::new("a").unwrap());
    live.labels.insert("team".into(), "b".into());
    live.labels.insert(MANAGED_BY_LABEL.0.into(), "Helm".into());
    let by = MetadataKey::new(MANAGED_BY_LABEL.0).unwrap();
    wanted
        .labels
        .insert(by, LabelValue::new(MANAGED_BY_LABEL.1).unwrap());
    let record = restart::record_key(&wanted.manager);
    live.annotations.insert(record.to_string(), bytes("x"));
    live.annotations.insert("theirs".into(), bytes("x"));
    live.secret_type = "kubernetes.io/tls".into();
    assert_eq!(
        told(&wanted, &live),
        [
            row(Part::Key, "a", Standing::Equal),
            row(Part::Type, "Opaque", Standing::Different),
            row(Part::Label, MANAGED_BY_LABEL.0, Standing::Different),
            row(Part::Label, "team", Standing::Different),
            row(Part::Annotation, "theirs", Standing::OnlyThere),
        ]
    );
}

#[test]
fn the_type_of_what_is_added_to_is_nobody_s_business() {
    let wanted = wanted(CreationPolicy::Merge);
    let mut live = applied(&wanted);
    live.secret_type = "kubernetes.io/tls".into();
    assert_eq!(told(&wanted, &live), [row(Part::Key, "a", Standing::Equal)]);
}
