use std::time::Duration;

use super::place::Place;
use super::*;
use crate::account::Account;
use crate::command::fixture::{aws, config, entry, file, secrets_manager, value};
use crate::config::{
    AwsBase, Cluster, ClusterAccess, ClusterAuth, FileFormat, FileStore, FileTarget, Store, Target,
    ValueSource,
};
use crate::names::{ClusterName, RoleArn, StoreName};

const UNIT: &str = include_str!("../../../systemd/secretsyncd.service");

/// With the unit's defaults, and an entry for each list of files.
fn with_files<const N: usize>(entries: [&[&str]; N]) -> Config {
    let entries = entries.map(|paths| {
        let mut entry = entry("prod", Duration::from_hours(1), [value("x")]);
        let files = paths.iter().map(|path| {
            Target::File(Box::new(FileTarget {
                path: path.into(),
                format: FileFormat::Json,
                mode: 0o600,
                dir_mode: 0o700,
                owner: None,
                group: None,
                adopt: false,
                deletion_policy: crate::config::DeletionPolicy::Retain,
                check: None,
                on_change: None,
            }))
        });
        entry.targets.extend(files);
        entry
    });
    let mut config = config([("prod", secrets_manager())], entries);
    config.daemon.state_dir = unit::STATE_DIRECTORY.into();
    config.daemon.control_socket = Path::new(unit::RUNTIME_DIRECTORY).join("control.sock");
    config.files = vec![unit::CONFIG.into()];
    config
}

fn with_store(store: Store) -> Config {
    let mut config = with_files([]);
    config.stores = [(store_name("prod"), store)].into();
    config
}

fn store_name(name: &str) -> StoreName {
    StoreName::new(name).unwrap()
}

/// On a machine where every directory is there.
fn of(config: &Config) -> DropIn {
    DropIn::of(config, |_| true)
}

/// The lines that systemd reads.
fn settings(drop_in: &DropIn) -> Vec<String> {
    let text = drop_in.text();
    let lines = text
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn cluster(access: ClusterAccess) -> Cluster {
    Cluster {
        access,
        requests_per_second: Cluster::REQUESTS_PER_SECOND,
    }
}

#[test]
fn what_this_file_says_of_the_unit_is_so() {
    let has = |line: &str| assert!(UNIT.lines().any(|it| it == line), "{line}");
    has("ExecStart=/usr/bin/secretsyncd run");
    has(&format!("User={}", unit::USER));
    has(&format!(
        "StateDirectory={}",
        unit::STATE_DIRECTORY.strip_prefix("/var/lib/").unwrap()
    ));
    has(&format!(
        "RuntimeDirectory={}",
        unit::RUNTIME_DIRECTORY.strip_prefix("/run/").unwrap()
    ));
    has(&format!("TimeoutStopSec={}s", unit::TIMEOUT_STOP_SECONDS));
    for line in [
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "PrivateUsers=yes",
    ] {
        has(line);
    }
    assert!(!UNIT.contains("SECRETSYNCD_CONFIG"));
    let owners = include_str!("../../../systemd/secretsyncd-chown.conf");
    for name in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        let line = format!("{name}={}", unit::OWNERS);
        assert!(owners.lines().any(|it| it == line), "{line}");
    }
}

#[test]
fn a_configuration_within_the_unit_needs_nothing() {
    let mut config = with_files([
        &["/run/secretsyncd/app/db.env", "/var/lib/secretsyncd/x"],
        &["/dev/shm/y"],
    ]);
    config.files.push("/etc/secretsyncd/conf.d/app.toml".into());
    let drop_in = of(&config);
    insta::assert_snapshot!(drop_in.text(), @"# /etc/secretsyncd/secretsyncd.toml needs nothing beyond secretsyncd.service.");
    assert_eq!(drop_in.problems(), "");
}

