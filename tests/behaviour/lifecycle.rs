//! What happens to an instance before its first request and after its last one (S39).

use std::time::Duration;

use remuda_tests::{
    Cli, Server,
    guests::{self, Guest},
    server::Builder,
    wait::{self, timed},
};

/// Both worlds.
const GUESTS: [Guest; 2] = [guests::OFFLOAD, guests::OFFLOAD_P2];

/// Much less than `shutdown.graceful_timeout`.
const SOON: Duration = Duration::from_secs(10);

/// How often guests have printed this.
fn printed(server: &Server, text: &str) -> usize {
    server.printed().iter().filter(|line| line.message() == text).count()
}

async fn wait_for_printed(server: &Server, text: &str, count: usize) {
    let enough = || (printed(server, text) >= count).then_some(());
    wait::until(&format!("{text:?} to be printed {count} times"), enough).await;
}

fn hooked(guest: Guest) -> Builder {
    Server::builder().guest(guest).flag("--instance-min-idle", "0")
}

#[tokio::test]
async fn a_worker_is_ready_when_its_first_instance_is_and_no_request_comes_before() {
    for guest in GUESTS {
        let builder = hooked(guest).workers(2).flag("--env", "STARTUP=sleep 300");
        let server = builder.start().await;
        assert_eq!(printed(&server, "startup done"), 2, "{}", guest.name);
        let answer = server.get("/").await.ok();
        assert!(answer.ends_with("served=1 started=true\n"), "{}: {answer}", guest.name);
        assert_eq!(printed(&server, "startup called"), 2, "{}", guest.name);
    }
}

#[tokio::test]
async fn a_component_with_hooks_is_reused_in_both_worlds() {
    for guest in GUESTS {
        let server = hooked(guest).start().await;
        for served in 1..=5 {
            let answer = server.get("/").await.ok();
            assert!(answer.contains(&format!("served={served} ")), "{}: {answer}", guest.name);
        }
        assert_eq!(printed(&server, "startup called"), 1, "{}", guest.name);
    }
}

#[tokio::test]
async fn without_a_startup_there_is_no_server() {
    for (order, named) in [("trap", "in its startup"), ("error no database", "no database")] {
        let serve = "serve --admin off --bind 127.0.0.1:0 --log-format json --env";
        let serve = remuda_tests::Cli::remuda(serve).arg(format!("STARTUP={order}"));
        let ended = serve.arg(guests::OFFLOAD_P2.path()).shared_cache().run().await;
        assert_eq!(ended.code, Some(70), "{ended}");
        assert!(ended.stderr.contains(named), "{ended}");
        // Only the command itself speaks otherwise, at its end.
        let plain = ended.stderr.lines().filter(|line| !line.starts_with('{'));
        assert_eq!(plain.count(), 1, "{ended}");
    }
}

#[tokio::test]
async fn shutdown_is_called_once_when_an_instance_is_retired() {
    for guest in GUESTS {
        let mut server = hooked(guest).flag("--instance-max-requests", "2").start().await;
        for _ in 0..6 {
            assert_eq!(server.get("/").await.status, 200);
        }
        wait_for_printed(&server, "shutdown done", 3).await;
        ends_with(&mut server, 0, guest.name).await;
    }
}

#[tokio::test]
async fn shutdown_is_called_for_idle_instances() {
    for guest in GUESTS {
        let mut server = hooked(guest).flag("--instance-idle-timeout", "100ms").start().await;
        wait_for_printed(&server, "shutdown done", 1).await;
        assert!(server.get("/").await.ok().contains("started=true"));
        ends_with(&mut server, 0, guest.name).await;
    }
}

#[tokio::test]
async fn a_fresh_instance_has_both_hooks_around_its_request() {
    for guest in GUESTS {
        let mut server = hooked(guest).flag("--instances", "fresh").start().await;
        for _ in 0..3 {
            let answer = server.get("/").await.ok();
            assert!(answer.ends_with("served=1 started=true\n"), "{}: {answer}", guest.name);
        }
        wait_for_printed(&server, "shutdown done", 3).await;
        ends_with(&mut server, 0, guest.name).await;
    }
}

#[tokio::test]
async fn an_instance_that_trapped_is_not_shut_down() {
    for guest in GUESTS {
        let mut server = hooked(guest).start().await;
        server.get("/?trap").await.assert_rejected(500, "guest_trap");
        assert!(server.get("/").await.ok().contains("served=1 "));
        ends_with(&mut server, 1, guest.name).await;
    }
}

