//! Standard output and error of guests, as log lines.
//!
//! Purpose: a guest's `println!` becomes one structured log line with route, request
//! and stream, as severe as its first word says. Owner: each store has one [`Speaker`], shared with the streams that its
//! guest opens. Invariant: a guest can neither hold up the worker by writing nor make
//! it keep more than [`MAX_LINE_BYTES`] per stream.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::program::RequestId;

/// Longer lines are cut into pieces of this many bytes.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// Stands for "no request" in [`Speaker::request`].
const NO_REQUEST: u64 = RequestId::NONE.0;

/// On whose behalf a guest speaks.
pub(crate) struct Speaker {
    route: Arc<str>,
    request: AtomicU64,
}

impl Speaker {
    pub(crate) fn new(route: Arc<str>) -> Self {
        Self { route, request: AtomicU64::new(NO_REQUEST) }
    }

    /// From now on the guest speaks for `request`.
    pub(crate) fn speak_for(&self, request: Option<RequestId>) {
        self.request.store(request.map_or(NO_REQUEST, |id| id.0), Ordering::Relaxed);
    }

    fn log(&self, stream: Stream, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let request = match self.request.load(Ordering::Relaxed) {
            NO_REQUEST => None,
            id => Some(tracing::field::display(RequestId(id))),
        };
        let (route, stream) = (&*self.route, stream.name());
        macro_rules! log {
            ($level:expr) => {
                tracing::event!(target: "guest", $level, route, request, stream, "{line}")
            };
        }
        match level(&line) {
            Level::ERROR => log!(Level::ERROR),
            Level::WARN => log!(Level::WARN),
            Level::DEBUG => log!(Level::DEBUG),
            _ => log!(Level::INFO),
        }
    }
}

/// How severe a line is, by a first word such as loggers write: the SDK's `ERROR shop: …`, Python's
/// `ERROR:shop:…`. A line without is a [`Level::INFO`], and nothing is less than [`Level::DEBUG`].
fn level(line: &str) -> Level {
    let word = line.split([' ', ':']).next().unwrap_or_default();
    match word {
        "ERROR" | "CRITICAL" => Level::ERROR,
        "WARN" | "WARNING" => Level::WARN,
        "DEBUG" | "TRACE" => Level::DEBUG,
        _ => Level::INFO,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A guest's standard output or error.
pub(crate) struct GuestOutput {
    pub(crate) speaker: Arc<Speaker>,
    pub(crate) stream: Stream,
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.lines())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.lines())
    }
}

impl GuestOutput {
    fn lines(&self) -> Lines {
        Lines { speaker: Arc::clone(&self.speaker), stream: self.stream, partial: Vec::new() }
    }
}

/// Cuts what is written into lines.
struct Lines {
    speaker: Arc<Speaker>,
    stream: Stream,
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE_BYTES) {
                if self.partial.len() + part.len() > MAX_LINE_BYTES {
                    self.finish_line();
                }
                self.partial.extend_from_slice(part);
            }
            if self.partial.ends_with(b"\n") {
                self.finish_line();
            }
        }
    }

    fn finish_line(&mut self) {
        let line = self.partial.trim_ascii_end();
        if !line.is_empty() {
            self.speaker.log(self.stream, line);
        }
        self.partial.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.finish_line();
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE_BYTES)
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish_line();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_severe_as_its_first_word() {
        for (line, expected) in [
            ("ERROR shop: 502 Bad Gateway", Level::ERROR),
            ("CRITICAL:root:no more", Level::ERROR),
            ("WARN shop: slow", Level::WARN),
            ("WARNING:root:slow", Level::WARN),
            ("INFO shop: created id=1", Level::INFO),
            ("TRACE shop: asked", Level::DEBUG),
            ("Error handling begins", Level::INFO),
            ("ERRORS 7", Level::INFO),
            ("no ERROR", Level::INFO),
            ("", Level::INFO),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }
}
