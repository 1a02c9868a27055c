use std::path::Path;
use std::time::Duration;

use super::super::{
    AwsBase, ClusterAccess, ClusterAuth, CreationPolicy, DeletionPolicy, Dialect, FileFormat,
    Source, Store, Target, ValueSource, Version,
};
use super::{Room, config, messages, with, wrong};
use crate::account::Account;

const WHOLE: &str = r#"
[daemon]
instance = "bastion-a"
listen = "[::1]:0"
state_dir = "state"
control_group = "ops"
shutdown_grace = "5s"
per_secret_metrics = false

[defaults]
store = "prod"
refresh_interval = "30s"

[defaults.file]
mode = "0640"
group = "ops"
adopt = true

[defaults.kubernetes]
cluster = "edge"
namespace = "app"
labels = { team = "a" }

[stores.prod.aws_secrets_manager]
endpoint_url = "http://127.0.0.1:5000"
[stores.prod.aws_secrets_manager.auth]
access_key_id = { env = "KEY_ID" }
secret_access_key = { file = "key" }

[stores.named.aws_secrets_manager]
auth = { profile = "sync" }

[stores.local.file]
path = "/srv/secrets"

[clusters.edge]
server = "https://10.0.0.1:6443"
certificate_authority = "ca.crt"
client_certificate = "c.crt"
client_key = "c.key"

[secrets."team/db"]
data = [
  { secret_key = "user", remote_ref = { key = "prod/db", property = "user" } },
  { secret_key = "old", remote_ref = { key = "prod/db", version = "AWSPREVIOUS" } },
  { secret_key = "here", store = "local", remote_ref = { key = "x" } },
]
[[secrets."team/db".kubernetes]]
[[secrets."team/db".kubernetes]]
namespace = "other"
name = "shared"
labels = {}
creation_policy = "merge"
adopt = true
[[secrets."team/db".file]]
path = "out/db.env"
format = "dotenv"
[[secrets."team/db".file]]
path = "/run/user"
key = "user"
mode = "0400"
dir_mode = "0750"
owner = "app"
group = "4711"
adopt = false

[secrets.quick]
store = "local"
refresh_interval = "1s"
max_stale = "10s"
data = [{ secret_key = "a", remote_ref = { key = "x" } }]
[[secrets.quick.file]]
path = "/run/quick"
format = "json"
"#;

#[test]
fn daemon_stores_and_clusters_are_lowered() {
    let room = Room::new(&[("main.toml", WHOLE), ("key", ""), ("c.key", "")]);
    let config = room.load().unwrap().config;
    let daemon = &config.daemon;
    assert_eq!(daemon.instance.as_str(), "bastion-a");
    assert_eq!(daemon.listen.to_string(), "[::1]:0");
    assert_eq!(daemon.state_dir, room.path("state"));
    assert_eq!(daemon.control_socket, room.path("state/control.sock"));
    assert_eq!(daemon.control_group.as_deref(), Some("ops"));
    assert_eq!(daemon.shutdown_grace, Duration::from_secs(5));
    assert!(!daemon.per_secret_metrics);
    assert_eq!(config.files, [room.path("main.toml")]);

    let Store::SecretsManager(prod) = &config.stores["prod"] else {
        panic!("prod is a Secrets Manager");
    };
    assert_eq!(prod.endpoint_url.as_deref(), Some("http://127.0.0.1:5000"));
    assert!(matches!(&prod.auth.base, AwsBase::Static {
        access_key_id: ValueSource::Env(name),
        secret_access_key: ValueSource::File(path),
        session_token: None,
    } if name == "KEY_ID" && *path == room.path("key")));
    assert!(matches!(&config.stores["named"],
        Store::SecretsManager(named) if matches!(&named.auth.base, AwsBase::Profile(p) if p == "sync")));
    assert!(
        matches!(&config.clusters["edge"].access, ClusterAccess::Server {
        certificate_authority: Some(ca),
        auth: ClusterAuth::ClientCertificate { key, .. },
        ..
    } if *ca == room.path("ca.crt") && *key == room.path("c.key"))
    );
}

