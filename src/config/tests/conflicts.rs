use std::fs;
use std::os::unix::fs::symlink;

use super::{Room, report, wrong};

fn entry(name: &str, key: &str, target: &str) -> String {
    format!(
        "[secrets.{name}]\nstore = \"local\"\ndata = [{{ secret_key = \"{key}\", remote_ref = {{ key = \"x\" }} }}]\n{}\n",
        target.replace('T', &format!("secrets.{name}"))
    )
}

fn both(first: &str, second: &str) -> Vec<String> {
    let first = entry("one", "a", first);
    wrong("file", &format!("{first}{}", entry("two", "b", second)))
}

#[test]
fn two_targets_must_not_be_one_secret_unless_they_merge_different_keys() {
    let secret = |more: &str| {
        format!("[[T.kubernetes]]\ncluster = \"k\"\nnamespace = \"n\"\nname = \"same\"\n{more}")
    };
    let merge = "creation_policy = \"merge\"";
    let refused = ["two targets write the same Secret"];
    assert_eq!(both(&secret(""), &secret("")), refused);
    assert_eq!(both(&secret(merge), &secret("")), refused);
    assert_eq!(both(&secret(merge), &secret(merge)), [""; 0]);
    let or_made = "creation_policy = \"create_or_merge\"";
    assert_eq!(
        both(&secret(or_made), &secret("creation_policy = \"orphan\"")),
        refused
    );
    assert_eq!(both(&secret(or_made), &secret(merge)), [""; 0]);
    assert_eq!(both(&secret(or_made), &secret(or_made)), [""; 0]);
    let typed = format!("{or_made}\ntype = \"example.com/x\"");
    assert_eq!(both(&secret(&typed), &secret(merge)), [""; 0]);
    assert_eq!(
        both(&secret(&typed), &secret(or_made)),
        ["two targets make one Secret with different types"]
    );
    let both_of_one = format!(
        "{}\n{}",
        secret(merge),
        secret("creation_policy = \"owner\"")
    );
    assert_eq!(wrong("file", &entry("one", "a", &both_of_one)), refused);
}

#[test]
fn targets_that_share_a_secret_agree_about_its_metadata() {
    let secret = |more: &str| {
        format!(
            "[[T.kubernetes]]\ncluster = \"k\"\nnamespace = \"n\"\nname = \"same\"\ncreation_policy = \"merge\"\n{more}"
        )
    };
    for key in ["labels", "annotations"] {
        let one = secret(&format!("{key} = {{ team = \"a\", x = \"1\" }}"));
        let other = secret(&format!("{key} = {{ team = \"b\", y = \"2\" }}"));
        assert_eq!(
            both(&one, &other),
            ["two targets give one Secret different labels or annotations"]
        );
        assert_eq!(both(&one, &other.replace("\"b\"", "\"a\"")), [""; 0]);
    }
}

#[test]
fn two_targets_must_not_be_one_path_or_one_below_the_other() {
    let file = |path: &str| format!("[[T.file]]\npath = \"{path}\"\nformat = \"json\"");
    assert_eq!(
        both(&file("/nowhere/a"), &file("/nowhere/a")),
        ["two targets write the same file"]
    );
    assert_eq!(
        both(&file("/nowhere/a/b"), &file("/nowhere/a")),
        ["this path is below a path that is written as a file"]
    );
    let directory = |path: &str| format!("[[T.file]]\npath = \"{path}\"\nformat = \"directory\"");
    assert_eq!(
        both(&file("/nowhere/a/b"), &directory("/nowhere/a/")),
        ["this path is below a directory that is written as a whole"]
    );
    assert_eq!(
        both(&directory("/nowhere/a"), &directory("/nowhere/a/b/c")),
        ["this path is below a directory that is written as a whole"]
    );
    assert_eq!(
        both(&directory("/nowhere/a/"), &directory("/nowhere/a")),
        ["two targets write the same file"]
    );
    assert_eq!(both(&file("/nowhere/a"), &file("/nowhere/ab")), [""; 0]);
    assert_eq!(
        both(&file("/nowhere/a/"), &file("/nowhere/b/../a")),
        [
            "`path` must be the path of a file, not of a directory",
            "`..` may stand only at the beginning of a target's `path`"
        ]
    );
}

#[test]
fn a_target_is_nothing_the_daemon_needs() {
    let file = |path: &str| {
        entry(
            "one",
            "a",
            &format!("[[T.file]]\npath = \"{path}\"\nkey = \"a\""),
        )
    };
    assert_eq!(
        wrong("file", &file("main.toml")),
        ["this target would overwrite the configuration"]
    );
    assert_eq!(
        wrong("file", &file("/nowhere/secrets/x")),
        ["this target would overwrite what is read"]
    );
    assert_eq!(
        wrong("file", &file("/nowhere/kubeconfig")),
        ["this target would overwrite what is read"]
    );
    assert_eq!(
        wrong("file", &file("/home/someone/.local/state/secretsyncd/x")),
        ["this path belongs to the daemon's own state"]
    );
}

