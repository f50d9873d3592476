//! Having the host keep things, which takes none of the guest's own memory.
//!
//! Each takes as much as it gets. What ends with a trap is a host that has put an end to it.

use std::mem::forget;

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, OutgoingBody, OutgoingRequest, OutgoingResponse, Scheme,
};

use crate::query::Query;

const KIB: usize = 1024;

/// A value that one set of fields has room for.
const VALUE: usize = 32 * KIB;

/// Longer than anybody waits.
const LONG: u64 = 3_600_000_000_000;

/// Takes what is asked for until the host says no, and says how much that was.
pub fn hoard(query: &Query) -> String {
    match query.text("what").unwrap_or_default().as_str() {
        "field-bytes" => {
            let fields = Fields::new();
            loop {
                let _ = fields.append("a", &[b'a'; KIB]);
            }
        }
        "fields" => loop {
            let fields = Fields::new();
            let _ = fields.append("a", &[b'a'; VALUE]);
            forget(fields);
        },
        "timers" => loop {
            forget(monotonic_clock::subscribe_duration(LONG));
        },
        "list" => list(query.number("kib").unwrap_or_default()),
        "write" => write(),
        "requests" => requests(&query.text("authority").unwrap_or_default()),
        other => format!("there is no {other}\n"),
    }
}

/// Hands over so much in one call.
fn list(kib: u64) -> String {
    let entries: Vec<_> = (0..kib).map(|_| ("a".to_owned(), vec![b'a'; KIB])).collect();
    format!("{}\n", Fields::from_list(&entries).is_ok())
}

/// Bytes that a body takes in one call.
fn write() -> String {
    let response = OutgoingResponse::new(Fields::new());
    let body: OutgoingBody = response.body().expect("a new response has its body");
    let stream = body.write().expect("a new body has its stream");
    format!("{}\n", stream.check_write().unwrap_or_default())
}

/// Requests that are under way at the same time.
fn requests(authority: &str) -> String {
    let mut sent = Vec::new();
    loop {
        let request = OutgoingRequest::new(Fields::new());
        let _ = request.set_scheme(Some(&Scheme::Http));
        let _ = request.set_authority(Some(authority));
        let _ = request.set_path_with_query(Some("/held"));
        let Ok(response) = outgoing_handler::handle(request, None) else { continue };
        // Whoever is refused hears of it at once, or at least soon.
        let soon = monotonic_clock::subscribe_duration(20_000_000);
        let ready = response.subscribe();
        wasip2::io::poll::poll(&[&ready, &soon]);
        if let Some(Ok(Err(ErrorCode::ConnectionLimitReached))) = response.get() {
            return format!("{}\n", sent.len());
        }
        drop(ready);
        sent.push(response);
    }
}
