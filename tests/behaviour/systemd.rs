//! A service of systemd with Type=notify-reload and a watchdog.

use std::time::{Duration, Instant};

use remuda_tests::{Server, Systemd, server::Builder, wait};

/// A server that notifies, and who listens.
fn service() -> (Systemd, Builder) {
    let config = "[[route]]\ncomponent = \"[guests]/hello-p2.wasm\"\n";
    let builder = Server::builder().config(config).with_admin();
    let path = builder.path("notify.sock");
    let systemd = Systemd::listen(&path);
    (systemd, builder.environment("NOTIFY_SOCKET", path))
}

#[tokio::test]
async fn it_is_ready_when_it_listens_and_stops_when_it_drains() {
    let (systemd, builder) = service();
    let mut server = builder.start().await;
    systemd.wait_for("READY=1", 1).await;
    assert!(systemd.with("STOPPING=1").is_empty());
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
    systemd.wait_for("STOPPING=1", 1).await;
    assert_eq!(systemd.with("READY=1").len(), 1);
}

#[tokio::test]
async fn a_reload_is_announced_and_ends_ready_however_it_went() {
    let (systemd, builder) = service();
    let server = builder.workers(2).start().await;
    systemd.wait_for("READY=1", 1).await;
    server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    let reloading = systemd.wait_for("RELOADING=1", 1).await.remove(0);
    // Without it, systemd takes the READY=1 for that of an earlier reload.
    assert!(reloading.value("MONOTONIC_USEC").parse::<u64>().is_ok(), "{reloading:?}");
    let ready = systemd.wait_for("READY=1", 2).await;
    assert!(ready[1].at >= reloading.at);

    server.configure("[[route]\n");
    server.reload().await.expect_err("a syntax error");
    systemd.wait_for("RELOADING=1", 2).await;
    systemd.wait_for("READY=1", 3).await;
}

#[tokio::test]
async fn after_an_upgrade_the_new_server_speaks_and_the_old_one_does_not() {
    let (systemd, builder) = service();
    let mut server = builder.own_executable().start().await;
    systemd.wait_for("READY=1", 1).await;
    server.upgrade().await;
    let pid = server.supervisor().as_raw_pid();
    systemd.wait_for(&format!("MAINPID={pid}"), 1).await;
    systemd.wait_for("READY=1", 2).await;
    assert!(systemd.with("STOPPING=1").is_empty(), "that would be the end of the service");
    server.terminate();
    server.gone().await;
    systemd.wait_for("STOPPING=1", 1).await;
}

#[tokio::test]
async fn the_watchdog_is_fed_more_often_than_it_needs() {
    let (systemd, builder) = service();
    let _server = builder.environment("WATCHDOG_USEC", "400000").start().await;
    let fed = systemd.wait_for("WATCHDOG=1", 10).await;
    let pauses = fed.windows(2).map(|pair| pair[1].at - pair[0].at);
    let longest = pauses.max().expect("pauses");
    assert!(longest.as_millis() < 400, "{longest:?} without a sign of life");
}

#[tokio::test]
async fn a_watchdog_that_is_meant_for_another_process_is_left_alone() {
    let (systemd, builder) = service();
    let builder = builder.environment("WATCHDOG_USEC", "100000").environment("WATCHDOG_PID", "1");
    let server = builder.start().await;
    systemd.wait_for("READY=1", 1).await;
    let ready = Instant::now();
    let several_times = Duration::from_millis(500);
    wait::until("the watchdog's time", || (ready.elapsed() > several_times).then_some(())).await;
    assert_eq!(server.get("/").await.status, 200);
    assert!(systemd.with("WATCHDOG=1").is_empty());
}
