//! What Kubernetes, or somebody else, does not allow: a named error, and nothing written.

use serde_json::json;

use super::{Site, data, entry, entry_of};
use crate::support::cluster::{Cluster, encoded};

pub fn immutable(cluster: &dyn Cluster) {
    let site = Site::new(cluster);
    site.aws.put("db", "first");
    let entry = |more: &str| entry("db", &site.namespace, "db", more);
    site.delivers(&entry(""));
    site.delivers(&entry("immutable = true"));
    assert_eq!(site.object("db")["immutable"], true);
    let version = cluster.resource_version(&site.namespace, "db");
    site.delivers(&entry("immutable = true"));
    let same = cluster.resource_version(&site.namespace, "db");
    assert_eq!(same, version);
    // What is not content may change.
    site.delivers(&entry("immutable = true\nlabels = { team = \"a\" }"));
    assert_eq!(site.object("db")["metadata"]["labels"]["team"], "a");

    site.refuses(
        &entry("immutable = false"),
        "conflict",
        "cannot be taken back",
    );
    site.aws.put("db", "second");
    site.refuses(&entry("immutable = true"), "conflict", "delete the Secret");
    assert_eq!(site.data("db"), Some(data(&[("db", "first")])));
    cluster.delete(&site.namespace, "db");
    site.delivers(&entry("immutable = true"));
    assert_eq!(site.data("db"), Some(data(&[("db", "second")])));
    assert_eq!(site.object("db")["immutable"], true);
    assert_eq!(site.owners("db", "db"), ["=secretsyncd"]);
}

pub fn wrong_type(cluster: &dyn Cluster) {
    let site = Site::new(cluster);
    site.aws.put("db", "value");
    let entry = |more: &str| entry("db", &site.namespace, "db", more);
    site.delivers(&entry("type = \"example.com/one\""));
    let version = cluster.resource_version(&site.namespace, "db");
    site.refuses(&entry("type = \"example.com/other\""), "conflict", "type");
    let same = cluster.resource_version(&site.namespace, "db");
    assert_eq!(same, version);
    // A type whose keys are not there is refused before the call.
    let tls = "creation_policy = \"create_or_merge\"\ntype = \"kubernetes.io/tls\"";
    site.configure(&entry(tls));
    assert_eq!(site.home.check().code, Some(78), "known at load");
}

pub fn one_mebibyte_and_no_more(cluster: &dyn Cluster) {
    let site = Site::new(cluster);
    let full = "x".repeat((1 << 20) - 4);
    for (name, value) in [("full", &*full), ("rest", "rest"), ("more", "+")] {
        site.home.write(&format!("values/{name}"), value);
    }
    let store = format!(
        "[stores.prod.file]\npath = {}\n\n",
        site.home.quoted("values")
    );
    let configure = |keys: &[&str]| {
        let entry = entry_of("e", (&site.namespace, "db"), keys, "");
        let tables = [store.clone(), cluster.table("main"), entry];
        site.home.configure(&tables.concat());
        site.home.once(&[])
    };
    let done = configure(&["full", "rest"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let whole = data(&[("full", &full), ("rest", "rest")]);
    assert!(site.data("db") == Some(whole));
    let version = cluster.resource_version(&site.namespace, "db");
    let done = configure(&["full", "rest", "more"]);
    assert_eq!(done.code, Some(1));
    let said = done.stdout + &done.stderr;
    assert!(said.contains("at most 1048576"), "{said}");
    let same = cluster.resource_version(&site.namespace, "db");
    assert_eq!(same, version);
}

pub fn a_key_that_no_secret_can_have(cluster: &dyn Cluster) {
    let site = Site::new(cluster);
    site.aws.put("bag", r#"{"good":"x","..bad":"y"}"#);
    let one = entry("bag", &site.namespace, "db", "");
    let line = "data = [{ secret_key = \"bag\", remote_ref = { key = \"bag\" } }]";
    assert!(one.contains(line));
    let bag = one.replace(line, "data_from = [{ extract = { key = \"bag\" } }]");
    site.refuses(&bag, "invalid", "..bad");
    assert_eq!(site.data("db"), None);
}

pub fn a_namespace_goes_and_comes_back(cluster: &dyn Cluster) {
    let site = Site::new(cluster);
    site.aws.put("db", "value");
    for policy in ["owner", "create_or_merge"] {
        let more = format!("creation_policy = \"{policy}\"");
        let entry = entry("db", &site.namespace, "db", &more);
        site.delivers(&entry);
        cluster.delete_namespace(&site.namespace);
        site.refuses(&entry, "target_missing", "namespace");
        cluster.create_namespace(&site.namespace);
        site.delivers(&entry);
        let whole = Some(data(&[("db", "value")]));
        assert_eq!(site.data("db"), whole, "{policy}");
        cluster.delete(&site.namespace, "db");
    }
}

pub fn foreign_owners_and_managers_keep_what_they_have(cluster: &dyn Cluster) {
    let site = Site::new(cluster);
    site.aws.put("db", "ours");
    let owner = json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "0-1-2", "controller": true,
    });
    let object = json!({
        "metadata": {"ownerReferences": [owner]},
        "data": encoded(&[("db", "theirs")]),
    });
    cluster.put_object(&site.namespace, "owned", object);
    let version = cluster.resource_version(&site.namespace, "owned");
    for more in [
        "",
        "adopt = true",
        "creation_policy = \"orphan\"\nadopt = true",
    ] {
        let entry = entry("db", &site.namespace, "owned", more);
        site.refuses(&entry, "conflict", "Widget");
    }
    // Another manager's apply holds the key, with another value.
    cluster.apply("argo", (&site.namespace, "applied"), &[("db", "theirs")]);
    let applied = cluster.resource_version(&site.namespace, "applied");
    let merge = "creation_policy = \"create_or_merge\"";
    let merged = entry("db", &site.namespace, "applied", merge);
    site.refuses(&merged, "conflict", "argo");
    for (name, version) in [("owned", version), ("applied", applied)] {
        assert_eq!(cluster.resource_version(&site.namespace, name), version);
        assert_eq!(site.data(name), Some(data(&[("db", "theirs")])));
    }
}
