//! What is shipped for systemd: the units as text, as `systemd-analyze` scores them, and the commands beside them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::daemon::{Home, bare_command, finish};
use crate::support::suite::{self, Scenario, in_ci};

const SERVICE: &str = include_str!("../../systemd/secretsyncd.service");
const CHOWN: &str = include_str!("../../systemd/secretsyncd-chown.conf");
const SYSUSERS: &str = include_str!("../../systemd/secretsyncd.sysusers");
const TMPFILES: &str = include_str!("../../systemd/secretsyncd.tmpfile");

/// Directives with all their values, in order.
fn directives(unit: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut directives: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in unit.lines() {
        if line.starts_with('#') || line.starts_with('[') || line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once('=').unwrap();
        directives.entry(name).or_default().push(value);
    }
    directives
}

/// What must stand in the service, and nothing else may.
const WANTED: &[(&str, &[&str])] = &[
    ("After", &["network-online.target"]),
    ("AmbientCapabilities", &[""]),
    ("CapabilityBoundingSet", &[""]),
    ("Description", &["Keeps copies of secrets fresh"]),
    ("DevicePolicy", &["closed"]),
    ("Documentation", &["man:secretsyncd(1)"]),
    ("Environment", &["LD_BIND_NOW=1"]),
    ("EnvironmentFile", &["-/etc/default/secretsyncd"]),
    (
        "ExecReload",
        &["/usr/bin/secretsyncd check", "/bin/kill -HUP $MAINPID"],
    ),
    ("ExecStart", &["/usr/bin/secretsyncd run"]),
    ("Group", &["secretsyncd"]),
    ("KeyringMode", &["private"]),
    ("LimitCORE", &["0"]),
    ("LockPersonality", &["yes"]),
    ("MemoryDenyWriteExecute", &["yes"]),
    ("MemorySwapMax", &["0"]),
    ("NoNewPrivileges", &["yes"]),
    ("NotifyAccess", &["main"]),
    ("PrivateDevices", &["yes"]),
    ("PrivateMounts", &["yes"]),
    ("PrivateTmp", &["yes"]),
    ("PrivateUsers", &["yes"]),
    ("ProcSubset", &["pid"]),
    ("ProtectClock", &["yes"]),
    ("ProtectControlGroups", &["yes"]),
    ("ProtectHome", &["yes"]),
    ("ProtectHostname", &["yes"]),
    ("ProtectKernelLogs", &["yes"]),
    ("ProtectKernelModules", &["yes"]),
    ("ProtectKernelTunables", &["yes"]),
    ("ProtectProc", &["invisible"]),
    ("ProtectSystem", &["strict"]),
    ("RemoveIPC", &["yes"]),
    ("Restart", &["on-failure"]),
    ("RestartPreventExitStatus", &["64 78"]),
    ("RestartSec", &["5s"]),
    ("RestrictAddressFamilies", &["AF_INET AF_INET6 AF_UNIX"]),
    ("RestrictNamespaces", &["yes"]),
    ("RestrictRealtime", &["yes"]),
    ("RestrictSUIDSGID", &["yes"]),
    ("RuntimeDirectory", &["secretsyncd"]),
    ("RuntimeDirectoryMode", &["0755"]),
    ("RuntimeDirectoryPreserve", &["yes"]),
    ("StartLimitIntervalSec", &["0"]),
    ("StateDirectory", &["secretsyncd"]),
    ("StateDirectoryMode", &["0700"]),
    ("SystemCallArchitectures", &["native"]),
    ("SystemCallErrorNumber", &["EPERM"]),
    (
        "SystemCallFilter",
        &["@system-service", "~@privileged @resources"],
    ),
    ("TimeoutStartSec", &["5min"]),
    ("TimeoutStopSec", &["45s"]),
    ("Type", &["notify"]),
    ("UMask", &["0077"]),
    ("User", &["secretsyncd"]),
    ("WantedBy", &["multi-user.target"]),
    ("Wants", &["network-online.target"]),
    ("WatchdogSec", &["60s"]),
];

#[test]
fn the_service_has_every_directive_and_no_other() {
    let wanted = WANTED.iter().map(|(name, values)| (*name, values.to_vec()));
    assert_eq!(directives(SERVICE), wanted.collect());
}