#[test]
fn entries_and_targets_take_defaults_unless_they_say_otherwise() {
    let room = Room::new(&[("main.toml", WHOLE), ("key", ""), ("c.key", "")]);
    let config = room.load().unwrap().config;
    let db = &config.entries["team/db"];
    assert_eq!(db.store.as_str(), "prod");
    assert_eq!(db.refresh_interval, Duration::from_secs(30));
    assert_eq!(db.max_stale, Duration::from_mins(11));
    let version = |item: usize| match &db.data[item].source {
        Source::Value { version, .. } => version.clone(),
        other @ (Source::Metadata { .. } | Source::Find(_)) => panic!("{other}"),
    };
    assert_eq!(version(0), Version::Current);
    assert_eq!(version(1), Version::Stage("AWSPREVIOUS".into()));
    assert_eq!(db.data[2].store.as_str(), "local");
    let quick = &config.entries["quick"];
    assert_eq!(quick.store.as_str(), "local");
    assert_eq!(quick.max_stale, Duration::from_secs(10));

    let [
        Target::Kubernetes(own),
        Target::Kubernetes(merge),
        Target::File(env),
        Target::File(raw),
    ] = db.targets.as_slice()
    else {
        panic!("four targets");
    };
    assert_eq!(
        (
            own.cluster.as_str(),
            own.namespace.as_str(),
            own.name.as_str()
        ),
        ("edge", "app", "db")
    );
    assert_eq!(
        (&*own.secret_type, own.creation_policy, own.adopt),
        ("Opaque", CreationPolicy::Owner, false)
    );
    assert_eq!(own.labels.len(), 1);
    assert_eq!(
        (merge.namespace.as_str(), merge.name.as_str()),
        ("other", "shared")
    );
    assert_eq!(
        (merge.creation_policy, merge.adopt, merge.labels.len()),
        (CreationPolicy::Merge, true, 0)
    );
    assert_eq!(
        (&env.format, env.mode, env.dir_mode, env.adopt),
        (&FileFormat::Dotenv(Dialect::Shell), 0o640, 0o700, true)
    );
    assert_eq!(env.path, room.path("out/db.env"));
    assert_eq!((raw.mode, raw.dir_mode, raw.adopt), (0o400, 0o750, false));
    let name = |text: &str| Account::Name(text.into());
    assert_eq!((&raw.owner, &env.owner), (&Some(name("app")), &None));
    let group = Some(Account::Number(4711));
    assert_eq!((&raw.group, &env.group), (&group, &Some(name("ops"))));
    assert!(matches!(&raw.format, FileFormat::Raw { key } if key.as_str() == "user"));
}

#[test]
fn without_daemon_table_everything_has_its_default() {
    let config = config(&with("root", "").replace("[daemon]", ""));
    assert_eq!(config.daemon.instance.as_str(), "default");
    assert_eq!(config.daemon.listen.to_string(), "127.0.0.1:9785");
    assert_eq!(
        config.daemon.state_dir,
        Path::new("/home/someone/.local/state/secretsyncd")
    );
    assert_eq!(config.daemon.shutdown_grace, Duration::from_secs(20));
    assert_eq!(config.daemon.prune_after, Duration::from_hours(24));
    assert!(config.daemon.per_secret_metrics);
    let entry = &config.entries["e"];
    assert_eq!(entry.refresh_interval, Duration::from_hours(1));
    assert_eq!(entry.max_stale, Duration::from_mins(130));
}

#[test]
fn intervals_have_a_shortest_length_that_depends_on_the_sources() {
    let none: [&str; 0] = [];
    assert_eq!(wrong("entry", "refresh_interval = \"1s\""), none);
    assert_eq!(
        wrong("entry", "refresh_interval = \"900ms\""),
        ["`refresh_interval` must be at least 1 s"]
    );
    let remote = "refresh_interval = \"9s\"\ndata = []\n[[secrets.e.file]]\npath = \"/nowhere/x\"\nkey = \"a\"\n[secrets.f]\nstore = \"prod\"\nrefresh_interval = \"9s\"\ndata = [{ secret_key = \"a\", remote_ref = { key = \"x\" } }]\n[[secrets.f.file]]\npath = \"/nowhere/y\"\nkey = \"a\"";
    assert!(
        messages(&with(
            "file",
            &remote[remote.find("[secrets.f]").unwrap()..]
        ))
        .contains(&"`refresh_interval` must be at least 10 s".to_owned())
    );
    // Refreshes are up to 11 minutes apart.
    for (max_stale, warned) in [("5m", true), ("10m30s", true), ("11m", false)] {
        let lines = format!("refresh_interval = \"10m\"\nmax_stale = \"{max_stale}\"");
        let expected = "`max_stale` is too short for `refresh_interval`";
        let expected = warned.then_some(expected);
        assert!(wrong("entry", &lines).iter().eq(expected), "{max_stale}");
    }
}

