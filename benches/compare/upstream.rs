//! What servers ask: an upstream that takes its time, or all the time there is.
//!
//! Owner: the run, whose process it is a part of: it shares the machine with whoever is measured.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nupstream\n";

/// Listens until it is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    waiting: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    /// One that answers after this time, or never.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn start(delay: Option<Duration>) -> Result<Self> {
        let listener =
            TcpListener::bind("127.0.0.1:0").await.context("failed to listen as an upstream")?;
        let address = listener.local_addr()?;
        let waiting = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&waiting);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, delay, Arc::clone(&counted)));
            }
        });
        Ok(Self { address, waiting, accepting })
    }

    /// Requests that are here and not answered.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Returns when so many are.
    ///
    /// # Errors
    /// When they are not within `limit`.
    pub(crate) async fn until_waiting(&self, count: usize, limit: Duration) -> Result<()> {
        let give_up = Instant::now() + limit;
        while self.waiting() < count {
            if Instant::now() > give_up {
                bail!("only {} of {count} requests reached the upstream", self.waiting());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Counts while it lives.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn new(counted: &Arc<AtomicUsize>) -> Self {
        counted.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counted))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(mut stream: TcpStream, delay: Option<Duration>, counted: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await.is_ok_and(|count| count > 0) {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        head.clear();
        let _waiting = Waiting::new(&counted);
        let Some(delay) = delay else {
            // Until whoever asked has left.
            let _ = stream.read(&mut [0]).await;
            return;
        };
        tokio::time::sleep(delay).await;
        if stream.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}
