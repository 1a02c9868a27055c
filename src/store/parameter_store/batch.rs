//! `GetParameters`: up to ten values in one call, each checked as if it came alone.
//!
//! A name that AWS lists as invalid is one that does not exist, or not in that version, or is none: alone, it is told
//! which. A name that is nowhere was not answered; it never counts as gone.

use std::collections::HashSet;

use aws_sdk_ssm::types::Parameter;
use tokio::time::Instant;

use super::answer::names;
use super::asked::{Asked, bare_of};
use super::{Opened, ParameterStore, refusal};
use crate::aws::Trouble;
use crate::config::Source;
use crate::failure::Failure;
use crate::report::StoreOperation;
use crate::store::answers::malformed_batch;
use crate::store::apart::{Spoilt, Why};
use crate::store::{Answer, Fetched, Read, all, alone};

/// What AWS made of a batch.
pub(super) struct Sorted {
    pub(super) values: Vec<Parameter>,
    pub(super) invalid: Vec<String>,
}

impl ParameterStore {
    pub(super) async fn batch(&self, opened: &Opened, reads: Vec<Read>) -> Vec<(Read, Fetched)> {
        let (reads, again) = self.one_of_each(reads);
        let again = alone(again);
        let sent: Vec<String> = reads.iter().filter_map(asked).map(Asked::sent).collect();
        let mut fetched = match self.together_now(opened, sent.clone()).await {
            Ok(sorted) => self.sorted_out(&opened.region, reads, sorted),
            Err(trouble) => self.not_together(reads, &sent, trouble),
        };
        fetched.extend(again);
        fetched
    }

    pub(super) async fn together_now(
        &self,
        opened: &Opened,
        sent: Vec<String>,
    ) -> Result<Sorted, Trouble> {
        let request = opened.client.get_parameters().set_names(Some(sent));
        let request = request.with_decryption(true);
        let output = self
            .caller
            .call(StoreOperation::GetParameters, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await?;
        Ok(Sorted {
            values: output.parameters.unwrap_or_default(),
            invalid: output.invalid_parameters.unwrap_or_default(),
        })
    }

    /// Splits off what would name a parameter a second time. Whether AWS takes two versions of one in one call is not
    /// documented, and answers are told apart by the name.
    pub(super) fn one_of_each(&self, reads: Vec<Read>) -> (Vec<Read>, Vec<Read>) {
        let now = Instant::now();
        let mut seen = HashSet::new();
        let (first, again): (Vec<Read>, Vec<Read>) = reads.into_iter().partition(|read| {
            asked(read).is_some_and(|asked| seen.insert(bare_of(asked.key).to_owned()))
        });
        for asked in again.iter().filter_map(asked) {
            let _ = self.together().apart.set(&asked.sent(), Why::Unclear, now);
        }
        (first, again)
    }

    /// The whole call was refused or came to nothing.
    pub(super) fn not_together(
        &self,
        reads: Vec<Read>,
        sent: &[String],
        trouble: Trouble,
    ) -> Vec<(Read, Fetched)> {
        let now = Instant::now();
        let mut together = self.together();
        match trouble {
            Trouble::Shared(failure) => match together.apart.spoilt(sent, Some(&failure), now) {
                Spoilt::Alone => alone(reads),
                Spoilt::Failed => all(reads, &failure),
            },
            Trouble::Refused { code, message } => {
                // Nobody else travelled with it, and alone it fared no better: one call says as much as two.
                if let ([read], [name]) = (reads.as_slice(), sent)
                    && together.apart.failure(name).is_some()
                    && let Some(asked) = asked(read)
                {
                    let _ = together.apart.set(name, Why::Unclear, now);
                    return all(reads.clone(), &refusal::of_value(asked, &code, &message));
                }
                let _ = together.apart.spoilt(sent, None, now);
                together.refused.add(sent.iter().cloned());
                alone(reads)
            }
        }
    }

    /// Gives every read its own answer. No two of them name the same parameter.
    pub(super) fn sorted_out(
        &self,
        region: &str,
        reads: Vec<Read>,
        Sorted {
            mut values,
            invalid,
        }: Sorted,
    ) -> Vec<(Read, Fetched)> {
        let now = Instant::now();
        let mut fetched = Vec::with_capacity(reads.len());
        for read in reads {
            let Some(asked) = asked(&read) else { continue };
            let name = asked.sent();
            let end =
                if invalid.contains(&name) || invalid.iter().any(|it| it == asked.key.as_str()) {
                    let _ = self.together().apart.set(&name, Why::Unclear, now);
                    Fetched::Alone
                } else {
                    let named = values.extract_if(.., |it| names(asked.key, region, it));
                    let answer = self.only(region, asked, named.collect());
                    if answer.is_ok() {
                        self.together().apart.answered(&name, now);
                    }
                    Fetched::Done(answer)
                };
            fetched.push((read, end));
        }
        fetched
    }

    /// The one answer of a batch that names what was asked.
    pub(super) fn only(
        &self,
        region: &str,
        asked: Asked<'_>,
        mut named: Vec<Parameter>,
    ) -> Result<Answer, Failure> {
        let Some(parameter) = named.pop() else {
            return Err(malformed_batch(asked.key, "does not mention it"));
        };
        if !named.is_empty() {
            return Err(malformed_batch(asked.key, "holds it more than once"));
        }
        self.checked(region, asked, parameter)
    }
}

fn asked(read: &Read) -> Option<Asked<'_>> {
    match &read.source {
        Source::Value { key, version } => Some(Asked { key, version }),
        Source::Metadata { .. } | Source::Find(_) => None,
    }
}
