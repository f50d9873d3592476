//! An order to end finishes what has begun, and has an end itself.

use std::time::{Duration, Instant};

use remuda_tests::{
    Ask, Server, Upstream, guests,
    process::{self, Signal},
    wait::{self, timed},
};

/// Much less than `shutdown.graceful_timeout`, much more than an idle server needs.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_worker_that_was_never_told_to_serve_holds_nobody_up() {
    for guest in [guests::HELLO, guests::HELLO_P2] {
        let mut server = Server::builder().guest(guest).start().await;
        for workers in 2..=4 {
            server.signal(Signal::TTIN);
            server.wait_for_lines("worker started", workers).await;
        }
        server.terminate();
        let (elapsed, code) = timed(server.exit_code()).await;
        assert_eq!(code, Some(0));
        assert!(elapsed < SOON, "a server of {} took {elapsed:?} to end", guest.name);
    }
}

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
        let load = server.load().mixed().expect(&["Hello, world!\n"]).start();
        let idle = server.load().kept(8).http2(2, 2).pause(Duration::from_millis(20)).start();
        load.wait_for_answers(500).await;
        server.terminate();
        let report = load.until_refused().await;
        assert_eq!(server.exit_code().await, Some(0));
        report.print(guest.name);
        report.assert_no_failure();
        assert_eq!(report.refused(), 8 + 4 + 2);
        let report = idle.until_refused().await;
        report.print("idle in between");
        report.assert_no_failure();
    }
}

/// How soon readiness is to end, and what a busy machine that tests other things may take.
const UNREADY_WITHIN: Duration = Duration::from_millis(100);
const MARGIN: Duration = Duration::from_secs(1);

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the figure is worth knowing")]
async fn readiness_ends_at_once_and_connections_are_accepted_during_drain_delay() {
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2).with_admin();
    let mut server = builder.setting("shutdown.drain_delay", "2s").start().await;
    let load = server.load().mixed().expect(&["Hello, world!\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    assert_eq!(server.readyz().await.status, 200);

    server.terminate();
    let ordered = Instant::now();
    let unready = wait::until_async("readiness to end", async || {
        Some(server.readyz().await).filter(|answer| answer.status != 200)
    });
    let answer = unready.await;
    let unready = ordered.elapsed();
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("drain"), "{answer:?}");
    eprintln!("not ready {unready:.1?} after the order (wanted: {UNREADY_WITHIN:?})");
    assert!(unready < UNREADY_WITHIN + MARGIN, "not ready after {unready:?}");

    while ordered.elapsed() < Duration::from_secs(1) {
        assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
        assert_eq!(server.livez().await.status, 200);
    }
    let report = load.until_refused().await;
    assert!(ordered.elapsed() >= Duration::from_secs(2), "refused after {:?}", ordered.elapsed());
    assert_eq!(server.exit_code().await, Some(0));
    report.print("a drain with a delay of 2 s");
    report.assert_no_failure();
}

#[tokio::test]
async fn a_second_order_does_not_wait_for_drain_delay() {
    let builder = Server::builder().guest(guests::HELLO_P2);
    let mut server = builder.setting("shutdown.drain_delay", "60s").start().await;
    server.terminate();
    server.wait_for_line("draining").await;
    server.terminate();
    let (elapsed, code) = timed(server.exit_code()).await;
    assert_eq!(code, Some(0));
    assert!(elapsed < SOON, "it took {elapsed:?} to end at once");
}

#[tokio::test]
async fn what_waits_in_the_accept_queue_is_answered() {
    for accept in ["shared", "reuseport"] {
        let builder = Server::builder().guest(guests::HELLO_P2).workers(2);
        let mut server = builder.flag("--accept", accept).start().await;
        let workers = server.workers();
        let stopped = [process::stop(workers[0]).await, process::stop(workers[1]).await];
        let mut clients = Vec::new();
        for _ in 0..50 {
            let mut client = server.connect_raw().await;
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            clients.push(client);
        }
        let listeners = process::listeners(server.address());
        assert_eq!(listeners.iter().map(|listener| listener.queued).sum::<u64>(), 50);
        server.terminate();
        server.wait_for_line("draining").await;
        drop(stopped);
        for mut client in clients {
            let response = client.read_to_end().await;
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{accept}: {response:?}");
            assert!(response.ends_with("Hello, world!\n"), "{accept}: {response:?}");
        }
        assert_eq!(server.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn it_ends_though_new_clients_keep_coming() {
    // A server that waits for a moment without a new connection may be lucky once.
    for _ in 0..3 {
        let builder = Server::builder().guest(guests::HELLO_P2).workers(2);
        let mut server = builder.flag("--graceful-timeout", "8s").start().await;
        let load = server.load().fresh(64).start();
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
