//! One TLS handshake.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{Rejection, listener::Stream, tls::Tls};

/// How long whoever speaks plain HTTP may take to read that it should not.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What it reads.
pub(super) const PLAIN_HTTP: Rejection =
    Rejection::BadRequest("it is plain HTTP, and this port speaks HTTPS");

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the handshake was not over within http.header_timeout")]
    Timeout,
    #[error("the client speaks plain HTTP")]
    PlainHttp(Stream),
    #[error("the handshake failed: {0}")]
    Handshake(#[from] io::Error),
}

impl Failed {
    /// For metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::PlainHttp(_) => "plain_http",
            Self::Handshake(_) => "failure",
        }
    }
}

/// Encrypts a connection.
pub(super) async fn accept(tls: &Tls, stream: Stream) -> Result<Stream, Failed> {
    // A handshake begins with the number 22 (RFC 8446, section 5.1), a request with a method.
    if stream.first_byte().await?.is_some_and(|byte| byte.is_ascii_uppercase()) {
        return Err(Failed::PlainHttp(stream));
    }
    Ok(Stream::Tls(Box::new(tls.acceptor.accept(stream).await?)))
}

/// Tells a client of plain HTTP what is wrong, as far as it listens.
pub(super) async fn answer_plain_http(mut stream: Stream) {
    let answered = async {
        stream.write_all(&PLAIN_HTTP.bytes(false)).await?;
        stream.shutdown().await?;
        // Bytes that nobody has read would turn the end into a reset, which may overtake the
        // answer.
        let mut rest = [0; 512];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // It has been told, or does not want to be.
    let _ = timeout(LAST_WORDS, answered).await;
}
