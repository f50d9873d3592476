//! Answers `ok`, out of a component that needs much before it does anything: `extra.wat`, which
//! the build adds to it, has a large table and several memories, as interpreters have.

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

struct BigTables;

wasip2::http::proxy::export!(BigTables);

impl wasip2::exports::http::incoming_handler::Guest for BigTables {
    fn handle(_request: IncomingRequest, out: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("a new response has its body");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("a new body has its stream");
        let _ = stream.blocking_write_and_flush(b"ok\n");
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
