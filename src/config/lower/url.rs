//! Endpoints of stores and clusters.

use std::net::IpAddr;

use super::Lowering;
use crate::config::problems::At;

/// When an endpoint may do without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlainHttp {
    Never,
    OnLoopback,
    Everywhere,
}

impl Lowering<'_> {
    /// A URL with a host and no credentials, encrypted unless `plain` says otherwise.
    pub(super) fn endpoint(
        &self,
        text: At<&str>,
        name: &str,
        plain: PlainHttp,
    ) -> Option<At<String>> {
        match refusal(text.value, plain) {
            None => Some(text.map(str::to_owned)),
            Some(why) => {
                self.problems.error(text.at, format!("`{name}` {why}"));
                None
            }
        }
    }
}

/// Why a text cannot be an endpoint; it follows the name of what it is.
pub(super) fn refusal(text: &str, plain: PlainHttp) -> Option<&'static str> {
    let security = match judge(text) {
        Ok(security) => security,
        Err(why) => return Some(why),
    };
    match (plain, security) {
        (_, Security::Tls)
        | (PlainHttp::OnLoopback, Security::PlainLoopback)
        | (PlainHttp::Everywhere, Security::PlainLoopback | Security::Plain) => None,
        (PlainHttp::Never, Security::PlainLoopback | Security::Plain) => Some("must be https"),
        (PlainHttp::OnLoopback, Security::Plain) => {
            Some("must be https, plain http only on loopback")
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Security {
    Tls,
    PlainLoopback,
    Plain,
}

fn judge(text: &str) -> Result<Security, &'static str> {
    const EXPECTED: &str = "must be a URL such as \"https://host:port\"";
    let known_scheme = text.starts_with("https://") || text.starts_with("http://");
    // The parser would mend these; what connects later might mend them otherwise.
    let clean = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if !known_scheme || !clean || text.len() > 2048 {
        return Err(EXPECTED);
    }
    let url = reqwest::Url::parse(text).map_err(|_| EXPECTED)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have no query and no fragment");
    }
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or(EXPECTED)?;
    if url.scheme() == "https" {
        return Ok(Security::Tls);
    }
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    Ok(if loopback {
        Security::PlainLoopback
    } else {
        Security::Plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_encrypted_or_local_and_hold_no_credentials() {
        assert_eq!(judge("https://vpce.example.com"), Ok(Security::Tls));
        assert_eq!(judge("http://127.0.0.1:5000"), Ok(Security::PlainLoopback));
        assert_eq!(judge("http://[::1]:5000/"), Ok(Security::PlainLoopback));
        assert_eq!(judge("http://localhost"), Ok(Security::PlainLoopback));
        assert_eq!(judge("http://127.0.0.1.example.com"), Ok(Security::Plain));
        assert_eq!(judge("http://10.0.0.1"), Ok(Security::Plain));
        for bad in [
            "",
            "host:443",
            "ftp://a",
            "https://",
            "https://user@host",
            "https://user:word@host",
            "https://:word@host",
            "http://127.0.0.1\\@host",
            "https://host?x=1",
            "https://host#x",
            " https://host",
            "https:host",
        ] {
            assert!(judge(bad).is_err(), "{bad:?}");
        }
    }
}
