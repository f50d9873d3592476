//! Bytes on a socket, for what no HTTP client would do.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    process::TcpTable,
    wait::{until, within_patience},
};

/// A TCP connection.
pub struct Raw {
    stream: TcpStream,
    /// What was read and not yet given out.
    buffer: Vec<u8>,
}

impl Raw {
    /// # Panics
    /// When nobody accepts.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket of ours");
        Self { stream, buffer: Vec::new() }
    }

    /// Our end and the server's.
    ///
    /// # Panics
    /// When the connection is broken.
    #[must_use]
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let local = self.stream.local_addr().expect("an end of ours");
        (local, self.stream.peer_addr().expect("an end of theirs"))
    }

    /// Sends these bytes.
    ///
    /// # Panics
    /// When the server does not take them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.stream.write_all(bytes.as_ref());
        within_patience("the server to take bytes", sent).await.expect("a server that reads");
    }

    /// Sends these bytes; false if the server has closed the connection.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = self.stream.write_all(bytes.as_ref());
        within_patience("the server to take bytes", sent).await.is_ok()
    }

    /// Sends these bytes, and waits until the server has read them.
    ///
    /// # Panics
    /// When it does not.
    pub async fn send_and_see_it_read(&mut self, bytes: impl AsRef<[u8]>) {
        self.send(bytes).await;
        Self::see_all_read(std::slice::from_ref(self)).await;
    }

    /// Waits until the server has read everything from all of these.
    ///
    /// # Panics
    /// When it does not.
    pub async fn see_all_read(clients: &[Self]) {
        let ends: Vec<_> = clients.iter().map(Self::ends).collect();
        until("the server to read what was sent", || {
            let table = TcpTable::read();
            ends.iter().all(|(local, peer)| table.has_been_read(*local, *peer)).then_some(())
        })
        .await;
    }

    /// Reads to the first place where this text ends.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn read_through(&mut self, text: &str) -> String {
        let what = format!("{text:?} from the server");
        let read = within_patience(&what, async {
            loop {
                if let Some(start) = find(&self.buffer, text.as_bytes()) {
                    let rest = self.buffer.split_off(start + text.len());
                    return std::mem::replace(&mut self.buffer, rest);
                }
                let count = self.stream.read_buf(&mut self.buffer).await.expect("bytes");
                assert_ne!(count, 0, "ended before {text:?}: {:?}", text_of(&self.buffer));
            }
        });
        text_of(&read.await)
    }

    /// Reads a response head.
    ///
    /// # Panics
    /// When none comes.
    pub async fn read_head(&mut self) -> String {
        self.read_through("\r\n\r\n").await
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn read_exactly(&mut self, length: usize) -> String {
        text_of(&self.read_bytes(length).await)
    }

    /// Reads one frame of HTTP/2; its type (RFC 9113, section 4.1).
    ///
    /// # Panics
    /// When none comes.
    pub async fn read_frame(&mut self) -> u8 {
        let head = self.read_bytes(9).await;
        let length = head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.read_bytes(length).await;
        head[3]
    }

    pub(crate) async fn read_bytes(&mut self, length: usize) -> Vec<u8> {
        let read = within_patience("bytes", async {
            while self.buffer.len() < length {
                let count = self.stream.read_buf(&mut self.buffer).await.expect("bytes");
                assert_ne!(count, 0, "ended too soon: {:?}", text_of(&self.buffer));
            }
        });
        read.await;
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Reads until the server closes the connection; a reset is an end too.
    pub async fn read_to_end(&mut self) -> String {
        text_of(&self.read_bytes_to_end().await)
    }

    pub(crate) async fn read_bytes_to_end(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.buffer);
        // What was read before a reset is in there.
        let _ =
            within_patience("the end of a connection", self.stream.read_to_end(&mut bytes)).await;
        bytes
    }

    /// Closes the connection with a reset, whatever is on the way.
    ///
    /// # Panics
    /// When the kernel does not let us.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket of ours");
    }

    /// Says that nothing more will be sent.
    pub async fn shut_down_sending(&mut self) {
        // A server that has closed the connection needs not be told.
        let _ = self.stream.shutdown().await;
    }

    /// What has come so far, without waiting.
    #[must_use]
    pub fn received(&mut self) -> String {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = self.stream.try_read(&mut chunk) {
            self.buffer.extend_from_slice(&chunk[..count]);
        }
        text_of(&self.buffer)
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
