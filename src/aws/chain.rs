//! The chain of logins that an `auth` is, shared wherever two begin alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::Sdk;
use super::base::SdkBase;
use super::keys::{ClusterKeys, StaticKeys};
use super::login::{Login, Source};
use super::region::{Place, Places};
use super::role::Role;
use super::sts::{SESSION_NAME, Sts};
use super::web_identity::WebIdentity;
use crate::config::{AwsAuth, AwsBase, AwsRole};
use crate::names::RoleArn;

#[derive(Debug)]
pub(super) struct Logins {
    sdk: Sdk,
    clusters: ClusterKeys,
    by_auth: BTreeMap<AwsAuth, Link>,
}

#[derive(Debug)]
struct Link {
    login: Arc<Login>,
    region: Arc<Places>,
}

impl Logins {
    pub(super) fn new(sdk: Sdk, clusters: ClusterKeys) -> Self {
        Self {
            sdk,
            clusters,
            by_auth: BTreeMap::new(),
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Login>> {
        let login = |link: &Link| Arc::clone(&link.login);
        self.by_auth.values().map(login).collect()
    }

    /// The login of `auth` for a store at `place`. The first place with a region of its own is where STS is asked.
    pub(super) fn get(&mut self, auth: &AwsAuth, place: &Arc<Place>) -> Arc<Login> {
        let (before, role) = split(auth);
        let parent = role.is_some().then(|| self.get(&before, place));
        let id = AwsAuth {
            role: role.clone(),
            ..before
        };
        if let Some(link) = self.by_auth.get(&id) {
            link.region.join(place);
            return Arc::clone(&link.login);
        }
        let region = Arc::new(Places::new(place));
        let sts = Sts {
            sdk: self.sdk.clone(),
            region: Arc::clone(&region),
            endpoint_url: id.sts_endpoint_url.clone(),
        };
        let source: Box<dyn Source> = match (parent, role) {
            (Some(parent), Some(role)) => Box::new(Role {
                parent,
                spec: role,
                sts,
            }),
            (_, _) => self.base(&id.base, sts),
        };
        let login = Arc::new(Login::new(source));
        let link = Link {
            login: Arc::clone(&login),
            region,
        };
        self.by_auth.insert(id, link);
        login
    }

    fn base(&self, base: &AwsBase, sts: Sts) -> Box<dyn Source> {
        let of_sdk = |profile| SdkBase {
            profile,
            sdk: self.sdk.clone(),
            region: Arc::clone(&sts.region),
            instance: Mutex::default(),
        };
        match base {
            AwsBase::Default => Box::new(of_sdk(None)),
            AwsBase::Profile(profile) => Box::new(of_sdk(Some(profile.clone()))),
            AwsBase::Static {
                access_key_id,
                secret_access_key,
                session_token,
            } => Box::new(StaticKeys {
                access_key_id: access_key_id.clone(),
                secret_access_key: secret_access_key.clone(),
                session_token: session_token.clone(),
                clusters: self.clusters.clone(),
            }),
            AwsBase::WebIdentity {
                role_arn,
                token_file,
            } => Box::new(WebIdentity {
                role: role_arn.clone(),
                token_file: token_file.clone(),
                sts,
            }),
        }
    }
}

/// A role of `role_chain`, which gets nothing with it.
fn plain(arn: RoleArn) -> AwsRole {
    AwsRole {
        arn,
        external_id: None,
        session_name: None,
        session_tags: BTreeMap::new(),
        transitive_tag_keys: Vec::new(),
    }
}

/// The last role, and what is before it. Those that mean the same become the same.
fn split(auth: &AwsAuth) -> (AwsAuth, Option<AwsRole>) {
    let mut before = auth.clone();
    let last = before.role.take();
    let role = last.or_else(|| before.role_chain.pop().map(plain));
    let role = role.map(|role| AwsRole {
        session_name: role.session_name.filter(|name| name != SESSION_NAME),
        ..role
    });
    let asks_sts = role.is_some() || matches!(before.base, AwsBase::WebIdentity { .. });
    if !asks_sts {
        before.sts_endpoint_url = None;
    }
    (before, role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Aws, Service, Upstream};
    use crate::config::{AwsStore, Fetch, Rates};

    fn arn(name: &str) -> RoleArn {
        RoleArn::new(format!("arn:aws:iam::123456789012:role/{name}")).unwrap()
    }

    /// As the role `chain` after `base`, one after the other; the last as `role_arn`.
    fn auth(base: AwsBase, chain: &[&str]) -> AwsAuth {
        let mut role_chain: Vec<_> = chain.iter().map(|name| arn(name)).collect();
        let role = role_chain.pop().map(plain);
        AwsAuth {
            base,
            role_chain,
            role,
            sts_endpoint_url: None,
        }
    }

    fn upstream(aws: &Aws, region: &str, auth: &AwsAuth) -> Arc<Upstream> {
        let store = AwsStore {
            region: Some(region.to_owned()),
            account: None,
            fetch: Fetch::Auto,
            requests_per_second: Rates::SECRETS_MANAGER,
            endpoint_url: None,
            auth: auth.clone(),
        };
        aws.upstream(Service::SecretsManager, &store)
    }

    fn logins(aws: &Aws) -> usize {
        aws.shared().logins.all().len()
    }

    #[tokio::test]
    async fn equal_auth_is_one_login_whatever_the_region() {
        let aws = Aws::default();
        let of = auth(AwsBase::Default, &["hop", "read"]);
        let one = upstream(&aws, "eu-west-1", &of);
        let two = upstream(&aws, "us-east-1", &of);
        assert_ne!(one.id, two.id);
        assert!(Arc::ptr_eq(one.login(), two.login()));
        assert_eq!(logins(&aws), 3);
    }

    #[tokio::test]
    async fn equal_beginnings_are_shared() {
        let aws = Aws::default();
        let hop = upstream(&aws, "eu-west-1", &auth(AwsBase::Default, &["hop"]));
        let read = auth(AwsBase::Default, &["hop", "read"]);
        let write = auth(AwsBase::Default, &["hop", "write"]);
        upstream(&aws, "eu-west-1", &read);
        upstream(&aws, "eu-west-1", &write);
        // The base, the hop, two roles behind it.
        assert_eq!(logins(&aws), 4);
        // A chain that ends without a role ends with its last.
        let ends = AwsAuth {
            role_chain: vec![arn("hop")],
            role: None,
            ..read.clone()
        };
        let ends = upstream(&aws, "eu-west-1", &ends);
        assert!(Arc::ptr_eq(ends.login(), hop.login()));
        // What goes with a role makes another login.
        let named = AwsAuth {
            role: read.role.clone().map(|role| AwsRole {
                external_id: Some("x".to_owned()),
                ..role
            }),
            ..read
        };
        upstream(&aws, "eu-west-1", &named);
        assert_eq!(logins(&aws), 5);
        let profile = AwsBase::Profile("hop".to_owned());
        upstream(&aws, "eu-west-1", &auth(profile, &["hop"]));
        assert_eq!(logins(&aws), 7);
    }

    #[tokio::test]
    async fn another_sts_is_another_login_of_the_same_base() {
        let aws = Aws::default();
        let of = auth(AwsBase::Default, &["read"]);
        upstream(&aws, "eu-west-1", &of);
        let elsewhere = AwsAuth {
            sts_endpoint_url: Some("https://sts.internal".to_owned()),
            ..of
        };
        upstream(&aws, "eu-west-1", &elsewhere);
        assert_eq!(logins(&aws), 3);
    }
}
