//! Stores and clusters: which ones they are, and as whom they are asked. Not how fast.

use super::told::{Table, Told};
use crate::config::{
    AwsAuth, AwsBase, AwsRole, AwsStore, Cluster, ClusterAccess, ClusterAuth, EksAuth, FileStore,
    SecretRef, ServiceAccount, Store, Tls, ValueSource,
};
use crate::names::RoleArn;

pub(super) fn store(store: &Store) -> Told {
    let table = Table::default();
    match store {
        Store::SecretsManager(it) => table.with("aws_secrets_manager", aws(it)),
        Store::ParameterStore(it) => table.with("aws_parameter_store", aws(it)),
        Store::File(FileStore { path }) => table.with("file", Told::path(path)),
    }
    .told()
}

fn aws(store: &AwsStore) -> Told {
    let AwsStore {
        region,
        account,
        fetch: _,
        requests_per_second: _,
        endpoint_url,
        auth: by,
    } = store;
    let account = account.as_ref().map(|it| Told::text(it.as_str()));
    Table::default()
        .may("region", region.as_ref().map(Told::text))
        .may("account", account)
        .may("endpoint_url", endpoint_url.as_ref().map(Told::text))
        .some("auth", auth(by))
        .told()
}

fn auth(auth: &AwsAuth) -> Told {
    let AwsAuth {
        base,
        role_chain,
        role: last,
        sts_endpoint_url,
    } = auth;
    let table = Table::default();
    match base {
        AwsBase::Default => table,
        AwsBase::Profile(name) => table.with("profile", Told::text(name)),
        AwsBase::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => table
            .with("access_key_id", value(access_key_id))
            .with("secret_access_key", value(secret_access_key))
            .may("session_token", session_token.as_ref().map(value)),
        AwsBase::WebIdentity {
            role_arn,
            token_file,
        } => table
            .with("web_identity", Told::text(role_arn.as_str()))
            .with("token_file", Told::path(token_file)),
    }
    .some(
        "role_chain",
        Told::texts(role_chain.iter().map(RoleArn::as_str)),
    )
    .may("role", last.as_ref().map(role))
    .may(
        "sts_endpoint_url",
        sts_endpoint_url.as_ref().map(Told::text),
    )
    .told()
}

fn role(role: &AwsRole) -> Told {
    let AwsRole {
        arn,
        external_id,
        session_name,
        session_tags,
        transitive_tag_keys,
    } = role;
    let tags = session_tags.iter();
    let tags = tags.map(|(key, it)| (Told::text(key), Told::text(it)));
    Table::default()
        .with("arn", Told::text(arn.as_str()))
        .may("external_id", external_id.as_ref().map(Told::text))
        .may("session_name", session_name.as_ref().map(Told::text))
        .some("session_tags", Told::map(tags))
        .some("transitive_tag_keys", Told::texts(transitive_tag_keys))
        .told()
}

fn value(value: &ValueSource) -> Told {
    let table = Table::default();
    match value {
        ValueSource::File(path) => table.with("file", Told::path(path)),
        ValueSource::Env(name) => table.with("env", Told::text(name)),
        ValueSource::Kubernetes(SecretRef {
            cluster,
            namespace,
            name,
            key,
        }) => table
            .with("cluster", Told::text(cluster.as_str()))
            .with("namespace", Told::text(namespace.as_str()))
            .with("name", Told::text(name.as_str()))
            .with("key", Told::text(key.as_str())),
    }
    .told()
}

pub(super) fn cluster(cluster: &Cluster) -> Told {
    let Cluster {
        access,
        requests_per_second: _,
    } = cluster;
    match access {
        ClusterAccess::Kubeconfig { path, context, tls } => {
            let is_unverified = match tls {
                Tls::Verified => false,
                Tls::AsTheKubeconfigSays => true,
            };
            Table::default()
                .with("kubeconfig", Told::path(path))
                .may("context", context.as_ref().map(Told::text))
                .flag("allow_insecure_tls", is_unverified)
        }
        ClusterAccess::Server {
            server,
            certificate_authority,
            auth: by,
        } => {
            let authority = certificate_authority.as_deref();
            let table = Table::default()
                .with("server", Told::text(server))
                .may("certificate_authority", authority.map(Told::path));
            identified(table, by)
        }
        ClusterAccess::InCluster(ServiceAccount { server, directory }) => Table::default()
            .with("in_cluster", Told::path(directory))
            .may("server", server.as_ref().map(Told::text)),
    }
    .told()
}

fn identified(table: Table, by: &ClusterAuth) -> Table {
    match by {
        ClusterAuth::TokenFile(path) => table.with("token_file", Told::path(path)),
        ClusterAuth::ClientCertificate { certificate, key } => table
            .with("client_certificate", Told::path(certificate))
            .with("client_key", Told::path(key)),
        ClusterAuth::Eks(eks) => table.with("eks", self::eks(eks)),
    }
}

fn eks(eks: &EksAuth) -> Told {
    let EksAuth {
        cluster_name,
        region,
        auth: by,
    } = eks;
    Table::default()
        .with("cluster_name", Told::text(cluster_name))
        .with("region", Told::text(region))
        .some("auth", auth(by))
        .told()
}
