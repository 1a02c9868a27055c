//! Which Secrets lists of clusters, lists of namespaces and selectors come to.

use super::{Config, config, messages, with, wrong};
use crate::config::Target;

const TARGET: &str = "[[secrets.e.kubernetes]]\ncluster = \"k\"\nnamespace = \"n\"\n";

/// The entry `e` without its file, with these Kubernetes tables in place of its own, and with defaults.
fn text(defaults: &str, tables: &str) -> String {
    let text = with("defaults.kubernetes", defaults);
    let text = text.replace(TARGET, tables);
    text.replace(
        "[clusters.k]\n",
        "[clusters.other]\nkubeconfig = \"/nowhere/other\"\n[clusters.k]\n",
    )
}

fn table(keys: &str) -> String {
    format!("[[secrets.e.kubernetes]]\n{keys}\n")
}

/// What is written, and what is selected, of `e`.
fn targets(config: &Config) -> (Vec<String>, Vec<String>) {
    let entry = config.entries.values().next().unwrap();
    let listed = entry.targets.iter().filter_map(|target| match target {
        Target::Kubernetes(it) => Some(format!("{}/{}/{}", it.cluster, it.namespace, it.name)),
        Target::File(_) => None,
    });
    let selected = entry.selections.iter();
    let selected = selected.map(|it| format!("{}/{}", it.cluster(), it.selector));
    (listed.collect(), selected.collect())
}

fn of(defaults: &str, tables: &str) -> (Vec<String>, Vec<String>) {
    targets(&config(&text(defaults, tables)))
}

#[test]
fn every_cluster_is_combined_with_every_namespace() {
    let (listed, selected) = of(
        "",
        &table(
            "clusters = [\"k\", \"other\"]\nnamespace = \"c\"\nnamespaces = [\"a\", \"b\", \"c\"]\nnamespace_selector = \"team=x\"",
        ),
    );
    let expected = [
        "k/a/e",
        "k/b/e",
        "k/c/e",
        "other/a/e",
        "other/b/e",
        "other/c/e",
    ];
    assert_eq!(listed, expected);
    assert_eq!(selected, ["k/team=x", "other/team=x"]);
}

#[test]
fn own_namespaces_of_any_kind_take_the_place_of_all_defaults() {
    let defaults = "cluster = \"k\"\nnamespace = \"d\"\nnamespace_selector = \"default=yes\"";
    let none = [""; 0];
    for (own, listed, selected) in [
        ("", vec!["k/d/e"], vec!["k/default=yes"]),
        ("namespace = \"a\"", vec!["k/a/e"], none.to_vec()),
        ("namespaces = [\"a\"]", vec!["k/a/e"], none.to_vec()),
        ("namespace_selector = \"a\"", none.to_vec(), vec!["k/a"]),
        (
            "cluster = \"other\"",
            vec!["other/d/e"],
            vec!["other/default=yes"],
        ),
        (
            "clusters = [\"other\"]",
            vec!["other/d/e"],
            vec!["other/default=yes"],
        ),
    ] {
        let found = of(defaults, &table(own));
        assert_eq!(found.0, listed, "{own}");
        assert_eq!(found.1, selected, "{own}");
    }
}

#[test]
fn what_two_tables_of_an_entry_name_alike_is_written_once() {
    let one = table("cluster = \"k\"\nnamespaces = [\"a\", \"b\"]");
    let other = table("clusters = [\"k\", \"other\"]\nnamespace = \"b\"");
    let text = text("", &(one + &other));
    assert_eq!(targets(&config(&text)).0, ["k/a/e", "k/b/e", "other/b/e"]);
    let said = messages(&text);
    let twice = "another table of the entry writes the same Secret";
    assert_eq!(said.iter().filter(|it| *it == twice).count(), 1, "{said:?}");
}

#[test]
fn lists_are_checked() {
    for (line, expected) in [
        ("namespaces = []", "`namespaces` names none"),
        (
            "namespaces = [\"n\", \"n\"]",
            "`namespaces` names this twice",
        ),
        (
            "clusters = [\"k\"]",
            "`clusters` has no meaning beside `cluster`",
        ),
    ] {
        assert_eq!(wrong("kubernetes", line), [expected], "{line}");
    }
    let nowhere = messages(&text("", &table("cluster = \"k\"")));
    assert!(
        nowhere.contains(&"`namespace` is missing".to_owned()),
        "{nowhere:?}"
    );
}

#[test]
fn a_selector_is_read_or_refused_with_its_place() {
    let refused = |text: &str| {
        let wrong = wrong("kubernetes", &format!("namespace_selector = \"{text}\""));
        wrong.join("|")
    };
    assert_eq!(refused("team in (a, b),!legacy"), "");
    let said = refused("team=a,tier in (web");
    assert_eq!(
        said,
        "`namespace_selector` is no label selector: `,` or `)` should stand at character 20"
    );
    assert_eq!(
        refused(" "),
        "`namespace_selector` is no label selector: it asks for nothing"
    );
    assert_eq!(
        refused("team=a,team=b"),
        "`namespace_selector` asks for what cannot be together"
    );
    assert!(!refused("hunter2 hunter2").contains("hunter2"));
}

/// Two entries, each with one table, and what is said of them.
fn both(one: &str, other: &str) -> Vec<String> {
    let second = format!(
        "[secrets.f]\nstore = \"local\"\ndata = [{{ secret_key = \"b\", remote_ref = {{ key = \"x\" }} }}]\n[[secrets.f.kubernetes]]\n{other}\nname = \"e\"\n"
    );
    let text = text("", &table(one)) + &second;
    let mut said = messages(&text);
    said.retain(|message| !message.starts_with("there is no such file yet"));
    said
}

#[test]
fn two_entries_do_not_select_the_same_namespaces_for_one_secret() {
    let refused = ["two entries write the same Secret in any namespace that both name or select"];
    let select = |selector: &str| format!("cluster = \"k\"\nnamespace_selector = \"{selector}\"");
    let list = "cluster = \"k\"\nnamespace = \"app\"".to_owned();
    let merge = |text: String| text + "\ncreation_policy = \"merge\"";
    assert_eq!(both(&select("team=a"), &select("tier=web")), refused);
    assert_eq!(both(&select("team=a"), &select("team=b")), [""; 0]);
    assert_eq!(both(&select("team=a"), &list), refused);
    assert_eq!(both(&list, &select("team=a")), refused);
    let without = select("team=a,kubernetes.io/metadata.name!=app");
    assert_eq!(both(&without, &list), [""; 0]);
    assert_eq!(
        both(&merge(select("team=a")), &merge(select("tier=web"))),
        [""; 0]
    );
    let labelled =
        |value: &str| merge(select("team")) + &format!("\nlabels = {{ a = \"{value}\" }}");
    assert_eq!(both(&labelled("1"), &labelled("2")), refused);
    let elsewhere = "cluster = \"other\"\nnamespace_selector = \"team=a\"";
    assert_eq!(both(&select("team=a"), elsewhere), [""; 0]);
}
