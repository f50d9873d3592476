//! Work that burns the processor as applications do: a password, a document, an image.
//!
//! | request | answer |
//! |---|---|
//! | `POST /hash?m=KIB&t=PASSES&salt=TEXT` | the Argon2id hash of the body, as a PHC string |
//! | `POST /transform` | the JSON document in the body with its keys in order, and what its numbers come to |
//! | `POST /resize?width=W&height=H&as=png` | the PNG or PNM image in the body, made to fit |
//! | `/` | what there is |
//!
//! What makes no sense is a 400 with a sentence.

mod hash;
mod query;
mod resize;
mod transform;

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{spawn_local, wit_future, wit_stream};

use crate::query::Query;

const CHUNK: usize = 64 * 1024;
const TEXT: &str = "text/plain";
const WHAT_THERE_IS: &str = "POST /hash?m=19456&t=2, /transform, /resize?width=64&height=64\n";

/// Content with its type; or what is wrong with a request, as a sentence.
type Done = Result<(&'static str, Vec<u8>), String>;

struct Cpu;

wasip3::http::service::export!(Cpu);

impl wasip3::exports::http::handler::Guest for Cpu {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let work: fn(&Query<'_>, &[u8]) -> Done = match path {
            "/hash" => hash::hash,
            "/transform" => transform::transform,
            "/resize" => resize::resize,
            "/" => return Ok(answer(200, TEXT, WHAT_THERE_IS.into())),
            _ => return Ok(answer(404, TEXT, WHAT_THERE_IS.into())),
        };
        let body = read(request).await;
        Ok(match work(&Query::new(query), &body) {
            Ok((kind, content)) => answer(200, kind, content),
            Err(sentence) => answer(400, TEXT, format!("{sentence}\n").into()),
        })
    }
}

async fn read(request: Request) -> Vec<u8> {
    let (_, handled) = wit_future::new(|| Ok(()));
    let (mut incoming, _) = Request::consume_body(request, handled);
    let mut body = Vec::new();
    loop {
        let (read, bytes) = incoming.read(Vec::with_capacity(CHUNK)).await;
        body.extend(bytes);
        if !matches!(read, StreamResult::Complete(_)) {
            return body;
        }
    }
}

fn answer(status: u16, kind: &str, content: Vec<u8>) -> Response {
    let headers = Fields::new();
    let _ = headers.append("content-type", kind.as_bytes());
    let (mut body, contents) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers, Some(contents), trailers);
    let _ = response.set_status_code(status);
    spawn_local(async move { body.write_all(content).await });
    response
}