/// Place, line, and what is said of it.
const SINGLE_VALUES: &[(&str, &str, &str)] = &[
    (
        "entry",
        "refresh_interval = 300",
        "`refresh_interval` must be a duration such as \"30s\" or \"1h30m\"",
    ),
    (
        "file",
        "mode = 640",
        "`mode` must be an octal mode in quotes, such as \"0640\"",
    ),
    (
        "file",
        "mode = \"0888\"",
        "`mode` must be an octal mode in quotes, such as \"0640\"",
    ),
    (
        "file",
        "mode = \"4755\"",
        "`mode` must have no bits beyond \"0777\"",
    ),
    (
        "file",
        "mode = \"0644\"",
        "with this mode everyone may access the file",
    ),
    (
        "file",
        "key = \"a\"",
        "`key` has a meaning only with `format = \"raw\"`",
    ),
    (
        "file",
        "mode = \"0200\"",
        "`mode` must let the file's owner read it",
    ),
    (
        "file",
        "mode = \"0040\"",
        "`mode` must let the file's owner read it",
    ),
    (
        "defaults.file",
        "mode = \"0060\"",
        "`mode` must let the file's owner read it",
    ),
    (
        "file",
        "mode = \"4755\"",
        "`mode` must have no bits beyond \"0777\"",
    ),
    (
        "file",
        "owner = \"a:b\"",
        "`owner` must be the name of a user or group, or its number: at most 256 characters, without white space, `:`, `/`, `,` and control characters, not beginning with `-`",
    ),
    (
        "defaults.file",
        "group = \"4294967295\"",
        "`group` must be the name of a user or group, or its number: at most 256 characters, without white space, `:`, `/`, `,` and control characters, not beginning with `-`",
    ),
    (
        "file",
        "dir_mode = \"0770\"",
        "`dir_mode` must not let group or others write",
    ),
    (
        "file",
        "dir_mode = \"0702\"",
        "`dir_mode` must not let group or others write",
    ),
    (
        "defaults.file",
        "dir_mode = \"0550\"",
        "`dir_mode` must let the owner read, write and enter",
    ),
    (
        "file",
        "dialect = \"docker\"",
        "`dialect` has a meaning only with `format = \"dotenv\"`",
    ),
    (
        "file",
        "[[secrets.e.file]]\npath = \"/nowhere/.secretsyncd-x\"\nkey = \"a\"",
        "files that begin with `.secretsyncd-` are secretsyncd's own",
    ),
    (
        "file",
        "[[secrets.e.data]]\nsecret_key = \"UID\"\nremote_ref = { key = \"x\" }\n[[secrets.e.file]]\npath = \"/nowhere/env\"\nformat = \"dotenv\"",
        "a `dotenv` file cannot have this key: shells keep the variable for themselves",
    ),
    (
        "kubernetes",
        "creation_policy = \"merge\"\ntype = \"kubernetes.io/tls\"",
        "`type` has no meaning with `creation_policy = \"merge\"`",
    ),
    (
        "kubernetes",
        "creation_policy = \"create_or_merge\"\ntype = \"kubernetes.io/tls\"",
        "a Secret of this type needs the keys `tls.crt`, `tls.key`",
    ),
    (
        "kubernetes",
        "creation_policy = \"create_or_merge\"\nimmutable = true",
        "`immutable` has no meaning with `creation_policy = \"create_or_merge\"`",
    ),
    (
        "kubernetes",
        "creation_policy = \"merge\"\ndeletion_policy = \"delete\"",
        "`deletion_policy = \"delete\"` does not go with `creation_policy = \"merge\"`",
    ),
    (
        "ref",
        "version = \"AWSPREVIOUS\"",
        "`version`: a file store has no versions",
    ),
    ("ref", "property = \"\"", "`property` must not be empty"),
    (
        "ref",
        "property = 'é.@no'",
        "`property` has no known modifier behind `@`, at character 3",
    ),
    (
        "ref",
        "property = 'a.#(b==1'",
        "`property` has a bracket or a quote without an end, at character 3",
    ),
    (
        "ref",
        "property = '[a]b'",
        "`property` has text behind a closing bracket or quote, at character 4",
    ),
    (
        "ref",
        "property = '#(a!b)'",
        "`property` has a query that cannot be read, at character 4",
    ),
    (
        "ref",
        "property = '!nan'",
        "`property` has no valid JSON behind `!`, at character 1",
    ),
    (
        "ref",
        "property = '@flatten:deep'",
        "`property` has an argument that its modifier does not take, at character 10",
    ),
    (
        "ref",
        "property = '[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]'",
        "`property` nests too deep, at character 17",
    ),
    (
        "kubernetes",
        "type = \"kubernetes.io/service-account-token\"",
        "Secrets of this type are not written",
    ),
    (
        "kubernetes",
        "type = \"bootstrap.kubernetes.io/token\"",
        "Secrets of this type are not written",
    ),
    (
        "kubernetes",
        "type = \"kubernetes.io/tls\"",
        "a Secret of this type needs the keys `tls.crt`, `tls.key`",
    ),
    (
        "kubernetes",
        "labels = { \"secretsyncd/managed\" = \"true\" }",
        "this key is written by secretsyncd itself",
    ),
    (
        "kubernetes",
        "annotations = { \"app.kubernetes.io/managed-by\" = \"x\" }",
        "this key is written by secretsyncd itself",
    ),
    (
        "prod",
        "endpoint_url = \"http://10.0.0.1\"",
        "`endpoint_url` must be https, plain http only on loopback",
    ),
    (
        "auth",
        "profile = \"a\"\naccess_key_id = { env = \"A\" }\nsecret_access_key = { env = \"B\" }",
        "`auth` takes only one base",
    ),
    (
        "auth",
        "access_key_id = { env = \"A\" }",
        "`secret_access_key` is missing",
    ),
    (
        "auth",
        "access_key_id = { env = \"A\", file = \"x\" }\nsecret_access_key = { env = \"B\" }",
        "`access_key_id` needs exactly one of `file`, `env`, `kubernetes`",
    ),
    (
        "local",
        "[stores.two]\nfile = { path = \"/nowhere/secrets\" }\naws_secrets_manager = {}",
        "a store needs exactly one of `aws_secrets_manager`, `aws_parameter_store`, `file`",
    ),
    (
        "local",
        "[stores.none]",
        "a store needs exactly one of `aws_secrets_manager`, `aws_parameter_store`, `file`",
    ),
    (
        "cluster",
        "server = \"https://h\"",
        "`server` has no meaning beside `kubeconfig`",
    ),
    (
        "cluster",
        "[clusters.s]\nserver = \"https://h\"",
        "`server` needs one of `token_file`, `client_certificate` and `client_key`, `eks`",
    ),
    (
        "cluster",
        "[clusters.s]\nserver = \"http://10.0.0.1\"\ntoken_file = \"t\"",
        "`server` must be https",
    ),
    // A run refuses it on loopback, too.
    (
        "cluster",
        "[clusters.s]\nserver = \"http://127.0.0.1:6443\"\ntoken_file = \"t\"",
        "`server` must be https",
    ),
    (
        "cluster",
        "[clusters.s]",
        "a cluster needs `kubeconfig` or `server`",
    ),
    (
        "cluster",
        "[clusters.s]\nin_cluster = false",
        "a cluster needs `kubeconfig` or `server`",
    ),
    (
        "item",
        "[[secrets.e.data]]\nsecret_key = \"a\"",
        "this key hides an earlier one of the same name",
    ),
];

