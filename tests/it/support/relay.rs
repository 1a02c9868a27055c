//! A port that passes everything on to another one, and can be as if nobody listened there.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::wait::wait_for;

pub struct Relay {
    address: SocketAddr,
    to: u16,
    accepted: Arc<AtomicUsize>,
    open: Option<Open>,
}

struct Open {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut relay = Self {
            address,
            to,
            accepted: Arc::default(),
            open: None,
        };
        relay.listen(listener);
        relay
    }

    /// How many connections were made so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every connection breaks, and new ones are refused.
    pub fn cut(&mut self) {
        self.open = None;
    }

    pub fn mend(&mut self) {
        let listener = wait_for(Duration::from_secs(10), "the port", || {
            TcpListener::bind(self.address).ok()
        });
        self.listen(listener);
    }

    fn listen(&mut self, listener: TcpListener) {
        let accepted = Arc::clone(&self.accepted);
        self.open = Some(Open::new(listener, self.to, accepted));
    }
}

impl Open {
    fn new(listener: TcpListener, to: u16, accepted: Arc<AtomicUsize>) -> Self {
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, to, &accepted) => {}
                }
            });
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, to: u16, accepted: &AtomicUsize) {
    loop {
        let Ok((mut from, _)) = listener.accept().await else {
            continue;
        };
        accepted.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            if let Ok(mut to) = TcpStream::connect(("127.0.0.1", to)).await {
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}
