//! Requests against a scripted HTTPS server on loopback: it answers with what it is given, in order.

mod flow;
mod tenure;
mod ways;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::*;
use crate::config::{Cluster, ClusterAccess, ClusterAuth};
use crate::failure::{Failure, Reason};
use crate::names::{ClusterName, Namespace, ObjectName};
use crate::report::{Fact, Reporter};

pub(crate) struct Server {
    dir: tempfile::TempDir,
    address: String,
    replies: Arc<Mutex<Script>>,
    /// Head and body of every request.
    requests: Arc<Mutex<Vec<(String, String)>>>,
    facts: Arc<Mutex<Vec<String>>>,
    /// The name that each connection asked for.
    names: Arc<Mutex<Vec<Option<String>>>>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// Answers to a head and a body with a status and a body.
pub(crate) type Answering = Box<dyn FnMut(&str, &str) -> (u16, String) + Send>;

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    /// In place of those.
    by: Option<Answering>,
}

impl Script {
    fn next(&mut self, head: &str, body: &str) -> Reply {
        let Some(answer) = &mut self.by else {
            return self.replies.pop_front().expect("a reply is scripted");
        };
        let (status, body) = answer(head, body);
        Reply {
            status,
            headers: "",
            body,
        }
    }
}

struct Reply {
    status: u16,
    headers: &'static str,
    body: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::speaking(&[]).await
    }

    /// As [`Server::start`], over HTTP/2, as real API servers prefer.
    async fn start_http2() -> Self {
        Self::speaking(&[b"h2"]).await
    }

    async fn speaking(protocols: &[&[u8]]) -> Self {
        Self::named("localhost", protocols).await
    }

    /// Its certificate has this name and no other.
    async fn named(name: &str, protocols: &[&[u8]]) -> Self {
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.crt"), certified.cert.pem()).unwrap();
        std::fs::write(dir.path().join("token"), "TOKENMARKER\n").unwrap();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certified.cert.der().to_vec())],
                key.into(),
            )
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let replies = Arc::<Mutex<Script>>::default();
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let mut tasks = JoinSet::new();
        let connections = Arc::<AtomicUsize>::default();
        let accepted = Arc::clone(&connections);
        let (script, seen) = (Arc::clone(&replies), Arc::clone(&requests));
        let names = Arc::<Mutex<Vec<_>>>::default();
        let asked = Arc::clone(&names);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, script, seen) =
                    (acceptor.clone(), Arc::clone(&script), Arc::clone(&seen));
                let asked = Arc::clone(&asked);
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let name = stream.get_ref().1.server_name().map(str::to_owned);
                    asked.lock().unwrap().push(name);
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        serve_http2(stream, script, seen).await;
                    } else {
                        serve(stream, &script, &seen).await;
                    }
                });
            }
        });
        Self {
            dir,
            address: format!("https://localhost:{port}"),
            replies,
            requests,
            facts: Arc::default(),
            names,
            connections,
            _tasks: tasks,
        }
    }

    pub(crate) fn reply(&self, status: u16, body: impl Into<String>) -> &Self {
        self.reply_with(status, "", body)
    }

    pub(crate) fn reply_with(
        &self,
        status: u16,
        headers: &'static str,
        body: impl Into<String>,
    ) -> &Self {
        let body = body.into();
        self.replies.lock().unwrap().replies.push_back(Reply {
            status,
            headers,
            body,
        });
        self
    }

    pub(crate) fn answer_by(&self, answer: Answering) {
        self.replies.lock().unwrap().by = Some(answer);
    }

    pub(crate) fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster {
            access: ClusterAccess::Server {
                server: self.address.clone(),
                certificate_authority: Some(self.dir.path().join("ca.crt")),
                auth: ClusterAuth::TokenFile(self.dir.path().join("token")),
            },
            requests_per_second: Cluster::REQUESTS_PER_SECOND,
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.client_of(self.cluster())
    }

    fn client_of(&self, cluster: Cluster) -> Client {
        let facts = Arc::clone(&self.facts);
        let reporter = Reporter::new(move |fact| {
            if let Fact::ClusterRequest { verb, code, .. } = fact {
                facts.lock().unwrap().push(format!("{verb:?} {code}"));
            }
        });
        Client::new(
            ClusterName::new("prod").unwrap(),
            cluster,
            reporter,
            Tenure::always(),
        )
    }
}