/// Drains it; so many of its instances had no shutdown, and no other has had two.
async fn ends_with(server: &mut Server, not_shut_down: usize, name: &str) {
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0), "{name}");
    let started = printed(server, "startup done");
    for what in ["shutdown called", "shutdown done"] {
        assert_eq!(printed(server, what) + not_shut_down, started, "{name}: {what}");
    }
}

#[tokio::test]
async fn a_shutdown_without_end_does_not_hold_up_the_end() {
    for guest in GUESTS {
        let builder = hooked(guest).flag("--env", "SHUTDOWN=spin");
        let mut server = builder.flag("--instance-shutdown-timeout", "200ms").start().await;
        assert_eq!(server.get("/").await.status, 200);
        server.terminate();
        let (elapsed, code) = timed(server.exit_code()).await;
        assert_eq!(code, Some(0), "{}", guest.name);
        assert!(elapsed < SOON, "{} took {elapsed:?} to end", guest.name);
        assert_eq!(printed(&server, "shutdown called"), 1, "{}", guest.name);
        let message = "shutdown of an instance ended by instances.shutdown_timeout (200ms)";
        assert_eq!(server.lines(message).len(), 1, "{}", guest.name);
    }
}

#[tokio::test]
async fn what_is_idle_is_shut_down_also_when_something_else_never_ends() {
    for guest in GUESTS {
        let builder = hooked(guest).flag("--graceful-timeout", "1s");
        let mut server = builder.flag("--instance-max-concurrency", "1").start().await;
        let mut stuck = server.connect_raw().await;
        let head = "POST /sleep HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n60000";
        stuck.send(head).await;
        wait_for_printed(&server, "job sleeps", 1).await;
        assert_eq!(server.get("/").await.status, 200);
        assert_eq!(printed(&server, "startup done"), 2, "{}", guest.name);
        ends_with(&mut server, 1, guest.name).await;
    }
}

/// A server whose hooks do what files of its sandbox say.
async fn ordered(guest: Guest) -> Server {
    let builder = hooked(guest).file("hooks/startup", "");
    let mount = format!("{}:/hooks", builder.path("hooks").display());
    builder.flag("--mount", mount).start().await
}

#[tokio::test]
async fn a_startup_that_fails_later_is_an_error_of_its_request_and_is_not_tried_all_the_time() {
    for guest in GUESTS {
        let server = ordered(guest).await;
        for (order, reason, logged) in [
            ("error no database", "guest_error", "startup of an instance failed: no database"),
            ("trap", "guest_trap", "guest trapped: in its startup: "),
        ] {
            server.write("hooks/startup", order);
            server.get("/?trap").await.assert_rejected(500, "guest_trap");
            let before = printed(&server, "startup called");
            server.get("/").await.assert_rejected(500, reason);
            let (elapsed, ()) = timed(async {
                for _ in 0..50 {
                    server.get("/").await.assert_rejected(500, reason);
                }
            })
            .await;
            let tried = printed(&server, "startup called") - before;
            // Pauses of 100 ms, 200 ms, 400 ms and so on.
            let most = 2 + (elapsed.as_millis() / 100) as usize;
            assert!(tried <= most, "{}: {tried} startups in {elapsed:?}", guest.name);
            let log = server.log();
            let line = log.iter().find(|line| line.message().starts_with(logged));
            assert_eq!(line.expect(logged).text("request").len(), 16, "{}", guest.name);

            server.write("hooks/startup", "");
            wait::until_async("a startup to succeed", async || {
                (server.get("/").await.status == 200).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_startup_goes_on_for_the_next_request_when_its_own_has_gone() {
    for guest in GUESTS {
        let server = ordered(guest).await;
        server.get("/?trap").await.assert_rejected(500, "guest_trap");
        server.write("hooks/startup", "sleep 700");
        let mut first = server.connect_raw().await;
        first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        wait_for_printed(&server, "startup called", 2).await;
        drop(first);
        wait_for_printed(&server, "startup done", 2).await;
        server.write("hooks/startup", "trap");
        assert!(server.get("/").await.ok().ends_with("served=1 started=true\n"));
    }
}

/// The log has it once, and the end once more.
#[tokio::test]
async fn why_no_worker_starts_is_not_repeated_by_each_of_them() {
    let serve = "serve --bind 127.0.0.1:0 --admin off --workers 3 --env MAX_ITEMS=many";
    let ended = Cli::remuda(serve).arg(guests::API.path()).shared_cache().run().await;
    assert_eq!(ended.code, Some(70), "{ended}");
    assert!(ended.stderr.matches("worker failed").count() >= 6, "{ended}");
    assert_eq!(ended.stderr.matches("which is no u64").count(), 2, "{ended}");
}
