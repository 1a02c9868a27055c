use super::*;
use crate::config::Action;

fn unit() -> UnitName {
    UnitName::new("app@one.service").unwrap()
}

fn order() -> Order {
    Order {
        action: Action::ReloadUnit(unit()),
        timeout: std::time::Duration::from_secs(30),
        log_output: false,
        sources: Vec::new(),
    }
}

#[test]
fn the_main_process_is_read_from_two_properties() {
    let main = |pid| Some(Shown::Main(Pid::from_raw(pid)));
    assert_eq!(parse("MainPID=812\nLoadState=loaded\n"), main(812));
    assert_eq!(parse("LoadState=masked\nMainPID=0\n"), main(0));
    assert_eq!(
        parse("MainPID=0\nLoadState=not-found\n"),
        Some(Shown::Unknown)
    );
    assert_eq!(parse("MainPID=812\n"), None);
    assert_eq!(parse("MainPID=x\nLoadState=loaded\n"), None);
    assert_eq!(parse(""), None);
}

/// No question, no page, and whatever a unit is called it is no option.
#[test]
fn the_arguments_name_one_unit_and_ask_nobody() {
    let program = systemctl(&["try-restart"], &unit());
    assert_eq!(
        program.arguments(),
        [
            "--no-ask-password",
            "--no-pager",
            "try-restart",
            "--",
            "app@one.service"
        ]
    );
    assert_eq!(program.path(), SYSTEMCTL);
}

#[test]
fn what_is_not_allowed_names_the_rule_and_where_it_is_printed() {
    for said in [(Trouble::Exited(4), false), (Trouble::Exited(1), true)] {
        let failure = judged(&unit(), &order(), said);
        assert!(failure.help().contains("systemd-dropin"), "{failure:?}");
        assert!(
            failure
                .help()
                .contains("org.freedesktop.systemd1.manage-units")
        );
    }
    let other = judged(&unit(), &order(), (Trouble::Exited(1), false));
    assert_eq!(
        other.fact,
        "reload_unit app@one.service ended with exit code 1"
    );
    assert!(other.help().contains("journalctl -u app@one.service"));
    let unknown = judged(&unit(), &order(), (Trouble::Exited(5), false));
    assert_eq!(unknown.fact, "systemd knows no unit app@one.service");
}
