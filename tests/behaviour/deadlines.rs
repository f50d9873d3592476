//! Time and CPU that a request may use, and what ends with it.

use std::{net::TcpListener, process::Command, time::Duration};

use futures_util::future::join_all;
use remuda_tests::{
    Ask, Reply, Server, Upstream, figure, guests,
    log::Line,
    server::Builder,
    wait::{self, timed},
};

/// A server that is not optimised, on a busy machine. What it is on a quiet one is printed.
const LATE: Duration = Duration::from_secs(2);

const LIMIT: Duration = Duration::from_millis(500);

fn misbehave() -> Builder {
    Server::builder().guest(guests::MISBEHAVE)
}

/// Sees that the answer is a 504 that came in time; how late it came.
fn in_time(elapsed: Duration, reply: &Reply) -> Duration {
    reply.assert_rejected(504, "deadline");
    assert!(elapsed >= LIMIT, "it came after {elapsed:?}");
    let late = elapsed - LIMIT;
    assert!(late < LATE, "it was late by {late:?}");
    late
}

#[tokio::test]
async fn under_load_nobody_is_answered_late() {
    let upstream = Upstream::start().await;
    let config = format!(
        r#"
        [limits]
        request_timeout = "500ms"
        [outbound]
        allow = ["{}"]
        [[route]]
        component = "[guests]/misbehave.wasm"
        [[route]]
        path = "/fetch"
        component = "[guests]/fetch.wasm"
        [[route]]
        path = "/wait"
        component = "[guests]/witness.wasm"
        "#,
        upstream.origin()
    );
    let server = Server::builder().config(&config).start().await;
    let held = upstream.url("/held");
    let mut kinds = Vec::new();
    for (kind, count) in [("/spin", 20), ("/never", 60), ("/fetch", 60), ("/wait?60000", 60)] {
        kinds.extend(std::iter::repeat_n(kind, count));
    }
    let late = join_all(kinds.iter().map(async |kind| {
        let mut connection = server.connect().await;
        let ask = Ask::get(kind).header("x-url", &held);
        let (elapsed, reply) = timed(connection.send(ask)).await;
        in_time(elapsed, &reply)
    }));
    let mut late = late.await;
    late.sort_unstable();
    figure(format_args!(
        "late by: median {:?}, most {:?} of {}",
        late[late.len() / 2],
        late[199],
        late.len()
    ));
    upstream.wait_until_left_alone().await;
    assert_eq!(server.get("/").await.ok(), "ok\n");
}

#[tokio::test]
async fn a_host_call_that_blocks_a_thread_is_given_up() {
    let builder = misbehave().flag("--request-timeout", "500ms");
    let fifo = builder.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let folder = fifo.parent().expect("a folder").display().to_string();
    let server = builder.flag("--mount", format!("{folder}:/data")).start().await;
    let (elapsed, reply) = timed(server.get("/read?path=/data/fifo")).await;
    in_time(elapsed, &reply);
    assert_eq!(server.get("/").await.ok(), "ok\n");
}

