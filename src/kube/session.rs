//! The way into one cluster: opened at the first call, and again when a file it was made from has changed.
//!
//! Opening does file I/O on the blocking pool and none on the network. A cluster that cannot be opened fails its own
//! calls, and is tried anew at each of them: it repairs itself, and delays nobody else. Files that do not answer, as on
//! a file system whose server is gone, are waited for by one thread and by each call for a bounded time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::HeaderValue;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::access::{self, Access, Identity, Keys, Login, Source, Stamp, Trust, Way, unusable};
use super::ending;
use super::ticket::{Issuer, Tickets};
use super::watch::Lanes;
use super::way;
use crate::aws::EksSigner;
use crate::config::ClusterAccess;
use crate::failure::{Failure, Reason};
use crate::names::ClusterName;
use crate::secret::SecretBytes;

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a whole request, from the connection to the last byte of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Of a look at the files, and of the wait for one that is under way.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections hold values in their buffers, so they are closed soon after use.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection that answers neither a request nor a ping for so long is dead: requests on it end, and the next one takes
/// another. Sooner than a request's own limit, which would leave it in use. Idle ones are not asked, so that they close.
const PING_AFTER: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(7);
/// Of connections that carry watches.
const PING_WATCHES_AFTER: Duration = Duration::from_secs(20);
const PING_WATCHES_TIMEOUT: Duration = Duration::from_secs(10);
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
    /// Connections for watches, which never share one with requests.
    pub(super) lanes: Arc<Lanes>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Requests,
    Watches,
}

/// Keeps a cluster's session, and keeps it up to date.
pub(super) struct Sessions {
    cluster: ClusterName,
    configured: Configured,
    held: Mutex<Held>,
    /// The server refused our credentials: the token file is read again however young it looks.
    doubted: AtomicBool,
    /// The same, for credentials that were handed out.
    refused: AtomicBool,
    /// Of the credentials that it was last opened with.
    end: StdMutex<Option<Timestamp>>,
}

