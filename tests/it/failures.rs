//! Every way a read can fail: named right, said without a value, and nothing delivered is touched.
//!
//! Each fault gets a daemon of its own at trace level, because many of them pause a whole store. The output and
//! pages of each are searched for the value and the credentials, which the stand-in's error texts quote.

use std::sync::Mutex;

use crate::support::daemon::{Home, SECRET_ACCESS_KEY, wait_content};
use crate::support::leak::Markers;
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::sts::Sts;

const VALUE: &str = "MARKER-secret-value-93ab20f7";
const NEXT_VALUE: &str = "MARKER-rotated-value-58e11c6d";

/// The reasons that are right for a fault. Where AWS's answer leaves open what is wrong, there are two.
fn reasons(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::AccessDenied | Fault::BatchOnlyDenied => &["access_denied"],
        Fault::KmsDenied | Fault::DecryptionFailure => &["kms"],
        Fault::InvalidParameter => &["invalid"],
        Fault::EmptyString => &["malformed", "invalid"],
        Fault::UnknownCode => &["malformed", "invalid", "network"],
        Fault::InternalServiceError
        | Fault::UnavailableHtml
        | Fault::BadGatewayHtml
        | Fault::Close => &["network"],
        Fault::Throttling | Fault::LimitExceeded | Fault::TooManyRequestsHtml => &["throttled"],
        Fault::ExpiredToken
        | Fault::UnrecognizedClient
        | Fault::InvalidClientTokenId
        | Fault::MissingAuthenticationToken => &["credentials"],
        Fault::InvalidSignature | Fault::SignatureDoesNotMatch => &["clock", "credentials"],
        Fault::RequestTimeTooSkewed => &["clock"],
        Fault::Truncated => &["network", "malformed"],
        Fault::ForbiddenHtml => &["access_denied", "malformed", "network"],
        Fault::Hang | Fault::Drip => &["timeout"],
        Fault::Huge => &["malformed", "too_large"],
        Fault::Unparsable
        | Fault::Empty
        | Fault::MissingArn
        | Fault::MissingName
        | Fault::MissingVersionId
        | Fault::NoContent
        | Fault::OtherAccount
        | Fault::OtherRegion
        | Fault::OtherName
        | Fault::OtherVersion
        | Fault::OtherStage
        | Fault::TwoContents
        | Fault::Twice
        | Fault::LeftOut
        | Fault::Redirect => &["malformed"],
    }
}

