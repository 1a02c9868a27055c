//! What a `find` matches: by `GetParametersByPath`, and with tags by `DescribeParameters`.
//!
//! The first gives values, too; they are not decrypted, and dropped at once. Tags are exact in the second (API
//! reference, `ParameterStringFilter`) and not part of its answer.

use aws_sdk_ssm::types::ParameterStringFilter;

use super::answer::names_itself;
use super::{Opened, ParameterStore, refusal};
use crate::aws::Trouble;
use crate::config::Find;
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;
use crate::report::StoreOperation;
use crate::store::listing::{Listing, Next};
use crate::store::{Answer, Match};

/// The most that AWS puts on one page of `GetParametersByPath`.
const VALUES: i32 = 10;

/// The most that AWS puts on one page of `DescribeParameters`.
const DESCRIPTIONS: i32 = 50;

/// A list that goes on beyond this never ends: an account holds at most 110,000 parameters (quotas page).
const PAGES: usize = 20_000;

/// Name and ARN as they came.
type Named = (Option<String>, Option<String>);

/// The names of one page, and the token of the next.
type Page = (Vec<Named>, Option<String>);

/// Only one of the two knows of tags.
pub(super) fn operation(find: &Find) -> StoreOperation {
    if find.tags.is_empty() {
        StoreOperation::GetParametersByPath
    } else {
        StoreOperation::DescribeParameters
    }
}

impl ParameterStore {
    pub(super) async fn list(&self, opened: &Opened, find: &Find) -> Result<Answer, Failure> {
        let operation = operation(find);
        let mut listing = Listing::new(find, PAGES);
        let mut token = None;
        loop {
            let (names, next) = if find.tags.is_empty() {
                self.below(opened, find, token).await?
            } else {
                self.tagged(opened, find, token).await?
            };
            let found = self.matched(&opened.region, find, names)?;
            match listing.page(found, next)? {
                Next::Done(answer) => return Ok(answer),
                Next::Page(next) => token = Some(next),
            }
            self.caller.upstream.wait_turn(operation).await;
        }
    }

    async fn below(
        &self,
        opened: &Opened,
        find: &Find,
        token: Option<String>,
    ) -> Result<Page, Failure> {
        let path = path(find).unwrap_or("/");
        let request = opened.client.get_parameters_by_path().path(path);
        let request = request
            .recursive(true)
            .with_decryption(false)
            .max_results(VALUES)
            .set_next_token(token);
        let result = self
            .caller
            .call(StoreOperation::GetParametersByPath, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await;
        let output = result.map_err(|trouble| list_failure("ssm:GetParametersByPath", trouble))?;
        let found = output.parameters.ok_or_else(no_list)?.into_iter();
        let names = found.map(|parameter| (parameter.name, parameter.arn));
        Ok((names.collect(), output.next_token))
    }

    async fn tagged(
        &self,
        opened: &Opened,
        find: &Find,
        token: Option<String>,
    ) -> Result<Page, Failure> {
        let request = opened.client.describe_parameters();
        let request = request
            .set_parameter_filters(Some(filters(find)?))
            .max_results(DESCRIPTIONS)
            .set_next_token(token);
        let result = self
            .caller
            .call(StoreOperation::DescribeParameters, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await;
        let output = result.map_err(|trouble| list_failure("ssm:DescribeParameters", trouble))?;
        let found = output.parameters.ok_or_else(no_list)?.into_iter();
        let names = found.map(|parameter| (parameter.name, parameter.arn));
        Ok((names.collect(), output.next_token))
    }

    /// Those of a page that the `find` wants. What it holds is checked first, wanted or not.
    pub(super) fn matched(
        &self,
        region: &str,
        find: &Find,
        names: Vec<Named>,
    ) -> Result<Vec<Match>, Failure> {
        let malformed = || {
            Failure::new(
                Reason::Malformed,
                "a list holds a parameter without a proper name and ARN",
            )
        };
        let key = |text: String| RemoteKey::new(text).map_err(|_| malformed());
        let mut matches = Vec::new();
        for (name, arn) in names {
            let itself = names_itself(region, arn.as_deref(), name.as_deref());
            self.is_ours(itself.ok_or_else(malformed)?)?;
            let (Some(name), Some(arn)) = (name, arn) else {
                return Err(malformed());
            };
            if wants(find, &name) {
                matches.push(Match {
                    name: key(name)?,
                    arn: key(arn)?,
                });
            }
        }
        Ok(matches)
    }
}

/// The level below which names are; `None` for all.
fn path(find: &Find) -> Option<&str> {
    let path = find.path.as_deref()?;
    Some(path.strip_suffix('/').unwrap_or(path)).filter(|path| !path.is_empty())
}

/// Whether a name lies below the path and has the pattern.
pub(super) fn wants(find: &Find, name: &str) -> bool {
    let below = path(find).is_none_or(|path| {
        name.strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('/'))
    });
    below && find.names(name)
}

/// Every filter has to hold.
pub(super) fn filters(find: &Find) -> Result<Vec<ParameterStringFilter>, Failure> {
    let filter = |key: &str, option: &str, value: &str| {
        ParameterStringFilter::builder()
            .key(key)
            .option(option)
            .values(value)
            .build()
            .map_err(|_| Failure::new(Reason::Invalid, "the request for a list could not be built"))
    };
    let tags = find.tags.iter();
    let tags = tags.map(|(key, value)| filter(&format!("tag:{key}"), "Equals", value));
    let path = path(find).map(|path| filter("Path", "Recursive", path));
    tags.chain(path).collect()
}

/// AWS sends an empty list where there is nothing; an answer without one is none.
fn no_list() -> Failure {
    Failure::new(Reason::Malformed, "the answer for a list holds none")
}

fn list_failure(action: &str, trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Shared(failure) => failure,
        Trouble::Refused { code, .. } => refusal::of_list(action, &code),
    }
}
