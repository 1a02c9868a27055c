use super::*;
use crate::command::fixture::{find, metadata, value};

fn verified() -> Verified {
    Verified {
        store: StoreName::new("prod").unwrap(),
        account: None,
        identity: Some(Ok(identity())),
        without_batches: false,
        walked: Walked {
            all: 12,
            answered: 12,
            ..Walked::default()
        },
    }
}

fn identity() -> Identity {
    Identity::new("arn:aws:sts::123456789012:assumed-role/read/secretsyncd".to_owned()).unwrap()
}

fn read(source: Source) -> Read {
    let store = StoreName::new("prod").unwrap();
    Read::new(store, source)
}

fn denied(key: &str) -> (Read, Failure) {
    let fact = format!("secretsmanager:GetSecretValue on `{key}` is not allowed");
    let help = format!("allow secretsmanager:GetSecretValue on `{key}`");
    let failure = Failure::new(Reason::AccessDenied, fact).with_help(help);
    (read(value(key)), failure)
}

fn missing(key: &str) -> (Read, Failure) {
    let failure = Failure::new(Reason::NotFound, format!("there is no secret `{key}`"));
    (read(value(key)), failure)
}

#[test]
fn what_is_in_order_takes_two_lines() {
    assert!(verified().in_order());
    insta::assert_snapshot!(verified().to_string(), @r#"
    store prod: 12 of 12 reads answered
      identity arn:aws:sts::123456789012:assumed-role/read/secretsyncd
    "#);
    let file = Verified {
        identity: None,
        ..verified()
    };
    insta::assert_snapshot!(file.to_string(), @r#"
    store prod: 12 of 12 reads answered
    "#);
}

#[test]
fn equal_failures_are_said_once() {
    let mut some = verified();
    some.walked.answered = 2;
    some.walked.failed = vec![
        missing("a"),
        denied("prod/c"),
        denied("prod/a"),
        denied("prod/b"),
        missing("b"),
        (
            read(metadata("a")),
            Failure::new(Reason::NotFound, "there is no secret `a`"),
        ),
        (
            read(find("x/", [])),
            Failure::new(Reason::AccessDenied, "no list"),
        ),
    ];
    assert!(!some.in_order());
    insta::assert_snapshot!(some.to_string(), @r#"
    store prod: 2 of 12 reads answered
      identity arn:aws:sts::123456789012:assumed-role/read/secretsyncd
      not_found: there is no secret `a`
        help: check the key, the region and the account; a secret that was deleted and created again has another ARN
        2 more: b, the tags of a
      access_denied: secretsmanager:GetSecretValue on `prod/a` is not allowed
        help: allow secretsmanager:GetSecretValue on `prod/a`
        2 more: prod/b, prod/c
      access_denied: no list
        help: grant the action to the identity this store uses
      `secretsyncd iam-policy prod` prints all that this store needs
    "#);
}

#[test]
fn many_failures_fit_on_a_screen() {
    let mut many = verified();
    many.walked.all = 500;
    many.walked.failed = (0..50).map(|n| denied(&format!("{n}"))).collect();
    many.walked.failed.extend((0..50).map(|n| {
        let failure = Failure::new(Reason::Kms, format!("key {n}"));
        (read(value(&format!("k{n}"))), failure)
    }));
    let text = many.to_string();
    assert!(text.lines().count() <= LINES + 5, "{text}");
    assert!(
        text.contains("    49 more: 1, 10, 11, 12, 13, ...\n"),
        "{text}"
    );
    assert!(text.contains("  and 42 more\n"), "{text}");
}

#[test]
fn a_store_that_is_given_up_says_why_once() {
    let failure = Failure::new(Reason::Credentials, "AWS does not know the access key");
    let mut given_up = verified();
    given_up.walked.answered = 0;
    given_up.walked.given_up = Some(failure.clone());
    given_up.identity = Some(Err(failure));
    assert!(!given_up.in_order());
    insta::assert_snapshot!(given_up.to_string(), @r#"
    store prod: given up, 0 of 12 reads answered
      identity unknown
      credentials: AWS does not know the access key
        help: check the credentials of this store or cluster; they are missing, expired or not accepted
    "#);
}

#[test]
fn another_account_and_refused_batches_are_remarks() {
    let mut odd = verified();
    odd.account = Some(AccountId::new("210987654321").unwrap());
    odd.without_batches = true;
    assert!(odd.in_order());
    insta::assert_snapshot!(odd.to_string(), @r#"
    store prod: 12 of 12 reads answered
      identity arn:aws:sts::123456789012:assumed-role/read/secretsyncd
      remark: `account` is 210987654321, but names are looked for in the identity's account 123456789012; secrets of another account are read by their ARN
      remark: batches are not allowed; secrets are read one by one, which is more calls (see `secretsyncd iam-policy prod`)
    "#);
    let alone = Verified {
        identity: Some(Err(Failure::new(
            Reason::Network,
            "the AWS endpoint cannot be reached",
        ))),
        ..verified()
    };
    insta::assert_snapshot!(alone.to_string(), @r#"
    store prod: 12 of 12 reads answered
      identity unknown (asked STS): the AWS endpoint cannot be reached
    "#);
}
