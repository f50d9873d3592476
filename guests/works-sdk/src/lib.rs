//! The works of the comparison with the SDK; see works.

#[path = "../../works/src/content.rs"]
mod content;

use futures_util::stream;
use remuda_sdk::{Body, Client, Request, Response, Result, Router, handler};

#[handler]
fn app() -> Router {
    Router::new()
        .get("/text", async || response("text/plain", content::TEXT.to_vec().into()))
        .get("/json", async || response("application/json", content::document().into()))
        .get("/stream", async || response("text/plain", streamed()))
        .post("/echo", async |request: Request| {
            response("application/octet-stream", request.into_body())
        })
        .get("/burn", async |request: Request| {
            content::burn(request.uri().query().unwrap_or_default());
            response("text/plain", content::BURNT.to_vec().into())
        })
        .get("/wait", wait)
}

fn response(kind: &str, body: Body) -> Result<Response> {
    Ok(Response::builder().header("content-type", kind).body(body)?)
}

fn streamed() -> Body {
    let pieces = (0..content::PIECES).map(|_| Ok::<_, std::io::Error>(content::piece()));
    Body::from_stream(stream::iter(pieces))
}

async fn wait(request: Request) -> Result<Response> {
    let authority = request.uri().query().unwrap_or_default();
    let answer = Client::new().get(&format!("http://{authority}/")).send().await?;
    response("text/plain", answer.into_body())
}