async fn serve(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    script: &Mutex<Script>,
    seen: &Mutex<Vec<(String, String)>>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let body = String::from_utf8(body).unwrap();
        let reply = script.lock().unwrap().next(&head, &body);
        seen.lock().unwrap().push((head, body));
        let Reply {
            status,
            headers,
            body,
        } = reply;
        let length = if headers.contains("transfer-encoding") {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        let reply = format!("HTTP/1.1 {status} X\r\n{headers}{length}\r\n{body}");
        if stream.write_all(reply.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn serve_http2(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<(String, String)>>>,
) {
    let answer = hyper::service::service_fn(move |request: hyper::Request<_>| {
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(
                axum::body::Body::new::<hyper::body::Incoming>(body),
                1 << 20,
            );
            let body = String::from_utf8(body.await.unwrap().to_vec()).unwrap();
            let line = format!("{} {} {:?}", head.method, head.uri, head.version);
            let reply = script.lock().unwrap().next(&line, &body);
            seen.lock().unwrap().push((line, body));
            let Reply { status, body, .. } = reply;
            let reply = hyper::Response::builder()
                .status(status)
                .body(axum::body::Body::from(body));
            Ok::<_, std::convert::Infallible>(reply.unwrap())
        }
    });
    let stream = hyper_util::rt::TokioIo::new(stream);
    // The client may hang up at any time.
    let _ = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
        .serve_connection(stream, answer)
        .await;
}

pub(crate) fn partial(uid: &str, version: &str) -> String {
    format!(
        r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",
            "metadata":{{"name":"db","namespace":"app","uid":"{uid}","resourceVersion":"{version}"}}}}"#
    )
}

pub(crate) fn status(reason: &str, details: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"SERVERTEXT","reason":"{reason}","details":{{{details}}}}}"#
    )
}

const ABSENT: &str = r#""name":"db","kind":"secrets""#;

fn place() -> (Namespace, ObjectName) {
    (
        Namespace::new("app").unwrap(),
        ObjectName::new("db").unwrap(),
    )
}

async fn look(client: &Client) -> Result<Option<LiveMetadata>, Failure> {
    let (namespace, name) = place();
    client.get_metadata(&namespace, &name).await
}

