//! The ways into a cluster.

use super::{Config, Room, Surroundings, load, messages, with, wrong};
use crate::config::{AwsBase, ClusterAccess, ClusterAuth, EksAuth, Tls};

const EKS: &str = r#"[clusters.e]
server = "https://h"
certificate_authority = "/nowhere/ca"
eks = { cluster_name = "prod", region = "eu-west-1", credentials = "prod" }"#;

fn lowered(room: &Room, surroundings: &Surroundings) -> (Config, Vec<String>) {
    let loaded = load(&room.path("main.toml"), surroundings);
    let loaded = loaded.unwrap_or_else(|d| panic!("{}", d.render(false)));
    let warnings = loaded.warnings.iter().map(|d| d.message.clone());
    (loaded.config, warnings.collect())
}

#[test]
fn eks_signs_as_its_store() {
    let keys = "access_key_id = { env = \"ID\" }\nsecret_access_key = { env = \"KEY\" }";
    let room = Room::new(&[("main.toml", &with("auth", &format!("{keys}\n{EKS}")))]);
    let (config, _) = lowered(
        &room,
        &Surroundings {
            root: true,
            ..Surroundings::default()
        },
    );
    let access = &config.clusters["e"].access;
    let EksAuth {
        cluster_name,
        region,
        auth,
    } = access.eks().unwrap();
    assert_eq!(
        (cluster_name.as_str(), region.as_str()),
        ("prod", "eu-west-1")
    );
    assert!(matches!(auth.base, AwsBase::Static { .. }));
    assert!(matches!(
        access,
        ClusterAccess::Server {
            auth: ClusterAuth::Eks(_),
            ..
        }
    ));
}

#[test]
fn what_does_not_fit_to_eks_is_named() {
    for (from, to, expected) in [
        (
            "certificate_authority = \"/nowhere/ca\"\n",
            "",
            "`eks` needs `certificate_authority`, too",
        ),
        (
            "server = \"https://h\"\n",
            "",
            "a cluster needs `kubeconfig` or `server`",
        ),
        (
            "server = \"https://h\"",
            "server = \"https://h\"\ntoken_file = \"/nowhere/t\"",
            "`server` needs one of `token_file`, `client_certificate` and `client_key`, `eks`",
        ),
        (
            "credentials = \"prod\"",
            "credentials = \"local\"",
            "`credentials` must be a store of AWS, whose `auth` signs",
        ),
        (
            "region = \"eu-west-1\"",
            "region = \"eu west\"",
            "`region` must be a region's name such as \"ap-northeast-1\"",
        ),
        (
            "cluster_name = \"prod\"",
            "cluster_name = \"a b\"",
            "`cluster_name` must be a name in EKS: letters, digits, `-` and `_`, at most 100, beginning with a letter or digit",
        ),
    ] {
        assert!(EKS.contains(from), "{from}");
        let found = wrong("cluster", &EKS.replace(from, to));
        assert_eq!(found, [expected], "{to}");
    }
    assert_eq!(wrong("cluster", EKS), Vec::<String>::new());
}

#[test]
fn one_way_into_a_cluster_is_enough() {
    for (line, expected) in [
        (
            "in_cluster = true",
            "`kubeconfig` has no meaning beside `in_cluster`",
        ),
        (
            "eks = { cluster_name = \"c\", region = \"r-1\", credentials = \"prod\" }",
            "`eks` has no meaning beside `kubeconfig`",
        ),
        (
            "[clusters.e]\nin_cluster = true\nallow_insecure_tls = true",
            "`allow_insecure_tls` has no meaning beside `in_cluster`",
        ),
        (
            "[clusters.e]\nserver = \"https://h\"\ntoken_file = \"t\"\nallow_insecure_tls = true",
            "`allow_insecure_tls` has no meaning without `kubeconfig`",
        ),
    ] {
        let found = wrong("cluster", line);
        assert!(found.iter().any(|m| m == expected), "{line}: {found:?}");
    }
}

