use tokio::time::Instant;

use super::*;
use crate::aws::Aws;
use crate::command::fixture::{self, entry, find, metadata, secrets_manager, value};
use crate::secret::FingerprintKey;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn many(n: usize) -> Vec<Source> {
    (0..n).map(|n| value(&format!("app/{n}"))).collect()
}

/// The rows of Secrets Manager's cost model: calls and price alone, and in batches under both readings.
#[test]
fn the_calls_and_prices_are_those_of_the_model() {
    let row = |n: usize, interval: Duration| {
        let month = |fetch| {
            let reads = many(n);
            let reads = reads.iter().map(|source| (source, interval));
            let store = StoreName::new("s").unwrap();
            let service = Service::SecretsManager;
            let operations = operations((service, fetch), reads);
            let calls = operations.values().map(|it| it.calls).sum();
            let month = Month {
                store: &store,
                service,
                operations,
                finds: false,
            };
            let (low, high) = month.dollars();
            (thousands(calls), low, high)
        };
        let (calls, price, same) = month(Fetch::Single);
        assert_eq!(price, same);
        let (batches, low, high) = month(Fetch::Auto);
        assert_eq!(high, price);
        format!("{n:>5} {interval:>5?}  {calls:>11} {price:>9}  {batches:>10} {low:>7}\n")
    };
    let mut rows = String::new();
    for n in [100, 1_000, 10_000] {
        for interval in [MINUTE, 5 * MINUTE, HOUR] {
            rows += &row(n, interval);
        }
    }
    insta::assert_snapshot!(rows, @r#"
      100   60s    4,380,000    $21.90     219,000   $1.10
      100  300s      876,000     $4.38      43,800   $0.22
      100 3600s       73,000     $0.37       3,650   $0.02
     1000   60s   43,800,000   $219.00   2,190,000  $10.95
     1000  300s    8,760,000    $43.80     438,000   $2.19
     1000 3600s      730,000     $3.65      36,500   $0.18
    10000   60s  438,000,000 $2,190.00  21,900,000 $109.50
    10000  300s   87,600,000   $438.00   4,380,000  $21.90
    10000 3600s    7,300,000    $36.50     365,000   $1.83
    "#);
}

#[test]
fn a_read_counts_once_at_the_shortest_interval_of_its_entries() {
    let config = fixture::config(
        [("prod", secrets_manager())],
        [
            entry("prod", HOUR, [value("a"), value("b")]),
            entry("prod", 5 * MINUTE, [value("a")]),
        ],
    );
    insta::assert_snapshot!(text(&config), @r#"

    store prod: per month
      BatchGetSecretValue  9,490 calls
      price  $0.05
    A month is 730 hours. A change, drift or a retry costs calls of its own.
    Not counted: storage ($0.40 per secret and month), KMS, CloudTrail copies.
    "#);
}

#[test]
fn every_kind_of_read_is_said_and_what_is_unknown_is_named() {
    let mut single = fixture::aws();
    single.fetch = Fetch::Single;
    let old = Source::Value {
        version: Version::Stage("AWSPREVIOUS".into()),
        key: crate::names::RemoteKey::new("app/0").unwrap(),
    };
    let mut all = many(230);
    all.extend([old, metadata("app/0"), find("app/", [])]);
    let parameters = [
        value("/a"),
        metadata("/a"),
        find("/b", []),
        find("/b", [("team", "pay")]),
    ];
    let config = fixture::config(
        [
            ("local", fixture::file()),
            ("one", Store::SecretsManager(single)),
            ("parameters", Store::ParameterStore(fixture::aws())),
            ("prod", secrets_manager()),
            ("unused", secrets_manager()),
        ],
        [
            entry("prod", HOUR, all),
            entry("one", HOUR, many(3)),
            entry("parameters", MINUTE, parameters),
            entry("local", MINUTE, many(1)),
        ],
    );
    insta::assert_snapshot!(text(&config), @r#"

    store one: per month
      GetSecretValue        2,190 calls
      price  $0.01
    store parameters: per month
      GetParameters        43,800 calls
      GetParametersByPath  43,800 calls  at least, and a read of each match on top
      DescribeParameters   43,800 calls  at least, and a read of each match on top
      ListTagsForResource  43,800 calls
      price  free at standard throughput
    store prod: per month
      BatchGetSecretValue   8,760 calls
      GetSecretValue          730 calls
      DescribeSecret          730 calls
      ListSecrets             730 calls  at least, and a read of each match on top
      price  $0.05 (a batch is one call) to $0.85 (a call per secret), and the matches on top
    store unused: nothing is read
    A month is 730 hours. A change, drift or a retry costs calls of its own.
    Not counted: storage ($0.40 per secret and month), KMS, CloudTrail copies.
    AWS does not say whether a batch is billed as one call or per secret.
    "#);
}

#[test]
fn without_an_aws_store_there_is_nothing_to_say() {
    let config = fixture::config(
        [("local", fixture::file())],
        [entry("local", MINUTE, many(1))],
    );
    assert_eq!(text(&config), "");
}

/// The model and the store agree on how reads travel.
#[tokio::test]
async fn reads_are_counted_as_they_travel() {
    let name = StoreName::new("prod").unwrap();
    let stage = Source::Value {
        key: crate::names::RemoteKey::new("a").unwrap(),
        version: Version::Stage("AWSPREVIOUS".into()),
    };
    for fetch in [Fetch::Auto, Fetch::Single] {
        let mut spec = fixture::aws();
        spec.fetch = fetch;
        let store = crate::store::Store::new(
            &name,
            &Store::SecretsManager(spec),
            (&Aws::default(), &FingerprintKey::new([7; 32])),
            crate::report::Reporter::new(|_| {}),
        );
        for source in [value("a"), stage.clone(), metadata("a"), find("a", [])] {
            let counted = lane((Service::SecretsManager, fetch), &source);
            let read = Read::new(name.clone(), source);
            let lane = store.lane(&read, Instant::now());
            assert_eq!(counted, (lane.operation, lane.size as u128));
        }
    }
}
