//! Bodies and trailers pass through whole, as they come, and no faster than they are read.

use std::time::Duration;

use bytes::Bytes;
use remuda_tests::{
    Ask, Connection, Exchange, Server, guests,
    noise::{assert_same, noise},
    process,
};

const MIB: usize = 1024 * 1024;
const SIZES: [usize; 4] = [0, 1, 64 * 1024, 10 * MIB];

#[tokio::test]
async fn a_body_with_a_content_length_comes_back_byte_for_byte() {
    let server = Server::of(guests::ECHO).await;
    let mut connection = server.connect().await;
    for size in SIZES {
        let body = noise(size);
        comes_back(&mut connection, Ask::post("/").body(body.clone()), &body).await;
    }
}

#[tokio::test]
async fn a_chunked_body_comes_back_byte_for_byte() {
    let server = Server::of(guests::ECHO).await;
    let mut connection = server.connect().await;
    for size in SIZES {
        let body = noise(size);
        comes_back(&mut connection, Ask::post("/").chunked(&body, 10_007), &body).await;
    }
}

#[tokio::test]
async fn a_body_over_http2_comes_back_byte_for_byte() {
    let server = Server::of(guests::ECHO).await;
    let mut connection = server.connect_http2().await;
    for size in SIZES {
        let body = noise(size);
        comes_back(&mut connection, Ask::post("/").body(body.clone()), &body).await;
    }
}

async fn comes_back(connection: &mut Connection, ask: Ask, body: &Bytes) {
    let reply = connection.send(ask).await;
    assert_eq!(reply.status, 200);
    assert_same(&reply.body, body);
}

#[tokio::test]
async fn trailers_come_back_over_http1() {
    let server = Server::of(guests::ECHO).await;
    trailers_come_back(server.connect().await).await;
}

#[tokio::test]
async fn trailers_come_back_over_http2() {
    let server = Server::of(guests::ECHO).await;
    trailers_come_back(server.connect_http2().await).await;
}

async fn trailers_come_back(mut connection: Connection) {
    let body = Bytes::from_static(b"a body and more");
    let ask = Ask::post("/").header("te", "trailers").header("trailer", "x-checksum");
    let reply = connection.send(ask.chunked(&body, 7).trailer("x-checksum", "1234")).await;
    assert_eq!(reply.body, body);
    assert_eq!(reply.trailers.expect("trailers")["x-checksum"], "1234");
}

#[tokio::test]
async fn a_chunk_comes_back_before_the_request_ends_over_http1() {
    let server = Server::of(guests::ECHO).await;
    streams_both_ways(server.connect().await).await;
}

#[tokio::test]
async fn a_chunk_comes_back_before_the_request_ends_over_http2() {
    let server = Server::of(guests::ECHO).await;
    streams_both_ways(server.connect_http2().await).await;
}

async fn streams_both_ways(mut connection: Connection) {
    let mut exchange = connection.open(Ask::post("/")).await;
    for chunk in ["one", "and another", "the last"] {
        exchange.write(chunk).await;
        assert_eq!(exchange.read_exactly(chunk.len()).await, chunk.as_bytes());
    }
    exchange.finish();
    assert_eq!(exchange.read().await, None);
}

/// More than the kernel keeps on the way, and much more than the server should.
const FAR_TOO_MUCH: usize = 128 * MIB;

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from() {
    let server = Server::builder().guest(guests::ECHO).flag("--max-body", "1GiB").start().await;
    assert_eq!(server.get("/").await.status, 200);
    let before = process::resident_bytes(server.worker());
    let client = Connection::http1_with_buffers(server.address(), 64 * 1024).await;
    let mut client = client.expect("a connection");
    let mut exchange = client.open(Ask::post("/")).await;

    let body = noise(FAR_TOO_MUCH);
    let taken = write_until_stalled(&mut exchange, &body).await;
    let grown = process::resident_bytes(server.worker()).saturating_sub(before);
    assert!(taken < FAR_TOO_MUCH, "the server takes all of a body that nobody reads back");
    assert!(grown < 32 * MIB as u64, "the worker has grown by {grown} bytes");

    exchange.finish();
    let mut echoed = Vec::new();
    while let Some(chunk) = exchange.read().await {
        echoed.extend_from_slice(&chunk);
    }
    assert_same(&echoed, &body[..taken]);
}

/// How much of the body the server takes before it takes nothing more for a while.
async fn write_until_stalled(exchange: &mut Exchange, body: &Bytes) -> usize {
    const PIECE: usize = 64 * 1024;
    for start in (0..body.len()).step_by(PIECE) {
        let piece = body.slice(start..start + PIECE);
        if !exchange.write_within(Duration::from_secs(2), piece).await {
            return start;
        }
    }
    body.len()
}