#[test]
fn a_pod_is_its_own_way_in() {
    let room = Room::new(&[
        (
            "main.toml",
            &with("cluster", "[clusters.pod]\nin_cluster = true"),
        ),
        ("account/token", "t"),
        ("account/ca.crt", "ca"),
    ]);
    // As the kubelet leaves it.
    room.mode("account/token", 0o644);
    let pod = Surroundings {
        root: true,
        api_server: Some("https://10.96.0.1:443".into()),
        service_account: Some(room.path("account")),
        ..Surroundings::default()
    };
    let (config, warnings) = lowered(&room, &pod);
    assert!(
        matches!(&config.clusters["pod"].access, ClusterAccess::InCluster(account)
        if account.server.as_deref() == Some("https://10.96.0.1:443") && account.token() == room.path("account/token"))
    );
    for name in ["account/token", "account/ca.crt"] {
        assert!(config.inputs.contains(&room.path(name)), "{name}");
    }
    assert!(
        !warnings.iter().any(|w| w.contains("service account")),
        "{warnings:?}"
    );
    room.mode("account/token", 0o666);
    let refused = load(&room.path("main.toml"), &pod).unwrap_err();
    assert!(
        refused
            .iter()
            .any(|d| d.message == "anyone may write this file: what the pod's service account has"),
        "{refused:?}"
    );
    // Elsewhere it can be checked, and does not work.
    let (_, warnings) = lowered(
        &room,
        &Surroundings {
            root: true,
            ..Surroundings::default()
        },
    );
    assert!(
        warnings.iter().any(|w| w == "this does not run in a pod"),
        "{warnings:?}"
    );
}

/// A room with a kubeconfig whose cluster and user have these settings.
fn with_kubeconfig(line: &str, cluster: &str, user: &str) -> Room {
    let kubeconfig = format!(
        "clusters: [{{name: c, cluster: {{server: 'https://h'{cluster}}}}}]\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    );
    let table = format!("[clusters.e]\nkubeconfig = \"kubeconfig\"\n{line}");
    Room::new(&[
        ("main.toml", &with("cluster", &table)),
        ("kubeconfig", &kubeconfig),
        ("plugin", "#!/bin/sh\n"),
    ])
}

const PLUGIN: &str = "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: ./plugin}";

#[test]
fn the_program_of_a_credential_plugin_is_judged_like_a_configuration() {
    let room = with_kubeconfig("", "", PLUGIN);
    room.mode("plugin", 0o755);
    assert!(
        !room.messages().iter().any(|m| m.contains("plugin")),
        "{:?}",
        room.messages()
    );
    assert!(
        room.load()
            .unwrap()
            .config
            .inputs
            .iter()
            .any(|path| path.ends_with("plugin"))
    );
    room.mode("plugin", 0o777);
    let expected = "anyone may write this file: the credential plugin that this kubeconfig names";
    let refused = room.load().unwrap_err();
    assert!(refused.iter().any(|d| d.message == expected), "{refused:?}");
    room.mode("plugin", 0o775);
    let warned = room.messages();
    assert!(
        warned
            .iter()
            .any(|m| m.starts_with("this file's group may write it")),
        "{warned:?}"
    );
}

#[test]
fn a_connection_that_proves_nothing_is_warned_of() {
    const SKIP: &str = ", insecure-skip-tls-verify: true";
    const WARNED: &str = "this kubeconfig lets anyone on the way pose as the API server";
    let allowed = with_kubeconfig("allow_insecure_tls = true", SKIP, "token: t");
    assert!(
        allowed.messages().iter().any(|m| m == WARNED),
        "{:?}",
        allowed.messages()
    );
    let config = allowed.load().unwrap().config;
    assert!(matches!(
        config.clusters["e"].access,
        ClusterAccess::Kubeconfig {
            tls: Tls::AsTheKubeconfigSays,
            ..
        }
    ));
    let refused = with_kubeconfig("", SKIP, "token: t").messages();
    assert!(
        refused.iter().any(|m| m.contains("does not allow")),
        "{refused:?}"
    );
    let unused = with_kubeconfig("allow_insecure_tls = true", "", "token: t").messages();
    assert!(!unused.iter().any(|m| m == WARNED), "{unused:?}");
}

#[test]
fn a_circle_through_signed_tokens_is_found() {
    let keys = r#"access_key_id = { env = "ID" }
secret_access_key = { kubernetes = { cluster = "e", namespace = "n", name = "aws", key = "key" } }"#;
    let found = messages(&with("auth", &format!("{keys}\n{EKS}")));
    assert!(
        found.iter().any(|m| m.contains("needs cluster `e` first")),
        "{found:?}"
    );
}
