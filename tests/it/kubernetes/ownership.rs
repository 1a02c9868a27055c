//! What is ours stays ours through every change of name, and goes when we drop it; what is not, stays.

use serde_json::json;

use super::{Site, data, entry_of};
use crate::support::cluster::{Cluster, encoded, wiped};

const VALUES: [(&str, &str); 3] = [("a", "1"), ("b", "2"), ("c", "3")];

fn site(cluster: &dyn Cluster) -> Site<'_> {
    let site = Site::new(cluster);
    for (name, value) in VALUES {
        site.aws.put(name, value);
    }
    site
}

pub fn what_is_dropped_goes_and_what_is_foreign_stays(cluster: &dyn Cluster) {
    let site = site(cluster);
    for policy in ["owner", "create_or_merge"] {
        let name = policy.replace('_', "-");
        let more = |labels: &str| {
            format!(
                "creation_policy = \"{policy}\"\nlabels = {{ {labels} }}\nannotations = {{ {labels} }}"
            )
        };
        let place = (&*site.namespace, &*name);
        let template = |label: &str| {
            format!(
                "[secrets.e.template]\nmerge_policy = \"merge\"\nlabels = {{ {label} = \"x\" }}\n"
            )
        };
        let with = entry_of("e", place, &["a", "b"], &more("kept = \"1\", old = \"1\""));
        site.delivers(&(with + &template("rendered")));
        let foreign = json!({
            "metadata": {"labels": {"theirs": "x"}, "annotations": {"theirs": "x"}},
            "data": encoded(&[("theirs", "x")]),
        });
        cluster.patch(&site.namespace, &name, &foreign);
        let without = entry_of("e", place, &["a"], &more("kept = \"1\""));
        site.delivers(&(without + &template("anew")));
        let left = data(&[("a", "1"), ("theirs", "x")]);
        assert_eq!(site.data(&name), Some(left), "{policy}");
        let metadata = &site.object(&name)["metadata"];
        for (map, there) in [
            ("labels", &["kept", "theirs", "anew"][..]),
            ("annotations", &["kept", "theirs"]),
        ] {
            for key in there {
                assert!(metadata[map][key].is_string(), "{policy} {map} {key}");
            }
            for key in ["old", "rendered"] {
                assert!(metadata[map][key].is_null(), "{policy} {map} {key}");
            }
        }
    }
}

pub fn what_was_adopted_is_dropped_too(cluster: &dyn Cluster) {
    let site = site(cluster);
    let values = [("a", "1"), ("b", "2"), ("c", "other"), ("theirs", "x")];
    cluster.put_foreign(&site.namespace, "db", &values);
    let place = (&*site.namespace, "db");
    site.delivers(&entry_of("e", place, &["a", "b", "c"], "adopt = true"));
    let all = data(&[("a", "1"), ("b", "2"), ("c", "3"), ("theirs", "x")]);
    assert_eq!(site.data("db"), Some(all));
    site.delivers(&entry_of("e", place, &["a"], "adopt = true"));
    let left = data(&[("a", "1"), ("theirs", "x")]);
    assert_eq!(site.data("db"), Some(left));
    // What was only joined was never ours to remove.
    cluster.put_foreign(&site.namespace, "joined", &values);
    let place = (&*site.namespace, "joined");
    let merge = "creation_policy = \"merge\"";
    site.delivers(&entry_of("e", place, &["a", "b"], merge));
    site.delivers(&entry_of("e", place, &["a"], merge));
    assert_eq!(site.data("joined"), Some(data(&values)));
}

