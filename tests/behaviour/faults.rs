//! What guests do wrong costs one response, never the worker.

use std::time::Duration;

use http::header;
use remuda_tests::{Ask, Broken, Connection, Reply, Server, guests, sandbox, wait::timed};

/// Much less than what the guest was asked to take.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_trap_is_500() {
    is_answered("/trap", &[], 500, "guest_trap").await;
}

#[tokio::test]
async fn an_exit_is_500() {
    is_answered("/exit", &[], 500, "guest_trap").await;
}

#[tokio::test]
async fn too_much_memory_is_500() {
    is_answered("/alloc", &[("--limit-memory", "32MiB")], 500, "memory_limit").await;
    is_answered("/alloc?mib=200", &[], 500, "memory_limit").await;
}

#[tokio::test]
async fn memory_within_the_cap_is_granted() {
    let server = Server::of(guests::MISBEHAVE).await;
    assert_eq!(server.get("/alloc?mib=100").await.ok(), "ok\n");
}

#[tokio::test]
async fn a_guest_that_waits_for_ever_is_504() {
    is_answered("/never", &[("--request-timeout", "300ms")], 504, "deadline").await;
}

#[tokio::test]
async fn a_guest_that_burns_for_ever_is_504() {
    is_answered("/spin", &[("--request-timeout", "300ms")], 504, "deadline").await;
}

/// Asks for trouble, in text and in JSON, and sees that the worker lives.
async fn is_answered(target: &str, flags: &[(&str, &str)], status: u16, reason: &str) {
    let mut builder = Server::builder().guest(guests::MISBEHAVE);
    for (flag, value) in flags {
        builder = builder.flag(flag, *value);
    }
    let server = builder.start().await;
    let worker = server.worker();
    let mut connection = server.connect().await;

    let (elapsed, reply) = timed(connection.get(target)).await;
    assert!(elapsed < SOON, "it took {elapsed:?}");
    reply.assert_rejected(status, reason);
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.text().lines().count(), 1, "{reply:?}");
    tells_nothing_from_inside(&reply);

    let reply = connection.send(Ask::get(target).header("accept", "application/json")).await;
    reply.assert_rejected(status, reason);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["reason"], reason);
    tells_nothing_from_inside(&reply);

    assert_eq!(connection.get("/").await.ok(), "ok\n");
    assert_eq!(server.worker(), worker);
}

fn tells_nothing_from_inside(reply: &Reply) {
    let text = format!("{:?}{}", reply.headers, reply.text());
    let guests = sandbox::guests().display().to_string();
    for inside in [guests.as_str(), ".wasm", ".rs", "wasmtime", "backtrace", "misbehave", "0x"] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
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
async fn a_trap_before_the_head_was_sent_is_the_whole_answer() {
    // The guest has set its response, but nothing of it is on the way yet.
    is_answered("/panic-after-head", &[], 500, "guest_trap").await;
}

#[tokio::test]
async fn a_trap_amid_the_body_is_broken_off_over_http1() {
    let server = Server::of(guests::WITNESS).await;
    let broken = breaks_off(&server, server.connect().await, "/break").await;
    assert!(broken.body.starts_with(b"instance="), "{broken}");
}

#[tokio::test]
async fn a_trap_amid_the_body_is_broken_off_over_http2() {
    let server = Server::of(guests::WITNESS).await;
    let broken = breaks_off(&server, server.connect_http2().await, "/break").await;
    assert!(broken.body.starts_with(b"instance="), "{broken}");
}

#[tokio::test]
async fn a_body_that_stalls_is_broken_off_over_http1() {
    let server = impatient_server().await;
    breaks_off(&server, server.connect().await, "/slow-body?chunks=2&ms=60000").await;
    server.wait_for_line("response broke off").await;
}

#[tokio::test]
async fn a_body_that_stalls_is_broken_off_over_http2() {
    let server = impatient_server().await;
    breaks_off(&server, server.connect_http2().await, "/slow-body?chunks=2&ms=60000").await;
    server.wait_for_line("response broke off").await;
}

async fn impatient_server() -> Server {
    let builder = Server::builder().guest(guests::MISBEHAVE);
    builder.flag("--response-idle-timeout", "300ms").start().await
}

/// The response ends abruptly, and the worker goes on.
async fn breaks_off(server: &Server, mut connection: Connection, target: &str) -> Broken {
    let worker = server.worker();
    let (elapsed, result) = timed(connection.try_send(Ask::get(target))).await;
    assert!(elapsed < SOON, "it took {elapsed:?}");
    let broken = result.expect_err("half of a response is not a whole one");
    assert_eq!(broken.status.map(|status| status.as_u16()), Some(200));
    assert_eq!(server.get("/").await.status, 200);
    assert_eq!(server.worker(), worker);
    broken
}

#[tokio::test]
async fn a_body_slower_than_the_request_timeout_is_not_broken_off() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--request-timeout", "300ms");
    let server = builder.start().await;
    let reply = server.get("/slow-body?chunks=3&ms=400").await;
    assert_eq!(reply.headers.get(header::CONTENT_LENGTH), None);
    assert_eq!(reply.ok(), "chunk 0\nchunk 1\nchunk 2\n");
}
