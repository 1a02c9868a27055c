//! Whose the Secret is, and who makes it.

use super::{Site, data, entry, entry_of};
use crate::support::cluster::Cluster;

/// What each policy says to no Secret, and to somebody else's.
const POLICIES: [(&str, Option<&str>, Option<&str>); 4] = [
    ("owner", None, Some("conflict")),
    ("orphan", None, Some("conflict")),
    ("merge", Some("target_missing"), None),
    ("create_or_merge", None, None),
];

pub fn each_policy_does_what_it_says(cluster: &dyn Cluster) {
    let site = Site::new(cluster);
    for (policy, absent, foreign) in POLICIES {
        let name = policy.replace('_', "-");
        site.aws.put(&name, "value");
        let more = format!("creation_policy = \"{policy}\"\ndeletion_policy = \"retain\"");
        let entry = |target: &str| entry(&name, &site.namespace, target, &more);
        let ours = (&*name, "value");
        if let Some(reason) = absent {
            site.refuses(&entry(&name), reason, "create_or_merge");
            assert_eq!(site.data(&name), None, "{policy}");
        } else {
            site.delivers(&entry(&name));
            assert_eq!(site.data(&name), Some(data(&[ours])), "{policy}");
            site.aws.put(&name, "rotated");
            site.delivers(&entry(&name));
            let rotated = data(&[(&name, "rotated")]);
            assert_eq!(site.data(&name), Some(rotated), "{policy}");
            site.aws.put(&name, "value");
        }
        let theirs = format!("{name}-theirs");
        cluster.put_foreign(&site.namespace, &theirs, &[("own", "0")]);
        if let Some(reason) = foreign {
            site.refuses(&entry(&theirs), reason, "is not ours");
            assert_eq!(site.data(&theirs), Some(data(&[("own", "0")])), "{policy}");
        } else {
            site.delivers(&entry(&theirs));
            let both = data(&[ours, ("own", "0")]);
            assert_eq!(site.data(&theirs), Some(both), "{policy}");
        }
    }
}

pub fn two_that_make_and_merge_share_one_secret(cluster: &dyn Cluster) {
    let site = Site::new(cluster);
    for (name, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        site.aws.put(name, value);
    }
    let more = "creation_policy = \"create_or_merge\"\ntype = \"example.com/shared\"";
    let place = (&*site.namespace, "shared");
    let both = |first: &[&str]| {
        entry_of("first", place, first, more) + &entry_of("second", place, &["c"], more)
    };
    site.delivers(&both(&["a", "b"]));
    let all = data(&[("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(site.data("shared"), Some(all));
    let object = site.object("shared");
    assert_eq!(object["type"], "example.com/shared");
    assert!(object["metadata"]["annotations"].is_null(), "{object}");
    assert_eq!(site.owners("shared", "a"), ["=secretsyncd:default:first"]);
    assert_eq!(site.owners("shared", "c"), ["=secretsyncd:default:second"]);
    let version = cluster.resource_version(&site.namespace, "shared");
    site.delivers(&both(&["a", "b"]));
    let same = cluster.resource_version(&site.namespace, "shared");
    assert_eq!(same, version);
    site.delivers(&both(&["b"]));
    let fewer = data(&[("b", "2"), ("c", "3")]);
    assert_eq!(site.data("shared"), Some(fewer));
    assert_eq!(site.object("shared")["type"], "example.com/shared");
}