#[tokio::test]
async fn waiting_for_a_place_counts() {
    let builder = misbehave().flag("--limit-concurrency", "1").flag("--request-timeout", "3s");
    let server = builder.flag("--queue-timeout", "30s").start().await;
    let mut first = server.connect_raw().await;
    first.send_and_see_it_read("GET /sleep?ms=2500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let (elapsed, reply) = timed(server.get("/sleep?ms=2500")).await;
    reply.assert_rejected(504, "deadline");
    assert!(elapsed < Duration::from_secs(3) + LATE, "it came after {elapsed:?}");
}

#[tokio::test]
async fn cpu_time_has_an_end() {
    let server = misbehave().flag("--cpu-time", "300ms").start().await;
    let (elapsed, reply) = timed(server.get("/spin")).await;
    reply.assert_rejected(504, "cpu_time");
    assert!(elapsed < Duration::from_millis(300) + LATE, "it burnt for {elapsed:?}");
    let message = "guest used more CPU than limits.cpu_time (300ms) and was ended";
    let line = server.wait_for_line(message).await;
    assert_eq!(line.text("route"), "/");
    let metrics = server.metrics().await;
    let used = metrics.value("remuda_guest_cpu_seconds_total", &[("route", "/")]);
    assert!((0.25..1.0).contains(&used), "it used {used} s");
    assert_eq!(server.get("/").await.ok(), "ok\n");
}

#[tokio::test]
async fn waiting_is_no_cpu_time() {
    let server = misbehave().flag("--cpu-time", "200ms").start().await;
    assert_eq!(server.get("/sleep?ms=1000").await.ok(), "ok\n");
}

#[tokio::test]
async fn what_others_use_is_not_charged() {
    // Five that take turns: each sees five times as much time pass as it uses.
    let server = misbehave().flag("--cpu-time", "800ms").start().await;
    let spin = async || server.connect().await.get("/spin?ms=1500").await;
    for reply in join_all((0..5).map(|_| spin())).await {
        assert_eq!(reply.ok(), "ok\n");
    }
}

#[tokio::test]
async fn a_route_has_less_cpu_time_than_the_others() {
    let config = r#"
        [[route]]
        component = "[guests]/misbehave.wasm"
        [[route]]
        path = "/spin"
        component = "[guests]/misbehave.wasm"
        limits = { cpu_time = "100ms" }
    "#;
    let server = Server::builder().config(config).start().await;
    server.get("/spin?ms=1000").await.assert_rejected(504, "cpu_time");
}

#[tokio::test]
async fn one_of_several_that_burns_takes_the_others_along_and_the_route_goes_on() {
    let builder = Server::builder().guest(guests::WITNESS).flag("--cpu-time", "500ms");
    let server = builder.start().await;
    let mut companion = server.connect_raw().await;
    companion.send_and_see_it_read("GET /wait?60000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.get("/spin?60000").await.assert_rejected(504, "cpu_time");
    let head = companion.read_head().await;
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    let blames = |line: &Line| line.message().contains("in the same instance: guest used");
    assert!(server.log().iter().any(blames), "{:?}", server.log());
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test]
async fn one_of_several_is_late_and_the_others_get_their_answers() {
    let upstream = Upstream::start().await;
    let builder = Server::builder().guest(guests::FETCH).flag("--request-timeout", "2s");
    let server = builder.flag("--outbound-allow", upstream.origin()).start().await;
    let late = server.hold(&upstream).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let other = server.hold(&upstream).await;
    late.is_answered_with(504).await;
    // Its request to the upstream ends with it, the other one's does not.
    upstream.wait_for_connections(1).await;
    upstream.release();
    other.is_answered().await;
}

#[tokio::test]
async fn a_client_that_leaves_others_in_its_instance_takes_its_request_to_the_upstream_along() {
    let upstream = Upstream::start().await;
    let builder = Server::builder().guest(guests::FETCH);
    let server = builder.flag("--outbound-allow", upstream.origin()).start().await;
    let leaving = server.hold(&upstream).await;
    let staying = server.hold(&upstream).await;
    upstream.wait_for_connections(2).await;
    let (elapsed, ()) = timed(async {
        drop(leaving);
        upstream.wait_for_connections(1).await;
    })
    .await;
    figure(format_args!("the upstream was left {elapsed:?} after the client had gone"));
    assert!(elapsed < LATE, "the upstream was left only after {elapsed:?}");
    upstream.release();
    staying.is_answered().await;
}

#[tokio::test]
async fn an_upstream_that_never_shakes_hands_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("https://{}", silent.local_addr().expect("an address"));
    let builder = Server::builder().guest(guests::FETCH).flag("--outbound-allow", &origin);
    let server = builder.flag("--outbound-connect-timeout", "300ms").start().await;
    let (elapsed, reply) = timed(server.send(Ask::fetch(&format!("{origin}/")))).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (502, "connection-timeout\n"));
    assert!(elapsed < Duration::from_millis(300) + LATE, "it was given up after {elapsed:?}");
}

fn afterworker() -> Builder {
    let builder = Server::builder().guest(guests::WITNESS).flag("--limit-concurrency", "1");
    builder.flag("--queue", "0")
}

#[tokio::test]
async fn work_after_the_response_of_a_shared_instance_keeps_its_place() {
    let server = afterworker().start().await;
    assert_eq!(server.get("/after?1500").await.status, 200);
    server.get("/").await.assert_rejected(503, "queue_full");
    server.wait_for_line("after done").await;
    is_free_again(&server).await;
}

#[tokio::test]
async fn work_after_the_response_of_a_shared_instance_has_an_end() {
    let server = afterworker().flag("--after-response-timeout", "300ms").start().await;
    assert_eq!(server.get("/after?60000").await.status, 200);
    is_free_again(&server).await;
    server.wait_for_line("guest ended by after_response_timeout, 300ms after its response").await;
    assert_eq!(server.lines("after done").len(), 0);
}

async fn is_free_again(server: &Server) {
    wait::until_async("a place to become free", async || {
        (server.get("/").await.status == 200).then_some(())
    })
    .await;
}
