//! The works of the comparison with `wasip3` alone.
//!
//! `/text`, `/json`, `/stream`, `/echo`, `/burn?ROUNDS`, and `/wait?AUTHORITY`, which asks that
//! upstream for its `/`. The same for 0.2 is works-p2, with the SDK works-sdk; other servers answer alike.

mod content;

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::{spawn_local, wit_future, wit_stream};

struct Works;

wasip3::http::service::export!(Works);

impl wasip3::exports::http::handler::Guest for Works {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/text" => Ok(whole("text/plain", content::TEXT.to_vec())),
            "/json" => Ok(whole("application/json", content::document())),
            "/stream" => Ok(stream()),
            "/echo" => Ok(echo(request)),
            "/burn" => {
                content::burn(query);
                Ok(whole("text/plain", content::BURNT.to_vec()))
            }
            "/wait" => wait(query).await,
            _ => {
                let response = whole("text/plain", b"there is no such work\n".to_vec());
                let _ = response.set_status_code(404);
                Ok(response)
            }
        }
    }
}

fn headers(kind: &str) -> Fields {
    let headers = Fields::new();
    let _ = headers.append("content-type", kind.as_bytes());
    headers
}

fn whole(kind: &str, content: Vec<u8>) -> Response {
    let (mut body, contents) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers(kind), Some(contents), trailers);
    spawn_local(async move { body.write_all(content).await });
    response
}

fn stream() -> Response {
    let (mut body, contents) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers("text/plain"), Some(contents), trailers);
    spawn_local(async move {
        for _ in 0..content::PIECES {
            body.write_all(content::piece()).await;
        }
    });
    response
}

fn echo(request: Request) -> Response {
    let (_, handled) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Request::consume_body(request, handled);
    Response::new(headers("application/octet-stream"), Some(contents), trailers).0
}

async fn wait(authority: &str) -> Result<Response, ErrorCode> {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _) = Request::new(Fields::new(), None, trailers, None);
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(authority));
    let _ = request.set_path_with_query(Some("/"));
    let answer = client::send(request).await?;
    let (_, handled) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Response::consume_body(answer, handled);
    Ok(Response::new(headers("text/plain"), Some(contents), trailers).0)
}