#[test]
fn single_values_are_judged_where_they_stand() {
    for (place, line, expected) in SINGLE_VALUES {
        let found = wrong(place, line);
        assert!(found.iter().any(|m| m == expected), "{line}: {found:?}");
    }
    for (place, allowed) in [
        (
            "prod",
            "endpoint_url = \"http://10.0.0.1\"\nallow_plain_http = true",
        ),
        ("prod", "endpoint_url = \"http://127.0.0.1:5000\""),
        // A default is for those that can take it.
        ("defaults.file", "dialect = \"shell\""),
        // Docker's files take keys of every kind.
        (
            "file",
            "[[secrets.e.data]]\nsecret_key = \"spring.name\"\nremote_ref = { key = \"x\" }\n[[secrets.e.file]]\npath = \"/nowhere/env\"\nformat = \"dotenv\"\ndialect = \"docker\"",
        ),
        (
            "defaults.kubernetes",
            "immutable = true\ntype = \"Opaque\"\n[secrets.m]\nstore = \"local\"\ndata = [{ secret_key = \"a\", remote_ref = { key = \"x\" } }]\nkubernetes = [{ cluster = \"k\", namespace = \"n\", creation_policy = \"merge\" }]",
        ),
        // Whoever writes a loader's variable by hand means it.
        (
            "file",
            "[[secrets.e.data]]\nsecret_key = \"LD_PRELOAD\"\nremote_ref = { key = \"x\" }\n[[secrets.e.file]]\npath = \"/nowhere/env\"\nformat = \"dotenv\"",
        ),
    ] {
        assert_eq!(wrong(place, allowed), Vec::<String>::new(), "{allowed}");
    }
}

