//! The shipped unit under a real systemd: what waits for it gets its secrets, and what it is denied is what it was said to
//! be denied.

mod machine;

use std::path::Path;

use self::machine::{Machine, Plan, obstacle};
use crate::support::daemon::bare_command;
use crate::support::suite::{self, Scenario};

const STORE: &str = "[daemon]
listen = \"127.0.0.1:0\"
[stores.local.file]
path = \"values.toml\"
[defaults]
store = \"local\"
refresh_interval = \"1s\"
";

fn entry(name: &str, key: &str, target: &str) -> String {
    format!(
        "[secrets.{name}]\ndata = [{{ secret_key = \"a\", remote_ref = {{ key = \"{key}\" }} }}]\n[[secrets.{name}.file]]\nkey = \"a\"\n{target}\n"
    )
}

/// Reads one secret as a credential; must not start without it.
fn consumer(path: &str) -> String {
    format!(
        "[Unit]
Wants=secretsyncd.service
After=secretsyncd.service
AssertPathExists={path}
[Service]
Type=exec
User=app
LoadCredential=token:{path}
ExecStart=/bin/sh -c 'cat \"$CREDENTIALS_DIRECTORY/token\" >> /run/seen/%n; exec sleep infinity'
"
    )
}

/// The configuration is the daemon's to read; its values lie beside it.
fn plan(configuration: &str, values: &str) -> Plan {
    let plan = Plan::new(configuration);
    plan.write("etc/secretsyncd/values.toml", values);
    plan
}

/// Installs what the command prints for this configuration.
fn install_drop_in(plan: &Plan) {
    let printed = |arguments: &[&str]| {
        let output = bare_command()
            .arg("--config")
            .arg(plan.path("etc/secretsyncd/secretsyncd.toml"))
            .arg("systemd-dropin")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        // Asked about the file where it lies now, it says that the unit has to be told.
        let elsewhere = |line: &&str| !line.starts_with("Environment=");
        text.lines()
            .filter(elsewhere)
            .collect::<Vec<_>>()
            .join("\n")
    };
    plan.write("units/secretsyncd.service.d/config.conf", &printed(&[]));
    plan.write(
        "etc/polkit-1/rules.d/50-secretsyncd.rules",
        &printed(&["--polkit"]),
    );
}

fn owners(machine: &Machine, path: &str) -> String {
    machine.say(&["stat", "--format=%U:%G %a", path])
}

