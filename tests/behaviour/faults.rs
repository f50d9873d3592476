//! What guests do wrong costs one response, never the worker.

use std::time::Duration;

use http::header;
use remuda_tests::{Server, guests, wait::timed};

#[tokio::test]
async fn memory_within_the_cap_is_granted() {
    let server = Server::of(guests::MISBEHAVE).await;
    assert_eq!(server.get("/alloc?mib=100").await.ok(), "ok\n");
}

#[tokio::test]
async fn the_log_says_which_request_failed_and_why() {
    let server = Server::of(guests::MISBEHAVE).await;
    assert_eq!(server.get("/exit").await.status, 500);
    let line = server.wait_for_line("guest exited with code 1 instead of answering").await;
    assert_eq!(line.text("route"), "/");
    assert_eq!(line.text("request").len(), 16);
}

#[tokio::test]
async fn a_burning_guest_lets_others_have_their_turn() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut burning = server.connect_raw().await;
    burning.send_and_see_it_read("GET /spin?ms=3000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    for _ in 0..5 {
        let (elapsed, reply) = timed(server.get("/")).await;
        assert_eq!(reply.ok(), "ok\n");
        assert!(elapsed < Duration::from_secs(1), "it waited for {elapsed:?}");
    }
    assert_eq!(burning.received(), "", "the guest has not burnt for long enough");
    assert!(burning.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_body_slower_than_the_request_timeout_is_not_broken_off() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--request-timeout", "300ms");
    let server = builder.start().await;
    let reply = server.get("/slow-body?chunks=3&ms=400").await;
    assert_eq!(reply.headers.get(header::CONTENT_LENGTH), None);
    assert_eq!(reply.ok(), "chunk 0\nchunk 1\nchunk 2\n");
}