#[test]
fn the_drop_in_for_owners_adds_two_capabilities_and_takes_back_what_stands_in_their_way() {
    let wanted = [
        ("AmbientCapabilities", vec!["CAP_CHOWN CAP_FOWNER"]),
        ("CapabilityBoundingSet", vec!["CAP_CHOWN CAP_FOWNER"]),
        ("PrivateUsers", vec!["no"]),
        ("SystemCallFilter", vec!["@chown"]),
    ];
    assert_eq!(directives(CHOWN), wanted.into());
}

#[test]
fn user_and_directories_are_made_for_root_to_configure_and_the_daemon_to_read() {
    let lines = |text: &'static str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        lines(SYSUSERS),
        ["u secretsyncd - \"secretsyncd\" /var/lib/secretsyncd -"]
    );
    let wanted = [
        "d /etc/secretsyncd 0750 root secretsyncd -",
        "d /etc/secretsyncd/conf.d 0750 root secretsyncd -",
    ];
    assert_eq!(lines(TMPFILES), wanted);
}

/// The shipped files where systemd looks for them, below a root of their own.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let units = root.path().join("etc/systemd/system");
        for directory in ["etc/systemd/system", "usr/bin", "bin"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(units.join("secretsyncd.service"), SERVICE).unwrap();
        for program in ["usr/bin/secretsyncd", "bin/kill"] {
            let program = root.path().join(program);
            fs::write(&program, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // What the unit refers to, without content of its own.
        for target in [
            "basic",
            "multi-user",
            "network-online",
            "shutdown",
            "sysinit",
        ] {
            let text = "[Unit]\nDescription=x\n";
            fs::write(units.join(format!("{target}.target")), text).unwrap();
        }
        Self(root)
    }

    fn with_drop_in(text: &str) -> Self {
        let root = Self::new();
        let drop_ins = root
            .0
            .path()
            .join("etc/systemd/system/secretsyncd.service.d");
        fs::create_dir_all(&drop_ins).unwrap();
        fs::write(drop_ins.join("x.conf"), text).unwrap();
        root
    }

    fn analyze(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).arg("--no-pager");
        command.arg(format!("--root={}", self.0.path().display()));
        command.arg("secretsyncd.service").output().unwrap()
    }

    /// Whether the exposure, in tenths, is at most this.
    fn is_exposed_at_most(&self, tenths: u32) -> bool {
        let threshold = format!("--threshold={tenths}");
        let output = self.analyze(&["security", "--offline=true", &threshold]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("Overall exposure level"), "{output:?}");
        output.status.success()
    }

    fn assert_exposure(&self, tenths: u32) {
        assert!(self.is_exposed_at_most(tenths), "more than {tenths}");
        assert!(!self.is_exposed_at_most(tenths - 1), "less than {tenths}");
    }
}

