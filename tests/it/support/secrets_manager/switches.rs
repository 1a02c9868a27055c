//! What a test turns on and off: rights, quotas, tags, and what a listing shows.

use super::super::aws::now;
use super::quota::Quota;
use super::state::Content;
use super::{Operation, SecretsManager};

impl SecretsManager {
    /// Batches are refused as a whole, until [`Self::allow_batch`]. A policy that allows them on some ARNs does that.
    pub fn deny_batch(&self) {
        self.state().denied.insert(Operation::BatchGetSecretValue);
    }

    pub fn allow_batch(&self) {
        self.state().denied.remove(&Operation::BatchGetSecretValue);
    }

    /// `ListSecrets` is refused, until [`Self::allow_list`].
    pub fn deny_list(&self) {
        self.state().denied.insert(Operation::ListSecrets);
    }

    pub fn allow_list(&self) {
        self.state().denied.remove(&Operation::ListSecrets);
    }

    /// Batches beyond so many in any one second are throttled.
    pub fn limit_batch(&self, per_second: usize) {
        self.limit(Operation::BatchGetSecretValue, per_second);
    }

    pub fn limit_get(&self, per_second: usize) {
        self.limit(Operation::GetSecretValue, per_second);
    }

    fn limit(&self, operation: Operation, per_second: usize) {
        let quota = Quota::new(per_second);
        self.state().quotas.insert(operation, quota);
    }

    /// How many calls the limits turned away.
    pub fn throttled(&self) -> usize {
        self.state().throttled
    }

    pub fn tag(&self, name: &str, key: &str, value: &str) {
        let mut state = self.state();
        let secret = state.secret(name);
        secret.tags.insert(key.to_owned(), value.to_owned());
        secret.changed = now();
    }

    /// The list lags behind: the secret is there and not listed, until [`Self::list_shows`].
    pub fn list_hides(&self, name: &str) {
        self.state().unlisted.insert(name.to_owned());
    }

    pub fn list_shows(&self, name: &str) {
        self.state().unlisted.remove(name);
    }

    /// From here on an empty page with a token comes in front of each page of a list.
    pub fn empty_pages(&self) {
        self.state().pages.empty = true;
    }

    /// A new secret of another account. Its ARN, which this returns, is its name for everything else here.
    pub fn put_foreign(&self, account: &str, name: &str, value: &str) -> String {
        let mut state = self.state();
        let arn = state.create_foreign(account, name);
        state.put(&arn, Content::Text(value.to_owned()), now());
        arn
    }

    /// `ListSecrets` answers `{}`; `later`: only from the second page on.
    pub fn blank_lists(&self, later: bool) {
        self.state().blank_lists = Some(later);
    }
}
