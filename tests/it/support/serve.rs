//! One HTTP server on a loopback port, on a thread and a runtime of its own.
//!
//! The stand-ins are plain functions from a request to a [`Reply`]; everything a broken server or network can do to
//! an answer is said by the reply and done here. Knows neither AWS nor Kubernetes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Request, Response};
use futures_util::{StreamExt as _, stream};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

/// Requests at a time on one HTTP/2 connection, as API servers allow; the next one waits for an end.
const STREAMS: u32 = 100;

/// What the server does with a request.
pub enum Reply {
    Answer(Response<Bytes>),
    /// The head promises the whole body, half of it follows, then the connection breaks.
    Truncated(Response<Bytes>),
    /// One byte of the body every 200 ms.
    Drip(Response<Bytes>),
    /// The answer, so much later.
    Late(Response<Bytes>, Duration),
    /// The request is read and never answered.
    Hang,
    /// The connection is closed without an answer.
    Close,
    /// The answer to a `CONNECT`: from here on the connection is one to this address.
    Tunnel(SocketAddr),
    Stream(Streamed),
}

/// A body that goes on while somebody sends to it, for so long at most. An error breaks it off.
pub struct Streamed {
    pub head: Response<()>,
    pub body: mpsc::UnboundedReceiver<Result<Bytes, io::ErrorKind>>,
    pub lasts: Duration,
}

/// A request as a stand-in sees it.
pub struct Call {
    pub request: Request<Bytes>,
    /// Whether the client showed a certificate that the server's CA signed.
    pub client_certificate: bool,
    /// Which connection it came by.
    pub connection: u64,
}

#[derive(Clone, Copy)]
struct Connection {
    id: u64,
    client_certificate: bool,
}

impl Connection {
    fn new(client_certificate: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            client_certificate,
        }
    }
}

type Handler = Arc<dyn Fn(Call) -> Reply + Send + Sync>;

/// A running server; dropping it closes its port and every connection.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn plain(handler: impl Fn(Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(handler))
    }

    pub fn tls(
        config: ServerConfig,
        handler: impl Fn(Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), Arc::new(handler))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(tls: Option<TlsAcceptor>, handler: Handler) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, tls, handler) => {}
                }
            });
            runtime.shutdown_background();
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Handler) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (tls, handler) = (tls.clone(), Arc::clone(&handler));
        tokio::spawn(async move {
            match tls {
                Some(tls) => serve_tls(stream, &tls, handler).await,
                None => serve_http1(stream, false, handler).await,
            }
        });
    }
}

async fn serve_tls(stream: TcpStream, tls: &TlsAcceptor, handler: Handler) {
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().is_some();
    if session.alpn_protocol() != Some(b"h2") {
        return serve_http1(stream, certificate, handler).await;
    }
    let connection = Connection::new(certificate);
    let service = service_fn(move |request| answer(request, connection, Arc::clone(&handler)));
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(STREAMS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve_http1<S>(stream: S, certificate: bool, handler: Handler)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Connection::new(certificate);
    let service = service_fn(move |request| answer(request, connection, Arc::clone(&handler)));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

/// An error here makes hyper close the connection without a word, which is what [`Reply::Close`] means.
async fn answer(
    mut request: Request<Incoming>,
    connection: Connection,
    handler: Handler,
) -> io::Result<Response<Body>> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(Body::new(body), 16 << 20)
        .await
        .map_err(io::Error::other)?;
    let call = Call {
        request: Request::from_parts(head, body),
        client_certificate: connection.client_certificate,
        connection: connection.id,
    };
    match handler(call) {
        Reply::Answer(response) => Ok(response.map(Body::from)),
        Reply::Late(response, wait) => {
            tokio::time::sleep(wait).await;
            Ok(response.map(Body::from))
        }
        Reply::Truncated(response) => Ok(truncated(response)),
        Reply::Drip(response) => Ok(dripping(response)),
        Reply::Hang => std::future::pending().await,
        Reply::Close => Err(io::ErrorKind::ConnectionReset.into()),
        Reply::Tunnel(to) => {
            let to = TcpStream::connect(to).await?;
            tokio::spawn(tunnel(upgrade, to));
            Ok(Response::new(Body::empty()))
        }
        Reply::Stream(streamed) => Ok(streaming(streamed)),
    }
}

async fn tunnel(upgrade: OnUpgrade, mut to: TcpStream) {
    if let Ok(from) = upgrade.await {
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(from), &mut to).await;
    }
}

fn streaming(streamed: Streamed) -> Response<Body> {
    let Streamed { head, body, lasts } = streamed;
    let lines = stream::unfold(body, |mut body| async move {
        let line = body.recv().await?;
        Some((line, body))
    });
    let lines = lines.take_until(Box::pin(tokio::time::sleep(lasts)));
    let (head, ()) = head.into_parts();
    Response::from_parts(head, Body::from_stream(stream_errors(lines)))
}

fn truncated(response: Response<Bytes>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    // The pause lets the first half leave before the connection breaks.
    let stream = stream::unfold(Some(Some(half)), |next| async {
        if let Some(half) = next? {
            return Some((Ok(half), Some(None)));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Err(io::ErrorKind::ConnectionReset), None))
    });
    Response::from_parts(head, Body::from_stream(stream_errors(stream)))
}

fn dripping(response: Response<Bytes>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    let stream = stream::unfold(body, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, Infallible>(byte), rest))
    });
    Response::from_parts(head, Body::from_stream(stream))
}

fn stream_errors(
    stream: impl futures_util::Stream<Item = Result<Bytes, io::ErrorKind>>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    stream.map(|item| item.map_err(io::Error::from))
}