/// A drop-in as the command prints it for this table of the daemon.
fn drop_in_for(daemon: &str) -> String {
    let home = Home::new();
    home.configure_whole(&format!("[daemon]\n{daemon}\n"));
    let done = home.finish(&["systemd-dropin"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout
}

/// The same for one file with these lines.
fn drop_in_for_file(lines: &str) -> String {
    let home = Home::new();
    home.write("values.toml", "x = \"y\"\n");
    home.configure_whole(&format!(
        "[stores.local.file]\npath = \"values.toml\"\n[secrets.db]\nstore = \"local\"\n\
         data = [{{ secret_key = \"x\", remote_ref = {{ key = \"x\" }} }}]\n\
         [[secrets.db.file]]\npath = \"/run/secretsyncd/db\"\nkey = \"x\"\n{lines}\n"
    ));
    let none = home.finish(&["systemd-dropin", "--polkit"]);
    assert_eq!(none.code, Some(0), "{none:?}");
    assert!(
        none.stdout.ends_with("needs nothing of polkit.\n"),
        "{none:?}"
    );
    let done = home.finish(&["systemd-dropin"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout
}

const ANALYSES: &[Scenario<()>] = &[
    ("the service scores 1.1", |()| {
        Root::new().assert_exposure(11);
    }),
    ("with owners it scores 1.8", |()| {
        Root::with_drop_in(CHOWN).assert_exposure(18);
    }),
    ("with a control group it scores 1.4", |()| {
        Root::with_drop_in(&drop_in_for("control_group = \"ops\"")).assert_exposure(14);
    }),
    ("with a file for a group it scores 1.4", |()| {
        Root::with_drop_in(&drop_in_for_file("group = \"ops\"")).assert_exposure(14);
    }),
    ("with a file of another owner it scores 1.8", |()| {
        Root::with_drop_in(&drop_in_for_file("owner = \"app\"")).assert_exposure(18);
    }),
    ("nothing is said against any of them", |()| {
        let group = drop_in_for("control_group = \"ops\"");
        for root in [
            Root::new(),
            Root::with_drop_in(CHOWN),
            Root::with_drop_in(&group),
        ] {
            let output = root.analyze(&["verify", "--man=no"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{output:?}");
        }
    }),
    (
        "a directive that systemd does not know would be named",
        |()| {
            let root = Root::with_drop_in("[Service]\nProtectEverything=yes\n");
            let output = root.analyze(&["verify", "--man=no"]);
            assert!(String::from_utf8_lossy(&output.stderr).contains("ProtectEverything"));
        },
    ),
];

#[test]
fn systemd_analyze_agrees() {
    const SUITE: &str = "systemd-analyze";
    match Command::new("systemd-analyze").arg("--version").output() {
        Ok(_) => suite::run(SUITE, ANALYSES, &()),
        Err(error) if in_ci() => panic!("systemd-analyze is needed: {error}"),
        Err(error) => suite::not_run(SUITE, ANALYSES.len(), &error.to_string()),
    }
}

#[test]
fn a_drop_in_says_what_a_configuration_needs_and_why() {
    let home = Home::new();
    home.write("values.toml", "x = \"y\"\n");
    home.configure_whole(
        "[stores.local.file]
path = \"values.toml\"
[secrets.db]
store = \"local\"
data = [{ secret_key = \"x\", remote_ref = { key = \"x\" } }]
[[secrets.db.file]]
path = \"/srv/secretsyncd test/db.json\"
format = \"json\"
",
    );
    let done = home.finish(&["systemd-dropin"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let wanted = "# entry db: writes there\nReadWritePaths=\"-/srv/secretsyncd test\"\n";
    assert!(done.stdout.contains(wanted), "{}", done.stdout);
    // The defaults are those of the service, not of who asks.
    assert!(!done.stdout.contains("state_dir"), "{}", done.stdout);
    let problem = "problem: entry db: /srv/secretsyncd test is not there yet";
    assert!(done.stderr.contains(problem), "{}", done.stderr);

    home.configure_whole("[daemon]\nlisten = 1\n");
    let done = home.finish(&["systemd-dropin"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(78), ""));
}

/// What `--help` says there is.
fn listed(heading: &str) -> Vec<String> {
    let mut command = bare_command();
    command.arg("--help");
    let help = finish(command).stdout;
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let words = lines.filter_map(|line| {
        line.split_whitespace()
            .find(|word| word.starts_with(|c: char| c == '-' || c.is_lowercase()))
    });
    words
        .map(|word| word.trim_end_matches(',').to_owned())
        .collect()
}

fn printed(arguments: &[&str]) -> String {
    let mut command = bare_command();
    command.args(arguments);
    let done = finish(command);
    assert_eq!(
        (done.code, done.stderr.as_str()),
        (Some(0), ""),
        "{arguments:?}"
    );
    done.stdout
}

#[test]
fn completions_and_manual_know_every_command() {
    let commands = listed("Commands:");
    assert!(commands.len() > 5, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let text = printed(&["completions", shell]);
        for command in &commands {
            assert!(text.contains(command.as_str()), "{shell}: {command}");
        }
        assert!(text.contains("log-level"), "{shell}");
    }
    let page = printed(&["man"]);
    for command in commands.iter().filter(|it| *it != "help") {
        let heading = format!(".SH \"COMMAND {}\"\n", command.to_uppercase());
        assert!(page.contains(&heading), "{command}");
    }
    for said in [
        "SECRETSYNCD_CONFIG",
        "Exit codes:",
        r"\-\-log\-level",
        r"secretsyncd once",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
}

#[test]
fn bash_takes_the_completions() {
    let place = tempfile::tempdir().unwrap();
    let script = place.path().join("secretsyncd");
    fs::write(&script, printed(&["completions", "bash"])).unwrap();
    if !Path::new("/bin/bash").exists() {
        return suite::not_run("completions in bash", 1, "there is no bash");
    }
    let asked = format!(
        "source {}; COMP_WORDS=(secretsyncd systemd-d); COMP_CWORD=1; _secretsyncd secretsyncd systemd-d secretsyncd; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let output = Command::new("/bin/bash")
        .args(["--norc", "-c", &asked])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "systemd-dropin\n",
        "{output:?}"
    );
}
