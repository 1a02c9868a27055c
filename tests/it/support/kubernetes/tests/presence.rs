//! What is seen of a Secret between the changes.

use serde_json::json;

use super::super::{Kubernetes, Moment};

const DB: (&str, &str) = ("app", "db");

#[test]
fn every_change_of_anything_is_an_instant() {
    let kubernetes = Kubernetes::start();
    let data = [("x", "1")];
    kubernetes.put_data("helm", "app", "db", &data);
    kubernetes.watch_presence(DB, &data);
    kubernetes.put_thing(("", "configmaps"), DB, json!({}));
    kubernetes.patch("helm", DB, &json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(kubernetes.presence(DB), [Moment::Same; 3]);
    kubernetes.was_always_there(DB);
}

#[test]
fn an_instant_of_other_bytes_or_of_absence_is_not_missed() {
    let kubernetes = Kubernetes::start();
    let data = [("x", "1")];
    kubernetes.put_data("helm", "app", "db", &data);
    kubernetes.watch_presence(DB, &data);
    kubernetes.edit("app", "db", "x", "2");
    kubernetes.edit("app", "db", "x", "1");
    let held = json!({"metadata": {"finalizers": ["x.example/y"]}});
    kubernetes.patch("helm", DB, &held);
    kubernetes.delete("app", "db");
    kubernetes.patch("helm", DB, &json!({"metadata": {"finalizers": null}}));
    kubernetes.put_data("helm", "app", "db", &data);
    assert_eq!(
        kubernetes.presence(DB),
        [
            Moment::Same,
            Moment::Changed,
            Moment::Same,
            Moment::Same,
            Moment::Doomed,
            Moment::Absent,
            Moment::Same,
        ]
    );
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        kubernetes.was_always_there(DB);
    }));
    assert!(judged.is_err());
}
