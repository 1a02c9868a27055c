//! `check` and `iam-policy` for AWS: what it costs, whether it is answered, and what is missing.

use crate::support::daemon::Home;
use crate::support::leak::Markers;
use crate::support::parameter_store::ParameterStore;
use crate::support::secrets_manager::{Fault, Operation, SecretsManager};
use crate::support::sts::Sts;

const VALUE: &str = "MARKER-value-e11a93";

/// A store and an entry for each of these secrets, checked against an STS of the test's.
fn home(aws: &SecretsManager, sts: &Sts, names: &[&str]) -> Home {
    let home = Home::new();
    let mut config = aws.store("prod");
    let auth = "[stores.prod.aws_secrets_manager.auth]\nsts_endpoint_url =";
    config += &[auth, " \"", &sts.endpoint(), "\"\n\n"].concat();
    for name in names {
        aws.put(name, VALUE);
        let entry = format!(
            "[secrets.{name}]\nstore = \"prod\"\nrefresh_interval = \"5m\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"{name}\" }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted(&format!("targets/{name}"))
        );
        config += &entry;
    }
    home.configure(&config);
    home
}

#[test]
fn everything_that_is_answered_is_in_order() {
    let (aws, sts) = (SecretsManager::start(), Sts::start());
    let home = home(&aws, &sts, &["a", "b", "c"]);
    let done = home.finish(&["check", "--online"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stdout.contains("3 of 3 reads answered"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout.contains("arn:aws"),
        "the identity is named: {}",
        done.stdout
    );
    assert!(
        done.stdout.contains("BatchGetSecretValue") && done.stdout.contains("8,760 calls"),
        "{}",
        done.stdout
    );
    // Nothing is kept: no target, no state.
    assert!(home.read("targets/a").is_none() && !home.path("state").exists());
    let leaks = Markers::new([VALUE]).find("output", done.stdout + &done.stderr);
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn what_is_missing_is_named_with_action_and_resource() {
    let (aws, sts) = (SecretsManager::start(), Sts::start());
    let home = home(&aws, &sts, &["denied", "gone", "key", "well"]);
    aws.fail("denied", Fault::AccessDenied);
    aws.fail("key", Fault::KmsDenied);
    aws.delete("gone");
    let done = home.finish(&["check", "--online"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    for says in [
        "1 of 4 reads answered",
        "secretsmanager:GetSecretValue on `denied` is not allowed",
        "allow secretsmanager:GetSecretValue on `denied`",
        "there is no secret `gone`",
        "kms:Decrypt",
    ] {
        assert!(
            done.stdout.contains(says),
            "{says} is not in\n{}",
            done.stdout
        );
    }
    aws.heal();
    aws.deny_batch();
    aws.put("gone", VALUE);
    let done = home.finish(&["check", "--online"]);
    assert_eq!(
        done.code,
        Some(0),
        "a missing permission for batches only costs: {done:?}"
    );
    assert!(
        done.stdout.contains("BatchGetSecretValue"),
        "{}",
        done.stdout
    );
}

#[test]
fn what_strikes_the_whole_store_is_said_once_and_costs_few_calls() {
    let (aws, sts) = (SecretsManager::start(), Sts::start());
    let names: Vec<String> = (0..100).map(|i| format!("s{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let home = home(&aws, &sts, &names);
    aws.fail_all(Fault::UnrecognizedClient);
    let done = home.finish(&["check", "--online"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(
        done.stdout.matches("does not know the access key").count(),
        1,
        "{}",
        done.stdout
    );
    let calls = aws.log().0.len();
    assert!(calls <= 4, "{calls} calls");
}

#[test]
fn parameters_and_finds_are_asked_too() {
    let (aws, parameters, sts, home) = (
        SecretsManager::start(),
        ParameterStore::start(),
        Sts::start(),
        Home::new(),
    );
    aws.put("app/a", VALUE);
    aws.put("app/b", VALUE);
    parameters.put("/app/p", VALUE);
    let auth = |store: &str| {
        format!(
            "[stores.{store}.auth]\nsts_endpoint_url = \"{}\"\n\n",
            sts.endpoint()
        )
    };
    home.configure(&[
        aws.store("prod"),
        auth("prod.aws_secrets_manager"),
        parameters.store("ps"),
        auth("ps.aws_parameter_store"),
        format!("[secrets.app]\nstore = \"prod\"\ndata_from = [{{ find = {{ path = \"app/\" }} }}]\ndata = [{{ secret_key = \"p\", remote_ref = {{ key = \"/app/p\" }}, store = \"ps\" }}]\n[[secrets.app.file]]\npath = {}\nformat = \"json\"\n", home.quoted("targets/app")),
    ].concat());
    let done = home.finish(&["check", "--online"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let log = aws.log();
    assert_eq!(log.calls(Operation::ListSecrets), 1);
    assert!(
        log.read_count("app/a") == 1 && log.read_count("app/b") == 1,
        "matches are read"
    );
    let policy = home.finish(&["iam-policy"]);
    assert_eq!(policy.code, Some(0), "{policy:?}");
    let json: serde_json::Value = serde_json::from_str(&policy.stdout).unwrap();
    for action in ["secretsmanager:ListSecrets", "ssm:GetParameters"] {
        assert!(json.to_string().contains(action), "{action}: {json}");
    }
    // What the policy allows is what was asked.
    let one = home.finish(&["iam-policy", "prod"]);
    let one: serde_json::Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!(one["Version"], "2012-10-17");
}
