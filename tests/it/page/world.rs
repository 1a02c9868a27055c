//! Twenty entries: every state, every trouble that the page has a place for, and names that mean no good.

use std::fs;

use rustix::process::Signal;

use crate::support::daemon::{Daemon, Home, PATIENCE, free_port, wait_content};
use crate::support::kubernetes::Kubernetes;
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::wait::wait_until;

/// The key of a secret that there is not, which a file store lets be anything: markup, quotes, and a turn of the direction of writing.
pub const HOSTILE_KEY: &str =
    "<script>window.pwned=1</script>\u{27}>\u{202e}<img src=x onerror=window.pwned=1>&amp; שלום";

pub const ENTRIES: usize = 20;

/// A part of a path.
pub const HOSTILE_PATH: &str = "<b onmouseover=window.pwned=1>&lt;\u{27} \u{202e}gpj.exe";

/// As long as a name can be.
pub fn long_name() -> String {
    let name = "long/".to_owned() + &"payments-and-settlement-".repeat(11);
    name[..253].to_owned()
}

pub struct World {
    pub aws: SecretsManager,
    kubernetes: Kubernetes,
    pub home: Home,
}

impl World {
    pub fn new() -> Self {
        let world = Self {
            aws: SecretsManager::start(),
            kubernetes: Kubernetes::start(),
            home: Home::new(),
        };
        world
            .home
            .write("targets/blocked", "a file where a directory should be");
        world.home.write("notes.toml", "one = \"1\"\n");
        world.home.configure(&world.tables());
        world
    }

    fn file(&self, name: &str) -> String {
        let path = self.home.path(&format!("targets/{name}"));
        let path = toml::Value::from(path.display().to_string());
        format!("[[secrets.{NAME}.file]]\npath = {path}\nkey = \"value\"\n")
    }

    /// One entry with a secret of its name, of which `more` says where it goes.
    fn entry(&self, name: &str, settings: &str, targets: &str) -> String {
        self.aws.put(name, "value");
        let source =
            format!("data = [{{ secret_key = \"value\", remote_ref = {{ key = \"{name}\" }} }}]");
        Self::entry_of(name, &format!("{settings}\n{source}"), targets)
    }

    fn entry_of(name: &str, settings: &str, targets: &str) -> String {
        let targets = targets.replace(NAME, &format!("{name:?}"));
        let store = if settings.contains("store = ") {
            ""
        } else {
            "store = \"prod\"\n"
        };
        format!("[secrets.{name:?}]\n{store}{settings}\n{targets}\n")
    }

    fn in_cluster(cluster: &str, more: &str) -> String {
        format!("[[secrets.{NAME}.kubernetes]]\ncluster = \"{cluster}\"\n{more}\n")
    }

