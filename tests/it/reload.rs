//! A configuration that changes while the daemon runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::daemon::{Daemon, Home, PATIENCE, free_port, wait_content};
use crate::support::http;
use crate::support::kubernetes::Kubernetes;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

fn entry(home: &Home, name: &str, key: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"prod\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"{key}\" }} }}]
[[secrets.{name}.file]]
path = {path}
key = \"value\"
",
        path = home.quoted(&format!("targets/{name}")),
    )
}

fn reloads(daemon: &Daemon<'_>) -> (f64, bool) {
    let metrics = daemon.metrics();
    let total = metrics.value("secretsyncd_config_reloads_total", &[]);
    let good = metrics.value("secretsyncd_config_last_reload_successful", &[]);
    (total, good > 0.5)
}

/// Waits until so many reloads were made; the last one ended so.
fn wait_reloads(daemon: &Daemon<'_>, at_least: f64, good: bool) {
    wait_until(PATIENCE, "a reload", || {
        let (total, last) = reloads(daemon);
        total >= at_least && last == good
    });
}

#[test]
fn a_changed_file_is_taken_up_and_only_what_changed_runs() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    for key in ["a", "b", "c"] {
        aws.put(key, &format!("value of {key}"));
    }
    let store = aws.store("prod");
    let tables = |entries: &[(&str, &str)]| {
        let entries = entries.iter().map(|(name, key)| entry(&home, name, key));
        store.clone() + &entries.collect::<String>()
    };
    home.configure(&tables(&[("stays", "a"), ("changes", "b"), ("goes", "b")]));
    let daemon = home.start_ready();
    let before = aws.log();
    // As an editor saves it: beside it, and then over it.
    let path = home.path("secretsyncd.toml");
    let text = fs::read_to_string(&path).unwrap();
    let daemon_table = text.split("[stores").next().unwrap();
    let next =
        daemon_table.to_owned() + &tables(&[("stays", "a"), ("changes", "c"), ("comes", "c")]);
    fs::rename(home.write("new.toml", next), &path).unwrap();
    wait_content(&home, "targets/comes", "value of c");
    wait_content(&home, "targets/changes", "value of c");
    let status = daemon.wait_state("comes", "fresh");
    assert!(status.find("goes").is_none());
    assert_eq!(
        home.read_text("targets/goes").unwrap(),
        "value of b",
        "it stays"
    );
    let after = aws.log();
    let read = |name: &str| after.read_count(name) - before.read_count(name);
    assert_eq!(["a", "b", "c"].map(read), [0, 0, 1]);
    let metrics = daemon.metrics();
    let gone = metrics.sum(
        "secretsyncd_last_success_timestamp_seconds",
        &[("secret", "goes")],
    );
    assert_eq!(gone, None, "no series of what is gone");
    assert!(
        (metrics
            .sum("secretsyncd_secrets", &[("state", "fresh")])
            .unwrap()
            - 3.0)
            .abs()
            < 0.1
    );
}

