//! What has become of a request that was not answered.
//!
//! Invariant: whatever the RFCs do not allow every client to send again is lost.

use super::reply::chain;

/// What has become of a request that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// No byte of it was written; it can be sent on another connection.
    NotSent,
    /// Written, but the server has said that it was not processed: GOAWAY with a lower
    /// stream identifier, or `REFUSED_STREAM` (RFC 9113, section 8.7).
    Refused,
    /// Written, and nobody knows what has become of it.
    Lost,
}

/// How h2 words a GOAWAY without an error, which it reports for the streams above the last
/// one that the server processes, and for no other.
const GONE_AWAY: &str = "connection error received: not a result of an error";

/// How h2 words a RST_STREAM with `REFUSED_STREAM`.
const REFUSED_STREAM: &str =
    "stream error received: refused stream before processing any application logic";

impl Fate {
    /// Of a request that was handed to the connection and came to this.
    pub(super) fn of(error: &hyper::Error) -> Self {
        let text = chain(error);
        let refused = [GONE_AWAY, REFUSED_STREAM].iter().any(|words| text.contains(words));
        if refused { Self::Refused } else { Self::Lost }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::Fate;
    use crate::client::{Ask, Broken, Connection};

    // RFC 9113, section 6: length, type, flags, stream, payload.
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY_BEFORE_STREAM_1: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const GOAWAY_AFTER_STREAM_1: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    const STREAM_1_REFUSED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
    const STREAM_1_CANCELLED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    const HEADERS: u8 = 1;

    /// What becomes of a request when a server has read its head and answers with this.
    async fn answered_with(frames: &[&[u8]]) -> Broken {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let client = async {
            let mut connection = Connection::http2(address).await.expect("a connection");
            connection.attempt(Ask::get("/")).await.expect_err("there is no response")
        };
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.write_all(SETTINGS).await.expect("a client");
            stream.read_a_request().await;
            stream.write_all(&frames.concat()).await.expect("a client");
        };
        tokio::join!(client, server).0
    }

    trait ReadRequest {
        async fn read_a_request(&mut self);
    }

    impl ReadRequest for TcpStream {
        async fn read_a_request(&mut self) {
            let mut preface = [0; 24];
            self.read_exact(&mut preface).await.expect("a preface");
            let mut head = [0; 9];
            while head[3] != HEADERS {
                self.read_exact(&mut head).await.expect("a frame");
                let length = usize::from(head[1]) << 8 | usize::from(head[2]);
                self.read_exact(&mut vec![0; length]).await.expect("a whole frame");
            }
        }
    }

    #[tokio::test]
    async fn what_the_server_has_not_processed_is_refused() {
        for frames in [GOAWAY_BEFORE_STREAM_1, STREAM_1_REFUSED] {
            let broken = answered_with(&[frames]).await;
            assert_eq!(broken.fate, Fate::Refused, "{broken}");
        }
    }

    #[tokio::test]
    async fn what_it_may_have_processed_is_lost() {
        for frames in [&[][..], &[STREAM_1_CANCELLED], &[GOAWAY_AFTER_STREAM_1]] {
            let broken = answered_with(frames).await;
            assert_eq!(broken.fate, Fate::Lost, "{broken}");
        }
    }

    #[tokio::test]
    async fn a_request_on_a_connection_that_was_closed_before_is_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut connection = Connection::http1(address).await.expect("a connection");
        drop(listener.accept().await.expect("a connection"));
        connection.closed().await;
        let broken = connection.attempt(Ask::get("/")).await.expect_err("nobody answers");
        assert_eq!(broken.fate, Fate::NotSent, "{broken}");
    }

    #[tokio::test]
    async fn a_request_that_was_read_and_not_answered_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let client = async {
            let mut connection = Connection::http1(address).await.expect("a connection");
            connection.attempt(Ask::get("/")).await.expect_err("there is no response")
        };
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.read_u8().await.expect("a request");
        };
        let broken = tokio::join!(client, server).0;
        assert_eq!(broken.fate, Fate::Lost, "{broken}");
    }
}