#[test]
fn a_configuration_that_delivers_nothing_is_worth_a_word() {
    let word = "there is no entry: nothing is delivered";
    assert_eq!(messages(""), [word]);
    assert_eq!(messages("[daemon]\n"), [word]);
    assert!(!messages("[secrets.a\n").contains(&word.to_owned()));
}

#[test]
fn an_entry_needs_source_and_target_and_a_legal_name() {
    let found = wrong(
        "file",
        "[secrets.bare]\n[secrets.Upper]\nstore = \"nope\"\n[secrets.a_b]\nstore = \"local\"\ndata = [{ secret_key = \"x.y\", remote_ref = { key = \"x\" } }]\n[[secrets.a_b.kubernetes]]\ncluster = \"k\"\nnamespace = \"n\"\n[[secrets.a_b.file]]\npath = \"/nowhere/env\"\nformat = \"dotenv\"",
    );
    for expected in [
        "an entry needs a source: `data` or `data_from`",
        "an entry needs a target: [[secrets.NAME.kubernetes]] or [[secrets.NAME.file]]",
        "an entry's name must be lower-case letters, digits and `.`, `_`, `/`, `-`, at most 253",
        "there is no store of this name",
        "the entry's name cannot be the name of a Secret",
        "a `dotenv` file needs keys that are names of variables",
    ] {
        assert!(found.iter().any(|m| m == expected), "{expected}: {found:?}");
    }
}

#[test]
fn only_an_owner_may_delete_its_secret() {
    use CreationPolicy::{CreateOrMerge, Merge, Orphan, Owner};
    for policy in [Owner, Orphan, Merge, CreateOrMerge] {
        for deletion in [DeletionPolicy::Retain, DeletionPolicy::Merge] {
            assert!(policy.allows(deletion), "{policy:?} {deletion:?}");
        }
        assert_eq!(policy.allows(DeletionPolicy::Delete), policy == Owner);
    }
}

#[test]
fn a_target_has_the_deletion_policy_that_is_written() {
    use crate::config::DeletionPolicy;
    for (line, policy) in [
        ("", DeletionPolicy::Retain),
        ("deletion_policy = \"retain\"", DeletionPolicy::Retain),
        ("deletion_policy = \"merge\"", DeletionPolicy::Merge),
        ("deletion_policy = \"delete\"", DeletionPolicy::Delete),
        (
            "creation_policy = \"merge\"\ndeletion_policy = \"merge\"",
            DeletionPolicy::Merge,
        ),
    ] {
        let config = config(&with("kubernetes", line));
        let targets = config.entries.values().flat_map(|entry| &entry.targets);
        let policies: Vec<DeletionPolicy> = targets
            .filter_map(|target| match target {
                Target::Kubernetes(target) => Some(target.deletion_policy),
                Target::File(_) => None,
            })
            .collect();
        assert!(policies.contains(&policy), "{line}: {policies:?}");
    }
}

#[test]
fn a_directory_takes_all_keys_and_lets_in_whom_its_files_let_read() {
    let directory = |more: &str| {
        let line =
            format!("[[secrets.e.file]]\npath = \"/nowhere/d/\"\nformat = \"directory\"\n{more}");
        with("file", &line)
    };
    let config = config(&directory("mode = \"0640\"\ndir_mode = \"0750\""));
    let entry = config.entries.values().next().unwrap();
    let Some(Target::File(file)) = entry.targets.last() else {
        panic!("a file");
    };
    assert_eq!(file.format, FileFormat::Directory);
    assert_eq!(file.path.as_os_str(), "/nowhere/d");
    let said = |more| {
        let mut messages = messages(&directory(more));
        messages.retain(|message| !message.starts_with("there is no such file yet"));
        messages
    };
    assert_eq!(said(""), [""; 0]);
    assert_eq!(
        said("key = \"a\""),
        ["`key` has a meaning only with `format = \"raw\"`"]
    );
    assert_eq!(
        said("dialect = \"shell\""),
        ["`dialect` has a meaning only with `format = \"dotenv\"`"]
    );
    assert_eq!(
        said("mode = \"0640\""),
        ["the group may read the files by `mode`, but not enter the directory by `dir_mode`"]
    );
    // The group's bits are what lets others in, also the files' owner.
    let owner =
        "the directory stays secretsyncd's, and by `dir_mode` its files' owner app cannot enter it";
    assert_eq!(said("owner = \"app\""), [owner]);
    assert_eq!(said("owner = \"app\"\ndir_mode = \"0711\""), [""; 0]);
    let group = "group = \"app\"\nmode = \"0640\"\ndir_mode = \"0750\"";
    assert_eq!(said(group), [""; 0]);
}
