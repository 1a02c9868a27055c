//! What a configuration's routine reads come to: calls per month by operation, and their price.
//!
//! Pure. Whether a batch is billed as one call or per secret is not stated by AWS, so both are said. What a `find`
//! matches is not known before a call, so it is named and not guessed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::aws::Service;
use crate::command::reads;
use crate::config::{Config, Fetch, Source, Store, Version};
use crate::names::StoreName;
use crate::report::StoreOperation;
use crate::store::Read;

/// 730 hours, as AWS counts a month.
const MONTH: Duration = Duration::from_hours(730);

/// $0.05 for 10,000 calls of Secrets Manager (price page), in millionths of a dollar.
const PER_CALL: u128 = 5;

/// One operation in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    calls: u128,
    /// What those calls carry.
    reads: u128,
}

/// One store in a month.
struct Month<'a> {
    store: &'a StoreName,
    service: Service,
    operations: BTreeMap<StoreOperation, Tally>,
    finds: bool,
}

/// A few lines for each AWS store; nothing where there is none.
pub(super) fn text(config: &Config) -> String {
    let months = months(config);
    if months.is_empty() {
        return String::new();
    }
    let tallies = || months.iter().flat_map(|month| &month.operations);
    let names = tallies().map(|(operation, _)| operation.as_str().len());
    let counts = tallies().map(|(_, tally)| thousands(tally.calls).len());
    let widths = (names.max().unwrap_or(0), counts.max().unwrap_or(0));
    let mut text = "\n".to_owned();
    for month in &months {
        month.write(&mut text, widths);
    }
    text.push_str(&remarks(&months));
    text
}

fn months(config: &Config) -> Vec<Month<'_>> {
    let reads = reads::of(config);
    let stores = config.stores.iter();
    stores
        .filter_map(|(store, spec)| month(&reads, store, spec))
        .collect()
}

fn month<'a>(
    reads: &BTreeMap<Read, Duration>,
    store: &'a StoreName,
    spec: &Store,
) -> Option<Month<'a>> {
    let (service, spec) = match spec {
        Store::SecretsManager(spec) => (Service::SecretsManager, spec),
        Store::ParameterStore(spec) => (Service::ParameterStore, spec),
        Store::File(_) => return None,
    };
    let own = reads.iter().filter(|(read, _)| read.store == *store);
    let own = own.map(|(read, interval)| (&read.source, *interval));
    Some(Month {
        store,
        service,
        finds: own.clone().any(|(it, _)| matches!(it, Source::Find(_))),
        operations: operations((service, spec.fetch), own),
    })
}

/// Reads of one operation and one interval travel together.
fn operations<'a>(
    (service, fetch): (Service, Fetch),
    reads: impl Iterator<Item = (&'a Source, Duration)>,
) -> BTreeMap<StoreOperation, Tally> {
    let mut together: BTreeMap<_, u128> = BTreeMap::new();
    for (source, interval) in reads {
        let lane = lane((service, fetch), source);
        *together.entry((lane, interval)).or_default() += 1;
    }
    let mut operations: BTreeMap<_, Tally> = BTreeMap::new();
    for (((operation, size), interval), reads) in together {
        let tally = operations.entry(operation).or_default();
        tally.calls += per_month(reads.div_ceil(size), interval);
        tally.reads += per_month(reads, interval);
    }
    operations
}

/// How a read travels when nothing is refused, and with how many of its kind in one call.
fn lane((service, fetch): (Service, Fetch), source: &Source) -> (StoreOperation, u128) {
    match (service, source, fetch) {
        (
            Service::SecretsManager,
            Source::Value {
                version: Version::Current,
                ..
            },
            Fetch::Auto,
        ) => (StoreOperation::BatchGetSecretValue, 20),
        (Service::SecretsManager, Source::Value { .. }, _) => (StoreOperation::GetSecretValue, 1),
        (Service::SecretsManager, Source::Metadata { .. }, _) => {
            (StoreOperation::DescribeSecret, 1)
        }
        (Service::SecretsManager, Source::Find(_), _) => (StoreOperation::ListSecrets, 1),
        (Service::ParameterStore, Source::Value { .. }, Fetch::Auto) => {
            (StoreOperation::GetParameters, 10)
        }
        (Service::ParameterStore, Source::Value { .. }, Fetch::Single) => {
            (StoreOperation::GetParameter, 1)
        }
        (Service::ParameterStore, Source::Metadata { .. }, _) => {
            (StoreOperation::ListTagsForResource, 1)
        }
        (Service::ParameterStore, Source::Find(find), _) if find.tags.is_empty() => {
            (StoreOperation::GetParametersByPath, 1)
        }
        (Service::ParameterStore, Source::Find(_), _) => (StoreOperation::DescribeParameters, 1),
    }
}

fn per_month(per_interval: u128, interval: Duration) -> u128 {
    let interval = interval.as_millis().max(1);
    (per_interval * MONTH.as_millis() + interval / 2) / interval
}

impl Month<'_> {
    fn write(&self, text: &mut String, (names, counts): (usize, usize)) {
        // Writing to a text cannot fail.
        let _ = if self.operations.is_empty() {
            writeln!(text, "store {}: nothing is read", self.store)
        } else {
            writeln!(text, "store {}: per month", self.store)
        };
        for (operation, tally) in &self.operations {
            let calls = thousands(tally.calls);
            let open = if is_list(*operation) {
                "  at least, and a read of each match on top"
            } else {
                ""
            };
            let _ = writeln!(text, "  {operation:names$}  {calls:>counts$} calls{open}");
        }
        if !self.operations.is_empty() {
            let _ = writeln!(text, "  price  {}", self.price());
        }
    }

    fn price(&self) -> String {
        if self.service == Service::ParameterStore {
            return "free at standard throughput".to_owned();
        }
        let (low, high) = self.dollars();
        let open = if self.finds {
            ", and the matches on top"
        } else {
            ""
        };
        if low == high {
            format!("{low}{open}")
        } else {
            format!("{low} (a batch is one call) to {high} (a call per secret){open}")
        }
    }

    /// Under both readings of how batches are billed.
    fn dollars(&self) -> (String, String) {
        let calls = self.operations.values().map(|tally| tally.calls).sum();
        let reads = self.operations.values().map(|tally| tally.reads).sum();
        (dollars(calls), dollars(reads))
    }
}

fn is_list(operation: StoreOperation) -> bool {
    matches!(
        operation,
        StoreOperation::ListSecrets
            | StoreOperation::GetParametersByPath
            | StoreOperation::DescribeParameters
    )
}

fn remarks(months: &[Month<'_>]) -> String {
    let mut text =
        "A month is 730 hours. A change, drift or a retry costs calls of its own.\n".to_owned();
    let priced = |month: &&Month<'_>| month.service == Service::SecretsManager;
    if months.iter().any(|month| priced(&month)) {
        text.push_str(
            "Not counted: storage ($0.40 per secret and month), KMS, CloudTrail copies.\n",
        );
    }
    let open = |month: &Month<'_>| {
        let (low, high) = month.dollars();
        low != high
    };
    if months.iter().filter(priced).any(open) {
        text.push_str("AWS does not say whether a batch is billed as one call or per secret.\n");
    }
    text
}

fn dollars(calls: u128) -> String {
    match (calls * PER_CALL + 5_000) / 10_000 {
        0 => "under $0.01".to_owned(),
        cents => format!("${}.{:02}", thousands(cents / 100), cents % 100),
    }
}

fn thousands(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