#[test]
fn a_broken_configuration_changes_nothing_and_is_seen() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("a", "one");
    let good = aws.store("prod") + &entry(&home, "db", "a");
    home.configure(&good);
    let daemon = home.start_ready();
    assert_eq!(reloads(&daemon), (0.0, true));
    home.configure(&good.replace("secret_key", "secret_kye"));
    wait_reloads(&daemon, 1.0, false);
    let page = daemon.page("/status");
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["reload"]["successful"], false, "{page}");
    let error = page["reload"]["error"].as_str().unwrap();
    assert!(
        error.contains("`secret_key` is missing, and 1 more")
            && error.contains("secretsyncd.toml:"),
        "{error}"
    );
    let log = daemon.output();
    assert!(log.contains("the configuration was not reloaded"), "{log}");
    // The next step is the same wherever it is read, and can be taken as it stands.
    let path = home.path("secretsyncd.toml");
    let help = format!(
        "`secretsyncd check --config {}` shows every error",
        path.display()
    );
    assert!(log.contains(&help), "{log}");
    assert!(
        page["reload"]["help"].as_str().unwrap().contains(&help),
        "{page}"
    );
    // What is wrong there is no reason not to be told how everything stands.
    let told = home.finish(&["status"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    // Above all the rest, which is by the one from before.
    let line = told.stdout.lines().next().unwrap();
    assert!(
        line.contains("was not reloaded") && line.contains("`secret_key` is missing"),
        "{line}"
    );
    assert!(told.stdout.contains(&help), "{told:?}");
    assert_eq!(daemon.status().entry("db").state(), "fresh");
    home.configure(&(good.clone() + &entry(&home, "more", "a")));
    wait_content(&home, "targets/more", "one");
    wait_reloads(&daemon, 2.0, true);
    // When something is done is a part of what is configured.
    let asleep = good.replace("store = \"prod\"", "store = \"prod\"\nsuspend = true");
    home.configure(&(asleep + &entry(&home, "more", "a")));
    daemon.wait_state("db", "suspended");
    wait_until(PATIENCE, "a true count", || {
        daemon.output().contains("changed=1 removed=0 unchanged=1")
    });
}

#[test]
fn an_include_that_suddenly_matches_nothing_is_refused() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("a", "one");
    home.write("conf.d/db.toml", entry(&home, "db", "a"));
    home.configure("");
    let text = home.read_text("secretsyncd.toml").unwrap();
    home.configure_whole(&format!(
        "include = [\"conf.d/*.toml\"]\n{text}{}",
        aws.store("prod")
    ));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "one");
    fs::remove_file(home.path("conf.d/db.toml")).unwrap();
    wait_reloads(&daemon, 1.0, false);
    assert!(
        daemon.output().contains("now matches none"),
        "{}",
        daemon.output()
    );
    assert_eq!(daemon.status().entry("db").state(), "fresh");
    // A new file there is taken up.
    home.write("conf.d/other.toml", entry(&home, "other", "a"));
    wait_content(&home, "targets/other", "one");
    wait_reloads(&daemon, 2.0, true);
    assert!(daemon.status().find("db").is_none());
}

#[test]
fn a_directory_that_is_swapped_by_a_symlink_is_followed() {
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    aws.put("a", "one");
    home.configure("");
    let daemon_table = home.read_text("secretsyncd.toml").unwrap();
    let tables = |name| {
        format!(
            "{daemon_table}{}{}",
            aws.store("prod"),
            entry(&home, name, "a")
        )
    };
    home.write("map/..1/app.toml", tables("first"));
    home.write("map/..2/app.toml", tables("second"));
    symlink("..1", home.path("map/..data")).unwrap();
    symlink("..data/app.toml", home.path("map/app.toml")).unwrap();
    home.use_config("map/app.toml");
    let daemon = home.start_ready();
    wait_content(&home, "targets/first", "one");
    symlink("..2", home.path("map/..tmp")).unwrap();
    fs::rename(home.path("map/..tmp"), home.path("map/..data")).unwrap();
    wait_content(&home, "targets/second", "one");
    wait_reloads(&daemon, 1.0, true);
}

