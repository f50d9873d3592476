//! Instances are ready before they are asked for, and leave room for others.

use std::time::Duration;

use futures_util::future::join_all;
use remuda_tests::{Server, guests, wait, wait::timed};

async fn idle(server: &Server) -> f64 {
    server.metrics().await.sum("remuda_instances", &[("state", "idle")])
}

async fn wait_for_idle(server: &Server, count: usize) {
    wait::until_async(&format!("{count} idle instances"), async || {
        (idle(server).await == count as f64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn so_many_idle_instances_are_kept() {
    for (guest, mode) in [
        (guests::HELLO_P2, "fresh"),
        (guests::HELLO, "fresh"),
        (guests::HELLO_P2, "reuse"),
        (guests::HELLO, "reuse"),
    ] {
        let builder = Server::builder().guest(guest).flag("--instances", mode);
        let server = builder.flag("--instance-min-idle", "3").start().await;
        wait_for_idle(&server, 3).await;
        for _ in 0..20 {
            assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
        }
        wait::until_async("the floor to be there again", async || {
            (idle(&server).await >= 3.0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_floor_stays_when_everything_else_that_is_idle_goes() {
    for guest in [guests::MISBEHAVE, guests::WITNESS] {
        let builder = Server::builder().guest(guest).flag("--instances", "reuse");
        let builder = builder.flag("--instance-idle-timeout", "100ms");
        let builder = builder.flag("--instance-min-idle", "2");
        let server = builder.flag("--instance-max-concurrency", "1").start().await;
        let mut connections = join_all((0..6).map(|_| server.connect())).await;
        let target = if guest == guests::WITNESS { "/wait?200" } else { "/sleep?ms=200" };
        let asking = connections.iter_mut().map(|connection| connection.get(target));
        assert!(join_all(asking).await.iter().all(|reply| reply.status == 200));
        wait_for_idle(&server, 2).await;
    }
}

/// How long a startup takes, and how much sooner a request must be answered.
const STARTUP: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_request_does_not_wait_for_a_startup_while_an_instance_is_ready() {
    for guest in [guests::OFFLOAD, guests::OFFLOAD_P2] {
        let builder = Server::builder().guest(guest).flag("--instances", "fresh");
        let builder = builder.flag("--instance-min-idle", "2");
        let startup = format!("STARTUP=sleep {}", STARTUP.as_millis());
        let server = builder.flag("--env", startup).start().await;
        for _ in 0..2 {
            wait_for_idle(&server, 2).await;
            let (elapsed, reply) = timed(server.get("/")).await;
            assert!(reply.ok().contains("started=true"));
            assert!(elapsed < STARTUP * 2 / 3, "{} answered after {elapsed:?}", guest.name);
        }
    }
}

/// Instances that one worker can hold: `limits.concurrency` and 50 to spare.
const CONCURRENCY: usize = 60;
const OF_ONE_ROUTE: usize = 45;

#[tokio::test]
async fn idle_instances_of_other_routes_give_way() {
    let mut config = format!("[limits]\nconcurrency = {CONCURRENCY}\n");
    let paths = ["/a", "/b", "/c", "/d"];
    for path in paths {
        config += &format!(
            "[[route]]\npath = \"{path}\"\ncomponent = \"[guests]/misbehave.wasm\"\n\
             instances = {{ mode = \"reuse\", idle_timeout = \"1h\", min_idle = 0 }}\n"
        );
    }
    let server = Server::builder().config(&config).start().await;
    let mut connections = join_all((0..OF_ONE_ROUTE).map(|_| server.connect())).await;
    for path in paths {
        // All at once, so that each needs an instance of its own.
        let asking = connections.iter_mut().map(|connection| connection.get(path));
        assert!(join_all(asking).await.into_iter().all(|reply| reply.ok() == "ok\n"), "{path}");
    }
    // More than fit.
    let made = 4 * OF_ONE_ROUTE;
    assert!(made > CONCURRENCY + 50 && idle(&server).await <= (CONCURRENCY + 50) as f64);
}

#[tokio::test]
async fn a_floor_for_which_there_is_no_room_for_long_is_told() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--instance-min-idle", "20");
    let builder = builder.flag("--worker-memory", "256MiB").flag("--limit-memory", "128MiB");
    let server = builder.flag("--request-timeout", "60s").start().await;
    wait_for_idle(&server, 20).await;
    // Almost all that guests may have.
    let mut holders = Vec::new();
    for mib in [120, 60] {
        let mut holder = server.connect_raw().await;
        let request = format!("GET /alloc?mib={mib}&ms=60000 HTTP/1.1\r\nhost: a\r\n\r\n");
        holder.send_and_see_it_read(&request).await;
        holders.push(holder);
    }
    let message = "no room for all instances that are to be ready; lower instances.min_idle, or \
                   raise workers.memory";
    let line = server.wait_for_line(message).await;
    assert_eq!((line.number("min_idle"), line.text("route")), (20, "/"), "{line}");
    assert!(line.number("ready") < 20, "{line}");
    drop(holders);
    wait_for_idle(&server, 20).await;
}
