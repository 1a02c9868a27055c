use std::cell::RefCell;
use std::fs;

use super::*;
use crate::aws::Aws;
use crate::command::fixture::{aws, value};
use crate::config::{self, AwsBase, FileStore, ValueSource};
use crate::failure::Reason;
use crate::names::StoreName;
use crate::report::Reporter;
use crate::secret::FingerprintKey;

fn reads(keys: impl IntoIterator<Item = String>) -> Vec<Read> {
    let read = |key: String| Read::new(StoreName::new("prod").unwrap(), value(&key));
    keys.into_iter().map(read).collect()
}

fn store(spec: &config::Store) -> Store {
    let key = FingerprintKey::new([7; 32]);
    let name = StoreName::new("prod").unwrap();
    Store::new(&name, spec, (&Aws::default(), &key), Reporter::new(|_| {}))
}

#[tokio::test]
async fn every_read_ends_and_failures_are_kept_with_their_read() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..40 {
        fs::write(dir.path().join(format!("{n}")), "x").unwrap();
    }
    let store = store(&config::Store::File(FileStore {
        path: dir.path().into(),
    }));
    let seen = RefCell::new(Vec::new());
    let reads = reads((0..42).map(|n| n.to_string()));
    let walk = Walk::new(&store, reads, false);
    let walked = walk.run(|now| seen.borrow_mut().push(now)).await;
    assert_eq!((walked.all, walked.answered), (42, 40));
    let mut failed: Vec<_> = walked
        .failed
        .iter()
        .map(|(read, failure)| (read.source.to_string(), failure.reason))
        .collect();
    failed.sort();
    let missing = |key: &str| (key.to_owned(), Reason::NotFound);
    assert_eq!(failed, [missing("40"), missing("41")]);
    assert!(walked.given_up.is_none());
    let seen = seen.into_inner();
    assert_eq!(seen.last(), Some(&(42, 42)));
    assert!(seen.is_sorted());
}

#[tokio::test]
async fn a_store_whose_endpoint_is_not_there_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "AKIAEXAMPLE").unwrap();
    let mut spec = aws();
    // Nobody listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    spec.endpoint_url = Some(format!("http://{}", port.local_addr().unwrap()));
    drop(port);
    spec.auth.base = AwsBase::Static {
        access_key_id: ValueSource::File(key.clone()),
        secret_access_key: ValueSource::File(key),
        session_token: None,
    };
    let store = store(&config::Store::SecretsManager(spec));
    let reads = reads((0..400).map(|n| n.to_string()));
    let walked = Walk::new(&store, reads, true).run(|_| {}).await;
    assert_eq!((walked.all, walked.answered), (400, 0));
    assert_eq!(walked.given_up.unwrap().reason, Reason::Network);
    assert!(walked.failed.is_empty());
}

#[test]
fn what_is_about_one_secret_is_not_shared() {
    let read = &reads(["prod/db".to_owned()])[0];
    let shared = |reason, fact: &str| is_shared(read, &Failure::new(reason, fact));
    assert!(shared(Reason::Throttled, "AWS throttles"));
    assert!(shared(
        Reason::Malformed,
        "something that is not AWS answered 403"
    ));
    assert!(shared(Reason::Invalid, "no AWS region is known"));
    assert!(!shared(
        Reason::Malformed,
        "the answer for `prod/db` is empty"
    ));
    assert!(!shared(Reason::AccessDenied, "not allowed"));
    assert!(!shared(Reason::NotFound, "there is no secret `prod/db`"));
}