#[test]
fn every_fault_is_named_and_touches_nothing() {
    let (work, failed) = (Mutex::new(Fault::ALL.to_vec()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                while let Some(fault) = { work.lock().unwrap().pop() } {
                    // A scenario that panics is one of several.
                    let end = std::panic::catch_unwind(|| one_fault(fault));
                    if let Err(why) = end.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                        failed.lock().unwrap().push(format!("{fault:?}: {why}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Delivers once, lets the next version's reads fail, and looks at what is said and what stays.
fn one_fault(fault: Fault) -> Result<(), String> {
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    home.log_level = Some("trace");
    let version = aws.put("prod/db", VALUE);
    // An ARN and an id say the most about what an answer must be.
    let by_id = fault == Fault::OtherVersion;
    let more = if by_id {
        format!(", version = \"uuid/{version}\"")
    } else {
        String::new()
    };
    home.configure(&format!(
        "{store}[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"{arn}\"{more} }} }}]
[[secrets.db.file]]
path = {path}
key = \"v\"
",
        store = aws.store("prod"),
        arn = aws.arn("prod/db"),
        path = home.quoted("targets/db"),
    ));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", VALUE);
    aws.fail("prod/db", fault);
    if !by_id {
        aws.put("prod/db", NEXT_VALUE);
    }
    let status = daemon.wait_state("db", "failing");
    let trouble = status.entry("db").trouble().ok_or("no error in /status")?;
    if !reasons(fault).contains(&trouble.reason.as_str()) {
        return Err(format!("reason {}", trouble.reason));
    }
    if trouble.help.trim().is_empty() {
        return Err("no help".to_owned());
    }
    if home.read_text("targets/db").as_deref() != Some(VALUE) {
        return Err("the target was touched".to_owned());
    }
    let pages = daemon.page("/metrics") + &daemon.page("/status");
    let markers = Markers::new([VALUE, NEXT_VALUE, SECRET_ACCESS_KEY]);
    let mut leaks = markers.find("output", daemon.output());
    leaks.extend(markers.find("pages", pages));
    if leaks.is_empty() {
        Ok(())
    } else {
        Err(format!("leaked {leaks:?}"))
    }
}

#[test]
fn what_is_not_there_keeps_the_last_copy() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.create_without_value("empty");
    for name in ["gone", "pending"] {
        aws.put(name, name);
    }
    let entry = |name: &str| {
        format!(
            "[secrets.{name}]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"{name}\" }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted(&format!("targets/{name}"))
        )
    };
    home.configure(
        &[
            aws.store("prod"),
            entry("empty"),
            entry("gone"),
            entry("pending"),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    wait_content(&home, "targets/gone", "gone");
    wait_content(&home, "targets/pending", "pending");
    aws.delete("gone");
    aws.schedule_deletion("pending");
    for (name, reason) in [
        ("empty", "no_value"),
        ("gone", "not_found"),
        ("pending", "pending_deletion"),
    ] {
        let status = daemon.wait_state(name, "failing");
        assert_eq!(
            status.entry(name).reason().as_deref(),
            Some(reason),
            "{name}"
        );
    }
    assert!(home.read("targets/empty").is_none());
    assert_eq!(home.read_text("targets/gone").unwrap(), "gone");
    assert_eq!(home.read_text("targets/pending").unwrap(), "pending");
    aws.put("empty", "at last");
    wait_content(&home, "targets/empty", "at last");
}

/// Bug: the refusal quotes the secret's name, and "kms" in a name was taken for trouble with its key.
#[test]
fn access_denied_on_a_name_with_kms_in_it_is_not_about_kms() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    for (name, fault) in [
        ("prod/kms-bridge", Fault::AccessDenied),
        ("prod/kms-key", Fault::KmsDenied),
    ] {
        aws.put(name, "value");
        aws.fail(name, fault);
    }
    let entry = |name: &str, key: &str| {
        format!(
            "[secrets.{name}]\nstore = \"prod\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"{key}\" }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted(&format!("targets/{name}"))
        )
    };
    let entries = entry("bridge", "prod/kms-bridge") + &entry("key", "prod/kms-key");
    home.configure(&(aws.store("prod") + &entries));
    let daemon = home.start_ready();
    for (name, reason) in [("bridge", "access_denied"), ("key", "kms")] {
        let status = daemon.wait_state(name, "failing");
        let found = status.entry(name).reason();
        assert_eq!(found.as_deref(), Some(reason), "{name}");
    }
}

/// A name does not say whose secret is meant, so the store's `account`, its role, or its first answer does.
#[test]
fn an_answer_of_another_account_is_malformed_for_a_name_too() {
    let account = "account = \"123456789012\"\n";
    let role = "auth = { role_arn = \"arn:aws:iam::123456789012:role/read\", sts_endpoint_url = \"STS\" }\n";
    for says in [account, role, ""] {
        let (aws, sts, home) = (SecretsManager::start(), Sts::start(), Home::new());
        for name in ["prod/db", "prod/other"] {
            aws.put(name, VALUE);
        }
        let entry = |name: &str| {
            format!(
                "[secrets.{name}]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/{name}\" }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n",
                home.quoted(&format!("targets/{name}"))
            )
        };
        let says = says.replace("STS", &sts.endpoint());
        let store = aws.store("prod").replace("region =", &(says + "region ="));
        home.configure(&(store + &entry("db") + &entry("other")));
        let daemon = home.start_ready();
        wait_content(&home, "targets/db", VALUE);
        aws.put("prod/db", NEXT_VALUE);
        aws.fail("prod/db", Fault::OtherAccount);
        let status = daemon.wait_state("db", "failing");
        assert_eq!(status.entry("db").reason().as_deref(), Some("malformed"));
        assert_eq!(home.read_text("targets/db").unwrap(), VALUE);
        assert_eq!(daemon.status().entry("other").state(), "fresh");
    }
}

/// Each in a batch with a healthy one, which is delivered all the same.
#[test]
fn a_spoilt_item_of_a_batch_spoils_no_other() {
    const FAULTS: [Fault; 7] = [
        Fault::OtherName,
        Fault::OtherAccount,
        Fault::OtherRegion,
        Fault::OtherStage,
        Fault::Twice,
        Fault::LeftOut,
        Fault::EmptyString,
    ];
    let (aws, home) = (SecretsManager::start(), Home::new());
    let name = |fault: Fault| format!("{fault:?}").to_lowercase();
    let mut config = aws.store("prod");
    for name in FAULTS.map(name).into_iter().chain(["well".to_owned()]) {
        aws.put(&name, "first");
        let entry = format!(
            "[secrets.{name}]\nstore = \"prod\"\nrefresh_interval = \"10s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"{name}\" }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted(&format!("targets/{name}"))
        );
        config += &entry;
    }
    home.configure(&config);
    let daemon = home.start_ready();
    for fault in FAULTS {
        aws.put(&name(fault), "second");
        aws.fail(&name(fault), fault);
    }
    for fault in FAULTS {
        let status = daemon.wait_state(&name(fault), "failing");
        let reason = status.entry(&name(fault)).reason();
        assert_eq!(reason.as_deref(), Some("malformed"), "{fault:?}");
        let content = home.read_text(&format!("targets/{}", name(fault)));
        assert_eq!(content.as_deref(), Some("first"), "{fault:?}");
    }
    aws.put("well", "second");
    wait_content(&home, "targets/well", "second");
}

#[test]
fn a_secret_of_another_account_is_read_by_its_arn() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let arn = aws.put_foreign("999999999999", "shared/db", "theirs");
    aws.put("prod/db", "ours");
    let entry = |name: &str, key: &str| {
        format!(
            "[secrets.{name}]\nstore = \"prod\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"{key}\" }} }}]\n[[secrets.{name}.file]]\npath = {}\nkey = \"v\"\n",
            home.quoted(&format!("targets/{name}"))
        )
    };
    home.configure(&(aws.store("prod") + &entry("theirs", &arn) + &entry("ours", "prod/db")));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(home.read_text("targets/theirs").unwrap(), "theirs");
    assert_eq!(home.read_text("targets/ours").unwrap(), "ours");
}
