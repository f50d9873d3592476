//! The works of the comparison for `wasi:http` 0.2; see works.

#[path = "../../works/src/content.rs"]
mod content;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingRequest,
    OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

struct Works;

wasip2::http::proxy::export!(Works);

/// What one call of `blocking-write-and-flush` takes at most, by its contract.
const WRITE: usize = 4096;

impl wasip2::exports::http::incoming_handler::Guest for Works {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/text" => answer(out, 200, "text/plain", |output| write(output, content::TEXT)),
            "/json" => {
                answer(out, 200, "application/json", |output| write(output, &content::document()))
            }
            "/stream" => answer(out, 200, "text/plain", |output| {
                for _ in 0..content::PIECES {
                    write(output, &content::piece());
                }
            }),
            "/echo" => echo(&request, out),
            "/burn" => {
                content::burn(query);
                answer(out, 200, "text/plain", |output| write(output, content::BURNT));
            }
            "/wait" => wait(query, out),
            _ => answer(out, 404, "text/plain", |output| write(output, b"there is no such work\n")),
        }
    }
}

fn answer(out: ResponseOutparam, status: u16, kind: &str, body: impl FnOnce(&OutputStream)) {
    let headers = Fields::new();
    let _ = headers.append("content-type", kind.as_bytes());
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(status);
    let outgoing = response.body().expect("a new response has its body");
    ResponseOutparam::set(out, Ok(response));
    let output = outgoing.write().expect("a new body has its stream");
    body(&output);
    drop(output);
    let _ = OutgoingBody::finish(outgoing, None);
}

/// As much at a time as the host takes.
fn write(output: &OutputStream, mut bytes: &[u8]) {
    if bytes.len() <= WRITE {
        let _ = output.blocking_write_and_flush(bytes);
        return;
    }
    let ready = output.subscribe();
    while !bytes.is_empty() {
        ready.block();
        let Ok(room) = output.check_write() else { return };
        let (now, later) = bytes.split_at(bytes.len().min(room as usize));
        if output.write(now).is_err() {
            return;
        }
        bytes = later;
    }
    drop(ready);
    let _ = output.blocking_flush();
}

fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let Ok(body) = request.consume() else { return };
    answer(out, 200, "application/octet-stream", |output| copy(&body, output));
}

fn copy(body: &IncomingBody, output: &OutputStream) {
    let Ok(input) = body.stream() else { return };
    while let Some(bytes) = read(&input) {
        write(output, &bytes);
    }
}

fn read(input: &InputStream) -> Option<Vec<u8>> {
    match input.blocking_read(content::PIECE as u64) {
        Ok(bytes) => Some(bytes),
        Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => None,
    }
}

fn wait(authority: &str, out: ResponseOutparam) {
    let body = match ask(authority) {
        Ok(body) => body,
        Err(error) => return ResponseOutparam::set(out, Err(error)),
    };
    answer(out, 200, "text/plain", |output| copy(&body, output));
}

fn ask(authority: &str) -> Result<IncomingBody, ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(authority));
    let _ = request.set_path_with_query(Some("/"));
    let pending = outgoing_handler::handle(request, None)?;
    pending.subscribe().block();
    let answer = match pending.get() {
        Some(Ok(answer)) => answer?,
        _ => return Err(ErrorCode::InternalError(None)),
    };
    answer.consume().map_err(|()| ErrorCode::InternalError(None))
}