#[test]
fn stores_and_the_address_change_without_a_restart() {
    let (aws, other, home) = (
        SecretsManager::start(),
        SecretsManager::start(),
        Home::new(),
    );
    aws.put("a", "from the one");
    other.put("a", "from the other");
    home.configure(&(aws.store("prod") + &entry(&home, "db", "a")));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "from the one");
    home.configure(&(other.store("prod") + &entry(&home, "db", "a")));
    daemon.signal(Signal::HUP);
    wait_content(&home, "targets/db", "from the other");
    let port = free_port();
    let text = home.read_text("secretsyncd.toml").unwrap();
    home.configure_whole(&text.replace(&format!(":{}\"", home.port()), &format!(":{port}\"")));
    wait_until(PATIENCE, "the new address", || {
        let page = http::get(&format!("http://127.0.0.1:{port}/readyz"));
        page.is_some_and(|page| page.status == 200)
    });
    wait_until(PATIENCE, "the old address to fall silent", || {
        http::get(&format!("http://127.0.0.1:{}/readyz", home.port())).is_none()
    });
    // An address that is taken is no reason to stop.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port();
    home.configure_whole(&text.replace(&format!(":{}\"", home.port()), &format!(":{taken}\"")));
    wait_until(PATIENCE, "a refused reload", || {
        let page = http::get(&format!("http://127.0.0.1:{port}/metrics"));
        page.is_some_and(|page| {
            page.body
                .contains("secretsyncd_config_last_reload_successful 0")
        })
    });
    // It says what to do about that, and not what to do about mistakes.
    let told = home.finish(&["status"]).stdout;
    let (refused, _) = told.split_once("db ").unwrap();
    for said in [
        "was not reloaded",
        &format!("cannot listen on 127.0.0.1:{taken}"),
        "help: choose another `listen` in [daemon]",
    ] {
        assert!(refused.contains(said), "{said}: {told}");
    }
    assert!(!told.contains("`secretsyncd check"), "{told}");
}

#[test]
fn a_template_and_a_file_store_are_watched() {
    let home = Home::new();
    home.write("secrets.toml", "token = \"one\"\n");
    let template = home.write("t.j2", "a {{ value }}");
    home.configure(&format!(
        "[stores.prod.file]\npath = {store}\n{entry}[secrets.db.template]\nfrom = [{{ file = {template:?}, key = \"value\" }}]\n",
        store = home.quoted("secrets.toml"),
        entry = entry(&home, "db", "token"),
    ));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "a one");
    home.write("t.j2", "b {{ value }}");
    wait_content(&home, "targets/db", "b one");
    // Its interval is an hour.
    home.write("secrets.toml", "token = \"two\"\n");
    wait_content(&home, "targets/db", "b two");
    wait_reloads(&daemon, 1.0, true);
}

#[test]
fn a_run_under_way_ends_before_its_entry_s_next_configuration_begins() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("a", "one");
    aws.put("b", "two");
    home.configure(&(aws.store("prod") + &entry(&home, "db", "a")));
    let daemon = home.start_ready();
    for round in 0..20 {
        let key = if round % 2 == 0 { "b" } else { "a" };
        home.configure(&(aws.store("prod") + &entry(&home, "db", key)));
        daemon.signal(Signal::HUP);
    }
    wait_content(&home, "targets/db", "one");
    wait_until(PATIENCE, "the end of the reloads", || {
        reloads(&daemon).0 >= 1.0
    });
    daemon.wait_state("db", "fresh");
    stays_true(
        Duration::from_secs(2),
        "the last configuration's content",
        || home.read_text("targets/db").as_deref() == Some("one"),
    );
}

/// Bug: whoever wrote the file anew, and was slow, took every entry away for a moment.
#[test]
fn a_configuration_that_was_emptied_is_not_taken() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("a", "one");
    home.configure(&(aws.store("prod") + &entry(&home, "db", "a")));
    let daemon = home.start_ready();
    home.configure(&aws.store("prod"));
    daemon.signal(Signal::HUP);
    wait_reloads(&daemon, 1.0, false);
    wait_until(PATIENCE, "the reason in the log", || {
        daemon
            .output()
            .contains("there were 1 entries, and now there is none")
    });
    assert_eq!(daemon.status().states(), ["fresh"]);
    assert_eq!(daemon.stop(), Some(0));
}

