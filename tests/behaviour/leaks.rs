//! Whatever becomes of requests, nothing of them is left.

use futures_util::future::join_all;
use remuda_tests::{Ask, Server, figure, guests, process, server::Builder, wait};

/// Requests of each kind of instance, a quarter each of what can become of one.
const REQUESTS: usize = 10_000;
const CLIENTS: usize = 50;

/// Requests before anything is measured.
const WARM_UP: usize = 400;

const MIB: u64 = 1024 * 1024;

/// What becomes of a request.
#[derive(Clone, Copy)]
struct Targets {
    success: &'static str,
    trap: &'static str,
    never: &'static str,
    /// Burns for long enough to be moved.
    burns: &'static str,
}

const MISBEHAVE: Targets =
    Targets { success: "/", trap: "/trap", never: "/never", burns: "/spin?ms=100" };
const WITNESS: Targets =
    Targets { success: "/", trap: "/break", never: "/wait?3600000", burns: "/spin?100" };

async fn start(builder: Builder) -> Server {
    let builder = builder.setting("workers.blocking_threads", "1");
    builder.flag("--request-timeout", "250ms").start().await
}

/// Requests that end in turn by a success, a trap, a timeout, and a client that goes away. How
/// many were answered with 200.
async fn ask(server: &Server, targets: Targets, requests: usize) -> usize {
    let clients = (0..CLIENTS).map(async |client| {
        let mut successes = 0;
        for number in 0..requests / CLIENTS {
            match (client + number) % 4 {
                0 => {
                    let reply = server.connect().await.try_send(Ask::get(targets.success)).await;
                    successes += usize::from(reply.is_ok_and(|reply| reply.status == 200));
                }
                1 => {
                    // It may come before or after the head.
                    let _ = server.connect().await.try_send(Ask::get(targets.trap)).await;
                }
                2 => {
                    let reply = server.connect().await.try_send(Ask::get(targets.never)).await;
                    // Another request may have taken its instance along.
                    assert!(reply.is_ok_and(|reply| reply.status.is_server_error()));
                }
                _ => {
                    // It has gone when the guest begins, or soon after.
                    let mut raw = server.connect_raw().await;
                    raw.send(format!("GET {} HTTP/1.1\r\nhost: a\r\n\r\n", targets.never)).await;
                }
            }
        }
        successes
    });
    join_all(clients).await.into_iter().sum()
}

async fn leaves_nothing(name: &str, server: &Server, targets: Targets) {
    // Blocking threads are started when they are needed, and stay.
    wait::until_async("a guest to be moved", async || {
        server.get(targets.burns).await;
        (server.metrics().await.sum("remuda_offloads_total", &[]) > 0.0).then_some(())
    })
    .await;
    ask(server, targets, WARM_UP).await;
    everything_is_back_to_zero(server).await;
    let worker = server.worker();
    let usage = || {
        let (threads, files) = (process::threads(worker), process::descriptors(worker));
        (threads, files, process::resident_bytes(worker))
    };
    let before = usage();
    let successes = ask(server, targets, REQUESTS).await;
    everything_is_back_to_zero(server).await;
    let after = usage();
    figure(format_args!(
        "{name}: {REQUESTS} requests, {successes} with 200; threads, files, resident bytes \
         {before:?} before, {after:?} after"
    ));
    assert_eq!(server.worker(), worker, "the worker was replaced");
    assert_eq!((after.0, after.1), (before.0, before.1), "threads and open files");
    assert!(after.2 < before.2 + 48 * MIB, "resident memory: {} to {}", before.2, after.2);
    assert!(successes > 0);
    assert_eq!(server.get(targets.success).await.status, 200);
}

async fn everything_is_back_to_zero(server: &Server) {
    wait::until_async("everything to be back to zero", async || {
        let metrics = server.metrics().await;
        let zero = |name, labels: &[(&str, &str)]| metrics.sum(name, labels) == 0.0;
        let all = zero("remuda_in_flight", &[])
            && zero("remuda_queue_depth", &[])
            && zero("remuda_instances", &[("state", "busy")])
            && zero("remuda_connections", &[]);
        all.then_some(())
    })
    .await;
}

#[tokio::test]
async fn fresh_instances_leave_nothing_behind() {
    let server = start(Server::builder().guest(guests::MISBEHAVE)).await;
    leaves_nothing("fresh 0.2", &server, MISBEHAVE).await;
}

#[tokio::test]
async fn reused_instances_of_0_2_leave_nothing_behind() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--instances", "reuse");
    leaves_nothing("reused 0.2", &start(builder).await, MISBEHAVE).await;
}

#[tokio::test]
async fn reused_instances_of_0_3_leave_nothing_behind() {
    let server = start(Server::builder().guest(guests::WITNESS)).await;
    leaves_nothing("reused 0.3", &server, WITNESS).await;
}
