//! Workers that have served enough are replaced before they are retired, one at a time.

use remuda_tests::{
    Ask, Server, guests,
    load::{Failure, Fault, Load},
    process::{self, Pid},
    server::Builder,
    wait,
};

/// A server of two workers whose instances keep the memory that they have taken.
fn two_workers() -> Builder {
    let builder = Server::builder().guest(guests::MISBEHAVE).workers(2).with_admin();
    let builder = builder.flag("--instances", "reuse").flag("--limit-memory", "512MiB");
    builder.flag("--instance-max-requests", "1000000")
}

async fn restarts(server: &Server, reason: &str) -> f64 {
    server.metrics().await.sum("remuda_worker_restarts_total", &[("reason", reason)])
}

/// Waits for so many restarts; meanwhile there are always two workers that serve, and at
/// most one that starts.
async fn wait_for_restarts(server: &Server, reason: &str, count: usize) {
    wait::until_async(&format!("{count} restarts because of {reason}"), async || {
        let states = server.worker_states().await;
        let ready = states.iter().filter(|worker| worker.is_ready()).count();
        let starting = states.iter().filter(|worker| worker.state == "starting").count();
        assert!(ready >= 2 && starting <= 1, "{states:?}");
        (restarts(server, reason).await >= count as f64).then_some(())
    })
    .await;
}

async fn under_load(server: &Server) -> Load {
    let load = server.load().mixed().expect(&["ok\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    load
}

#[tokio::test]
async fn after_max_requests() {
    let builder = two_workers().setting("workers.max_requests", "200");
    let server = builder.setting("workers.max_requests_jitter", "100").start().await;
    let load = under_load(&server).await;
    wait_for_restarts(&server, "max_requests", 10).await;
    let report = load.stop().await;
    report.print("workers recycled 10 times because of max_requests");
    report.assert_flawless();
}

#[tokio::test]
async fn after_max_lifetime() {
    let server = two_workers().setting("workers.max_lifetime", "2s").start().await;
    let load = under_load(&server).await;
    wait_for_restarts(&server, "max_lifetime", 4).await;
    let report = load.stop().await;
    report.print("workers recycled 4 times because of max_lifetime");
    report.assert_flawless();
}

/// Much more than a worker needs at first, much less than it may have.
fn with_memory_limits() -> Builder {
    let builder = two_workers().setting("workers.memory", "400MiB");
    builder.setting("workers.recycle_rss", "50%").setting("workers.kill_rss", "65%")
}

#[tokio::test]
async fn a_worker_that_has_grown_is_replaced() {
    let server = with_memory_limits().start().await;
    let load = under_load(&server).await;
    let mut connection = server.connect().await;
    assert_eq!(connection.get("/alloc?mib=200").await.ok(), "ok\n");
    wait_for_restarts(&server, "rss", 1).await;
    let report = load.stop().await;
    report.print("a worker recycled because of its resident memory");
    report.assert_flawless();
}

#[tokio::test]
async fn a_worker_that_has_grown_too_far_is_killed() {
    let server = with_memory_limits().start().await;
    let load = server.load().kept(8).knowing_workers().expect(&["ok\n"]).start();
    load.wait_for_connections(8).await;
    let mut connection = server.connect().await;
    assert_eq!(connection.get("/").await.ok(), "ok\n");
    let victim = server.worker_of(&connection).expect("a worker that has answered");
    // The answer may come before the end, or not.
    let _ = connection.try_send(Ask::get("/alloc?mib=280&ms=10000")).await;
    wait::until("the worker to be killed", || (!process::is_running(victim)).then_some(())).await;
    server.wait_for_workers(2).await;
    let report = load.stop().await;
    report.print("a worker killed because of its resident memory");
    assert_eq!(report.refused(), 0);
    assert!(only_resets_of(victim, &report.failures), "{report}");
    assert!(restarts(&server, "rss").await >= 1.0);
}

fn only_resets_of(victim: Pid, failures: &[Failure]) -> bool {
    let is_one =
        |failure: &Failure| failure.fault == Fault::Reset && failure.worker == Some(victim);
    failures.iter().all(is_one)
}

#[tokio::test]
async fn by_order() {
    let server = two_workers().start().await;
    let load = under_load(&server).await;
    let pid_of = async |slot| {
        let states = server.worker_states().await;
        states.iter().find(|state| state.slot == slot).expect("a worker of each slot").pid
    };
    for slot in [0, 1] {
        let (before, other) = (pid_of(slot).await, pid_of(1 - slot).await);
        server.order(&["restart", &slot.to_string()]).await;
        server.wait_for_workers(2).await;
        assert_ne!(pid_of(slot).await, before);
        assert_eq!(pid_of(1 - slot).await, other);
    }
    assert_eq!(restarts(&server, "restart").await, 2.0);
    let report = load.stop().await;
    report.print("both workers restarted by order");
    report.assert_flawless();
}
