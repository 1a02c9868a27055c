use std::fs;

use super::Room;

const STORE: &str = "[stores.NAME.file]\npath = \"secrets.toml\"\n";

const ENTRY: &str = "[secrets.e]\nstore = \"s\"\ndata = [{ secret_key = \"a\", remote_ref = { key = \"x\" } }]\n[[secrets.e.file]]\npath = \"/nowhere/e\"\nkey = \"a\"\n";

/// Its credential is in a file of its own.
const KUBECONFIG: &str = "
clusters: [{name: c, cluster: {server: 'https://h'}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
users: [{name: u, user: {tokenFile: token}}]
";

fn store(name: &str) -> String {
    STORE.replace("NAME", name)
}

#[test]
fn includes_are_sorted_and_relative_to_their_own_file() {
    let room = Room::new(&[
        (
            "main.toml",
            "include = [\"z.toml\", \"conf.d/*.toml\", \"none.d/*.toml\", \"conf.d/b.toml\", \"*.toml\"]",
        ),
        ("z.toml", &store("z")),
        ("conf.d/b.toml", &store("b")),
        ("conf.d/a.toml", &store("a")),
        ("conf.d/.#a.toml", "broken"),
        ("conf.d/dir.toml/x", ""),
        ("secrets.toml", ""),
        ("conf.d/secrets.toml", ""),
    ]);
    let loaded = room
        .load()
        .unwrap_or_else(|d| panic!("{}", d.render(false)));
    let files: Vec<_> = loaded
        .config
        .files
        .iter()
        .map(|p| p.strip_prefix(room.path("")).unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "main.toml",
            "conf.d/a.toml",
            "conf.d/b.toml",
            "conf.d/secrets.toml",
            "secrets.toml",
            "z.toml"
        ]
    );
    let path = |name: &str| match &loaded.config.stores[name] {
        crate::config::Store::File(file) => file.path.clone(),
        crate::config::Store::SecretsManager(_) | crate::config::Store::ParameterStore(_) => {
            panic!("a file store")
        }
    };
    assert_eq!(path("a"), room.path("conf.d/secrets.toml"));
    assert_eq!(path("z"), room.path("secrets.toml"));
    let warnings: Vec<_> = loaded.warnings.iter().map(|d| &*d.message).collect();
    assert_eq!(warnings, ["there is no entry: nothing is delivered"]);
}

#[test]
fn a_plain_name_that_matches_nothing_and_tables_of_the_main_file_are_errors() {
    let room = Room::new(&[
        ("main.toml", "include = [\"gone.toml\", \"a.toml\", \"[\"]"),
        ("a.toml", "include = []\n[daemon]\n[defaults]\n"),
    ]);
    insta::assert_snapshot!(room.report(), @r#"
    error: there is no such file
    --> main.toml:1:12

    error: this is not a pattern: `*`, `?`, `[abc]`, `**`
    --> main.toml:1:35

    error: `include` belongs in the main file
     --> a.toml:1:1
      |
    1 | include
      | ^^^^^^^

    error: `daemon` belongs in the main file
     --> a.toml:2:2
      |
    2 | [daemon]
      |  ^^^^^^

    error: `defaults` belongs in the main file
     --> a.toml:3:2
      |
    3 | [defaults]
      |  ^^^^^^^^
    "#);
}

#[test]
fn the_directory_of_the_configuration_is_taken_without_its_symlinks() {
    let room = Room::new(&[("real/main.toml", &store("a")), ("real/secrets.toml", "")]);
    std::os::unix::fs::symlink(room.path("real"), room.path("link")).unwrap();
    let loaded = crate::config::load(
        &room.path("link/main.toml"),
        &crate::config::Surroundings {
            root: true,
            ..Default::default()
        },
    )
    .unwrap();
    assert_eq!(loaded.config.files, [room.path("real/main.toml")]);
}

#[test]
fn what_others_may_write_is_refused_and_what_they_may_read_is_a_warning() {
    let text = "[stores.s.aws_secrets_manager.auth]\naccess_key_id = { file = \"id\" }\nsecret_access_key = { file = \"key\" }\n[clusters.k]\nkubeconfig = \"kubeconfig\"\n";
    let room = Room::new(&[
        ("main.toml", &format!("{text}{ENTRY}")),
        ("id", ""),
        ("key", ""),
        ("token", ""),
        ("kubeconfig", KUBECONFIG),
    ]);
    assert_eq!(room.report(), "");
    room.mode("key", 0o644);
    room.mode("id", 0o620);
    room.mode("kubeconfig", 0o644);
    insta::assert_snapshot!(room.report(), @r#"
    warning: this file's group may write it
    --> main.toml:2:26
     = help: take the permission away: chmod o-w, chmod g-w

    warning: others may read this file, which holds a credential
    --> main.toml:3:30
     = help: take the permission away: chmod go-r key
    "#);
    assert!(room.load().is_ok());
    room.mode("key", 0o602);
    room.mode("main.toml", 0o666);
    room.mode("kubeconfig", 0o602);
    let diagnostics = room.load().unwrap_err();
    assert_eq!((diagnostics.errors(), diagnostics.warnings()), (3, 1));
}

/// A room with this kubeconfig, a token beside it, and an entry.
fn with_kubeconfig(text: &str) -> Room {
    let main = "[clusters.k]\nkubeconfig = \"kubeconfig\"\n[stores.s.file]\npath = \"s.toml\"\n";
    Room::new(&[
        ("main.toml", &format!("{main}{ENTRY}")),
        ("s.toml", ""),
        ("token", ""),
        ("kubeconfig", text),
    ])
}

#[test]
fn what_a_kubeconfig_names_is_judged_with_it() {
    let room = with_kubeconfig(KUBECONFIG);
    assert_eq!(room.report(), "");
    room.mode("kubeconfig", 0o644);
    room.mode("token", 0o644);
    insta::assert_snapshot!(room.report(), @r#"
    warning: others may read this file, which holds a credential: the token file that this kubeconfig names
     --> main.toml:2:14
      |
    2 | kubeconfig = …
      |              ^
      |
      = help: take the permission away: chmod go-r token
    "#);
    room.mode("token", 0o666);
    assert_eq!(room.load().unwrap_err().errors(), 1);
    fs::remove_file(room.path("token")).unwrap();
    assert_eq!(
        room.messages(),
        ["there is no such file yet: the token file that this kubeconfig names"]
    );
}

#[test]
fn a_kubeconfig_with_a_credential_in_it_is_one() {
    for inline in [
        "token: t",
        "{client-certificate-data: aGk=, client-key-data: aGk=}",
        // Another user's is as good to whoever reads the file.
        "tokenFile: token}}, {name: other, user: {token: t",
        "tokenFile: token}}, {name: other, user: {username: a, password: t",
    ] {
        let inline = inline.trim_matches(['{', '}']);
        let room = with_kubeconfig(&KUBECONFIG.replace("tokenFile: token", inline));
        assert_eq!(room.report(), "", "{inline}");
        room.mode("kubeconfig", 0o640);
        let messages = room.messages();
        assert_eq!(
            messages,
            ["others may read this file, which holds a credential"],
            "{inline}"
        );
    }
}

#[test]
fn a_kubeconfig_that_no_run_could_use_is_a_warning_and_not_repeated() {
    for (from, to, said) in [
        ("users:", "users: MARKER", "is not a well-formed kubeconfig"),
        (
            "tokenFile: token",
            "auth-provider: {name: MARKER}",
            "uses `auth-provider`",
        ),
        (
            "tokenFile: token",
            "exec: {command: MARKER}",
            "has an `exec` with an `apiVersion`",
        ),
        ("user: u}", "user: MARKER}", "has no user of the name"),
        ("https://h", "http://MARKER", "must be https"),
    ] {
        let room = with_kubeconfig(&KUBECONFIG.replace(from, to));
        assert!(room.load().is_ok(), "{said}");
        let report = room.report();
        assert!(report.contains(said), "{said}: {report}");
        assert!(!report.contains("MARKER"), "{report}");
    }
}

#[test]
fn a_file_stores_data_are_secret() {
    let room = with_kubeconfig(KUBECONFIG);
    room.mode("s.toml", 0o644);
    assert_eq!(
        room.messages(),
        ["others may read this file, which holds secret values: the file of store `s`"]
    );
}

#[test]
fn files_have_a_size_and_must_be_files_of_text() {
    let room = Room::new(&[
        ("main.toml", "include = [\"big\", \"bytes\", \"dir\"]"),
        ("dir/x", ""),
    ]);
    fs::write(room.path("big"), vec![b'#'; (1 << 20) + 1]).unwrap();
    fs::write(room.path("bytes"), [b'#', 0xff]).unwrap();
    let diagnostics = room.load().unwrap_err();
    let messages: Vec<_> = diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "this file is larger than 1 MiB; split it and `include` the parts",
            "this file is not UTF-8 text",
            "this is not a regular file",
        ]
    );
}