    fn tables(&self) -> String {
        let fresh = [
            "billing/db",
            "billing/smtp",
            "edge/tls",
            "identity/oidc",
            "search/api",
            "shop/cart",
            "shop/db",
        ];
        let fresh = fresh.map(|name| {
            let target = format!("namespace = \"app\"\nname = \"{}\"", name.replace('/', "-"));
            self.entry(name, "", &Self::in_cluster("main", &target))
        });
        let long = long_name();
        let key = toml::Value::from(HOSTILE_KEY);
        let hostile = format!(
            "store = \"notes\"\ndata = [{{ secret_key = \"value\", remote_ref = {{ key = {key} }} }}]"
        );
        let many: String = (0..5)
            .map(|part| self.file(&format!("many-{part}")))
            .collect();
        self.aws.put("kept", "value");
        [
            self.aws.store("prod"),
            format!("[stores.notes.file]\npath = {}\n\n", self.home.quoted("notes.toml")),
            format!(
                "[stores.far.aws_secrets_manager]\nregion = \"eu-central-1\"\nendpoint_url = \"http://127.0.0.1:{}\"\n\n",
                free_port()
            ),
            self.kubernetes.cluster("main"),
            self.silent_cluster(),
            fresh.concat(),
            self.entry(&long, "", &self.file("long")),
            self.entry("hostile/path", "", &self.file(HOSTILE_PATH)),
            Self::entry_of("hostile/source", &hostile, &self.file("source")),
            self.entry("many/targets", "", &(many + &Self::in_cluster("gone", "namespace = \"app\"\nname = \"many\""))),
            self.entry("one/told", "", &(self.file("told") + "on_change = { command = [\"/bin/false\"] }\n")),
            self.entry("old/stale", "refresh_interval = \"10s\"\nmax_stale = \"10s\"", &self.file("stale")),
            self.entry("two/hands", "refresh_interval = \"10s\"", &self.file("hands")),
            self.entry("later/space", "", &Self::in_cluster("main", "namespace_selector = \"team=nobody\"\nname = \"later\"")),
            self.entry("off/one", "suspend = true", &self.file("off")),
            self.entry("far/db", "store = \"far\"", &self.file("far")),
            self.entry("gone/app", "", &Self::in_cluster("gone", "namespace = \"app\"\nname = \"gone\"")),
            Self::entry_of(
                "some/kept",
                "refresh_interval = \"10s\"\non_missing = \"keep_last\"\ndata = [{ secret_key = \"a\", remote_ref = { key = \"shop/db\" } }, { secret_key = \"b\", remote_ref = { key = \"kept\" } }]",
                &self.file("kept").replace("key = \"value\"", "format = \"json\""),
            ),
            self.entry("write/denied", "", &self.file("blocked/below")),
        ]
        .concat()
    }

    /// One that nobody answers for.
    fn silent_cluster(&self) -> String {
        let authority = self.home.write("ca.crt", self.kubernetes.authority());
        let token = self.home.write("token", "MARKER-token");
        format!(
            "[clusters.gone]\nserver = \"https://127.0.0.1:{}\"\ncertificate_authority = {:?}\ntoken_file = {:?}\n\n",
            free_port(),
            authority.display().to_string(),
            token.display().to_string()
        )
    }

    /// Started, and every state is there.
    pub fn start(&self) -> Daemon<'_> {
        let mut daemon = self.home.start();
        wait_content(&self.home, "targets/stale", "value");
        wait_content(
            &self.home,
            "targets/kept",
            "{\"a\":\"value\",\"b\":\"value\"}\n",
        );
        self.aws.fail("old/stale", Fault::AccessDenied);
        self.aws.schedule_deletion("kept");
        daemon.wait_ready(PATIENCE * 2);
        daemon.wait_state("two/hands", "fresh");
        wait_until(PATIENCE, "a fight", || {
            fs::write(self.home.path("targets/hands"), "theirs").unwrap();
            daemon.status().entry("two/hands").state() == "contested"
        });
        for (name, state) in [
            ("billing/db", "fresh"),
            ("hostile/source", "failing"),
            ("later/space", "pending"),
            ("off/one", "suspended"),
            ("some/kept", "partial"),
            ("old/stale", "stale"),
        ] {
            daemon.wait_state(name, state);
        }
        wait_paused(&daemon);
        daemon
    }

    /// A configuration that is refused.
    pub fn break_configuration(&self, daemon: &Daemon<'_>) {
        self.home.configure("[secrets.\"broken\"]\nstroe = 1\n");
        daemon.signal(Signal::HUP);
        wait_until(PATIENCE, "the refusal", || {
            daemon.status().0["reload"]["successful"] == false
        });
    }
}

/// The store and the cluster that nobody answers for are known to be so.
pub fn wait_paused(daemon: &Daemon<'_>) {
    wait_until(PATIENCE, "a store and a cluster are paused", || {
        let status = daemon.status();
        ["paused_stores", "paused_clusters"]
            .iter()
            .all(|it| status.0[it][0].is_object())
    });
}

/// Stands for the name of the entry that a target is of.
const NAME: &str = "NAME";
