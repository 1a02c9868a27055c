use super::{Room, report, with, wrong};

const MISTAKES: &str = r#"
[daemon]
listen = "localhost"

[stores.prod.aws_secrets_manager]
regoin = "us-east-1"

[clusters.k]

[secrets.db]
store = "prdo"
refreshInterval = "5m"
data = [
  { secret_key = "a b", remote_ref = { key = "x" } },
  { secret_key = "b", remote_ref = { property = "y" } },
]

[[secrets.db.file]]
path = "out"
key = "b"
mode = 640
"#;

#[test]
fn eight_mistakes_in_several_tables_are_all_reported() {
    insta::assert_snapshot!(report(MISTAKES), @r#"
    error: `listen` must be an IP address and a port
     --> main.toml:3:10
      |
    3 | listen = …
      |          ^
      |
      = help: such as "127.0.0.1:9785" or "[::1]:9785"

    error: unknown key `regoin`
     --> main.toml:6:1
      |
    6 | regoin
      | ^^^^^^
      |
      = help: did you mean `region`?

    error: a cluster needs `kubeconfig` or `server`
     --> main.toml:8:1
      |
    8 | [clusters.k]
      | ^^^^^^^^^^^^
      |
      = help: or, in a pod, `in_cluster = true`

    error: there is no store `prdo`, which entry `db` names
      --> main.toml:11:9
       |
    11 | store = …
       |         ^
       |
       = help: did you mean `prod`?

    error: unknown key `refreshInterval`
      --> main.toml:12:1
       |
    12 | refreshInterval
       | ^^^^^^^^^^^^^^^
       |
       = help: did you mean `refresh_interval`?

    error: `secret_key` must be letters, digits and `-`, `_`, `.`, at most 253, not `.` and not beginning with `..`
      --> main.toml:14:18
       |
    14 |     secret_key = …
       |                  ^

    error: `key` is missing
    --> main.toml:15:23

    error: `mode` must be an octal mode in quotes, such as "0640"
      --> main.toml:21:8
       |
    21 | mode = …
       |        ^
       |
       = help: without quotes it is a decimal number, whose bits are others
    "#);
}

#[test]
fn a_broken_line_hides_nothing_and_invents_nothing() {
    insta::assert_snapshot!(report(r#"
[daemon]
listen
instance = "A"

[stores.prod.aws_secrets_manager]
region = "us-east-1

[secrets.db]
store = nothing
data = [{ secret_key = "a", remote_ref = { key = "x" } }]

[[secrets.db.file]]
path = "out"
colour = "red"
"#), @r#"
    error: `=` and a value are missing after this key
    --> main.toml:3:7

    error: `instance` must be lower-case letters, digits and `.`, `_`, `/`, `-`, at most 63
     --> main.toml:4:12
      |
    4 | instance = …
      |            ^

    error: this string is not closed on its line
    --> main.toml:7:20

    error: this is not TOML
    --> main.toml:10:9

    error: `key` is missing
      --> main.toml:13:1
       |
    13 | [[secrets.db.file]]
       | ^^^^^^^^^^^^^^^^^^^
       |
       = help: a raw file holds the value of one key; the other formats hold all

    error: unknown key `colour`
      --> main.toml:15:1
       |
    15 | colour
       | ^^^^^^
       |
       = help: known here: `adopt`, `check`, `check_log_output`, `deletion_policy`, `dialect`, `dir_mode`, `format`, `group`, `key`, `mode`, `on_change`, `owner`, `path`
    "#);
}

#[test]
fn a_broken_file_hides_no_other() {
    let room = Room::new(&[
        (
            "main.toml",
            "include = [\"*.d/*.toml\"]\n[daemon]\nnonsense = 1\n",
        ),
        ("conf.d/a.toml", "[stores\n"),
        ("conf.d/b.toml", "[stores.b.file]\npaht = \"x\"\n"),
        (
            "conf.d/c.toml",
            "\u{feff}[stores.b.file]\npath = \"x\"\n[daemon]\n",
        ),
    ]);
    insta::assert_snapshot!(room.report(), @r#"
    error: unknown key `nonsense`
     --> main.toml:3:1
      |
    3 | nonsense
      | ^^^^^^^^
      |
      = help: known here: `control_group`, `control_socket`, `instance`, `leader`, `listen`, `per_secret_metrics`, `prune`, `prune_after`, `shutdown_grace`, `state_dir`

    error: what is opened here, or before, is not closed
    --> conf.d/a.toml:1:8

    error: `path` is missing
     --> conf.d/b.toml:1:1
      |
    1 | [stores.b.file]
      | ^^^^^^^^^^^^^^^

    error: unknown key `paht`
     --> conf.d/b.toml:2:1
      |
    2 | paht
      | ^^^^
      |
      = help: did you mean `path`?

    error: a store of this name is already there
     --> conf.d/c.toml:1:9
      |
    1 | [stores.b.file]
      |         ^
      |
    note: it is defined here
     --> conf.d/b.toml:1:9
      |
    1 | [stores.b.file]
      |         ^

    error: `daemon` belongs in the main file
     --> conf.d/c.toml:3:2
      |
    3 | [daemon]
      |  ^^^^^^
    "#);
}

#[test]
fn words_of_external_secrets_are_understood() {
    for (place, theirs, ours) in [
        ("entry", "refreshInterval = \"1h\"", "refresh_interval"),
        ("entry", "secretStoreRef = { name = \"x\" }", "store"),
        ("entry", "dataFrom = []", "data_from"),
        ("item", "secretKey = \"x\"", "secret_key"),
        ("item", "remoteRef = { key = \"x\" }", "remote_ref"),
        ("ref", "decodingStrategy = \"None\"", "decoding_strategy"),
        (
            "kubernetes",
            "creationPolicy = \"Owner\"",
            "creation_policy",
        ),
        (
            "kubernetes",
            "deletionPolicy = \"Retain\"",
            "deletion_policy",
        ),
        ("auth", "accessKeyIDSecretRef = \"x\"", "access_key_id"),
        ("cluster", "token = \"x\"", "token_file"),
    ] {
        let report = report(&with(place, theirs));
        assert!(report.contains("unknown key"), "{theirs}\n{report}");
        let hint = format!("did you mean `{ours}`?");
        assert!(report.contains(&hint), "{theirs}\n{report}");
    }
    // Words that are spelled otherwise, too.
    let report = report(&with("kubernetes", "creation_policy = \"Owner\""));
    assert!(report.contains("did you mean `owner`?"), "{report}");
}

#[test]
fn what_does_not_resemble_a_name_is_not_repeated() {
    assert_eq!(
        wrong("item", "store = \"lokal\""),
        ["there is no store `lokal`, which entry `e` names"]
    );
    assert_eq!(
        wrong("item", "store = \"8f3kd02\""),
        ["there is no store of this name, which entry `e` names"]
    );
    assert_eq!(wrong("file", "hunter_2 = 1"), ["unknown key `hunter_2`"]);
    assert_eq!(
        wrong("file", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY = 1"),
        ["unknown key"]
    );
    assert_eq!(wrong("file", "\"pass word\" = 1"), ["unknown key"]);
    assert_eq!(wrong("auth", "hunter_2 = 1"), ["unknown key"]);
}

#[test]
fn a_missing_main_file_is_one_plain_error() {
    let room = Room::new(&[]);
    insta::assert_snapshot!(room.report(), @r#"
    error: there is no such file
    --> main.toml
     = help: write the configuration there (the README begins with a short one), or name another file with `--config`
    "#);
}
