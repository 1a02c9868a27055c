//! `BatchGetSecretValue`: up to twenty current values in one call, each checked as if it came alone.
//!
//! A secret that is in neither list was not answered; it never counts as gone. Order is not guaranteed (API reference),
//! so answers are matched by what they name.

use aws_sdk_secretsmanager::types::ApiErrorType;
use tokio::time::Instant;

use super::answer::{Raw, names};
use super::{Opened, SecretsManager, refusal};
use crate::aws::Trouble;
use crate::aws::trouble::Quoted;
use crate::config::{Source, Version};
use crate::failure::Failure;
use crate::names::RemoteKey;
use crate::report::StoreOperation;
use crate::store::answers::malformed_batch;
use crate::store::apart::{Spoilt, Why};
use crate::store::{Fetched, Read, all, alone};

impl SecretsManager {
    pub(super) async fn batch(&self, opened: &Opened, reads: Vec<Read>) -> Vec<(Read, Fetched)> {
        let ids = reads
            .iter()
            .filter_map(key_of)
            .map(|key| key.as_str().to_owned());
        let request = opened.client.batch_get_secret_value();
        let request = request.set_secret_id_list(Some(ids.collect()));
        let result = self
            .caller
            .call(StoreOperation::BatchGetSecretValue, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await;
        match result {
            Ok(output) => {
                let values = output.secret_values.unwrap_or_default();
                let values: Vec<Raw> = values.into_iter().map(Raw::from).collect();
                let errors = output.errors.unwrap_or_default();
                self.sorted_out(&opened.region, reads, (values, errors))
            }
            Err(trouble) => self.not_together(reads, trouble),
        }
    }

    /// The whole call was refused or came to nothing.
    fn not_together(&self, reads: Vec<Read>, trouble: Trouble) -> Vec<(Read, Fetched)> {
        let now = Instant::now();
        let failure = match trouble {
            Trouble::Refused { code, message } => {
                if refusal::is_denied(&code, &message) {
                    self.caller.upstream.refused_batches(now);
                    tracing::info!(
                        store = %self.caller.name,
                        "secretsmanager:BatchGetSecretValue is not allowed (it needs the resource \"*\"): secrets are read one by one for an hour"
                    );
                    return alone(reads);
                }
                None
            }
            Trouble::Shared(failure) => Some(failure),
        };
        let keys: Vec<RemoteKey> = reads.iter().filter_map(key_of).cloned().collect();
        let end = self.apart().spoilt(&keys, failure.as_ref(), now);
        match failure {
            Some(failure) if end == Spoilt::Failed => all(reads, &failure),
            Some(_) | None => alone(reads),
        }
    }

    /// Gives every read its own answer.
    fn sorted_out(
        &self,
        region: &str,
        reads: Vec<Read>,
        (values, errors): (Vec<Raw>, Vec<ApiErrorType>),
    ) -> Vec<(Read, Fetched)> {
        let now = Instant::now();
        let mut values = Values::new(region, &reads, values);
        let mut fetched = Vec::with_capacity(reads.len());
        for (at, read) in reads.into_iter().enumerate() {
            let Some(key) = key_of(&read) else { continue };
            let names = |error: &&ApiErrorType| error.secret_id.as_deref() == Some(key.as_str());
            let end = match (values.take(at), errors.iter().find(names)) {
                (Claim::Nothing, Some(error)) => self.refused(key, error, now),
                (Claim::Nothing, None) => {
                    self.unclear(key, malformed_batch(key, "does not mention it"), now)
                }
                (Claim::One(raw), None) => {
                    match self.checked(region, (key, &Version::Current), *raw) {
                        Ok(answer) => {
                            self.apart().answered(key, now);
                            Fetched::Done(Ok(answer))
                        }
                        Err(failure) => self.unclear(key, failure, now),
                    }
                }
                (Claim::One(_) | Claim::TooMany, _) => {
                    self.unclear(key, malformed_batch(key, "holds it more than once"), now)
                }
            };
            fetched.push((read, end));
        }
        fetched
    }

    /// A batch that is wrong about one secret: alone, it may be answered rightly. (A second page would be one reason, two
    /// ids of one secret another; what AWS does with either is not documented.)
    fn unclear(&self, key: &RemoteKey, failure: Failure, now: Instant) -> Fetched {
        if self.apart().set(key, Why::Unclear, now) {
            Fetched::Alone
        } else {
            Fetched::Done(Err(failure))
        }
    }

    /// An item of `Errors`: alone, the same secret may be readable, and is refused with more precision.
    fn refused(&self, key: &RemoteKey, error: &ApiErrorType, now: Instant) -> Fetched {
        let code = error.error_code.as_deref().unwrap_or_default();
        let message = Quoted::new(error.message.clone().unwrap_or_default());
        let why = if refusal::is_denied(code, &message) {
            Why::Denied
        } else {
            Why::Unclear
        };
        if self.apart().set(key, why, now) {
            Fetched::Alone
        } else {
            Fetched::Done(Err(refusal::failure(
                (key, &Version::Current),
                code,
                &message,
            )))
        }
    }
}

/// The values of a batch, and which read claims which.
struct Values {
    raw: Vec<Option<Raw>>,
    /// For each read, the places of the values that name it.
    claims: Vec<Vec<usize>>,
}

/// What a read finds among the values.
enum Claim {
    Nothing,
    One(Box<Raw>),
    TooMany,
}

impl Values {
    fn new(region: &str, reads: &[Read], values: Vec<Raw>) -> Self {
        let claimed = |read: &Read| {
            let key = key_of(read);
            let named = |(_, raw): &(usize, &Raw)| key.is_some_and(|key| names(key, region, raw));
            let places = values.iter().enumerate().filter(named);
            places.map(|(place, _)| place).collect()
        };
        Self {
            claims: reads.iter().map(claimed).collect(),
            raw: values.into_iter().map(Some).collect(),
        }
    }

    /// The value of a read. A secret that is asked by several ids may come once or once for each of them, as long as it
    /// is the same.
    fn take(&mut self, at: usize) -> Claim {
        let Some(first) = self.claims[at].first().copied() else {
            return Claim::Nothing;
        };
        let askers = self.claims.iter().filter(|it| it.contains(&first)).count();
        let same = |place: &usize| match (&self.raw[*place], &self.raw[first]) {
            (Some(one), Some(other)) => one.is_version_of(other),
            (_, _) => false,
        };
        let places = &self.claims[at];
        if places.len() > askers || !places.iter().all(same) {
            return Claim::TooMany;
        }
        // Nobody else wants it: no copy is left behind.
        let raw = if askers == 1 {
            self.raw[first].take()
        } else {
            self.raw[first].clone()
        };
        raw.map_or(Claim::TooMany, |raw| Claim::One(Box::new(raw)))
    }
}

fn key_of(read: &Read) -> Option<&RemoteKey> {
    match &read.source {
        Source::Value { key, .. } => Some(key),
        Source::Metadata { .. } | Source::Find(_) => None,
    }
}