/// Two thousand entries, and fifty configurations, every third of them broken.
#[test]
fn fifty_reloads_lose_no_entry_and_read_each_as_often_as_it_is_due() {
    const ENTRIES: usize = 2000;
    const RELOADS: usize = 50;
    let (aws, home) = (SecretsManager::start(), Home::new());
    let mut tables = aws.store("prod");
    for n in 0..ENTRIES {
        aws.put(&format!("e{n}"), &format!("value {n}"));
        tables += &entry(&home, &format!("e{n}"), &format!("e{n}"));
    }
    home.configure(&tables);
    // How soon so many are there is not what this is about.
    let mut daemon = home.start();
    daemon.wait_ready(PATIENCE * 4);
    assert_eq!(daemon.status().states(), vec!["fresh"; ENTRIES]);
    let first = aws.log();
    for reload in 0..RELOADS {
        let broken = reload % 3 == 0;
        let more = if broken {
            "[secrets.broken\n".to_owned()
        } else {
            // One that comes, and with the next one goes.
            entry(&home, &format!("new{reload}"), "e0")
        };
        home.configure(&(tables.clone() + &more));
        daemon.signal(Signal::HUP);
        let least = f64::from(u32::try_from(reload).unwrap()) + 1.0;
        wait_reloads(&daemon, least, !broken);
        if !broken {
            wait_content(&home, &format!("targets/new{reload}"), "value 0");
        }
    }
    home.configure(&tables);
    daemon.signal(Signal::HUP);
    wait_until(PATIENCE, "the configuration from the beginning", || {
        daemon.status().states().len() == ENTRIES
    });
    assert_eq!(daemon.status().states(), vec!["fresh"; ENTRIES]);
    let last = aws.log();
    // Their interval is an hour: within it, each comes round at most once, by its place in the grid.
    let minutes = (last.0.last().unwrap().at - first.0.first().unwrap().at).as_secs() / 60 + 1;
    let due = usize::try_from(minutes).unwrap() * ENTRIES / 60 + 20;
    let reads = |n: usize| {
        let name = format!("e{n}");
        last.read_count(&name) - first.read_count(&name)
    };
    let again: usize = (1..ENTRIES).map(reads).sum();
    assert!(again <= due, "{again} reads where {due} were due");
    assert!(
        (1..ENTRIES).all(|n| reads(n) <= 1),
        "none is read twice in an hour"
    );
    let good = RELOADS - RELOADS.div_ceil(3);
    assert!(reads(0) >= good, "each new entry was read");
}

/// Bug: what was told of a store's entries as they left began its series anew, at less than nothing.
#[test]
fn a_store_that_goes_leaves_no_series_behind() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("a", "one");
    home.configure(&(aws.store("prod") + &entry(&home, "db", "a")));
    let daemon = home.start_ready();
    let renamed = entry(&home, "db", "a").replace("store = \"prod\"", "store = \"other\"");
    home.configure(&(aws.store("other") + &renamed));
    // A file that was written just before the start may be loaded once more, so the reload is known by what it did.
    let moved = || {
        let metrics = daemon.metrics();
        let of = |store| metrics.sum("secretsyncd_secrets", &[("store", store)]);
        of("prod").is_none() && of("other").is_some_and(|it| (it - 1.0).abs() < f64::EPSILON)
    };
    wait_until(PATIENCE, "the series of the other store alone", moved);
    stays_true(Duration::from_secs(1), "nothing begins them anew", moved);
}

#[test]
fn a_changed_leader_counts_from_the_next_start_and_the_log_says_so() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let cluster = Kubernetes::start();
    cluster.create_namespace("locks");
    aws.put("a", "value");
    let configure = |identity: &str| {
        let lease = format!(
            "[daemon.leader]\ncluster = \"main\"\nnamespace = \"locks\"\nidentity = \"{identity}\"\n\n"
        );
        let tables = [
            lease,
            aws.store("prod"),
            cluster.cluster("main"),
            entry(&home, "a", "a"),
        ];
        home.configure(&tables.concat());
    };
    let holder = || {
        let lease = cluster.lease("locks", "secretsyncd")?;
        Some(lease["spec"]["holderIdentity"].as_str()?.to_owned())
    };
    configure("first");
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the lease", || {
        holder().as_deref() == Some("first")
    });
    configure("second");
    daemon.signal(Signal::HUP);
    wait_reloads(&daemon, 1.0, true);
    let said = "a changed `daemon.leader` counts from the next start";
    assert!(daemon.output().contains(said), "{}", daemon.output());
    assert_eq!(holder().as_deref(), Some("first"));
    daemon.stop();
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the other name", || {
        holder().as_deref() == Some("second")
    });
    daemon.stop();
}
