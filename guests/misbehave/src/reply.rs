//! Answering, in one piece or bit by bit.
//!
//! A client that went away makes writing fail; whatever was asked for goes on all the same.

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::OutputStream;

/// What one call of `blocking-write-and-flush` takes at most, by its contract.
const WRITE: usize = 4096;

/// Sends a whole response.
pub fn answer(out: ResponseOutparam, status: u16, body: &[u8]) {
    let stream = Stream::with_status(out, status);
    stream.send(body);
    stream.finish();
}

/// A response whose head is sent and whose body is still open.
pub struct Stream {
    body: OutgoingBody,
    output: OutputStream,
}

impl Stream {
    /// Sends the head of a 200.
    pub fn start(out: ResponseOutparam) -> Self {
        Self::with_status(out, 200)
    }

    fn with_status(out: ResponseOutparam, status: u16) -> Self {
        let headers = Fields::new();
        let _ = headers.append("content-type", b"text/plain");
        Self::with_headers(out, status, headers)
    }

    /// Sends a head.
    pub fn with_headers(out: ResponseOutparam, status: u16, headers: Fields) -> Self {
        let response = OutgoingResponse::new(headers);
        let _ = response.set_status_code(status);
        let body = response.body().expect("a new response has its body");
        let output = body.write().expect("a new body has its stream");
        ResponseOutparam::set(out, Ok(response));
        Self { body, output }
    }

    /// Writes bytes and waits until the host took them.
    pub fn send(&self, bytes: &[u8]) {
        for chunk in bytes.chunks(WRITE) {
            if self.output.blocking_write_and_flush(chunk).is_err() {
                return;
            }
        }
    }

    /// Writes these bytes and ends the body.
    pub fn end_with(self, bytes: &[u8]) {
        self.send(bytes);
        self.finish();
    }

    /// Ends the body.
    pub fn finish(self) {
        drop(self.output);
        let _ = OutgoingBody::finish(self.body, None);
    }
}
