//! HTTP/1 requests: the verdict does not depend on how the bytes arrive, and of what is let
//! through, hyper and a plain reading of RFC 9112 see the same requests.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};
use remuda_http::{Framing, Refusal};

/// Largest head; small, so that its border is met.
const MAX_HEAD: usize = 512;

/// Fewer bytes than are a flood of HTTP/2 frames, which depends on the clock.
const MOST: usize = 8192;

/// Says that an answer is the service's, and not one that hyper gives by itself.
const SERVED: &str = "x-served";

/// Looks at `input` as at what one connection has sent.
///
/// # Panics
/// When a promise is broken.
pub fn framing(input: &[u8]) {
    let input = &input[..input.len().min(MOST)];
    let whole = Framing::new(MAX_HEAD).look(input);
    assert_eq!(whole, in_pieces(input, |_| 1), "byte by byte");
    let mut random = input.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let piece = |_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 59) as usize + 1
    };
    assert_eq!(whole, in_pieces(input, piece), "in pieces");

    let passed = &input[..whole.0];
    if !passed.starts_with(b"PRI * HTTP/2.0\r\n") {
        let (seen, answers) = by_hyper(passed);
        let expected = by_the_book(passed);
        assert!(expected.starts_with(&seen), "hyper {seen:#?}\nexpected {expected:#?}");
        assert_eq!(seen.is_empty(), expected.is_empty(), "expected {expected:#?}");
        let own = answers.matches("HTTP/1.").count() - answers.matches(SERVED).count();
        let continues = answers.matches(" 100 Continue\r\n").count();
        assert_eq!(own, continues, "hyper answers by itself: {answers}");
    }
}

/// The verdict on bytes that come in pieces. What is not let through is shown again.
fn in_pieces(input: &[u8], mut size: impl FnMut(usize) -> usize) -> (usize, Option<Refusal>) {
    let mut framing = Framing::new(MAX_HEAD);
    let (mut passed, mut end) = (0, 0);
    while end < input.len() {
        end = (end + size(end)).min(input.len());
        let (more, refusal) = framing.look(&input[passed..end]);
        passed += more;
        if refusal.is_some() {
            return (passed, refusal);
        }
    }
    (passed, None)
}

/// A request as far as everybody must agree on it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    fields: usize,
    /// `None` if it is malformed or has not come to its end.
    body: Option<Vec<u8>>,
}

/// What hyper's service is asked, and everything that is answered.
fn by_hyper(bytes: &[u8]) -> (Vec<Seen>, String) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            let mut response = Response::new(Full::new(Bytes::new()));
            response.headers_mut().insert(SERVED, HeaderValue::from_static("1"));
            if head.method == Method::CONNECT {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
            }
            let request = Seen {
                method: head.method.to_string(),
                target: head.uri.to_string(),
                fields: head.headers.len(),
                body,
            };
            seen.lock().expect("no panic").push(request);
            Ok::<_, Infallible>(response)
        }
    });
    let mut socket = Socket { bytes, answers: Vec::new() };
    {
        let mut builder = http1::Builder::new();
        builder.half_close(true).max_buf_size(8192 + 16);
        let mut connection = pin!(builder.serve_connection(&mut socket, service));
        let mut cx = Context::from_waker(Waker::noop());
        // It never waits for anything that comes later, but may ask to be polled again.
        for _ in 0..1000 {
            if connection.as_mut().poll(&mut cx).is_ready() {
                break;
            }
        }
    }
    let answers = String::from_utf8_lossy(&socket.answers).into_owned();
    let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    (seen, answers)
}

/// Everything has come, everything is taken.
struct Socket<'a> {
    bytes: &'a [u8],
    answers: Vec<u8>,
}

impl Read for &mut Socket<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.bytes.len().min(buffer.remaining());
        let (now, later) = self.bytes.split_at(count);
        buffer.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for &mut Socket<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answers.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// All requests whose heads are whole, until one whose body is not. The simplest reading,
/// for which the heads must be beyond doubt.
fn by_the_book(mut bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut fields);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return seen,
            Err(error) => panic!("{error} in {:?}", String::from_utf8_lossy(bytes)),
        };
        let field = |name: &str| {
            let mut named =
                head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            let first =
                named.next().map(|field| str::from_utf8(field.value).expect("ASCII").trim());
            assert!(named.next().is_none(), "two of {name}");
            first
        };
        let rest = &bytes[length..];
        let body = match (field("content-length"), field("transfer-encoding")) {
            (None, None) => Some((Vec::new(), rest)),
            (Some(length), None) => {
                let length = length.parse().expect("a number");
                rest.split_at_checked(length).map(|(body, rest)| (body.to_vec(), rest))
            }
            (None, Some(coding)) => {
                assert!(coding.eq_ignore_ascii_case("chunked"), "{coding}");
                chunks(rest)
            }
            both => panic!("{both:?}"),
        };
        let target = head.path.expect("a target");
        let target: hyper::Uri = target.parse().expect("a target that is understood");
        let (body, rest) = body.map_or((None, None), |(body, rest)| (Some(body), Some(rest)));
        seen.push(Seen {
            method: head.method.expect("a method").to_owned(),
            target: target.to_string(),
            fields: head.headers.len(),
            body,
        });
        let Some(rest) = rest else { return seen };
        bytes = rest;
    }
}

/// A chunked body and what comes after it, if all of it is there and well-formed.
fn chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(bytes)
        else {
            return None;
        };
        bytes = &bytes[start..];
        if size == 0 {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let Ok(httparse::Status::Complete((length, _))) =
                httparse::parse_headers(bytes, &mut fields)
            else {
                return None;
            };
            return Some((body, &bytes[length..]));
        }
        let (chunk, rest) = bytes.split_at_checked(usize::try_from(size).ok()?)?;
        body.extend_from_slice(chunk);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
}
