//! Ways to the API server that are not the plain one: under another name, and through a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::access::unusable;
use crate::failure::Failure;
use crate::secret::SecretBytes;

/// The server under the name that it proves itself by: it is asked for by it in TLS, in `Host` and in `:authority`, as
/// HTTP/2 wants them to agree. (kubectl leaves the last two as they are in `server`.)
pub(super) fn named(mut server: Url, name: &str) -> Result<Url, Failure> {
    server
        .set_host(Some(name))
        .map_err(|_| unusable("the cluster's `tls-server-name` cannot stand in a URL"))?;
    Ok(server)
}

/// Finds the server where `server` says, whatever name it is asked for by.
pub(super) fn addresses_of(server: &Url) -> Result<Arc<dyn Resolve>, Failure> {
    let host = server.host_str().map(|host| host.trim_matches(['[', ']']));
    let host = host.ok_or_else(|| unusable("the cluster's `server` has no host"))?;
    Ok(Arc::new(Elsewhere(host.to_owned())))
}

struct Elsewhere(String);

impl Resolve for Elsewhere {
    fn resolve(&self, _name: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            // The port is the URL's.
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// It sees where connections go and nothing of what they carry.
pub(super) fn proxy(url: &SecretBytes) -> Result<reqwest::Proxy, Failure> {
    let text = std::str::from_utf8(url.expose()).ok();
    let proxy = text.and_then(|url| reqwest::Proxy::https(url).ok());
    proxy.ok_or_else(|| unusable("the cluster's `proxy-url` cannot be used"))
}
