//! `ListSecrets`: what a `find` matches.
//!
//! AWS's filters only narrow the list: names and tags are prefixes there, and a key and a value may belong to two
//! different tags (API reference, `Filter`), so everything is matched again on what came back. The list may lag by five
//! minutes (API reference); what left it is therefore not proven gone.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::operation::list_secrets::ListSecretsOutput;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};

use super::answer::names_itself;
use super::{Opened, SecretsManager, refusal};
use crate::aws::Trouble;
use crate::config::Find;
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;
use crate::report::StoreOperation;
use crate::store::listing::{Listing, Next};
use crate::store::{Answer, Match};

/// The most that AWS puts on one page.
const PAGE: i32 = 100;

/// A list that goes on beyond this never ends: an account holds at most 500,000 secrets (quotas page).
const PAGES: usize = 10_000;

impl SecretsManager {
    pub(super) async fn list(&self, opened: &Opened, find: &Find) -> Result<Answer, Failure> {
        let mut listing = Listing::new(find, PAGES);
        let mut token = None;
        loop {
            let output = self.page(opened, find, token).await?;
            let mut found = Vec::new();
            // `{}` is a success to the SDK; taken for an empty list, it would be the end of all that matched.
            let list = output.secret_list.ok_or_else(no_list)?;
            for entry in list {
                found.extend(self.matched(&opened.region, find, entry)?);
            }
            match listing.page(found, output.next_token)? {
                Next::Done(answer) => return Ok(answer),
                Next::Page(next) => token = Some(next),
            }
            let upstream = &self.caller.upstream;
            upstream.wait_turn(StoreOperation::ListSecrets).await;
        }
    }

    async fn page(
        &self,
        opened: &Opened,
        find: &Find,
        token: Option<String>,
    ) -> Result<ListSecretsOutput, Failure> {
        let filters = Some(filters(find)).filter(|filters| !filters.is_empty());
        let request = opened.client.list_secrets().max_results(PAGE);
        let request = request.set_filters(filters).set_next_token(token);
        let result = self
            .caller
            .call(StoreOperation::ListSecrets, |guard| {
                request.clone().customize().interceptor(guard).send()
            })
            .await;
        result.map_err(|trouble| match trouble {
            Trouble::Shared(failure) => failure,
            Trouble::Refused { code, message } => refusal::of_list(&code, &message),
        })
    }

    fn matched(
        &self,
        region: &str,
        find: &Find,
        entry: SecretListEntry,
    ) -> Result<Option<Match>, Failure> {
        let malformed = || {
            Failure::new(
                Reason::Malformed,
                "a list holds a secret without a proper name and ARN",
            )
        };
        let (Some(name), Some(arn)) = (entry.name, entry.arn) else {
            return Err(malformed());
        };
        let account = names_itself(region, &arn, &name).ok_or_else(malformed)?;
        self.account.agrees(account)?;
        let tags: BTreeMap<_, _> = entry
            .tags
            .unwrap_or_default()
            .into_iter()
            .filter_map(|tag| Some((tag.key?, tag.value?)))
            .collect();
        let wanted = entry.deleted_date.is_none()
            && find.path.as_ref().is_none_or(|path| name.starts_with(path))
            && find.names(&name)
            && find
                .tags
                .iter()
                .all(|(key, value)| tags.get(key) == Some(value));
        if !wanted {
            return Ok(None);
        }
        let key = |text: String| RemoteKey::new(text).map_err(|_| malformed());
        Ok(Some(Match {
            name: key(name)?,
            arn: key(arn)?,
        }))
    }
}

fn no_list() -> Failure {
    Failure::new(Reason::Malformed, "the answer to a list holds no list")
}

/// What narrows the list. A text that a filter cannot hold is left to our own matching.
fn filters(find: &Find) -> Vec<Filter> {
    let filter = |name: FilterNameStringType, values: Vec<&String>| {
        let values: Vec<String> = values.into_iter().filter(|it| fits(it)).cloned().collect();
        // One value left out would widen nothing: values of one filter are alternatives.
        (!values.is_empty()).then(|| Filter::builder().key(name).set_values(Some(values)).build())
    };
    // Filters add up, values are alternatives: with several tags, one of them has to do.
    let tag = find
        .tags
        .iter()
        .find(|(key, value)| fits(key) && fits(value));
    [
        filter(FilterNameStringType::Name, find.path.iter().collect()),
        filter(
            FilterNameStringType::TagKey,
            tag.iter().map(|it| it.0).collect(),
        ),
        filter(
            FilterNameStringType::TagValue,
            tag.iter().map(|it| it.1).collect(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The pattern of a filter's value (API reference, `Filter`); `!` in front means "not".
fn fits(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && !text.starts_with('!')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" :_@/+=.-!".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_never_say_more_than_the_find() {
        let find = Find {
            path: Some("prod/".into()),
            tags: [("equipe", "zürich"), ("team", "pay")]
                .map(|(k, v)| (k.into(), v.into()))
                .into(),
            ..Find::default()
        };
        let filters = filters(&find);
        let told: Vec<_> = filters
            .iter()
            .map(|f| (f.key().unwrap().as_str(), f.values()))
            .collect();
        let text = |text: &str| vec![text.to_owned()];
        let wanted = [
            ("name", text("prod/")),
            ("tag-key", text("team")),
            ("tag-value", text("pay")),
        ];
        assert_eq!(
            told,
            wanted
                .each_ref()
                .map(|(key, values)| (*key, values.as_slice()))
        );
    }
}
