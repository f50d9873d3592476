//! A bounded number of requests in flight, a bounded queue, and a quick no to the rest.

use std::time::Duration;

use futures_util::future::join_all;
use remuda_tests::{
    Ask, Connection, Raw, Server, Upstream, guests,
    noise::noise,
    wait::{self, timed},
};

/// S23 says 50 ms; this is for a server that is not optimised on a busy machine.
const QUICKLY: Duration = Duration::from_secs(1);

/// A server of fetch with one worker, so many places, and a queue of this length and time.
async fn server(upstream: &Upstream, concurrency: usize, queue: usize, wait: &str) -> Server {
    let builder = Server::builder().guest(guests::FETCH);
    let builder = builder.flag("--outbound-allow", upstream.origin());
    let builder = builder.flag("--limit-concurrency", concurrency.to_string());
    builder.flag("--queue", queue.to_string()).flag("--queue-timeout", wait).start().await
}

#[tokio::test]
async fn one_too_many_is_told_quickly_and_the_others_finish() {
    let upstream = Upstream::start().await;
    let server = server(&upstream, 2, 0, "1s").await;
    let held = [server.hold(&upstream).await, server.hold(&upstream).await];
    for _ in 0..3 {
        let (elapsed, reply) = timed(server.get("/")).await;
        reply.assert_rejected(503, "queue_full");
        assert_eq!(reply.header("retry-after"), "1");
        assert!(elapsed < QUICKLY, "it took {elapsed:?} to say no");
    }
    upstream.release();
    for held in held {
        held.is_answered().await;
    }
    assert_eq!(server.send(Ask::fetch(&upstream.url("/"))).await.ok(), "upstream\n");
}

