//! What comes from several clusters, beside each other.

use std::fs;

use super::OURS;
use super::told::{SECRET, STORE, import};
use crate::support::daemon::Home;

/// Bug: names had no cluster in them, so that what came from two of them could not be in one configuration.
#[test]
fn several_clusters_go_into_one_directory() {
    let home = Home::new();
    let kes = "---
apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {name: kes, namespace: app}
spec:
  backendType: secretsManager
  region: us-east-1
  data: [{key: a, name: a}]
  template: {stringData: {fixed: text}}
";
    let both = format!(
        "{SECRET}{STORE}{kes}---\n{}",
        SECRET
            .replace("prod-aws", "theirs")
            .replace("name: db", "name: own")
    );
    let shared = ["--store", "theirs=ours", "--out-dir", "conf.d"];
    for cluster in ["prod", "eu/stage"] {
        let values = format!("{}.toml", cluster.replace('/', "-"));
        let own = ["--qualify", "--cluster", cluster, "--literals", &values];
        let done = import(&home, &both, &[&shared[..], &own].concat());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(
            done.stderr
                .contains(&format!("becomes [secrets.{cluster}/app/db]")),
            "{}",
            done.stderr
        );
    }
    let mut names: Vec<String> = fs::read_dir(home.path("conf.d"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "euSstage.namespace-app.toml",
            "euSstage.stores.toml",
            "prod.namespace-app.toml",
            "prod.stores.toml"
        ]
    );
    let entries = home
        .read_text("conf.d/euSstage.namespace-app.toml")
        .unwrap();
    for line in [
        "[secrets.\"eu/stage/app/db\"]",
        "store = \"eu/stage/cluster/prod-aws\"",
        "store = \"eu/stage/kes/us-east-1\"",
        "store = \"eu/stage/literals\"",
        "store = \"ours\"",
    ] {
        assert!(entries.contains(line), "{line}\n{entries}");
    }
    // The Secret is called what it was.
    assert!(!entries.contains("\nname = "), "{entries}");
    home.configure_whole(&format!("include = [\"conf.d/*.toml\"]\n{OURS}"));
    let done = home.check();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // A second run of one has the same names, and overwrites nothing.
    let own = ["--qualify", "--cluster", "prod", "--literals", "again.toml"];
    let done = import(&home, &both, &[&shared[..], &own].concat());
    assert!(
        done.stderr
            .contains("error: conf.d/prod.stores.toml is there already"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("`--qualify` keep clusters apart"),
        "{}",
        done.stderr
    );
    assert_eq!(
        home.finish(&["import", "m.yaml", "--qualify"]).code,
        Some(64)
    );
}
