//! The one HTTP client for AWS, and the proxy it goes through.
//!
//! A proxy is used for `https` alone, by `CONNECT`: it sees where the connection goes and nothing of what it carries. Plain
//! `http` (stand-ins on loopback, instance metadata) never goes through one, which could read the values there.

use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// Connections are let go soon after the last read: values are not kept in idle buffers, and no idle connection
/// outlives a NAT's patience.
const IDLE: Duration = Duration::from_secs(20);

const PROXY: &[&str] = &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: &[&str] = &["NO_PROXY", "no_proxy"];

/// The client as the environment wants it.
pub(super) fn http_client() -> SharedHttpClient {
    client(environment(|name| std::env::var(name).ok()))
}

fn client(proxy: ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder()
            .pool_idle_timeout(IDLE)
            .proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector
            .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
            .build()
    })
}

fn environment(variable: impl Fn(&str) -> Option<String>) -> ProxyConfig {
    let first = |names: &'static [&'static str]| {
        let set = |name: &'static str| variable(name).map(|text| (name, text));
        let filled = |(_, text): &(&str, String)| !text.trim().is_empty();
        names.iter().copied().filter_map(set).find(filled)
    };
    let Some((name, url)) = first(PROXY) else {
        return ProxyConfig::disabled();
    };
    let Some(proxy) = proxy(url.trim()) else {
        // Not its text: there may be a password in it.
        tracing::warn!(
            "the proxy that {name} names cannot be used for AWS, which is called without one; it must be http://HOST:PORT or https://HOST:PORT"
        );
        return ProxyConfig::disabled();
    };
    match first(NO_PROXY) {
        Some((_, rules)) => proxy.no_proxy(rules),
        None => proxy,
    }
}

/// A user and password in the URL are taken from there. Its errors quote it.
fn proxy(url: &str) -> Option<ProxyConfig> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    ProxyConfig::https(url.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_smithy_types::retry::RetryConfig;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    async fn listen() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// The first bytes that the first connection to either brings, and which one it was.
    async fn first(proxy: &TcpListener, server: &TcpListener) -> (&'static str, String) {
        let (who, mut stream) = tokio::select! {
            it = proxy.accept() => ("proxy", it.unwrap().0),
            it = server.accept() => ("server", it.unwrap().0),
        };
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        (who, text)
    }

    /// Where a call to `endpoint` arrives and what is seen there.
    async fn seen(scheme: &str, no_proxy: Option<&str>) -> (&'static str, String, u16) {
        let (proxy, proxy_port) = listen().await;
        let (server, port) = listen().await;
        let config = environment(|name| match name {
            "https_proxy" => Some(format!("http://us%40er:pass@127.0.0.1:{proxy_port}")),
            "NO_PROXY" => no_proxy.map(str::to_owned),
            _ => None,
        });
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("eu-west-1"))
            .credentials_provider(Credentials::new("AKIA", "key", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .http_client(client(config))
            .endpoint_url(format!("{scheme}://localhost:{port}"))
            .build();
        let sts = aws_sdk_sts::Client::from_conf(config);
        tokio::select! {
            _ = sts.get_caller_identity().send() => panic!("answered before it was seen"),
            (who, text) = first(&proxy, &server) => (who, text, port),
        }
    }

    #[tokio::test]
    async fn https_goes_through_the_proxy_as_a_tunnel() {
        let (who, text, port) = seen("https", None).await;
        assert_eq!(who, "proxy");
        assert!(
            text.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")),
            "{text}"
        );
        assert!(text.to_lowercase().contains("proxy-authorization: basic "));
        // "us@er:pass"
        assert!(text.contains(" dXNAZXI6cGFzcw==\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_host_of_no_proxy_is_called_directly() {
        let (who, text, _) = seen("https", Some("example.com,localhost")).await;
        assert_eq!(who, "server");
        assert!(text.starts_with('\u{16}'), "a TLS handshake: {text}");
    }

    #[tokio::test]
    async fn plain_http_never_goes_through_a_proxy() {
        let (who, text, _) = seen("http", None).await;
        assert_eq!(who, "server");
        assert!(text.starts_with("POST / HTTP/1.1\r\n"), "{text}");
    }

    #[test]
    fn what_is_no_proxy_is_not_used() {
        let of = |url: &str| environment(|name| (name == "HTTPS_PROXY").then(|| url.to_owned()));
        for bad in ["", " ", "socks5://127.0.0.1:1080", "http://", "http://a b"] {
            assert!(of(bad).is_disabled(), "{bad}");
        }
        for good in ["proxy:3128", "http://proxy:3128", "https://u:p@proxy:3128/"] {
            assert!(!of(good).is_disabled(), "{good}");
        }
    }
}