const SCENARIOS: &[Scenario<()>] = &[
    (
        "what is ordered after it finds its secret, and else does not start",
        |()| {
            let configuration = [
                STORE,
                &entry("token", "token", "path = \"/run/secretsyncd/app/token\""),
                &entry("gone", "gone", "path = \"/run/secretsyncd/app/gone\""),
            ];
            let mut plan = plan(&configuration.concat(), "token = \"s3cret\"\n");
            plan.unit("with.service", &consumer("/run/secretsyncd/app/token"));
            plan.unit("without.service", &consumer("/run/secretsyncd/app/gone"));
            let machine = plan.boot();
            machine.wait("the credential", || {
                machine.seen("with.service").as_deref() == Some("s3cret")
            });
            let ready = machine.number("secretsyncd.service", "ActiveEnterTimestampMonotonic");
            let started = machine.number("with.service", "ExecMainStartTimestampMonotonic");
            assert!(0 < ready && ready <= started, "{ready} {started}");
            // Ready is: tried. One entry failed, and the other one was delivered.
            assert_eq!(
                machine.property("secretsyncd.service", "ActiveState"),
                "active"
            );
            assert_eq!(machine.property("without.service", "AssertResult"), "no");
            assert_eq!(machine.seen("without.service"), None);

            let main = machine.property("secretsyncd.service", "MainPID");
            let status = machine.say(&["cat", &format!("/proc/{main}/status")]);
            for line in [
                "CapEff:\t0000000000000000",
                "CapBnd:\t0000000000000000",
                "NoNewPrivs:\t1",
                "Seccomp:\t2",
            ] {
                assert!(status.contains(line), "{line}: {status}");
            }
            assert_eq!(
                owners(&machine, "/run/secretsyncd/app/token"),
                "secretsyncd:secretsyncd 600"
            );
            machine.say(&["systemctl", "reload", "secretsyncd.service"]);
            machine.wait("the reload", || {
                machine
                    .seen("log")
                    .is_some_and(|log| log.contains("the configuration was reloaded"))
            });
            assert_eq!(
                machine.property("secretsyncd.service", "ActiveState"),
                "active"
            );
            machine.say(&["systemctl", "stop", "secretsyncd.service"]);
            assert_eq!(machine.property("secretsyncd.service", "Result"), "success");
            // `RuntimeDirectoryPreserve=`: what is delivered stays when it stops.
            assert_eq!(
                machine.say(&["cat", "/run/secretsyncd/app/token"]),
                "s3cret"
            );
        },
    ),
    (
        "a group and an owner need the drop-in that is printed for them, and no more",
        |()| {
            let given = [
                entry(
                    "group",
                    "token",
                    "path = \"/run/secretsyncd/g/token\"\ngroup = \"app\"\nmode = \"0640\"\ndir_mode = \"0750\"",
                ),
                entry(
                    "owner",
                    "token",
                    "path = \"/run/secretsyncd/o/token\"\nowner = \"app\"\ngroup = \"app\"",
                ),
            ];
            for (given, path, shown) in [
                (
                    &given[..1],
                    "/run/secretsyncd/g/token",
                    "secretsyncd:app 640",
                ),
                (&given[1..], "/run/secretsyncd/o/token", "app:app 600"),
            ] {
                let configuration = STORE.to_owned() + &given.concat();
                let machine = plan(&configuration, "token = \"s3cret\"\n").boot();
                machine.wait("a failure that names the next step", || {
                    machine
                        .seen("log")
                        .is_some_and(|log| log.contains("systemd-dropin"))
                });
                assert!(!machine.run(&["test", "-e", path]).status.success());
                drop(machine);

                let plan = plan(&configuration, "token = \"s3cret\"\n");
                install_drop_in(&plan);
                let machine = plan.boot();
                machine.wait("the file", || {
                    machine.run(&["test", "-e", path]).status.success()
                });
                assert_eq!(owners(&machine, path), shown);
                // Closed to the daemon or not: what nobody touched is not written again, and what somebody did is mended.
                machine.say(&["systemctl", "restart", "secretsyncd.service"]);
                let inode = || machine.say(&["stat", "--format=%i %Z", path]);
                let before = inode();
                machine.say(&["systemctl", "restart", "secretsyncd.service"]);
                assert_eq!(inode(), before, "{}", machine.logs());
                machine.say(&["chown", "root:root", path]);
                machine.say(&["systemctl", "restart", "secretsyncd.service"]);
                machine.wait("the owner", || owners(&machine, path) == shown);
            }
        },
    ),
];