async fn apply(client: &Client) -> Result<Applied, ApplyError> {
    let (namespace, name) = place();
    let apply = Apply {
        manager: FieldManager::new(&["prod", "team/db"]),
        force: Force::Yes,
        run: Run::Real,
        body: Zeroizing::new(br#"{"data":{"a":"VkFMVUVNQVJLRVI="}}"#.to_vec()),
    };
    client.apply_secret(&namespace, &name, apply).await
}

#[tokio::test]
async fn requests_name_what_they_want_and_are_counted() {
    let server = Server::start().await;
    let client = server.client();
    server
        .reply(200, partial("u-1", "7"))
        .reply(404, status("NotFound", ABSENT))
        .reply(201, partial("u-1", "8"));
    assert_eq!(
        look(&client)
            .await
            .unwrap()
            .unwrap()
            .resource_version
            .as_str(),
        "7"
    );
    assert_eq!(look(&client).await.unwrap(), None);
    let applied = apply(&client).await.unwrap();
    assert_eq!(applied.resource_version.as_str(), "8");

    let requests = server.requests();
    let (head, _) = &requests[0];
    assert!(
        head.starts_with("GET /api/v1/namespaces/app/secrets/db HTTP"),
        "{head}"
    );
    assert!(head.contains("authorization: Bearer TOKENMARKER\r\n"));
    assert!(head.contains("accept: application/json;as=PartialObjectMetadata;"));
    let (head, body) = &requests[2];
    let path = "PATCH /api/v1/namespaces/app/secrets/db?fieldManager=secretsyncd%3Aprod%3Ateam%2Fdb&force=true HTTP";
    assert!(head.starts_with(path), "{head}");
    assert!(head.contains("content-type: application/apply-patch+yaml\r\n"));
    assert!(body.contains("VkFMVUVNQVJLRVI="));
    assert_eq!(
        *server.facts.lock().unwrap(),
        ["Get 200", "Get 404", "Apply 201"]
    );
}

#[tokio::test]
async fn every_refusal_has_its_reason_and_none_its_text() {
    let server = Server::start().await;
    let namespace = r#""name":"app","kind":"namespaces""#;
    let terminating = r#""causes":[{"reason":"NamespaceTerminating","field":"x"}]"#;
    for (code, body, reason) in [
        (401, status("Unauthorized", ""), Reason::Credentials),
        (403, status("Forbidden", ABSENT), Reason::TargetDenied),
        (403, status("Forbidden", terminating), Reason::TargetMissing),
        (403, "SERVERTEXT".into(), Reason::Malformed),
        (404, status("NotFound", namespace), Reason::TargetMissing),
        (404, "SERVERTEXT".into(), Reason::Malformed),
        (413, "SERVERTEXT".into(), Reason::TooLarge),
        (429, "SERVERTEXT".into(), Reason::Throttled),
        (500, status("InternalError", ""), Reason::Network),
        (503, "SERVERTEXT".into(), Reason::Network),
        (302, "SERVERTEXT".into(), Reason::Malformed),
        (418, status("Odd", ""), Reason::Malformed),
        (200, "SERVERTEXT".into(), Reason::Malformed),
    ] {
        server.reply_with(
            code,
            "location: /elsewhere\r\nretry-after: 3600\r\n",
            &*body,
        );
        server.reply_with(code, "", body);
        // Some of these pause the cluster; each client has a pause of its own.
        let looked = look(&server.client()).await.unwrap_err();
        let ApplyError::Failed(applied) = apply(&server.client()).await.unwrap_err() else {
            panic!("{code}");
        };
        for failure in [&looked, &applied] {
            assert_eq!(failure.reason, reason, "{code}: {failure}");
            let shown = format!("{failure:?} {}", failure.help());
            assert!(!shown.contains("SERVERTEXT"), "{shown}");
        }
        let asked = matches!(code, 429 | 500..).then_some(Duration::from_mins(5));
        assert_eq!(looked.retry_after, asked, "{code}");
    }
    assert_eq!(
        server.requests().len(),
        26,
        "a redirect was followed or a request repeated"
    );
}

#[tokio::test]
async fn being_overtaken_is_told_from_fields_in_the_way() {
    let server = Server::start().await;
    let client = server.client();
    server.reply(409, status("Conflict", ABSENT));
    assert!(matches!(apply(&client).await, Err(ApplyError::Raced)));
    server.reply(
        422,
        status(
            "Invalid",
            r#""causes":[{"reason":"FieldValueInvalid","field":"metadata.uid"}]"#,
        ),
    );
    assert!(matches!(apply(&client).await, Err(ApplyError::Raced)));
    for (code, trouble) in [(409, FieldTrouble::Owned), (422, FieldTrouble::Invalid)] {
        let causes = r#""causes":[{"reason":"FieldManagerConflict","field":".data.a"}]"#;
        server.reply(code, status("Conflict", causes));
        match apply(&client).await {
            Err(ApplyError::Fields(seen, fields)) => {
                assert_eq!((seen, fields), (trouble, vec![".data.a".to_owned()]));
            }
            other => panic!("{other:?}"),
        }
    }
    server.reply(200, partial("u-1", "7").replace("app", "other"));
    assert!(
        matches!(apply(&client).await, Err(ApplyError::Failed(f)) if f.reason == Reason::Malformed)
    );
}

/// An empty one says that nobody makes the Secret any more.
#[tokio::test]
async fn a_list_without_items_is_no_empty_one() {
    let server = Server::start().await;
    let client = server.client();
    let namespace = Namespace::new("app").unwrap();
    for (items, makers) in [
        (r#","items":null"#, Some(0)),
        (r#","items":[]"#, Some(0)),
        ("", None),
    ] {
        server.reply(
            200,
            format!(r#"{{"kind":"ExternalSecretList","metadata":{{}}{items}}}"#),
        );
        let listed = client
            .external_secrets(&namespace, ExternalSecretApi::EsoV1)
            .await;
        let found = listed.as_ref().ok().map(Vec::len);
        assert_eq!(found, makers, "{items}: {listed:?}");
        if let Err(failure) = listed {
            assert_eq!(failure.reason, Reason::Malformed);
            assert!(failure.fact.contains("not a list"), "{failure}");
        }
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let server = Server::start().await;
    let client = server.client();
    server.reply(200, "x".repeat((4 << 20) + 1));
    assert_eq!(look(&client).await.unwrap_err().reason, Reason::Malformed);
    // The length may also be left unsaid.
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    server.reply_with(200, "transfer-encoding: chunked\r\n", chunk.repeat(5));
    assert_eq!(look(&client).await.unwrap_err().reason, Reason::Malformed);
}

#[tokio::test]
async fn what_keeps_a_connection_from_being_made_is_told_apart() {
    let server = Server::start().await;
    let other = Server::start().await;
    let mut cluster = server.cluster();
    if let ClusterAccess::Server {
        certificate_authority,
        ..
    } = &mut cluster.access
    {
        *certificate_authority = Some(other.dir.path().join("ca.crt"));
    }
    let failure = look(&server.client_of(cluster)).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Network);
    assert!(failure.fact.contains("TLS"), "{failure}");
    assert!(failure.help().contains("certificate_authority"));

    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut cluster = server.cluster();
    if let ClusterAccess::Server { server, .. } = &mut cluster.access {
        *server = format!("https://{closed}");
    }
    let failure = look(&server.client_of(cluster)).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Network);
    assert!(failure.fact.contains("refuses connections"), "{failure}");

    for bad in [
        "http://localhost:1",
        "https://u:TOKENMARKER@localhost:1",
        "https://a/?TOKENMARKER",
        "TOKENMARKER",
    ] {
        let mut cluster = server.cluster();
        if let ClusterAccess::Server { server, .. } = &mut cluster.access {
            bad.clone_into(server);
        }
        let failure = look(&server.client_of(cluster)).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Credentials);
        assert!(!format!("{failure:?}").contains("TOKENMARKER"));
    }
    assert_eq!(server.requests().len(), 0);
}

/// The clock stands still, and jumps to the next deadline when nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn silence_is_not_waited_for_without_end() {
    let server = Server::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut cluster = server.cluster();
    if let ClusterAccess::Server { server, .. } = &mut cluster.access {
        *server = format!("https://{}", silent.local_addr().unwrap());
    }
    let failure = look(&server.client_of(cluster)).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout);
    assert_eq!(*server.facts.lock().unwrap(), ["Get timeout"]);
}