pub fn wiped_managers_hold_no_key_back(cluster: &dyn Cluster) {
    let site = site(cluster);
    for (name, first) in [("ours-first", false), ("others-first", true)] {
        for policy in ["owner", "create_or_merge"] {
            let name = format!("{name}-{}", policy.replace('_', "-"));
            let place = (&*site.namespace, &*name);
            let more = format!("creation_policy = \"{policy}\"");
            site.delivers(&entry_of("e", place, &["a", "b"], &more));
            cluster.patch(&site.namespace, &name, &wiped());
            assert!(site.owners(&name, "a").is_empty());
            if first {
                cluster.apply("argo", place, &[("theirs", "x")]);
                assert!(!site.owners(&name, "a").is_empty(), "made up");
            }
            site.delivers(&entry_of("e", place, &["a", "b"], &more));
            site.delivers(&entry_of("e", place, &["a"], &more));
            let keys: Vec<_> = site.data(&name).unwrap().into_keys().collect();
            let expected: &[&str] = if first { &["a", "theirs"] } else { &["a"] };
            assert_eq!(keys, expected, "{name}");
        }
    }
}

pub fn a_renamed_merge_entry_takes_its_keys_with_it(cluster: &dyn Cluster) {
    let site = site(cluster);
    cluster.put_foreign(&site.namespace, "shared", &[("own", "0")]);
    let place = (&*site.namespace, "shared");
    let merge = "creation_policy = \"merge\"\nlabels = { old = \"x\" }";
    site.delivers(&entry_of("before", place, &["a", "b"], merge));
    let merge = "creation_policy = \"merge\"";
    site.delivers(&entry_of("after", place, &["a"], merge));
    let renamed = data(&[("a", "1"), ("own", "0")]);
    assert_eq!(site.data("shared"), Some(renamed));
    assert_eq!(site.owners("shared", "a"), ["=secretsyncd:default:after"]);
    assert!(site.object("shared")["metadata"]["labels"]["old"].is_null());
    // One that goes while another comes with other keys is not renamed: what it left stays.
    site.delivers(&entry_of("another", place, &["c"], merge));
    let both = data(&[("a", "1"), ("c", "3"), ("own", "0")]);
    assert_eq!(site.data("shared"), Some(both));
    assert_eq!(site.owners("shared", "a"), ["=secretsyncd:default:after"]);
}

pub fn an_entry_changes_its_policy_and_its_instance(cluster: &dyn Cluster) {
    let site = site(cluster);
    let place = (&*site.namespace, "db");
    let of = |keys: &[&str], more: &str| entry_of("e", place, keys, more);
    let typed = "type = \"example.com/x\"";
    site.delivers(&of(&["a", "b", "c"], typed));
    assert_eq!(site.owners("db", "a"), ["=secretsyncd"]);
    site.delivers(&of(&["a", "b"], "creation_policy = \"merge\""));
    assert_eq!(site.owners("db", "a"), ["=secretsyncd:default:e"]);
    assert_eq!(site.data("db"), Some(data(&[("a", "1"), ("b", "2")])));
    let object = site.object("db");
    assert_eq!(object["type"], "example.com/x");
    let metadata = &object["metadata"];
    assert!(
        metadata["annotations"].is_null(),
        "no claim is left: {metadata}"
    );
    assert!(metadata["labels"]["app.kubernetes.io/managed-by"].is_null());

    let config = site.home.read_text("secretsyncd.toml").unwrap();
    let renamed = config.replace("[daemon]\n", "[daemon]\ninstance = \"renamed\"\n");
    site.home.configure_whole(&renamed);
    assert_eq!(site.home.once(&[]).code, Some(0));
    assert_eq!(site.owners("db", "b"), ["=secretsyncd:renamed:e"]);

    let owner = format!("adopt = true\n{typed}");
    site.configure(&of(&["a"], &owner));
    let config = site.home.read_text("secretsyncd.toml").unwrap();
    let renamed = config.replace("[daemon]\n", "[daemon]\ninstance = \"renamed\"\n");
    site.home.configure_whole(&renamed);
    assert_eq!(site.home.once(&[]).code, Some(0));
    assert_eq!(site.owners("db", "a"), ["=secretsyncd"]);
    assert_eq!(site.data("db"), Some(data(&[("a", "1")])));
}
