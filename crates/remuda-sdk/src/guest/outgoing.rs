//! Messages to the host.

use bytes::Bytes;
use http::HeaderMap;
use wasip3::{
    http::types::{ErrorCode, Fields, Response as WasiResponse},
    spawn_local,
    wit_bindgen::{FutureReader, StreamReader},
    wit_future, wit_stream,
};

use super::incoming::End;
use crate::{Body, Response, body::Kind};

/// Begins to send a response; its body follows beside everything else.
pub(super) fn response(response: Response) -> WasiResponse {
    let (head, body) = response.into_parts();
    let (contents, end) = contents(body);
    let (response, _) = WasiResponse::new(fields(&head.headers), contents, end);
    // It is 200 unless it is said to be another one.
    let is_refused = |status: u16| status != 200 && response.set_status_code(status).is_err();
    if is_refused(head.status.as_u16()) {
        tracing::error!(target: "handler", "failed to answer {}: it is no final status", head.status);
        let _ = response.set_status_code(500);
    }
    response
}

/// Headers as fields. What the host refuses (those that belong to the connection) is left out, and said.
pub(super) fn fields(headers: &HeaderMap) -> Fields {
    let pairs =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    Fields::from_list(&pairs.collect::<Vec<_>>()).unwrap_or_else(|_| {
        let fields = Fields::new();
        for (name, value) in headers {
            if fields.append(name.as_str(), value.as_bytes()).is_err() {
                tracing::warn!(target: "handler", "the header {name} was left out: it is the server's");
            }
        }
        fields
    })
}

/// A body as the host reads it.
pub(super) fn contents(body: Body) -> (Option<StreamReader<u8>>, End) {
    match body.0 {
        Kind::Whole(bytes) if bytes.is_empty() => (None, in_order()),
        Kind::Whole(bytes) => (Some(whole(bytes)), in_order()),
        Kind::Incoming(incoming) => match incoming.into_parts() {
            Ok((chunks, end)) => (Some(chunks), end),
            Err(incoming) => pump(Body(Kind::Incoming(incoming))),
        },
        chunks @ Kind::Chunks(_) => pump(Body(chunks)),
    }
}

/// No trailers.
fn in_order() -> End {
    let (_, end) = wit_future::new(|| Ok(None));
    end
}

fn whole(bytes: Bytes) -> StreamReader<u8> {
    let (mut writer, contents) = wit_stream::new();
    // What a reader that has gone leaves over, nobody wants.
    spawn_local(async move { writer.write_all(bytes.into()).await });
    contents
}

/// Hands over one chunk after the other; an error is the end, and says that it is one.
fn pump(mut body: Body) -> (Option<StreamReader<u8>>, FutureReader<EndOfBody>) {
    let (mut writer, contents) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        while let Some(chunk) = body.chunk().await {
            match chunk {
                Ok(chunk) => {
                    if !writer.write_all(chunk.into()).await.is_empty() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(target: "handler", "failed to send a body: {error}");
                    let _ = end.write(Err(ErrorCode::InternalError(None))).await;
                    return;
                }
            }
        }
    });
    (Some(contents), ended)
}

type EndOfBody = Result<Option<wasip3::http::types::Trailers>, ErrorCode>;
