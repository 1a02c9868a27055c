//! The table of what AWS, and the way to it, can answer: for each row its class, when it is tried again, and what a
//! person is told. What was delivered before stays as it was.

use std::sync::Mutex;

use jiff::Timestamp;

use crate::support::daemon::{Home, SECRET_ACCESS_KEY, free_port};
use crate::support::leak::Markers;
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::status::Trouble;

const DELIVERED: &str = "MARKER-delivered-5be2a6";
const ROTATED: &str = "MARKER-rotated-0c61fd";

/// When a failed read is due again, of an entry that is read every hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// It may pass by itself.
    Soon,
    /// Somebody has to act.
    AtTheInterval,
}
use Again::{AtTheInterval, Soon};

/// What is done to a world in which `prod/db` is delivered.
type Breaks = fn(&SecretsManager, &mut Home, &mut String);

struct Row {
    name: &'static str,
    breaks: Breaks,
    reason: &'static str,
    again: Again,
    /// What the message, or else the help, must say.
    says: &'static [&'static str],
}

fn row(
    name: &'static str,
    breaks: Breaks,
    (reason, again): (&'static str, Again),
    says: &'static [&'static str],
) -> Row {
    Row {
        name,
        breaks,
        reason,
        again,
        says,
    }
}

/// A fault of every read of the secret.
macro_rules! fault {
    ($fault:ident, $reason:literal, $again:expr, $($says:literal),*) => {
        row(stringify!($fault), |aws, _, _| aws.fail("prod/db", Fault::$fault), ($reason, $again), &[$($says),*])
    };
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn secret_rows() -> Vec<Row> {
    vec![
        row(
            "no such secret",
            |aws, _, _| aws.delete("prod/db"),
            ("not_found", AtTheInterval),
            &["there is no secret `prod/db`", "region"],
        ),
        row(
            "made anew under its name, asked by ARN",
            |aws, _, config| {
                *config = config.replace("\"prod/db\"", &format!("\"{}\"", aws.arn("prod/db")));
                aws.delete("prod/db");
                aws.put("prod/db", ROTATED);
            },
            ("not_found", AtTheInterval),
            &["another ARN"],
        ),
        row(
            "no value yet",
            |aws, _, _| {
                aws.delete("prod/db");
                aws.create_without_value("prod/db");
            },
            ("no_value", Soon),
            &["`prod/db` has no value under AWSCURRENT"],
        ),
        row(
            "a label that is not attached",
            |_, _, config| {
                *config = config.replace("\"prod/db\" }", "\"prod/db\", version = \"LATER\" }");
            },
            ("no_value", Soon),
            &["under the stage LATER"],
        ),
        row(
            "scheduled for deletion",
            |aws, _, _| aws.schedule_deletion("prod/db"),
            ("pending_deletion", AtTheInterval),
            &["scheduled for deletion", "restore"],
        ),
        fault!(
            InvalidParameter,
            "invalid",
            AtTheInterval,
            "does not accept the request for `prod/db`"
        ),
        fault!(
            AccessDenied,
            "access_denied",
            AtTheInterval,
            "secretsmanager:GetSecretValue on `prod/db` is not allowed",
            "allow secretsmanager:GetSecretValue"
        ),
        fault!(
            KmsDenied,
            "kms",
            AtTheInterval,
            "the key that encrypts `prod/db`",
            "kms:Decrypt"
        ),
        fault!(
            DecryptionFailure,
            "kms",
            AtTheInterval,
            "could not be decrypted",
            "key is enabled"
        ),
        row(
            "ListSecrets is not allowed",
            |aws, _, config| {
                aws.deny_list();
                *config = config.replace(
                    "data = [{ secret_key = \"v\", remote_ref = { key = \"prod/db\" } }]",
                    "data_from = [{ find = { path = \"prod/\" } }]",
                );
            },
            ("access_denied", AtTheInterval),
            &[
                "secretsmanager:ListSecrets is not allowed",
                "resource \"*\"",
            ],
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn shared_rows() -> Vec<Row> {
    vec![
        fault!(
            InternalServiceError,
            "network",
            Soon,
            "internal error (500)"
        ),
        fault!(
            Throttling,
            "throttled",
            Soon,
            "throttles this account's requests"
        ),
        fault!(LimitExceeded, "throttled", Soon, "throttles"),
        fault!(ExpiredToken, "credentials", Soon, "session has expired"),
        fault!(
            UnrecognizedClient,
            "credentials",
            Soon,
            "does not know the access key",
            "region"
        ),
        fault!(
            InvalidClientTokenId,
            "credentials",
            Soon,
            "does not know the access key"
        ),
        fault!(
            MissingAuthenticationToken,
            "credentials",
            Soon,
            "does not know the access key"
        ),
        fault!(
            InvalidSignature,
            "credentials",
            Soon,
            "refused the signature",
            "secret access key"
        ),
        fault!(
            SignatureDoesNotMatch,
            "credentials",
            Soon,
            "refused the signature",
            "proxy"
        ),
        fault!(
            RequestTimeTooSkewed,
            "clock",
            Soon,
            "refused the time",
            "clock"
        ),
        row(
            "no credentials",
            |_, home, _| {
                home.unset_env("AWS_ACCESS_KEY_ID");
                home.unset_env("AWS_SECRET_ACCESS_KEY");
            },
            ("credentials", Soon),
            &["no AWS credentials were found", "`auth`"],
        ),
        row(
            "a key file that is not there",
            |_, _, config| {
                config.push_str("\n[stores.prod.aws_secrets_manager.auth]\naccess_key_id = { file = \"/nowhere/id\" }\nsecret_access_key = { file = \"/nowhere/key\" }\n");
            },
            ("credentials", Soon),
            &["the file that `access_key_id` names"],
        ),
        row(
            "a name that does not resolve",
            |aws, _, config| {
                *config = config
                    .replace(&aws.endpoint(), "http://nowhere.invalid:1")
                    .replace("region =", "allow_plain_http = true\nregion =");
            },
            ("network", Soon),
            &[
                "cannot be reached (http://nowhere.invalid:1",
                "name resolution",
            ],
        ),
        row(
            "nobody listens",
            |aws, _, config| {
                *config = config.replace(
                    &aws.endpoint(),
                    &format!("http://127.0.0.1:{}", free_port()),
                );
            },
            ("network", Soon),
            &["cannot be reached (http://127.0.0.1"],
        ),
        fault!(Close, "network", Soon, "cannot be reached"),
        fault!(Hang, "timeout", Soon, "did not answer in time"),
        fault!(Truncated, "network", Soon, "broke off"),
        fault!(UnavailableHtml, "network", Soon, "answered 503"),
        fault!(BadGatewayHtml, "network", Soon, "answered 502"),
        fault!(
            TooManyRequestsHtml,
            "throttled",
            Soon,
            "limits requests (429)"
        ),
        fault!(
            ForbiddenHtml,
            "malformed",
            Soon,
            "not AWS answered 403",
            "proxy"
        ),
        fault!(Unparsable, "malformed", Soon, "could not be understood"),
        fault!(Empty, "malformed", Soon, "`prod/db`"),
        fault!(MissingArn, "malformed", Soon, "`prod/db`"),
        fault!(NoContent, "malformed", Soon, "exactly one value"),
    ]
}

/// Delivers, breaks something, and looks at what the next start makes of it.
fn one(row: &Row) -> Result<(), String> {
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", DELIVERED);
    let mut config = format!(
        "{}[secrets.db]\nstore = \"prod\"\nrefresh_interval = \"1h\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\" }} }}]\n[[secrets.db.file]]\npath = {}\nformat = \"json\"\n",
        aws.store("prod"),
        home.quoted("targets/db")
    );
    home.configure(&config);
    let before = home.once(&[]);
    let delivered = home
        .read("targets/db")
        .ok_or_else(|| format!("{before:?}"))?;
    aws.put("prod/db", ROTATED);
    (row.breaks)(&aws, &mut home, &mut config);
    // Another configuration of the entry: else nothing would be due, and nothing read.
    let config = config.replace("format = \"json\"", "format = \"json\"\nmode = \"0640\"");
    home.configure(&config);
    home.log_level = Some("trace");
    let mut daemon = home.start();
    daemon.wait_ready(crate::support::daemon::PATIENCE * 2);
    let status = daemon.wait_state("db", "failing");
    let now = Timestamp::now();
    let entry = status.entry("db");
    let trouble = entry.trouble().ok_or("no error in /status")?;
    if trouble.reason != row.reason {
        return Err(format!("{trouble:?}"));
    }
    let missing = says_not(&trouble, row.says);
    if !missing.is_empty() {
        return Err(format!("{missing:?} is not said: {trouble:?}"));
    }
    let next: Timestamp = entry.next_sync().ok_or("no next_sync")?.parse().unwrap();
    let wait = next.duration_since(now).as_secs();
    let again = if wait < 10 * 60 { Soon } else { AtTheInterval };
    if again != row.again {
        return Err(format!("tried again in {wait} s"));
    }
    if home.read("targets/db") != Some(delivered) {
        return Err("the target was touched".to_owned());
    }
    let text = daemon.output() + &daemon.page("/status") + &daemon.page("/metrics");
    let leaks = Markers::new([DELIVERED, ROTATED, SECRET_ACCESS_KEY]).find("output", text);
    if leaks.is_empty() {
        Ok(())
    } else {
        Err(format!("leaked {leaks:?}"))
    }
}

fn says_not<'a>(trouble: &Trouble, says: &'a [&'a str]) -> Vec<&'a str> {
    let text = format!("{} {}", trouble.message, trouble.help);
    says.iter()
        .filter(|it| !text.contains(**it))
        .copied()
        .collect()
}

#[test]
fn every_row_has_its_class_its_time_and_its_words() {
    let work = Mutex::new(
        secret_rows()
            .into_iter()
            .chain(shared_rows())
            .collect::<Vec<_>>(),
    );
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(row) = { work.lock().unwrap().pop() } {
                    // A row that panics is one of several.
                    let end = std::panic::catch_unwind(|| one(&row));
                    if let Err(why) = end.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                        failed.lock().unwrap().push(format!("{}: {why}", row.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Rows of the table that cost permissions, not secrets: everything is delivered all the same.
#[test]
fn without_a_permission_for_batches_everything_is_delivered() {
    for deny in [
        (|aws: &SecretsManager| aws.deny_batch()) as fn(&SecretsManager),
        |aws| aws.fail("prod/db", Fault::BatchOnlyDenied),
    ] {
        let (aws, home) = (SecretsManager::start(), Home::new());
        aws.put("prod/db", DELIVERED);
        deny(&aws);
        home.configure(&format!(
            "{}[secrets.db]\nstore = \"prod\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"prod/db\" }} }}]\n[[secrets.db.file]]\npath = {}\nkey = \"v\"\n",
            aws.store("prod"),
            home.quoted("targets/db")
        ));
        let done = home.once(&[]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(home.read_text("targets/db").unwrap(), DELIVERED);
        let log = aws.log();
        let get = log
            .0
            .iter()
            .find(|r| r.version_stage.is_some())
            .expect("a single read");
        assert_eq!(get.version_stage.as_deref(), Some("AWSCURRENT"));
    }
}
