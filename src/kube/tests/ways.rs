//! Ways to a server that does not prove itself by the name in `server`, over TLS.

use super::*;
use crate::config::{ServiceAccount, Tls};

/// What only its certificate calls the server.
const INNER: &str = "api.inner.example";

impl Server {
    /// A kubeconfig with these lines for its cluster, which is found at an address.
    fn kubeconfig(&self, cluster: &str) -> std::path::PathBuf {
        let path = self.dir.path().join("kubeconfig");
        let server = self.address.replace("localhost", "127.0.0.1");
        let config = format!(
            "clusters: [{{name: c, cluster: {{server: '{server}', {cluster}}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{token: inline}}}}]\n"
        );
        std::fs::write(&path, config).unwrap();
        path
    }

    fn through(&self, cluster: &str, tls: Tls) -> Client {
        let access = ClusterAccess::Kubeconfig {
            path: self.kubeconfig(cluster),
            context: None,
            tls,
        };
        self.client_of(Cluster::of(access))
    }

    fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }
}

#[tokio::test]
async fn a_server_is_asked_for_by_its_other_name_and_proves_itself_by_it() {
    const NAMED: &str = "certificate-authority: ca.crt, tls-server-name: api.inner.example";
    let (old, new): (&[&[u8]], &[&[u8]]) = (&[], &[b"h2"]);
    for protocols in [old, new] {
        let server = Server::named(INNER, protocols).await;
        let client = server.through(NAMED, Tls::Verified);
        server.reply(200, partial("u-1", "7"));
        look(&client).await.unwrap();
        let names: Vec<_> = server.names.lock().unwrap().clone();
        assert_eq!(names, [Some(INNER.to_owned())]);
        let (head, _) = server.requests().pop().unwrap();
        let authority = format!("{INNER}:{}", server.port());
        if protocols.is_empty() {
            assert!(head.contains(&format!("host: {authority}\r\n")), "{head}");
        } else {
            assert!(
                head.contains(&format!(" https://{authority}/api")),
                "{head}"
            );
            assert!(head.ends_with("HTTP/2.0"), "{head}");
        }
    }
}

#[tokio::test]
async fn a_server_without_the_name_it_is_asked_for_by_is_not_spoken_to() {
    let server = Server::named(INNER, &[]).await;
    for cluster in [
        "certificate-authority: ca.crt",
        "certificate-authority: ca.crt, tls-server-name: other.inner.example",
        "tls-server-name: api.inner.example",
    ] {
        // What the kubeconfig does not ask for, leave is given for in vain.
        for tls in [Tls::Verified, Tls::AsTheKubeconfigSays] {
            let failure = look(&server.through(cluster, tls)).await.unwrap_err();
            assert_eq!(failure.reason, Reason::Network);
            assert!(failure.fact.contains("TLS"), "{failure}");
        }
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_server_that_proves_nothing_is_spoken_to_where_both_say_so() {
    const SKIP: &str = "insecure-skip-tls-verify: true";
    let server = Server::named(INNER, &[b"h2"]).await;
    let failure = look(&server.through(SKIP, Tls::Verified))
        .await
        .unwrap_err();
    assert_eq!(failure.reason, Reason::Credentials);
    assert_eq!(server.requests().len(), 0);
    server.reply(200, partial("u-1", "7"));
    look(&server.through(SKIP, Tls::AsTheKubeconfigSays))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_pod_goes_in_as_its_service_account_and_follows_its_token() {
    let server = Server::start().await;
    let account = |server: Option<String>, directory: &Path| {
        ClusterAccess::InCluster(ServiceAccount {
            server,
            directory: directory.to_owned(),
        })
    };
    let dir = server.dir.path();
    let access = account(Some(server.address.clone()), dir);
    let client = server.client_of(Cluster::of(access));
    for token in ["TOKENMARKER", "rotated"] {
        std::fs::write(dir.join("token"), token).unwrap();
        a_second_later().await;
        server.reply(200, partial("u-1", "7"));
        look(&client).await.unwrap();
        let (head, _) = server.requests().pop().unwrap();
        assert!(
            head.contains(&format!("authorization: Bearer {token}\r\n")),
            "{head}"
        );
    }
    let access = account(None, dir);
    let failure = look(&server.client_of(Cluster::of(access)))
        .await
        .unwrap_err();
    assert_eq!(failure.reason, Reason::Credentials);
    assert!(failure.fact.contains("does not run in a pod"), "{failure}");
}