/// Bus and polkit, without which systemd takes orders from root alone.
fn with_polkit(plan: &mut Plan) {
    plan.write(
        "units/dbus.socket",
        "[Unit]\nDescription=x\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    );
    plan.write(
        "units/dbus.service",
        "[Unit]\nRequires=dbus.socket\nAfter=dbus.socket\n[Service]\nType=notify\nNotifyAccess=main\n\
         ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation\n",
    );
    plan.unit(
        "polkit.service",
        "[Unit]\nRequires=dbus.service\nAfter=dbus.service\nBefore=secretsyncd.service\n[Service]\nType=dbus\n\
         BusName=org.freedesktop.PolicyKit1\nExecStart=/usr/lib/polkit-1/polkitd --no-debug\n",
    );
}

/// A program of another user that writes down what happens to it.
fn told(name: &str) -> String {
    format!(
        "[Unit]
After=secretsyncd.service
[Service]
Type=exec
User=app
ExecStart=/bin/sh -c 'trap \"echo hup >> /run/seen/{name}\" HUP; echo started >> /run/seen/{name}; while :; do sleep 1; done'
ExecReload=/bin/sh -c 'echo reloaded >> /run/seen/{name}'
"
    )
}

/// What is done after a change, for programs of another user, by the service as it is shipped and the rule that is printed.
fn acting() -> String {
    let file = |name: &str, what: &str| {
        let target = format!(
            "path = \"/run/secretsyncd/app/{name}\"\ncheck = [\"/usr/bin/test\", \"-s\", \"{{path}}\"]\non_change = {what}"
        );
        entry(name, "token", &target)
    };
    [
        STORE,
        &file("reloaded", "{ reload_unit = \"reloaded.service\" }"),
        &file("restarted", "{ restart_unit = \"restarted.service\" }"),
        &file(
            "signalled",
            "{ signal = { unit = \"signalled.service\", signal = \"HUP\" } }",
        ),
        &file(
            "commanded",
            "{ command = [\"/usr/bin/touch\", \"/run/secretsyncd/commanded\"] }",
        ),
    ]
    .concat()
}

const ACTIONS: &[Scenario<()>] = &[(
    "units that are ordered after it are acted on, at boot without a deadlock, and no other unit",
    |()| {
        let mut plan = plan(&acting(), "token = \"one\"\n");
        with_polkit(&mut plan);
        for name in ["reloaded", "restarted", "signalled"] {
            plan.unit(&format!("{name}.service"), &told(name));
        }
        install_drop_in(&plan);
        let machine = plan.boot();
        assert_eq!(
            machine.property("secretsyncd.service", "ActiveState"),
            "active",
            "{}",
            machine.logs()
        );
        for name in ["reloaded", "restarted", "signalled"] {
            machine.wait("the unit to be up", || machine.seen(name).is_some());
        }
        let began = machine.number("restarted.service", "ExecMainStartTimestampMonotonic");
        machine.say(&["rm", "-f", "/run/secretsyncd/commanded"]);
        machine.change("etc/secretsyncd/values.toml", "token = \"two\"\n");
        let has =
            |name: &str, what: &str| machine.seen(name).is_some_and(|seen| seen.contains(what));
        machine.wait("the reload", || has("reloaded", "reloaded"));
        machine.wait("the signal", || has("signalled", "hup"));
        machine.wait("the restart", || {
            machine.number("restarted.service", "ExecMainStartTimestampMonotonic") > began
        });
        machine.wait("the command", || {
            machine
                .run(&["test", "-e", "/run/secretsyncd/commanded"])
                .status
                .success()
        });
        // The rule allows these verbs for these units.
        for (verb, unit) in [
            ("stop", "reloaded.service"),
            ("try-restart", "reloaded.service"),
            ("restart", "polkit.service"),
        ] {
            let asked = [
                "setpriv",
                "--reuid=790",
                "--regid=790",
                "--clear-groups",
                "systemctl",
                "--no-ask-password",
                verb,
                unit,
            ];
            assert!(!machine.run(&asked).status.success(), "{verb} {unit}");
        }
    },
)];

#[test]
fn a_real_systemd_and_the_shipped_unit_agree() {
    const SUITE: &str = "a booted systemd";
    match obstacle() {
        None => suite::run(SUITE, SCENARIOS, &()),
        Some(why) => suite::not_run(SUITE, SCENARIOS.len(), &why),
    }
}

#[test]
fn actions_work_under_a_real_systemd_and_the_shipped_unit() {
    const SUITE: &str = "actions under a booted systemd";
    let programs = [
        "/usr/bin/dbus-daemon",
        "/usr/lib/polkit-1/polkitd",
        "/usr/bin/setpriv",
    ];
    let missing = programs.iter().find(|it| !Path::new(it).exists());
    let missing = missing.map(|it| format!("there is no {it}"));
    match obstacle().or(missing) {
        None => suite::run(SUITE, ACTIONS, &()),
        Some(why) => suite::not_run(SUITE, ACTIONS.len(), &why),
    }
}
