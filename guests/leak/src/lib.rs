//! Keeps some memory of every request, as a cache without an end does.
//!
//! `/?KIB` keeps so many KiB for good, 64 if it is not said, and answers `kept`; `/fields` has the
//! host keep fields without end, and `/field` one of 32 KiB that outlives the request. It is a 0.3 guest, so that an instance serves many requests.

use std::cell::RefCell;
use std::hint::black_box;

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{spawn_local, wit_future, wit_stream};

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

const KIB: usize = 1024;

/// A value that one set of fields has room for.
const VALUE: usize = 32 * KIB;

/// Kept of a request that does not say how much.
const USUAL: usize = 64;

struct Leak;

wasip3::http::service::export!(Leak);

impl wasip3::exports::http::handler::Guest for Leak {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        match target.as_str() {
            "/fields" => loop {
                keep_field();
            },
            "/field" => keep_field(),
            _ => {}
        }
        let said = target.split_once('?').and_then(|(_, kib)| kib.parse().ok());
        let bytes = said.unwrap_or(USUAL) * KIB;
        KEPT.with_borrow_mut(|kept| kept.push(black_box(vec![0xa5; bytes])));

        let (mut body, contents) = wit_stream::new();
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _) = Response::new(Fields::new(), Some(contents), trailers);
        spawn_local(async move {
            body.write_all(b"kept\n".to_vec()).await;
        });
        Ok(response)
    }
}

fn keep_field() {
    let fields = Fields::new();
    let _ = fields.append("a", &[b'a'; VALUE]);
    std::mem::forget(fields);
}
