//! What every server of the comparison answers, whatever it is written in.

use std::hint::black_box;

use serde::Serialize;

pub(crate) const TEXT: &[u8] = b"Hello, world!\n";

/// What is answered after a burn.
pub(crate) const BURNT: &[u8] = b"burnt\n";

/// Bytes of one piece of what is streamed.
pub(crate) const PIECE: usize = 64 * 1024;

/// Pieces of what is streamed: 1 MiB.
pub(crate) const PIECES: usize = 16;

/// Records of the document, which is about 10 KiB of JSON.
const RECORDS: u32 = 72;

#[derive(Serialize)]
struct Record {
    id: u32,
    name: String,
    email: String,
    active: bool,
    score: f64,
    tags: [&'static str; 3],
}

pub(crate) fn piece() -> Vec<u8> {
    vec![b'x'; PIECE]
}

/// So many rounds of the same work, as the query says, however long they take.
pub(crate) fn burn(query: &str) {
    for _ in 0..query.parse().unwrap_or(0_u64) {
        for step in 0..10_000 {
            black_box(step);
        }
    }
}

/// Made anew for each request.
pub(crate) fn document() -> Vec<u8> {
    let records: Vec<Record> = (0..RECORDS).map(record).collect();
    serde_json::to_vec(&records).unwrap_or_default()
}

fn record(id: u32) -> Record {
    Record {
        id,
        name: format!("Customer number {id}"),
        email: format!("customer.{id}@shop.example"),
        active: !id.is_multiple_of(3),
        score: f64::from(id) * 0.5,
        tags: ["retail", "newsletter", "europe"],
    }
}
