//! The way into one cluster: opened at the first call, and again when a file it was made from has changed.
//!
//! Opening does file I/O on the blocking pool and none on the network. A cluster that cannot be opened fails its own
//! calls, and is tried anew at each of them: it repairs itself, and delays nobody else. Files that do not answer, as on
//! a file system whose server is gone, are waited for by one thread and by each call for a bounded time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::access::{self, Access, Identity, Stamp, unusable};
use crate::config::ClusterAccess;
use crate::failure::{Failure, Reason};
use crate::names::ClusterName;
use crate::secret::SecretBytes;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a whole request, from the connection to the last byte of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Of a look at the files, and of the wait for one that is under way.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections hold values in their buffers, so they are closed soon after use.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How old a token from a file may get, even where the file looks the same.
const TOKEN_AGE_MAX: Duration = Duration::from_mins(1);

/// What a request needs.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) http: reqwest::Client,
    pub(super) server: Url,
    /// Marked sensitive, so that no library prints it.
    pub(super) authorization: Option<HeaderValue>,
}

/// Keeps a cluster's session, and keeps it up to date.
pub(super) struct Sessions {
    cluster: ClusterName,
    access: ClusterAccess,
    held: Mutex<Held>,
    /// The server refused our credentials: the token file is read again however young it looks.
    doubted: AtomicBool,
}

#[derive(Default)]
struct Held {
    looked: Option<Instant>,
    opened: Option<Result<Opened, Failure>>,
    /// Under way; kept over the calls that stop waiting for it.
    look: Option<JoinHandle<Result<Opened, Failure>>>,
}

struct Opened {
    session: Session,
    watched: Vec<(PathBuf, Option<Stamp>)>,
    token: Option<FollowedToken>,
}

struct FollowedToken {
    path: PathBuf,
    stamp: Option<Stamp>,
    read_at: Instant,
}

impl Sessions {
    pub(super) fn new(cluster: ClusterName, access: ClusterAccess) -> Self {
        Self {
            cluster,
            access,
            held: Mutex::default(),
            doubted: AtomicBool::new(false),
        }
    }

    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    pub(super) async fn get(&self) -> Result<Session, Failure> {
        timeout(LOOK_TIMEOUT, self.current())
            .await
            .unwrap_or_else(|_| Err(self.silent()))
    }

    async fn current(&self) -> Result<Session, Failure> {
        let mut held = self.held.lock().await;
        let held = &mut *held;
        let now = Instant::now();
        let fresh = held
            .looked
            .is_some_and(|at| now.duration_since(at) < LOOK_EVERY);
        if held.look.is_none() && !(fresh && held.opened.is_some()) {
            let (access, opened) = (self.access.clone(), held.opened.take());
            let doubted = self.doubted.swap(false, Ordering::Relaxed);
            let look = move || Opened::again(opened, &access, now, doubted);
            held.look = Some(tokio::task::spawn_blocking(look));
            held.looked = Some(now);
        }
        if let Some(look) = &mut held.look {
            let opened = look.await;
            held.look = None;
            held.opened = Some(opened.unwrap_or_else(|_| {
                Err(Failure::new(
                    Reason::Panic,
                    "reading the files of the cluster's access broke off",
                ))
            }));
        }
        match &held.opened {
            Some(Ok(opened)) => Ok(opened.session.clone()),
            Some(Err(failure)) => Err(failure.clone()),
            None => Err(self.silent()),
        }
    }

    fn silent(&self) -> Failure {
        Failure::new(
            Reason::Timeout,
            format!(
                "the files of cluster `{}`'s access did not answer in time",
                self.cluster
            ),
        )
        .with_help("check the file system that holds its kubeconfig, certificates and token")
    }
}

impl Opened {
    /// What is open already, if its files are still the same, with a token that is recent.
    fn again(
        opened: Option<Result<Self, Failure>>,
        access: &ClusterAccess,
        now: Instant,
        doubted: bool,
    ) -> Result<Self, Failure> {
        match opened {
            Some(Ok(mut opened)) if opened.is_current() => {
                opened.follow_token(now, doubted);
                Ok(opened)
            }
            _ => Self::open(access, now),
        }
    }

    fn is_current(&self) -> bool {
        self.watched
            .iter()
            .all(|(path, stamp)| Stamp::of(path) == *stamp)
    }

    /// A token that cannot be read is not replaced: the last one may still be good, and the server will say so.
    fn follow_token(&mut self, now: Instant, doubted: bool) {
        let Some(token) = &mut self.token else { return };
        let stamp = Stamp::of(&token.path);
        let old = now.duration_since(token.read_at) >= TOKEN_AGE_MAX;
        if stamp == token.stamp && !old && !doubted {
            return;
        }
        let read = access::load(&token.path, "token file");
        if let Ok(header) = read.and_then(|text| bearer(&text)) {
            self.session.authorization = Some(header);
            token.stamp = stamp;
        }
        token.read_at = now;
    }

    fn open(configured: &ClusterAccess, now: Instant) -> Result<Self, Failure> {
        let mut watched = Vec::new();
        let mut watch = |path: &Path| watched.push((path.to_owned(), Stamp::of(path)));
        // Stamps are taken before the content: what changes in between is then seen as changed.
        if let ClusterAccess::Kubeconfig { path, .. } = configured {
            watch(path);
        }
        let access = Access::of(configured)?;
        access.files().for_each(&mut watch);
        let server = server(&access.server)?;
        let http = connector(&access)?;
        let (authorization, token) = token(&access, now)?;
        Ok(Self {
            session: Session {
                http,
                server,
                authorization,
            },
            watched,
            token,
        })
    }
}

