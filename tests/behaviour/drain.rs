//! An order to end finishes what has begun, and has an end itself.

use std::time::Duration;

use remuda_tests::{
    Ask, Server, Upstream, guests,
    process::{self, Signal},
    wait::timed,
};

/// Much less than `shutdown.graceful_timeout`, much more than an idle server needs.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_idle_server_ends_soon() {
    for guest in [guests::HELLO, guests::HELLO_P2] {
        let mut server = Server::builder().guest(guest).workers(2).start().await;
        assert_eq!(server.get("/").await.status, 200);
        server.terminate();
        let (elapsed, code) = timed(server.exit_code()).await;
        assert_eq!(code, Some(0));
        assert!(elapsed < SOON, "an idle server of {} took {elapsed:?} to end", guest.name);
        for exit in server.lines("worker exited") {
            assert_eq!(exit.text("reason"), "exited with code 0");
        }
    }
}

#[tokio::test]
async fn under_load_no_request_fails() {
    for guest in [guests::HELLO, guests::HELLO_P2] {
        let mut server = Server::builder().guest(guest).workers(2).start().await;
        let load = server.load(16, Ask::get("/"));
        load.wait_for_answers(500).await;
        server.terminate();
        let report = load.until_refused().await;
        assert_eq!(server.exit_code().await, Some(0));
        assert!(report.failures.is_empty(), "{}: {:?}", guest.name, report.failures);
        assert_eq!(report.refused, 16);
    }
}

#[tokio::test]
async fn it_ends_though_new_clients_keep_coming() {
    // A server that waits for a moment without a new connection may be lucky once.
    for _ in 0..3 {
        let builder = Server::builder().guest(guests::HELLO_P2).workers(2);
        let mut server = builder.flag("--graceful-timeout", "8s").start().await;
        let load = server.load(64, Ask::get("/").header("connection", "close"));
        load.wait_for_answers(100).await;
        server.terminate();
        let (elapsed, code) = timed(server.exit_code()).await;
        load.until_refused().await;
        assert_eq!(code, Some(0));
        assert!(elapsed < Duration::from_secs(5), "it went on accepting for {elapsed:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_answered_yet_is_answered() {
    let mut server = Server::of(guests::MISBEHAVE).await;
    let mut client = server.connect_raw().await;
    client.send_and_see_it_read("GET /sleep?ms=1500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.terminate();
    let response = client.read_to_end().await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.contains("connection: close\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nok\n"), "{response}");
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_response_that_has_begun_is_finished() {
    let mut server = Server::of(guests::MISBEHAVE).await;
    let mut connection = server.connect().await;
    let mut response = connection.open(Ask::get("/slow-body?chunks=3&ms=500")).await;
    assert_eq!(response.read_exactly(8).await, b"chunk 0\n");
    server.terminate();
    assert_eq!(response.read_exactly(8).await, b"chunk 1\n");
    assert_eq!(response.read_exactly(8).await, b"chunk 2\n");
    assert_eq!(response.read().await, None);
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_stream_of_http2_that_has_begun_is_finished() {
    let upstream = Upstream::start().await;
    let server = Server::builder().guest(guests::FETCH).flag("--outbound-allow", upstream.origin());
    let mut server = server.start().await;
    let mut connection = server.connect_http2().await;
    let mut response = connection.open(Ask::fetch(&upstream.url("/half"))).await;
    response.finish();
    assert_eq!(response.read_exactly(5).await, b"first");
    server.terminate();
    server.wait_for_line("draining").await;
    upstream.release();
    assert_eq!(response.read_exactly(6).await, b"second");
    assert_eq!(response.read().await, None);
    assert_eq!(server.exit_code().await, Some(0));
}

/// RFC 9113, section 6.8.
const GOAWAY: u8 = 7;

#[tokio::test]
async fn a_client_of_http2_is_told_to_go_away() {
    let server = Server::of(guests::HELLO_P2).await;
    let mut client = server.connect_raw().await;
    let settings_of_a_client = [0; 3].into_iter().chain([4, 0, 0, 0, 0, 0]).collect::<Vec<_>>();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send_and_see_it_read(settings_of_a_client).await;
    server.terminate();
    while client.read_frame().await != GOAWAY {}
}

#[tokio::test]
async fn idle_connections_hold_nobody_up() {
    let mut server = Server::of(guests::HELLO_P2).await;
    let mut connections = [server.connect().await, server.connect_http2().await];
    for connection in &mut connections {
        assert_eq!(connection.get("/").await.ok(), "Hello, world!\n");
    }
    server.terminate();
    let (elapsed, code) = timed(server.exit_code()).await;
    assert_eq!(code, Some(0));
    assert!(elapsed < SOON, "two idle connections held the server up for {elapsed:?}");
}

#[tokio::test]
async fn work_after_the_response_is_finished() {
    let mut server = Server::of(guests::MISBEHAVE).await;
    assert_eq!(server.get("/after?ms=1000").await.ok(), "ok\n");
    assert_eq!(server.lines("after done").len(), 0);
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
    assert_eq!(server.lines("after done").len(), 1);
}

#[tokio::test]
async fn a_second_order_ends_it_at_once() {
    let mut server = Server::of(guests::MISBEHAVE).await;
    let mut client = server.connect_raw().await;
    client.send_and_see_it_read("GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.terminate();
    server.wait_for_line("draining").await;
    server.terminate();
    let (elapsed, code) = timed(server.exit_code()).await;
    assert_eq!(code, Some(0));
    assert!(elapsed < SOON, "it took {elapsed:?} to end at once");
    assert_eq!(client.read_to_end().await, "");
}

#[tokio::test]
async fn an_order_to_quit_ends_it_at_once() {
    let mut server = Server::of(guests::MISBEHAVE).await;
    let mut client = server.connect_raw().await;
    client.send_and_see_it_read("GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.signal(Signal::QUIT);
    let (elapsed, code) = timed(server.exit_code()).await;
    assert_eq!(code, Some(0));
    assert!(elapsed < SOON, "it took {elapsed:?} to end at once");
}

#[tokio::test]
async fn graceful_timeout_ends_what_never_ends() {
    let server = Server::builder().guest(guests::MISBEHAVE).flag("--graceful-timeout", "1s");
    let mut server = server.start().await;
    let worker = server.worker();
    let mut client = server.connect_raw().await;
    client.send_and_see_it_read("GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.terminate();
    let (elapsed, code) = timed(server.exit_code()).await;
    assert_eq!(code, Some(0));
    assert!(elapsed >= Duration::from_millis(900), "it gave up after {elapsed:?}");
    assert!(elapsed < Duration::from_secs(20), "it took {elapsed:?}");
    assert!(!process::is_running(worker));
    assert_eq!(client.read_to_end().await, "");
}
