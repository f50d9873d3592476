//! The guest hello, written with the SDK: what the SDK costs is measured on it.

use remuda_sdk::{Request, Response, Result, handler};

#[handler]
async fn hello(_request: Request) -> Result<Response> {
    let response = Response::builder().header("content-type", "text/plain");
    Ok(response.body("Hello, world!\n".into())?)
}