#[tokio::test]
async fn guests_of_0_2_are_counted_too() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--limit-concurrency", "2");
    let server = builder.flag("--queue", "0").start().await;
    let mut clients = [server.connect_raw().await, server.connect_raw().await];
    for client in &mut clients {
        client.send_and_see_it_read("GET /sleep?ms=1500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    }
    server.get("/").await.assert_rejected(503, "queue_full");
    for client in &mut clients {
        assert!(client.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(server.get("/").await.ok(), "ok\n");
}

#[tokio::test]
async fn a_route_whose_requests_all_hang_leaves_places_to_the_others() {
    let config = r#"
        [limits]
        concurrency = 8
        queue = 0
        [[route]]
        component = "[guests]/hello-p2.wasm"
        [[route]]
        path = "/never"
        component = "[guests]/misbehave.wasm"
    "#;
    let server = Server::builder().config(config).start().await;
    let mut hanging = Vec::new();
    for _ in 0..6 {
        let mut client = server.connect_raw().await;
        client.send_and_see_it_read("GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
        hanging.push(client);
    }
    server.get("/never").await.assert_rejected(503, "queue_full");
    for _ in 0..20 {
        assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
    }
}

#[tokio::test]
async fn a_wait_in_the_queue_has_an_end() {
    let upstream = Upstream::start().await;
    let server = server(&upstream, 1, 10, "300ms").await;
    let held = server.hold(&upstream).await;
    let (elapsed, reply) = timed(server.get("/")).await;
    reply.assert_rejected(503, "queue_timeout");
    assert_eq!(reply.header("retry-after"), "1");
    assert!(elapsed >= Duration::from_millis(300), "it waited only {elapsed:?}");
    assert!(elapsed < Duration::from_secs(5), "it waited {elapsed:?}");
    upstream.release();
    held.is_answered().await;
}

#[tokio::test]
async fn whoever_waits_gets_the_place_that_becomes_free() {
    let upstream = Upstream::start().await;
    let server = server(&upstream, 1, 1, "30s").await;
    let held = server.hold(&upstream).await;
    let mut waiting = server.connect_raw().await;
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx-url: {}\r\n\r\n", upstream.url("/"));
    waiting.send_and_see_it_read(request).await;
    server.get("/").await.assert_rejected(503, "queue_full");
    assert_eq!(upstream.requests(), 1);
    upstream.release();
    held.is_answered().await;
    assert!(waiting.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn idle_connections_take_no_place() {
    let builder = Server::builder().guest(guests::HELLO).flag("--limit-concurrency", "1");
    let server = builder.flag("--queue", "0").start().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut connection = server.connect().await;
        assert_eq!(connection.get("/").await.status, 200);
        idle.push(connection);
    }
    assert_eq!(server.get("/").await.status, 200);
    assert!(idle.iter().all(|connection| !connection.is_closed()));
}

#[tokio::test]
async fn work_after_the_response_keeps_its_place() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--limit-concurrency", "1");
    let server = builder.flag("--queue", "0").start().await;
    assert_eq!(server.get("/after?ms=1000").await.ok(), "ok\n");
    server.get("/").await.assert_rejected(503, "queue_full");
    server.wait_for_line("after done").await;
    is_free_again(&server).await;
}

#[tokio::test]
async fn work_after_the_response_has_an_end() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--limit-concurrency", "1");
    let builder = builder.flag("--queue", "0").flag("--after-response-timeout", "300ms");
    let server = builder.start().await;
    let (elapsed, ()) = timed(async {
        assert_eq!(server.get("/after?ms=60000").await.ok(), "ok\n");
        is_free_again(&server).await;
    })
    .await;
    assert!(elapsed < Duration::from_secs(20), "the guest worked on for {elapsed:?}");
    assert_eq!(server.lines("after done").len(), 0);
}

/// Nothing waits without a bound (section 1), a client that takes nothing included.
#[tokio::test]
async fn a_client_that_never_reads_loses_its_place() {
    let builder = Server::builder().guest(guests::ECHO).flag("--limit-concurrency", "1");
    let builder = builder.flag("--queue", "0").flag("--max-body", "1GiB");
    let server = builder.flag("--response-idle-timeout", "500ms").start().await;
    let client = Connection::http1_with_buffers(server.address(), 64 * 1024).await;
    let mut client = client.expect("a connection");
    let mut exchange = client.open(Ask::post("/")).await;
    let piece = noise(64 * 1024);
    // A body that is longer than what fits on the way there and back.
    while exchange.write_within(Duration::from_millis(500), piece.clone()).await {}
    is_free_again(&server).await;
    let reason = [("reason", "client_stalled")];
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("remuda_responses_broken_off_total", &reason), 1.0);
}

async fn is_free_again(server: &Server) {
    wait::until_async("a place to become free", async || {
        (server.get("/").await.status == 200).then_some(())
    })
    .await;
}

const PLACES: usize = 50;

#[tokio::test]
async fn clients_that_go_away_leave_their_places_to_others() {
    let upstream = Upstream::start().await;
    let server = server(&upstream, PLACES, 0, "1s").await;
    let url = upstream.url("/held");
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx-url: {url}\r\n\r\n");
    leave_and_come_back(&server, &request).await;
}

#[tokio::test]
async fn clients_of_guests_of_0_2_that_go_away_leave_their_places_to_others() {
    let builder = Server::builder().guest(guests::MISBEHAVE);
    let builder = builder.flag("--limit-concurrency", PLACES.to_string()).flag("--queue", "0");
    let request = "GET /never HTTP/1.1\r\nhost: a\r\n\r\n";
    leave_and_come_back(&builder.start().await, request).await;
}

/// Takes all places twice, and leaves without waiting for an answer in between.
async fn leave_and_come_back(server: &Server, request: &str) {
    let clients = take_all_places(server, request).await.expect("all places are free at first");
    drop(clients);
    let again = wait::until_async("all places to be free again", async || {
        take_all_places(server, request).await
    });
    assert_eq!(again.await.len(), PLACES);
}

/// Clients that have all places, if all of them were free.
async fn take_all_places(server: &Server, request: &str) -> Option<Vec<Raw>> {
    let mut clients = join_all((0..PLACES).map(|_| server.connect_raw())).await;
    for client in &mut clients {
        client.send(request).await;
    }
    Raw::see_all_read(&clients).await;
    // One more is told no, by when the others have been told, too.
    let one_more = server.get("/").await;
    if one_more.status != 503 {
        return None;
    }
    one_more.assert_rejected(503, "queue_full");
    let all_wait = clients.iter_mut().all(|client| client.received().is_empty());
    all_wait.then_some(clients)
}