async fn a_second_later() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test]
async fn files_are_followed_while_running() {
    let server = Server::start().await;
    let path = |name: &str| server.dir.path().join(name);
    let (token, authority) = (path("token"), path("ca.crt"));
    let good = std::fs::read(&authority).unwrap();
    std::fs::remove_file(&token).unwrap();
    let client = server.client();
    let failure = look(&client).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Credentials);
    assert!(failure.fact.contains("does not exist"), "{failure}");

    // Mended, replaced, and lost: the last one stays in use.
    for (content, used) in [
        (Some("one"), "one"),
        (Some("second"), "second"),
        (None, "second"),
    ] {
        match content {
            Some(content) => std::fs::write(&token, content).unwrap(),
            None => std::fs::remove_file(&token).unwrap(),
        }
        a_second_later().await;
        client.hasten();
        server.reply(200, partial("u-1", "7"));
        look(&client).await.unwrap();
        let (head, _) = server.requests().pop().unwrap();
        assert!(
            head.contains(&format!("authorization: Bearer {used}\r\n")),
            "{head}"
        );
    }

    std::fs::write(&token, "second").unwrap();
    std::fs::write(&authority, "TOKENMARKER").unwrap();
    a_second_later().await;
    let failure = look(&client).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Credentials);
    assert!(!format!("{failure:?}").contains("TOKENMARKER"));
    std::fs::write(&authority, good).unwrap();
    a_second_later().await;
    client.hasten();
    server.reply(200, partial("u-1", "7"));
    look(&client).await.unwrap();
}

#[tokio::test]
async fn a_kubeconfig_opens_the_same_door() {
    let server = Server::start().await;
    let path = server.dir.path().join("kubeconfig");
    let config = format!(
        "clusters: [{{name: c, cluster: {{server: '{}/prefix/', certificate-authority: ca.crt}}}}]\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{token: inline}}}}]\n",
        server.address
    );
    std::fs::write(&path, config).unwrap();
    let access = ClusterAccess::Kubeconfig {
        path,
        context: None,
        tls: crate::config::Tls::Verified,
    };
    server.reply(200, partial("u-1", "7"));
    look(&server.client_of(Cluster {
        access,
        requests_per_second: Cluster::REQUESTS_PER_SECOND,
    }))
    .await
    .unwrap();
    let (head, _) = server.requests().pop().unwrap();
    assert!(
        head.starts_with("GET /prefix/api/v1/namespaces/app/secrets/db HTTP"),
        "{head}"
    );
    assert!(head.contains("authorization: Bearer inline\r\n"));
}

