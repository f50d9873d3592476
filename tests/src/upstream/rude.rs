//! An upstream that is no HTTP server.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::wait;

/// What it does to whoever connects.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Reads everything and says nothing.
    Silent,
    /// Says this once it was asked, and hangs up.
    Says(Vec<u8>),
    /// Says this over and over.
    SaysForEver(Vec<u8>),
}

/// A running one. It ends when it is dropped.
pub struct Rude {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Rude {
    /// # Panics
    /// When there is no free port.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let open = Arc::<AtomicUsize>::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, manner, Arc::clone(&open)));
        Self { address, open, _server: server }
    }

    /// Such as `http://127.0.0.1:8081`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until so many connections are open.
    ///
    /// # Panics
    /// When they are not.
    pub async fn wait_for_connections(&self, count: usize) {
        let there = || (self.open.load(Ordering::Relaxed) == count).then_some(());
        wait::until(&format!("{count} connections to a rude upstream"), there).await;
    }
}

async fn accept(listener: TcpListener, manner: Manner, open: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (manner, open) = (manner.clone(), Arc::clone(&open));
        open.fetch_add(1, Ordering::Relaxed);
        connections.spawn(async move {
            behave(stream, &manner).await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Until the other side has gone, or was told everything.
async fn behave(mut stream: TcpStream, manner: &Manner) {
    let mut asked = [0; 4096];
    match manner {
        Manner::Silent => while stream.read(&mut asked).await.is_ok_and(|count| count > 0) {},
        Manner::Says(bytes) => {
            if stream.read(&mut asked).await.is_ok() {
                let _ = stream.write_all(bytes).await;
                // Without it, what was said may be lost with what was not read.
                let _ = stream.shutdown().await;
                while stream.read(&mut asked).await.is_ok_and(|count| count > 0) {}
            }
        }
        Manner::SaysForEver(bytes) => while stream.write_all(bytes).await.is_ok() {},
    }
}
