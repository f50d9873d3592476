//! Sends the request's body and trailers back as they arrive.
//!
//! It holds one chunk at a time and takes the next one only when the client took the last, so that
//! it shows streaming and backpressure for a body of any length, in both directions.

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{spawn_local, wit_future, wit_stream};

const CHUNK: usize = 64 * 1024;

struct Echo;

wasip3::http::service::export!(Echo);

impl wasip3::exports::http::handler::Guest for Echo {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let headers = Fields::new();
        // HTTP/1.1 sends only the trailers that the head has announced.
        for name in ["content-type", "trailer"] {
            for value in request.get_headers().get(name) {
                let _ = headers.append(name, &value);
            }
        }
        let (_, handled) = wit_future::new(|| Ok(()));
        let (mut incoming, request_trailers) = Request::consume_body(request, handled);
        let (mut outgoing, contents) = wit_stream::new();
        let (response_trailers, trailers) = wit_future::new(|| Ok(None));
        let (response, _) = Response::new(headers, Some(contents), trailers);

        spawn_local(async move {
            let mut chunk = Vec::with_capacity(CHUNK);
            loop {
                let (read, bytes) = incoming.read(chunk).await;
                if !matches!(read, StreamResult::Complete(_)) {
                    break;
                }
                chunk = outgoing.write_all(bytes).await;
                if !chunk.is_empty() {
                    return; // What comes back, the client no longer takes.
                }
            }
            drop(incoming);
            drop(outgoing);
            let _ = response_trailers.write(request_trailers.await).await;
        });
        Ok(response)
    }
}