#[derive(Clone)]
struct Configured {
    access: ClusterAccess,
    /// Where tokens are signed as a store.
    signer: Option<EksSigner>,
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
    certificate_end: Option<Timestamp>,
    token: Option<FollowedToken>,
    /// Where credentials are handed out.
    tickets: Option<Arc<Tickets>>,
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
            configured: Configured {
                access,
                signer: None,
            },
            held: Mutex::default(),
            doubted: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            end: StdMutex::default(),
        }
    }

    /// Those of the same cluster, whose tokens are signed so.
    pub(super) fn signed(&self, signer: EksSigner) -> Self {
        let mut next = Self::new(self.cluster.clone(), self.configured.access.clone());
        next.configured.signer = Some(signer);
        next
    }

    /// When the credentials end, as far as they tell. What a plugin hands out for a while is asked for again whenever it
    /// is needed: its end is nobody's concern.
    pub(super) fn credentials_end(&self) -> Option<Timestamp> {
        match &self.configured.signer {
            Some(signer) => signer.credentials_end(),
            None => *self.end.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
        self.refused.store(true, Ordering::Relaxed);
    }

    pub(super) async fn get(&self) -> Result<Session, Failure> {
        let current = timeout(LOOK_TIMEOUT, self.current()).await;
        let (session, tickets) = current.unwrap_or_else(|_| Err(self.silent()))?;
        match tickets {
            None => Ok(session),
            Some(tickets) => {
                let refused = self.refused.swap(false, Ordering::Relaxed);
                tickets.session(refused).await
            }
        }
    }

    async fn current(&self) -> Result<(Session, Option<Arc<Tickets>>), Failure> {
        let mut held = self.held.lock().await;
        let held = &mut *held;
        let now = Instant::now();
        let fresh = held
            .looked
            .is_some_and(|at| now.duration_since(at) < LOOK_EVERY);
        if held.look.is_none() && !(fresh && held.opened.is_some()) {
            let (configured, opened) = (self.configured.clone(), held.opened.take());
            let doubted = self.doubted.swap(false, Ordering::Relaxed);
            let look = move || Opened::again(opened, &configured, now, doubted);
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
            let opened = held.opened.as_ref();
            let end = opened.and_then(|opened| opened.as_ref().ok()?.credentials_end());
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        }
        match &held.opened {
            Some(Ok(opened)) => Ok((opened.session.clone(), opened.tickets.clone())),
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
        configured: &Configured,
        now: Instant,
        doubted: bool,
    ) -> Result<Self, Failure> {
        match opened {
            Some(Ok(mut opened)) if opened.is_current() => {
                opened.follow_token(now, doubted);
                Ok(opened)
            }
            _ => Self::open(configured, now),
        }
    }

    fn is_current(&self) -> bool {
        self.watched
            .iter()
            .all(|(path, stamp)| Stamp::of(path) == *stamp)
    }

    fn credentials_end(&self) -> Option<Timestamp> {
        let token = self.session.authorization.as_ref();
        let ends = [self.certificate_end, token.and_then(ending::of_bearer)];
        ends.into_iter().flatten().min()
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

    fn open(configured: &Configured, now: Instant) -> Result<Self, Failure> {
        let mut watched = Vec::new();
        let mut watch = |path: &Path| watched.push((path.to_owned(), Stamp::of(path)));
        // Stamps are taken before the content: what changes in between is then seen as changed.
        if let ClusterAccess::Kubeconfig { path, .. } = &configured.access {
            watch(path);
        }
        let access = Access::of(&configured.access)?;
        access.files().for_each(&mut watch);
        let access = Arc::new(access);
        let issuer =
            match &access.login {
                Login::Keys(keys) => {
                    let mut session = Session::open(Door::new(&access))?;
                    let (authorization, token) = token(keys, now)?;
                    session.authorization = authorization;
                    return Ok(Self {
                        session,
                        watched,
                        certificate_end: keys.identity.as_ref().and_then(ending::of_certificate),
                        token,
                        tickets: None,
                    });
                }
                Login::Plugin(plugin) => Issuer::Plugin(plugin.instruct(&access)?),
                Login::Eks => Issuer::Eks(configured.signer.clone().ok_or_else(|| {
                    unusable("there is nobody here to sign the cluster's tokens")
                })?),
            };
        let session = Session::open(Door::new(&access))?;
        let tickets = Tickets::new(issuer, access, session.clone());
        Ok(Self {
            session,
            watched,
            // Of what is handed out for a while.
            certificate_end: None,
            token: None,
            tickets: Some(Arc::new(tickets)),
        })
    }
}

impl Session {
    /// Without a token yet. Blocking.
    pub(super) fn open(door: Door) -> Result<Self, Failure> {
        let server = server(&door.access.server)?;
        Ok(Self {
            http: door.connector(Traffic::Requests)?,
            server: match &door.access.way {
                Way::Named(name) => way::named(server, name)?,
                Way::Direct | Way::Proxy(_) => server,
            },
            authorization: None,
            lanes: Arc::new(Lanes::new(door)),
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

/// Where connections are opened: by one access, with the certificate that was issued for it, if one was.
#[derive(Clone)]
pub(super) struct Door {
    access: Arc<Access>,
    issued: Option<Arc<Identity>>,
}

impl Door {
    pub(super) fn new(access: &Arc<Access>) -> Self {
        Self {
            access: Arc::clone(access),
            issued: None,
        }
    }

    pub(super) fn with_certificate(access: &Arc<Access>, issued: &Arc<Identity>) -> Self {
        Self {
            access: Arc::clone(access),
            issued: Some(Arc::clone(issued)),
        }
    }

    /// Reads files. Blocking.
    pub(super) fn connector(&self, traffic: Traffic) -> Result<reqwest::Client, Failure> {
        let own = match &self.access.login {
            Login::Keys(keys) => keys.identity.as_ref(),
            Login::Plugin(_) | Login::Eks => None,
        };
        connector(&self.access, self.issued.as_deref().or(own), traffic)
    }
}

fn connector(
    access: &Access,
    identity: Option<&Identity>,
    traffic: Traffic,
) -> Result<reqwest::Client, Failure> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("secretsyncd/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        // A redirect would carry values to another host; a proxy from the environment is nothing that was configured.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT);
    builder = match traffic {
        Traffic::Requests => builder
            .timeout(REQUEST_TIMEOUT)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(false),
        // A watch has no end of its own; pings tell one that is quiet from one that is dead.
        Traffic::Watches => builder
            .http2_keep_alive_interval(PING_WATCHES_AFTER)
            .http2_keep_alive_timeout(PING_WATCHES_TIMEOUT),
    };
    builder = match &access.trust {
        Trust::System => builder,
        Trust::Authority(source) => builder.tls_certs_only(authorities(source)?),
        Trust::Anybody => builder.tls_danger_accept_invalid_certs(true),
    };
    builder = match &access.way {
        Way::Direct => builder,
        Way::Named(_) => builder.dns_resolver(way::addresses_of(&server(&access.server)?)?),
        Way::Proxy(url) => builder.proxy(way::proxy(url)?),
    };
    if let Some(identity) = identity {
        builder = builder.identity(client_certificate(identity)?);
    }
    builder.build().map_err(|_| {
        unusable("the cluster's certificate authority or client certificate cannot be used")
            .with_help(
                "check that they are valid PEM, and that the client certificate and its key belong together",
            )
    })
}

fn authorities(source: &Source) -> Result<Vec<reqwest::Certificate>, Failure> {
    let pem = source.load("certificate authority")?;
    let unusable = || unusable("the cluster's certificate authority is not a PEM certificate");
    let roots = reqwest::Certificate::from_pem_bundle(pem.expose()).map_err(|_| unusable())?;
    if roots.is_empty() {
        return Err(unusable());
    }
    Ok(roots)
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
    keys: &Keys,
    now: Instant,
) -> Result<(Option<HeaderValue>, Option<FollowedToken>), Failure> {
    let fixed = keys.token.as_ref().map(bearer).transpose()?;
    let Some(path) = &keys.token_file else {
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

pub(super) fn bearer(token: &SecretBytes) -> Result<HeaderValue, Failure> {
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
    use crate::config::Tls;

    #[tokio::test(start_paused = true)]
    async fn files_that_never_answer_cost_each_call_a_bounded_time() {
        let access = ClusterAccess::Kubeconfig {
            path: "/dev/null".into(),
            context: None,
            tls: Tls::Verified,
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