/// A room whose paths lead through links, and what is said of a target at `path` in it.
fn linked(path: &str) -> Vec<String> {
    let room = Room::new(&[
        ("real/secretsyncd.toml", ""),
        ("real/secrets/a", ""),
        (
            "real/kubeconfig",
            "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: ca}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
users: [{name: u, user: {tokenFile: ../creds/token}}]",
        ),
        ("real/ca", ""),
        ("creds/token", ""),
        ("state/x", ""),
    ]);
    let text = format!(
        "[daemon]\nstate_dir = \"state-link/in/it\"\n[stores.local.file]\npath = \"link/secrets\"\n[clusters.k]\nkubeconfig = \"link/kubeconfig\"\n{}",
        entry(
            "one",
            "a",
            &format!("[[T.file]]\npath = \"{path}\"\nkey = \"a\"")
        )
    );
    fs::write(room.path("real/secretsyncd.toml"), text).unwrap();
    for (link, to) in [
        ("main.toml", "real/secretsyncd.toml"),
        ("link", "real"),
        ("state-link", "state"),
    ] {
        symlink(room.path(to), room.path(link)).unwrap();
    }
    room.messages()
}

#[test]
fn a_target_is_nothing_the_daemon_needs_whatever_links_lead_there() {
    const CONFIGURATION: &str = "this target would overwrite the configuration";
    const READ: &str = "this target would overwrite what is read";
    const STATE: &str = "this path belongs to the daemon's own state";
    const ABOVE: &str = "this path is a directory that the daemon itself needs";
    for (path, said) in [
        // The configuration, given by a link.
        ("main.toml", CONFIGURATION),
        ("real/secretsyncd.toml", CONFIGURATION),
        ("link/secretsyncd.toml", CONFIGURATION),
        // What is read through a link.
        ("real/secrets/new", READ),
        ("link/secrets/new", READ),
        ("real/kubeconfig", READ),
        // What the kubeconfig names.
        ("creds/token", READ),
        ("real/ca", READ),
        ("link/ca", READ),
        // The state, and what it is in.
        ("state/in/it/x", STATE),
        ("state-link/in/it/x", STATE),
        ("state/in/it", STATE),
        ("state/in", ABOVE),
        ("state-link/in", ABOVE),
        ("creds", ABOVE),
    ] {
        assert_eq!(linked(path), [said], "{path}");
    }
    assert_eq!(linked("real/other"), [""; 0]);
    assert_eq!(linked("state/in/other"), [""; 0]);
}

#[test]
fn both_places_are_named() {
    let room = Room::new(&[
        (
            "main.toml",
            "include = [\"a.toml\"]\n[stores.local.file]\npath = \"/srv/x\"\n",
        ),
        ("a.toml", "[stores.local.file]\npath = \"/srv/y\"\n"),
    ]);
    insta::assert_snapshot!(room.report(), @r#"
    warning: there is no such file yet: the file of store `local`
     --> main.toml:3:8
      |
    3 | path = …
      |        ^
      |
      = help: create it, or correct `path`

    error: a store of this name is already there
     --> a.toml:1:9
      |
    1 | [stores.local.file]
      |         ^^^^^
      |
    note: it is defined here
     --> main.toml:2:9
      |
    2 | [stores.local.file]
      |         ^^^^^
    "#);
    let same = "[[T.file]]\npath = \"same\"\nformat = \"json\"";
    let text = format!(
        "[stores.local.file]\npath = \"/usr\"\n{}{}",
        entry("one", "a", same),
        entry("two", "b", same)
    );
    insta::assert_snapshot!(report(&text), @r#"
    error: two targets write the same file
      --> main.toml:13:8
       |
    13 | path = …
       |        ^
       |
    note: the other one is here
      --> main.toml:7:8
       |
     7 | path = …
       |        ^
    "#);
}

/// Who waits for it would wait for ever.
#[test]
fn a_policy_that_needs_a_proof_is_warned_of_over_a_store_that_has_none() {
    let never = |policy: &str| {
        format!(
            "`deletion_policy = \"{policy}\"` never takes effect here: a file store cannot prove that something was deleted"
        )
    };
    let file = "[[T.file]]\npath = \"/x/a\"\nformat = \"json\"\ndeletion_policy = \"delete\"";
    assert_eq!(wrong("file", &entry("one", "a", file)), [never("delete")]);
    let secret = |policy: &str| {
        format!(
            "[[T.kubernetes]]\ncluster = \"k\"\nnamespace = \"n\"\nname = \"s\"\ndeletion_policy = \"{policy}\""
        )
    };
    for policy in ["delete", "merge"] {
        let text = entry("one", "a", &secret(policy));
        assert_eq!(wrong("file", &text), [never(policy)]);
        let proven = text.replace("\"local\"", "\"prod\"");
        assert_eq!(wrong("file", &proven), [""; 0]);
    }
    assert_eq!(
        wrong("file", &entry("one", "a", &secret("retain"))),
        [""; 0]
    );
}
