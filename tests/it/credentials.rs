//! Where credentials and the region come from, and what happens when they change.

use std::time::Duration;

use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::secrets_manager::{REGION, SecretsManager};
use crate::support::wait::wait_until;

const OLD: &str = "AKIAOLDOLDOLDOLD";
const NEW: &str = "AKIANEWNEWNEWNEW";

/// The entry `db`: `prod/db` as it is, in `targets/db`.
fn entry(home: &Home) -> String {
    format!(
        "[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\" }} }}]
[[secrets.db.file]]
path = {}
key = \"v\"
",
        home.quoted("targets/db")
    )
}

fn store_without_region(aws: &SecretsManager) -> String {
    let line = format!("region = \"{REGION}\"\n");
    let store = aws.store("prod");
    assert!(store.contains(&line));
    store.replace(&line, "")
}

#[test]
fn a_store_without_a_region_takes_that_of_the_environment() {
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.set_env("AWS_REGION", REGION);
    home.configure(&(store_without_region(&aws) + &entry(&home)));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(home.read_text("targets/db").unwrap(), "value");
}

/// Bug: looking for a region that nothing names panicked inside the SDK.
#[test]
fn a_region_that_nothing_names_is_said_to_be_missing() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.configure(&(store_without_region(&aws) + &entry(&home)));
    let daemon = home.start_ready();
    let status = daemon.wait_state("db", "failing");
    let trouble = status.entry("db").trouble().unwrap();
    assert_eq!(trouble.reason, "invalid", "{trouble:?}");
    assert!(trouble.help.contains("set `region`"), "{trouble:?}");
    let output = daemon.output();
    assert!(!output.to_lowercase().contains("panic"), "{output}");
    assert!(aws.log().0.is_empty(), "asked without a region");
}

fn write_keys(home: &Home, access_key_id: &str) {
    home.write("key-id", format!("{access_key_id}\n"));
    home.write("key", format!("secret-of-{access_key_id}\n"));
}

/// A home whose store takes its keys from files, delivered with the old key.
fn home_with_key_files(aws: &SecretsManager) -> Home {
    let home = Home::new();
    aws.put("prod/db", "first");
    write_keys(&home, OLD);
    let auth = "[stores.prod.aws_secrets_manager.auth]\naccess_key_id = { file = \"key-id\" }\nsecret_access_key = { file = \"key\" }\n\n";
    home.configure(&[&aws.store("prod"), auth, &entry(&home)].concat());
    home
}

fn uses(aws: &SecretsManager, access_key_id: &str) -> bool {
    let used = |key: &Option<String>| key.as_deref() == Some(access_key_id);
    aws.log()
        .0
        .iter()
        .any(|request| used(&request.access_key_id))
}

/// Bug: static keys were kept for 15 minutes, however often AWS refused them.
#[test]
fn keys_rotated_before_the_old_one_is_refused_are_used() {
    let aws = SecretsManager::start();
    let home = home_with_key_files(&aws);
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    assert!(uses(&aws, OLD) && !uses(&aws, NEW));
    write_keys(&home, NEW);
    aws.refuse_key(OLD);
    aws.put("prod/db", "second");
    wait_until(PATIENCE, "the new key to be used", || uses(&aws, NEW));
    wait_content(&home, "targets/db", "second");
    daemon.wait_state("db", "fresh");
}

/// Bug: the same, where the old key was refused for a while before the files changed.
#[test]
fn keys_rotated_after_the_old_one_is_refused_are_used() {
    let aws = SecretsManager::start();
    let home = home_with_key_files(&aws);
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    aws.refuse_key(OLD);
    let status = daemon.wait_state("db", "failing");
    assert_eq!(status.entry("db").reason().as_deref(), Some("credentials"));
    // More than one read with the refused key.
    std::thread::sleep(Duration::from_secs(4));
    write_keys(&home, NEW);
    aws.put("prod/db", "second");
    wait_until(PATIENCE, "the new key to be used", || uses(&aws, NEW));
    wait_content(&home, "targets/db", "second");
    daemon.wait_state("db", "fresh");
}

/// A home whose store is read as a profile, found where the SDK looks for it.
fn home_with_profile(aws: &SecretsManager, profile: &str) -> Home {
    let mut home = Home::new();
    aws.put("prod/db", "first");
    let config = home.write("aws-config", format!("[profile sync]\n{profile}"));
    home.set_env("AWS_CONFIG_FILE", config.to_str().unwrap());
    let auth = "[stores.prod.aws_secrets_manager.auth]\nprofile = \"sync\"\n\n";
    home.configure(&[&aws.store("prod"), auth, &entry(&home)].concat());
    home
}

#[test]
fn a_profile_with_a_credential_process_works() {
    let aws = SecretsManager::start();
    let keys = format!(
        "{{\"Version\": 1, \"AccessKeyId\": \"{NEW}\", \"SecretAccessKey\": \"s\", \"SessionToken\": \"t\"}}"
    );
    let home = home_with_profile(&aws, &format!("credential_process = echo '{keys}'\n"));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(uses(&aws, NEW));
}

/// Bug: the profile files were read once in the life of the daemon.
#[test]
fn a_profile_that_changes_is_read_again_before_its_old_keys_are_refused() {
    let aws = SecretsManager::start();
    let keys =
        |id: &str| format!("aws_access_key_id = {id}\naws_secret_access_key = secret-of-{id}\n");
    let home = home_with_profile(&aws, &keys(OLD));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    assert!(uses(&aws, OLD));
    home.write("aws-config", format!("[profile sync]\n{}", keys(NEW)));
    wait_until(PATIENCE, "the new key to be used", || uses(&aws, NEW));
    daemon.wait_state("db", "fresh");
}