fn server(text: &str) -> Result<Url, Failure> {
    let refuse = |what: &str| {
        unusable(format!("the cluster's `server` {what}"))
            .with_help("write it as `https://HOST:PORT`, the API server's own address")
    };
    let url = Url::parse(text).map_err(|_| refuse("is not a URL"))?;
    if url.scheme() != "https" {
        return Err(refuse(
            "is not `https`: credentials and values never travel in the clear",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds credentials"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("has a query or a fragment"));
    }
    Ok(url)
}

fn connector(access: &Access) -> Result<reqwest::Client, Failure> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("secretsyncd/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        // A redirect would carry values to another host; a proxy from the environment is nothing that was configured.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT);
    if let Some(authority) = &access.certificate_authority {
        let pem = authority.load("certificate authority")?;
        let unusable = || unusable("the cluster's certificate authority is not a PEM certificate");
        let roots = reqwest::Certificate::from_pem_bundle(pem.expose()).map_err(|_| unusable())?;
        if roots.is_empty() {
            return Err(unusable());
        }
        builder = builder.tls_certs_only(roots);
    }
    if let Some(identity) = &access.identity {
        builder = builder.identity(client_certificate(identity)?);
    }
    builder.build().map_err(|_| {
        unusable("the cluster's certificate authority or client certificate cannot be used")
            .with_help(
                "check that they are valid PEM, and that the client certificate and its key belong together",
            )
    })
}

fn client_certificate(identity: &Identity) -> Result<reqwest::Identity, Failure> {
    let certificate = identity.certificate.load("client certificate")?;
    let key = identity.key.load("client key")?;
    let mut pem = Zeroizing::new(Vec::with_capacity(certificate.len() + key.len() + 1));
    pem.extend_from_slice(certificate.expose());
    pem.push(b'\n');
    pem.extend_from_slice(key.expose());
    reqwest::Identity::from_pem(&pem)
        .map_err(|_| unusable("the cluster's client certificate or its key is not usable PEM"))
}

/// The file's token, else the fixed one.
fn token(
    access: &Access,
    now: Instant,
) -> Result<(Option<HeaderValue>, Option<FollowedToken>), Failure> {
    let fixed = access.token.as_ref().map(bearer).transpose()?;
    let Some(path) = &access.token_file else {
        return Ok((fixed, None));
    };
    let stamp = Stamp::of(path);
    let read = access::load(path, "token file").and_then(|text| bearer(&text));
    let header = match (read, fixed) {
        (Ok(header), _) | (Err(_), Some(header)) => header,
        (Err(failure), None) => return Err(failure),
    };
    let followed = FollowedToken {
        path: path.clone(),
        stamp,
        read_at: now,
    };
    Ok((Some(header), Some(followed)))
}

fn bearer(token: &SecretBytes) -> Result<HeaderValue, Failure> {
    let token = token.expose().trim_ascii();
    if token.is_empty() {
        return Err(unusable("the cluster's token is empty"));
    }
    let mut header = Zeroizing::new(Vec::with_capacity("Bearer ".len() + token.len()));
    header.extend_from_slice(b"Bearer ");
    header.extend_from_slice(token);
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(unusable("the cluster's token holds what no token can hold"));
    }
    let mut header = HeaderValue::from_bytes(&header)
        .map_err(|_| unusable("the cluster's token holds what no token can hold"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn files_that_never_answer_cost_each_call_a_bounded_time() {
        let access = ClusterAccess::Kubeconfig {
            path: "/dev/null".into(),
            context: None,
        };
        let sessions = Sessions::new(ClusterName::new("prod").unwrap(), access);
        let hanging = tokio::runtime::Handle::current().spawn(std::future::pending());
        sessions.held.lock().await.look = Some(hanging);
        let started = Instant::now();
        let calls = std::iter::repeat_with(|| sessions.get()).take(40);
        for answer in futures_util::future::join_all(calls).await {
            let failure = answer.err().unwrap();
            assert_eq!(failure.reason, Reason::Timeout);
            assert!(failure.fact.contains("`prod`"), "{failure}");
        }
        assert_eq!(started.elapsed(), LOOK_TIMEOUT);
        // The same look is still waited for: no further thread hangs on the same files.
        let mut held = sessions.held.lock().await;
        let look = held.look.take().unwrap();
        assert!(!look.is_finished());
        look.abort();
        drop(held);
        let failure = sessions.get().await.err().unwrap();
        assert_eq!(failure.reason, Reason::Credentials);
    }

    #[test]
    fn a_token_is_trimmed_checked_and_kept_from_sight() {
        let header = |text: &str| bearer(&SecretBytes::new(text.as_bytes().to_vec()));
        let good = header(" MARKER\n").unwrap();
        assert_eq!(good.as_bytes(), b"Bearer MARKER");
        assert!(good.is_sensitive() && !format!("{good:?}").contains("MARKER"));
        for bad in ["", " \n", "MAR KER", "MARKER\r\nx: y", "MARKER\u{e9}"] {
            let failure = header(bad).unwrap_err();
            assert!(!format!("{failure:?}").contains("MARKER"));
        }
    }
}