#[test]
fn directories_of_files_are_opened_with_the_entries_that_write_there() {
    let entries: [&[&str]; 8] = [
        &["/run/app/db.env", "/run/app/db.json", "/srv/app/secrets/db"],
        &["/srv/app/secrets/deep/er/x"],
        &["/run/app/0"],
        &["/run/app/1"],
        &["/run/app/2"],
        &["/run/app/3"],
        &["/run/app/4"],
        &["/run/app-too/db"],
    ];
    let drop_in = of(&with_files(entries));
    insta::assert_snapshot!(drop_in.text(), @r#"
    # What /etc/secretsyncd/secretsyncd.toml needs beyond secretsyncd.service.
    # For /etc/systemd/system/secretsyncd.service.d/config.conf; then: systemctl daemon-reload

    [Service]
    # entry e0, entry e2, entry e3, entry e4, entry e5 and 1 more: writes there
    ReadWritePaths=-/run/app
    # entry e7: writes there
    ReadWritePaths=-/run/app-too
    # entry e0, entry e1: writes there
    ReadWritePaths=-/srv/app/secrets
    "#);
    assert_eq!(drop_in.problems(), "");
}

#[test]
fn a_directory_that_is_missing_is_named_with_the_way_to_make_it() {
    let config = with_files([&["/run/app/a"], &["/srv/app/b"], &["/etc/app/c"]]);
    let drop_in = DropIn::of(&config, |path| path.starts_with("/etc"));
    insta::assert_snapshot!(drop_in.problems(), @r#"
    problem: entry e0: /run/app is not there yet, and the service may not make it
      help: make it at every boot: a line `d /run/app 2750 secretsyncd GROUP -` in /etc/tmpfiles.d/, or RuntimeDirectory= of the unit that reads there; then restart secretsyncd
    problem: entry e1: /srv/app is not there yet, and the service may not make it
      help: make it: install -d -o secretsyncd -m 0700 '/srv/app'; then restart secretsyncd
    "#);
    insta::assert_snapshot!(drop_in.text(), @r#"
    # What /etc/secretsyncd/secretsyncd.toml needs beyond secretsyncd.service.
    # For /etc/systemd/system/secretsyncd.service.d/config.conf; then: systemctl daemon-reload

    # PROBLEM: entry e0: /run/app is not there yet, and the service may not make it
    #   make it at every boot: a line `d /run/app 2750 secretsyncd GROUP -` in /etc/tmpfiles.d/, or RuntimeDirectory= of the unit that reads there; then restart secretsyncd

    # PROBLEM: entry e1: /srv/app is not there yet, and the service may not make it
    #   make it: install -d -o secretsyncd -m 0700 '/srv/app'; then restart secretsyncd

    [Service]
    # entry e2: writes there
    ReadWritePaths=-/etc/app
    # entry e0: writes there
    ReadWritePaths=-/run/app
    # entry e1: writes there
    ReadWritePaths=-/srv/app
    "#);
}

#[test]
fn what_the_unit_hides_is_a_problem_with_a_next_step() {
    let config = with_files([
        &["/tmp/app/x", "/var/tmp/y"],
        &["/home/me/app/x"],
        &["/home/me/x", "/root/x", "/run/user/1000/x"],
        &["/proc/x", "/sys/x", "/dev/x"],
        &["/x"],
    ]);
    let drop_in = of(&config);
    insta::assert_snapshot!(drop_in.text(), @r#"
    # What /etc/secretsyncd/secretsyncd.toml needs beyond secretsyncd.service.
    # For /etc/systemd/system/secretsyncd.service.d/config.conf; then: systemctl daemon-reload

    # PROBLEM: entry e3: /dev is no place for files
    #   write below /run/secretsyncd or into a directory of its own

    # PROBLEM: entry e2: /home/me is not there for the service (ProtectHome=yes), and is too much to open to it
    #   write below /run/secretsyncd or into a directory of its own

    # PROBLEM: entry e1: /home/me/app is not there for the service (ProtectHome=yes); the lines below show it this directory alone
    #   write below /run/secretsyncd or into a directory of its own; else the whole way there must belong to root or secretsyncd

    # PROBLEM: entry e3: /proc is no place for files
    #   write below /run/secretsyncd or into a directory of its own

    # PROBLEM: entry e2: /root is not there for the service (ProtectHome=yes), and is too much to open to it
    #   write below /run/secretsyncd or into a directory of its own

    # PROBLEM: entry e2: /run/user/1000 is not there for the service (ProtectHome=yes), and is too much to open to it
    #   write below /run/secretsyncd or into a directory of its own

    # PROBLEM: entry e3: /sys is no place for files
    #   write below /run/secretsyncd or into a directory of its own

    # PROBLEM: entry e0: /tmp/app is written in a /tmp that only the service sees and that goes when it stops (PrivateTmp=yes)
    #   write below /run/secretsyncd or into a directory of its own

    # PROBLEM: entry e0: /var/tmp is written in a /tmp that only the service sees and that goes when it stops (PrivateTmp=yes)
    #   write below /run/secretsyncd or into a directory of its own

    # PROBLEM: entry e4: a file directly in / would need everything to be writable
    #   write below /run/secretsyncd or into a directory of its own

    [Service]
    # entry e1: empty homes but for what is bound below
    ProtectHome=tmpfs
    # entry e1: writes there
    BindPaths=-/home/me/app
    "#);
    assert_eq!(
        drop_in.problems().matches("  help: ").count(),
        drop_in.problems.len()
    );
}

#[test]
fn what_is_read_in_a_home_is_shown_alone_and_better_moved() {
    let mut config = with_files([]);
    config.files = vec![
        "/root/sync/main.toml".into(),
        "/root/sync/conf.d/a.toml".into(),
    ];
    config.clusters = [(
        ClusterName::new("edge").unwrap(),
        cluster(ClusterAccess::Kubeconfig {
            path: "/home/me/kubeconfig".into(),
            context: None,
            tls: crate::config::Tls::Verified,
        }),
    )]
    .into();
    insta::assert_snapshot!(of(&config).text(), @r#"
    # What /root/sync/main.toml needs beyond secretsyncd.service.
    # For /etc/systemd/system/secretsyncd.service.d/config.conf; then: systemctl daemon-reload

    # PROBLEM: cluster edge: /home/me/kubeconfig is not there for the service (ProtectHome=yes); the lines below show it to it, where secretsyncd may read it
    #   move it to /etc/secretsyncd, owned by secretsyncd and with mode 0400

    # PROBLEM: the configuration: /root/sync/conf.d/a.toml is not there for the service (ProtectHome=yes); the lines below show it to it, where secretsyncd may read it
    #   move it to /etc/secretsyncd, with group secretsyncd and mode 0640

    # PROBLEM: the configuration: /root/sync/main.toml is not there for the service (ProtectHome=yes); the lines below show it to it, where secretsyncd may read it
    #   move it to /etc/secretsyncd, with group secretsyncd and mode 0640

    [Service]
    # the configuration: not /etc/secretsyncd/secretsyncd.toml, which the unit reads
    Environment=SECRETSYNCD_CONFIG=/root/sync/main.toml
    # the configuration, cluster edge: empty homes but for what is bound below
    ProtectHome=tmpfs
    # cluster edge: reads it; when it is replaced, the new one is seen after a restart
    BindReadOnlyPaths=-/home/me/kubeconfig
    # the configuration: reads there
    BindReadOnlyPaths=-/root/sync
    # the configuration: reads there
    BindReadOnlyPaths=-/root/sync/conf.d
    "#);
}

#[test]
fn every_file_that_is_read_is_looked_at() {
    let secret = |name: &str| ValueSource::File(format!("/tmp/{name}").into());
    let keys = |token: Option<ValueSource>| {
        let mut spec = aws();
        spec.auth.base = AwsBase::Static {
            access_key_id: secret("id"),
            secret_access_key: secret("key"),
            session_token: token,
        };
        with_store(Store::ParameterStore(spec))
    };
    let web = {
        let mut spec = aws();
        spec.auth.base = AwsBase::WebIdentity {
            role_arn: RoleArn::new("arn:aws:iam::123456789012:role/x").unwrap(),
            token_file: "/tmp/web".into(),
        };
        with_store(Store::SecretsManager(spec))
    };
    let store = with_store(Store::File(FileStore {
        path: "/tmp/store".into(),
    }));
    let cluster = |auth: ClusterAuth| {
        let mut config = with_files([]);
        let access = ClusterAccess::Server {
            server: "https://10.0.0.1".to_owned(),
            certificate_authority: Some("/tmp/ca".into()),
            auth,
        };
        let name = ClusterName::new("edge").unwrap();
        config.clusters = [(name, cluster(access))].into();
        config
    };
    let token = cluster(ClusterAuth::TokenFile("/tmp/token".into()));
    let certificate = cluster(ClusterAuth::ClientCertificate {
        certificate: "/tmp/crt".into(),
        key: "/tmp/client-key".into(),
    });
    let mut template = with_files([&[]]);
    for entry in template.entries.values_mut() {
        entry.template_files = ["/tmp/j2".into()].into();
    }
    let cases: [(Config, &[&str]); 7] = [
        (keys(Some(secret("session"))), &["id", "key", "session"]),
        (keys(None), &["id", "key"]),
        (web, &["web"]),
        (store, &["store"]),
        (token, &["ca", "token"]),
        (certificate, &["ca", "client-key", "crt"]),
        (template, &["j2"]),
    ];
    for (config, wanted) in cases {
        let drop_in = of(&config);
        let named = drop_in
            .problems
            .keys()
            .map(|fact| fact.split(' ').next().unwrap());
        let wanted = wanted.iter().map(|name| format!("/tmp/{name}"));
        assert_eq!(named.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
        assert!(settings(&drop_in).is_empty());
    }
}

#[test]
fn the_state_elsewhere_is_systemds_to_make_where_it_can() {
    let of_state = |path: &str| {
        let mut config = with_files([]);
        config.daemon.state_dir = path.into();
        settings(&of(&config))
    };
    assert_eq!(
        of_state("/var/lib/other/state"),
        ["StateDirectory=other/state"]
    );
    assert_eq!(
        of_state("/var/lib/my state"),
        ["ReadWritePaths=\"-/var/lib/my state\""]
    );
    assert_eq!(of_state("/srv/state"), ["ReadWritePaths=-/srv/state"]);
}

#[test]
fn the_daemons_own_settings_have_their_directives() {
    let mut config = with_files([]);
    config.daemon.control_socket = "/run/elsewhere/c.sock".into();
    config.daemon.control_group = Some("ops".to_owned());
    config.daemon.shutdown_grace = Duration::from_secs(90);
    config.files = vec!["/srv/sync 100%/main.toml".into()];
    insta::assert_snapshot!(of(&config).text(), @r#"
    # What /srv/sync 100%/main.toml needs beyond secretsyncd.service.
    # For /etc/systemd/system/secretsyncd.service.d/config.conf; then: systemctl daemon-reload

    [Service]
    # the configuration: not /etc/secretsyncd/secretsyncd.toml, which the unit reads
    Environment="SECRETSYNCD_CONFIG=/srv/sync 100%%/main.toml"
    # `control_socket`: writes there
    ReadWritePaths=-/run/elsewhere
    # `control_group`: a member may give to the group
    SupplementaryGroups=ops
    # `control_group`: in a user namespace there is no other group
    PrivateUsers=no
    # `control_group`: to give something to a group of its own; not a capability
    SystemCallFilter=@chown
    # `shutdown_grace`: systemd must not end what is under way before that
    TimeoutStopSec=115s
    "#);
    config.daemon.control_group = Some("ops %n".to_owned());
    assert!(!of(&config).text().contains("SupplementaryGroups"));
    assert_eq!(of(&config).problems.len(), 1);
}

#[test]
fn the_grace_of_the_unit_is_enough_for_the_default() {
    let with = |seconds| {
        let mut config = with_files([]);
        config.daemon.shutdown_grace = Duration::from_secs(seconds);
        settings(&of(&config))
    };
    assert!(with(20).is_empty());
    assert_eq!(with(21), ["TimeoutStopSec=46s"]);
}

#[test]
fn credentials_from_the_environment_and_profiles_need_a_place() {
    let mut spec = aws();
    spec.auth.base = AwsBase::Static {
        access_key_id: ValueSource::Env("ID".to_owned()),
        secret_access_key: ValueSource::Env("KEY".to_owned()),
        session_token: None,
    };
    let mut config = with_store(Store::SecretsManager(spec));
    let mut profile = aws();
    profile.auth.base = AwsBase::Profile("sync".to_owned());
    config
        .stores
        .insert(store_name("named"), Store::ParameterStore(profile));
    config.stores.insert(store_name("plain"), file());
    insta::assert_snapshot!(of(&config).text(), @r#"
    # /etc/secretsyncd/secretsyncd.toml needs nothing beyond secretsyncd.service.

    # PROBLEM: store prod: a credential comes from the environment, which the service does not have
    #   take it from a file; or name a file of root's, mode 0600, by EnvironmentFile=, never Environment=, which every user may read

    # PROBLEM: store named: its profile is read from /var/lib/secretsyncd/.aws, the service's home
    #   put it there, or name another file by Environment=AWS_CONFIG_FILE=
    "#);
}

#[test]
fn paths_are_written_as_systemd_reads_them_or_not_at_all() {
    let written = |path: &str| settings(&of(&with_files([&[path]])));
    assert_eq!(written("/srv/100%/x"), ["ReadWritePaths=-/srv/100%%"]);
    assert_eq!(
        written("/srv/my app/x"),
        ["ReadWritePaths=\"-/srv/my app\""]
    );
    assert_eq!(written("/srv/\u{e9}/x"), ["ReadWritePaths=-/srv/\u{e9}"]);
    for path in [
        "/srv/a\nb/x",
        "/srv/a\tb/x",
        "/srv/a\"b/x",
        "/srv/a'b/x",
        "/srv/a\\b/x",
        "/srv/../b/x",
    ] {
        let drop_in = of(&with_files([&[path]]));
        assert!(settings(&drop_in).is_empty(), "{path:?}");
        assert_eq!(drop_in.problems.len(), 1, "{path:?}");
        // A line that would be read as another setting.
        assert!(
            !drop_in.text().lines().any(|line| line.starts_with('b')),
            "{path:?}"
        );
    }
    let bound = of(&with_files([&["/home/me/a:b/x"]]));
    assert!(settings(&bound).is_empty());
}

#[test]
fn places_are_told_by_whole_names() {
    let of = |path: &str| place::of(Path::new(path));
    assert_eq!(of("/homes/x"), Place::ReadOnly);
    assert_eq!(of("/tmpfs"), Place::ReadOnly);
    assert_eq!(of("/run/secretsyncd-too"), Place::ReadOnly);
    assert_eq!(of("/run/user"), Place::WholeHome);
    assert_eq!(of("/home/me"), Place::WholeHome);
    assert_eq!(of("/root/.kube"), Place::Home);
    assert_eq!(of("/dev"), Place::Kernel);
}

fn given(path: &str, owner: Option<&str>, group: Option<&str>) -> Target {
    let account = |name: &str| Account::new(name).unwrap();
    Target::File(Box::new(FileTarget {
        path: path.into(),
        format: FileFormat::Json,
        mode: 0o640,
        dir_mode: 0o750,
        owner: owner.map(account),
        group: group.map(account),
        adopt: false,
        deletion_policy: crate::config::DeletionPolicy::Retain,
        check: None,
        on_change: None,
    }))
}

#[test]
fn a_group_needs_membership_and_an_owner_capabilities() {
    let mut config = with_files([&[], &[], &[], &[]]);
    let below = |name: &str| format!("{}/{name}", unit::RUNTIME_DIRECTORY);
    let targets = [
        given(&below("a"), None, Some("nginx")),
        given(&below("b"), None, Some("nginx")),
        given(&below("c"), Some("app"), Some("web")),
        given(&below("d"), Some(unit::USER), Some(unit::USER)),
    ];
    for (entry, target) in config.entries.values_mut().zip(targets) {
        entry.targets.push(target);
    }
    insta::assert_snapshot!(of(&config).text(), @r#"
    # What /etc/secretsyncd/secretsyncd.toml needs beyond secretsyncd.service.
    # For /etc/systemd/system/secretsyncd.service.d/config.conf; then: systemctl daemon-reload

    [Service]
    # entry e0, entry e1: a member may give to the group
    SupplementaryGroups=nginx
    # entry e2: to give files to another owner, and to set the modes of such files
    CapabilityBoundingSet=CAP_CHOWN CAP_FOWNER
    # entry e2: to give files to another owner, and to set the modes of such files
    AmbientCapabilities=CAP_CHOWN CAP_FOWNER
    # entry e0, entry e1, entry e2: in a user namespace there is no other user or group
    PrivateUsers=no
    # entry e0, entry e1, entry e2: to give something away
    SystemCallFilter=@chown
    "#);
    config.entries.pop_last();
    config.entries.pop_last();
    let groups = settings(&of(&config));
    let wanted = [
        "SupplementaryGroups=nginx",
        "PrivateUsers=no",
        "SystemCallFilter=@chown",
    ];
    assert_eq!(groups, wanted);
}

#[test]
fn a_directory_that_is_missing_is_made_for_the_group_of_its_files() {
    let mut config = with_files([&[]]);
    let targets = ["/run/app/a", "/run/app/b"].map(|path| given(path, None, Some("app")));
    config
        .entries
        .values_mut()
        .next()
        .unwrap()
        .targets
        .extend(targets);
    let problems = DropIn::of(&config, |_| false).problems();
    assert!(
        problems.contains("`d /run/app 2750 secretsyncd app -`"),
        "{problems}"
    );
}

/// A program of a kubeconfig has to be there for the service, too, and so do the files that it names.
#[test]
fn what_a_kubeconfig_names_is_shown_to_the_service() {
    let place = tempfile::tempdir().unwrap();
    let kubeconfig = place.path().join("kubeconfig");
    std::fs::write(
        &kubeconfig,
        "
clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: /home/me/ca/ca.crt}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /home/me/bin/login, interactiveMode: Never}}}]
",
    )
    .unwrap();
    let mut config = with_files([]);
    let access = ClusterAccess::Kubeconfig {
        path: kubeconfig,
        context: None,
        tls: crate::config::Tls::Verified,
    };
    let name = ClusterName::new("prod").unwrap();
    config.clusters.insert(name, cluster(access));
    let drop_in = of(&config);
    let settings = settings(&drop_in);
    for line in [
        "BindReadOnlyPaths=-/home/me/bin/login",
        "BindReadOnlyPaths=-/home/me/ca",
    ] {
        assert!(settings.iter().any(|it| it == line), "{settings:?}");
    }
    let problems = drop_in.problems();
    assert!(problems.contains("as in /usr/local/bin"), "{problems}");
}

#[test]
fn what_is_done_to_units_is_allowed_by_unit_and_verb() {
    let mut drop_in = of(&with_files([]));
    assert_eq!(drop_in.rule(), None);
    for (name, verb, entry) in [
        ("nginx.service", Verb::Reload, "entry tls"),
        ("nginx.service", Verb::Reload, "entry tls2"),
        ("app@1.service", Verb::Restart, "entry db"),
        ("nginx.service", Verb::Signal, "entry db"),
        ("a\"b\\x2d.service", Verb::Restart, "entry odd"),
    ] {
        drop_in.unit(name, verb, entry);
    }
    insta::assert_snapshot!(drop_in.rule().unwrap(), @r#"
    // What /etc/secretsyncd/secretsyncd.toml needs of polkit (0.106 or later).
    // For /etc/polkit-1/rules.d/50-secretsyncd.rules; polkit reads it by itself.
    polkit.addRule(function(action, subject) {
        if (action.id !== "org.freedesktop.systemd1.manage-units" || subject.user !== "secretsyncd") {
            return polkit.Result.NOT_HANDLED;
        }
        var allowed = [
            // entry odd: restart_unit
            "a\"b\\x2d.service try-restart",
            // entry db: restart_unit
            "app@1.service try-restart",
            // entry tls, entry tls2: reload_unit
            "nginx.service reload-or-try-restart",
            // entry db: signal
            "nginx.service kill",
        ];
        if (allowed.indexOf(action.lookup("unit") + " " + action.lookup("verb")) !== -1) {
            return polkit.Result.YES;
        }
        return polkit.Result.NOT_HANDLED;
    });
    "#);
    assert!(drop_in.text().contains("systemd-dropin --polkit"));
}
