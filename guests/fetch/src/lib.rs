//! Makes the outgoing request that the headers `x-url` and `x-method` ask for, and sends the
//! answer back.
//!
//! Bodies and trailers are handed through in both directions and never enter the guest. An
//! outgoing request that fails is a 502 whose body is the error's name in `wasi:http`.

mod error;
mod target;

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Headers, Method, Request, Response};
use wasip3::{spawn_local, wit_future, wit_stream};

use crate::target::Target;

struct Fetch;

wasip3::http::service::export!(Fetch);

impl wasip3::exports::http::handler::Guest for Fetch {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = Target::of(&request.get_headers());
        let outgoing = target.and_then(|target| forward(request, &target));
        Ok(match outgoing {
            Ok(outgoing) => match client::send(outgoing).await {
                Ok(answer) => hand_back(answer),
                Err(code) => text(502, error::name(&code)),
            },
            Err(reason) => text(400, reason),
        })
    }
}

/// The outgoing request, with the body of the incoming one unless its method promises none.
fn forward(request: Request, target: &Target) -> Result<Request, &'static str> {
    let headers = content_type(&request.get_headers());
    let has_body = !matches!(request.get_method(), Method::Get | Method::Head);
    let (_, handled) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Request::consume_body(request, handled);
    let (outgoing, _) = Request::new(headers, has_body.then_some(contents), trailers, None);
    target.apply(&outgoing)?;
    Ok(outgoing)
}

/// The answer as a response to the incoming request.
fn hand_back(answer: Response) -> Response {
    let status = answer.get_status_code();
    let headers = content_type(&answer.get_headers());
    let (_, handled) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Response::consume_body(answer, handled);
    let (response, _) = Response::new(headers, Some(contents), trailers);
    let _ = response.set_status_code(status);
    response
}

/// The content type among these headers, and nothing else of them.
fn content_type(headers: &Headers) -> Headers {
    let kept = Fields::new();
    for value in headers.get("content-type") {
        let _ = kept.append("content-type", &value);
    }
    kept
}

/// A response of one line.
fn text(status: u16, line: &str) -> Response {
    let line = format!("{line}\n").into_bytes();
    let headers = Fields::new();
    let _ = headers.append("content-type", b"text/plain");
    let (mut body, contents) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers, Some(contents), trailers);
    let _ = response.set_status_code(status);
    spawn_local(async move { body.write_all(line).await });
    response
}
