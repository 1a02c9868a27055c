use super::wrong;

#[test]
fn the_default_of_what_does_nothing_yet_is_accepted() {
    for (place, line) in [
        ("defaults", "on_missing = \"fail\""),
        ("cluster", "in_cluster = false"),
        ("item", "on_missing = \"fail\""),
        ("ref", "decoding_strategy = \"none\""),
        ("ref", "metadata = false"),
        (
            "file",
            "[[secrets.e.file]]\npath = \"/nowhere/env\"\nformat = \"dotenv\"\ndialect = \"shell\"",
        ),
    ] {
        assert_eq!(wrong(place, line), Vec::<String>::new(), "{line}");
    }
}

/// Place, line, and what is said of it.
const INSIDE: &[(&str, &str, &str)] = &[
    (
        "entry",
        "data_from = [{ extract = { kye = \"x\" } }]",
        "`key` is missing",
    ),
    (
        "entry",
        "data_from = [{ rewrite = [{}] }]",
        "a step of `rewrite` needs exactly one of `regexp`, `transform`, `merge`",
    ),
    (
        "cluster",
        "[clusters.other]\neks = { cluster_name = \"c\", region = \"r\", credentials = \"nope\" }",
        "there is no store of this name",
    ),
    (
        "entry",
        "template = { from = [{ file = \"f\" }] }",
        "`key` is missing",
    ),
    (
        "entry",
        "template = { data = { \"a b\" = \"\" } }",
        "a key must be letters, digits and `-`, `_`, `.`, at most 253, not `.` and not beginning with `..`",
    ),
    (
        "kubernetes",
        "clusters = [\"nope\"]",
        "there is no cluster of this name",
    ),
    (
        "kubernetes",
        "namespaces = [\"A\"]",
        "a namespace must be an RFC 1123 label: lower-case letters, digits and `-`, at most 63, beginning and ending with a letter or digit",
    ),
    (
        "file",
        "on_change = { signal = { signal = \"HUP\" } }",
        "`signal` needs either `unit` or `pid_file`",
    ),
    (
        "file",
        "on_change = { timeout = \"1d\" }",
        "`timeout` must be a duration such as \"30s\" or \"1h30m\"",
    ),
    (
        "file",
        "check = [\"visudo\"]",
        "`check` must begin with the absolute path of a program",
    ),
];

#[test]
fn what_stands_in_them_is_checked_all_the_same() {
    for (place, line, expected) in INSIDE {
        let wrong = wrong(place, line);
        assert!(wrong.iter().any(|m| m == expected), "{line}: {wrong:?}");
    }
}