#[tokio::test]
async fn a_client_certificate_needs_its_own_key() {
    let server = Server::start().await;
    let client = |dir: &Path, key: &str| {
        let mut cluster = server.cluster();
        if let ClusterAccess::Server { auth, .. } = &mut cluster.access {
            *auth = ClusterAuth::ClientCertificate {
                certificate: dir.join("one.crt"),
                key: dir.join(key),
            };
        }
        server.client_of(cluster)
    };
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(dir.path().join(format!("{name}.crt")), made.cert.pem()).unwrap();
        std::fs::write(
            dir.path().join(format!("{name}.key")),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
    }
    let failure = look(&client(dir.path(), "two.key")).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Credentials);
    server.reply(200, partial("u-1", "7"));
    look(&client(dir.path(), "one.key")).await.unwrap();
    let (head, _) = server.requests().pop().unwrap();
    assert!(!head.contains("authorization"), "{head}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_library_logs_a_token_or_a_value() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For all tests of this process: whether a place logs is remembered process-wide, and others run meanwhile.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    for server in [Server::start().await, Server::start_http2().await] {
        log.0.lock().unwrap().clear();
        let client = server.client();
        let whole = r#"{"kind":"Secret","apiVersion":"v1","data":{"a":"VkFMVUVNQVJLRVI="},"#;
        let whole = partial("u-1", "7").replace(
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","#,
            whole,
        );
        server
            .reply(201, partial("u-1", "7"))
            .reply(500, "VkFMVUVNQVJLRVI=")
            .reply(200, whole);
        apply(&client).await.unwrap();
        apply(&client).await.unwrap_err();
        let (namespace, name) = place();
        let live = client.get_secret(&namespace, &name).await.unwrap().unwrap();
        tracing::trace!(?live, ?client, "what we hold");
        assert_eq!(live.data["a"].expose(), b"VALUEMARKER");
        let bytes = log.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains("hyper"),
            "nothing was logged, so nothing was shown"
        );
        for marker in ["TOKENMARKER", "VALUEMARKER", "VkFMVUVNQVJLRVI"] {
            assert!(!text.contains(marker), "{marker}");
        }
    }
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered() {
    let server = Server::start_http2().await;
    let client = server.client();
    server
        .reply(200, partial("u-1", "7"))
        .reply(201, partial("u-1", "8"));
    look(&client).await.unwrap();
    apply(&client).await.unwrap();
    for (line, _) in server.requests() {
        assert!(line.ends_with("HTTP/2.0"), "{line}");
    }
}

async fn delete(client: &Client) -> Result<Deleted, Failure> {
    let (namespace, name) = place();
    let uid = crate::names::Uid::new("u-1").unwrap();
    let version = crate::names::ResourceVersion::new("7").unwrap();
    client
        .delete_secret(&namespace, &name, (&uid, &version))
        .await
}

#[tokio::test]
async fn a_delete_names_the_state_that_was_judged_and_believes_only_the_api_server() {
    let server = Server::start().await;
    let client = server.client();
    let deleted = r#"{"kind":"Status","status":"Success"}"#;
    server.reply(200, deleted);
    assert_eq!(delete(&client).await.unwrap(), Deleted::Gone);
    let (head, body) = &server.requests()[0];
    assert!(
        head.starts_with("DELETE /api/v1/namespaces/app/secrets/db HTTP"),
        "{head}"
    );
    assert!(
        body.contains(r#""preconditions":{"resourceVersion":"7","uid":"u-1"}"#),
        "{body}"
    );
    // A finalizer holds it; or it did, a moment ago.
    for (live, end) in [
        (Some("u-1"), Deleted::Marked),
        (Some("u-2"), Deleted::Gone),
        (None, Deleted::Gone),
    ] {
        server.reply(200, partial("u-1", "8"));
        match live {
            Some(uid) => server.reply(200, partial(uid, "8")),
            None => server.reply(404, status("NotFound", ABSENT)),
        };
        assert_eq!(delete(&client).await.unwrap(), end);
    }
    server
        .reply(409, status("Conflict", ABSENT))
        .reply(404, status("NotFound", ABSENT));
    for _ in 0..2 {
        assert_eq!(delete(&client).await.unwrap(), Deleted::Raced);
    }
    for (code, body, reason) in [
        (403, status("Forbidden", ABSENT), Reason::TargetDenied),
        (404, "SERVERTEXT".into(), Reason::Malformed),
        (409, "SERVERTEXT".into(), Reason::Malformed),
        (429, "SERVERTEXT".into(), Reason::Throttled),
        (500, status("InternalError", ""), Reason::Network),
    ] {
        server.reply(code, body);
        let failure = delete(&server.client()).await.unwrap_err();
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(!failure.to_string().contains("SERVERTEXT"));
    }
}
