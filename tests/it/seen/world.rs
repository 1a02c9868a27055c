//! A machine with an entry for each trouble that an entry, a store or a cluster can have, and some without.

use std::fs;
use std::time::{Duration, Instant};

use super::machines::entry;
use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::kubernetes::{Fault as ClusterFault, Kubernetes, Rule};
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::sts::Sts;
use crate::support::wait::wait_until;

/// Entries that nothing happens to but new versions.
const CALM: usize = 8;

/// Removed at once, more than the brake lets go.
const LEAVING: usize = 10;

/// Longer than the rules, at their factor, call soon.
const LONG: Duration = Duration::from_hours(8);

pub struct World {
    aws: SecretsManager,
    away: SecretsManager,
    main: Kubernetes,
    gone: Kubernetes,
    /// Gives sessions that end soon and are not renewed.
    expiring: Sts,
    /// Gives sessions that end at once.
    lapsing: Sts,
    pub home: Home,
}

impl World {
    pub fn new() -> Self {
        let world = Self {
            aws: SecretsManager::start(),
            away: SecretsManager::start(),
            main: Kubernetes::start(),
            gone: Kubernetes::start(),
            expiring: Sts::start(),
            lapsing: Sts::start(),
            home: Home::new(),
        };
        world.rotate("one");
        for name in ["denied", "undelivered", "expiring", "lapsing"] {
            world.aws.put(name, "one");
        }
        world.away.put("throttled", "one");
        world.put_local("fought = \"one\"\nacting = \"one\"\nstale = \"one\"\n");
        let good = world.home.path("good");
        let script = format!("test -e {}\n", good.display());
        world.home.write("act.sh", script);
        fs::write(&good, "").unwrap();
        world.sessions_of(LONG, LONG);
        world.configure(&(world.staying("before") + &world.leaving()));
        world
    }

    /// How long sessions are that are given out from now on.
    fn sessions_of(&self, expiring: Duration, lapsing: Duration) {
        self.expiring.lifetime(expiring);
        self.lapsing.lifetime(lapsing);
    }

    /// What the local store holds.
    fn put_local(&self, lines: &str) {
        let leaving = (0..LEAVING).map(|number| format!("leaving-{number} = \"one\"\n"));
        let text = lines.to_owned() + &leaving.collect::<String>();
        let new = self.home.write("local.new", text);
        fs::rename(new, self.home.path("local.toml")).unwrap();
    }

    fn configure(&self, tables: &str) {
        // In one step: a daemon may be reading.
        let prune = "prune = true\nprune_after = \"1s\"\n";
        self.home.configure_with(prune, tables);
    }

    /// Another name of the session is another login.
    fn staying(&self, session: &str) -> String {
        let act = self.home.quoted("act.sh");
        let act = format!("on_change = {{ command = [\"/bin/sh\", {act}], debounce = \"1ms\" }}");
        let calm = (0..CALM).map(|number| secret("prod", &format!("calm-{number}"), "main"));
        let stale = entry(&self.home, "stale", "");
        [
            self.aws.store("prod"),
            self.away.store("away"),
            self.aws.store("expiring") + &role("expiring", &self.expiring, session),
            self.aws.store("lapsing") + &role("lapsing", &self.lapsing, session),
            "[stores.local.file]\npath = \"local.toml\"\n\n".to_owned(),
            self.main.cluster("main"),
            self.gone.cluster("gone"),
            calm.collect(),
            secret("prod", "denied", "main"),
            secret("prod", "undelivered", "gone"),
            secret("away", "throttled", "main"),
            secret("expiring", "expiring", "main"),
            secret("lapsing", "lapsing", "main"),
            entry(&self.home, "fought", ""),
            entry(&self.home, "acting", &act),
            stale.replace("store =", "max_stale = \"2s\"\nstore ="),
        ]
        .concat()
    }

    fn leaving(&self) -> String {
        let names = (0..LEAVING).map(|number| format!("leaving-{number}"));
        names.map(|name| entry(&self.home, &name, "")).collect()
    }

    pub fn break_all(&self, daemon: &Daemon<'_>) {
        self.rotate("two");
        self.gone.fail(Rule::any(), ClusterFault::Unauthorized);
        self.aws.put("undelivered", "two");
        self.aws.fail("denied", Fault::AccessDenied);
        self.away.fail_all(Fault::Throttling);
        self.fight(daemon);
        fs::remove_file(self.home.path("good")).unwrap();
        self.put_local("fought = \"one\"\nacting = \"two\"\n");
        self.sessions_of(Duration::from_hours(1), Duration::from_secs(5));
        self.configure(&self.staying("during"));
        let held = || daemon.metrics().value("secretsyncd_deletions_held", &[]) > 0.5;
        wait_until(PATIENCE, "removals to be held", held);
        self.home.configure_whole("[daemon\n");
    }

    /// Somebody else writes until we give in.
    fn fight(&self, daemon: &Daemon<'_>) {
        let end = Instant::now() + PATIENCE;
        while daemon.status().entry("fought").state() != "contested" {
            let new = self.home.write("theirs", "theirs");
            fs::rename(new, self.home.path("targets/fought")).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            assert!(Instant::now() < end, "it is no fight");
        }
    }

    /// A fight is ended by a person, and a person need not wait for the next try.
    pub fn mend_all(&self, daemon: &Daemon<'_>) {
        self.gone.heal();
        self.aws.heal();
        self.away.heal();
        fs::write(self.home.path("good"), "").unwrap();
        self.put_local("fought = \"one\"\nacting = \"two\"\nstale = \"one\"\n");
        self.sessions_of(LONG, LONG);
        self.configure(&(self.staying("after") + &self.leaving()));
        let reloaded = "secretsyncd_config_last_reload_successful";
        let good = || daemon.metrics().value(reloaded, &[]) > 0.5;
        wait_until(PATIENCE, "the configuration to be accepted", good);
        let done = self.home.finish(&["sync", "fought"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        // What is paused may still be.
        self.home.finish(&["sync", "--failing"]);
    }

    /// A new version of what is delivered without trouble.
    fn rotate(&self, value: &str) {
        for number in 0..CALM {
            self.aws.put(&format!("calm-{number}"), value);
        }
    }
}

/// An entry of a secret, into the Secret of its name.
fn secret(store: &str, name: &str, cluster: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"{store}\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"{name}\" }} }}]
[[secrets.{name}.kubernetes]]
cluster = \"{cluster}\"
namespace = \"app\"

"
    )
}

fn role(store: &str, sts: &Sts, session: &str) -> String {
    format!(
        "[stores.{store}.aws_secrets_manager.auth]
sts_endpoint_url = \"{}\"
role_arn = \"arn:aws:iam::123456789012:role/{store}\"
session_name = \"{session}\"

",
        sts.endpoint()
    )
}
