//! A worker that says nothing is replaced, and says where it hung if it still can.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use remuda_tests::{
    Ask, Server, guests, process,
    wait::{self, timed},
};

/// How long a new client may wait beside a worker that is stopped.
const BOUND: Duration = Duration::from_secs(1);

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the figure is worth knowing")]
async fn others_answer_beside_a_stopped_worker_which_is_replaced() {
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2).with_admin();
    let server = builder.flag("--heartbeat-timeout", "2s").start().await;
    let victim = server.workers()[0];
    let _stopped = process::stop(victim).await;
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let (elapsed, reply) = timed(server.get("/")).await;
        assert_eq!(reply.ok(), "Hello, world!\n");
        longest = longest.max(elapsed);
    }
    eprintln!("beside a stopped worker the slowest of 50 new clients waited {longest:.1?}");
    assert!(longest < BOUND, "a new client waited {longest:?}");
    wait::until("the stopped one to be killed", || (!process::is_running(victim)).then_some(()))
        .await;
    assert!(!server.wait_for_workers(2).await.contains(&victim));
    let restarts = server.metrics().await;
    assert_eq!(restarts.value("remuda_worker_restarts_total", &[("reason", "silent")]), 1.0);
}

#[tokio::test]
async fn what_waited_for_a_stopped_worker_is_answered_by_the_next() {
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2).with_admin();
    let builder = builder.flag("--heartbeat-timeout", "2s").flag("--accept", "reuseport");
    let server = builder.start().await;
    let _stopped = process::stop(server.workers()[0]).await;
    // The kernel gives half of them to the one that is stopped.
    let replies = join_all((0..40).map(|_| server.get("/"))).await;
    assert!(replies.into_iter().all(|reply| reply.ok() == "Hello, world!\n"));
}

const TWO_ROUTES: &str = r#"
    [limits]
    memory = "4GiB"

    [[route]]
    component = "[guests]/misbehave.wasm"

    [[route]]
    path = "/freeze"
    component = "[guests]/misbehave.wasm"
"#;

/// Holds the event loop, in an instruction that no epoch interrupts.
const FREEZE: &str = "GET /freeze?mib=3584 HTTP/1.1\r\nhost: a\r\n\r\n";

/// Memory of a worker in which that has begun, in bytes.
const FREEZING: u64 = 256 << 20;

#[tokio::test]
async fn a_frozen_worker_is_asked_reports_and_is_replaced() {
    let builder = Server::builder().config(TWO_ROUTES).with_admin();
    let server = builder.flag("--heartbeat-timeout", "2s").start().await;
    let worker = server.worker();
    let mut client = server.connect_raw().await;
    client.send(FREEZE).await;
    let has_begun = || (process::resident_bytes(worker) > FREEZING).then_some(());
    wait::until("the event loop to freeze", has_begun).await;
    let starved = process::starve_main_thread(worker);
    let asked = server.wait_for_line("event loop stuck").await;
    let aborted = server.wait_for_line("aborting: event loop stuck").await;
    for report in [asked, aborted] {
        assert_eq!(report.number("in_flight"), 1, "{report}");
        assert!(report.text("requests").starts_with("/freeze "), "{report}");
        let backtrace = report.text("backtrace");
        assert!(backtrace.contains("memset") || backtrace.contains("memory_fill"), "{report}");
    }
    wait::until("its end", || (!process::is_running(worker)).then_some(())).await;
    drop(starved);
    let exited = server.wait_for_line("worker exited").await;
    assert!(exited.text("reason").starts_with("silent for 2."), "{exited}");
    assert!(exited.text("reason").ends_with("(killed by SIGABRT)"), "{exited}");
    assert!(!server.wait_for_workers(1).await.contains(&worker));
    assert_eq!(client.read_to_end().await, "");
    assert_eq!(server.get("/").await.ok(), "ok\n");
}

#[tokio::test]
async fn a_guest_that_holds_up_the_event_loop_is_named() {
    let server = Server::builder().config(TWO_ROUTES).with_admin().start().await;
    let worker = server.worker();
    assert_eq!(server.get("/freeze?mib=1024").await.ok(), "ok\n");
    let line = server.wait_for_line("event loop stalled").await;
    assert!(line.number("lag_ms") > 100, "{line}");
    assert_eq!(line.text("route"), "/freeze");
    // A scrape does not wait long for a worker that has just been held up.
    wait::until_async("the stall in the metrics", async || {
        let metrics = server.metrics().await;
        (metrics.sum("remuda_loop_stalls_total", &[]) >= 1.0).then_some(())
    })
    .await;
    assert_eq!(server.worker(), worker);
}

#[tokio::test]
async fn an_event_loop_that_was_late_shows_whoever_held_it_up() {
    let server = Server::builder().guest(guests::MISBEHAVE).with_admin().start().await;
    let worker = server.worker();
    let mut client = server.connect_raw().await;
    client.send_and_see_it_read("GET /sleep?ms=10000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let stopped = process::stop(worker).await;
    let since = Instant::now();
    wait::until("300 ms to go by", || {
        (since.elapsed() >= Duration::from_millis(300)).then_some(())
    })
    .await;
    drop(stopped);
    let line = server.wait_for_line("event loop stalled, by no guest").await;
    assert!(line.number("lag_ms") >= 200, "{line}");
    assert_eq!(line.number("in_flight"), 1);
    assert_eq!(server.worker(), worker);
}

#[tokio::test]
async fn a_worker_that_burns_is_not_silent() {
    let builder = Server::builder().guest(guests::MISBEHAVE).with_admin();
    let server = builder.flag("--heartbeat-timeout", "1s").start().await;
    let worker = server.worker();
    let replies = join_all((0..4).map(|_| server.send(Ask::get("/spin?ms=3000")))).await;
    assert!(replies.into_iter().all(|reply| reply.ok() == "ok\n"));
    assert_eq!(server.worker(), worker);
}
