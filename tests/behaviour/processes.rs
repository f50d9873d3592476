//! Workers are processes: one may die, and only what it had in flight dies with it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use remuda_tests::{
    Ask, Server, guests,
    load::Fault,
    process::{self, Pid, Signal},
    wait,
};

/// S4 says 1 s; this is for a server that is not optimised on a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the figure is worth knowing")]
async fn a_killed_worker_fails_only_what_it_had_in_flight_and_is_back_at_once() {
    let server = Server::builder().guest(guests::MISBEHAVE).workers(2).start().await;
    let workers = server.workers();
    let load = server.load().kept(20).ask(Ask::get("/sleep?ms=20")).knowing_workers().start();
    load.wait_for_connections(20).await;
    load.wait_for_answers(100).await;

    let before = load.report();
    let victim = *before.workers.values().next().expect("a worker with connections");
    let held = before.workers.values().filter(|worker| **worker == victim).count();
    process::signal(victim, Signal::KILL);
    let killed = Instant::now();
    server.wait_for_lines("worker ready", 3).await;
    let elapsed = killed.elapsed();
    load.wait_for_answers(200).await;
    let after = load.stop().await;

    eprintln!("killed a worker with {held} connections, back after {elapsed:.2?}");
    assert!(elapsed < BACK_WITHIN, "the worker was back after {elapsed:.2?}");
    assert!(after.failures.iter().all(|failure| failure.worker == Some(victim)), "{after:?}");
    assert!((1..=held).contains(&after.failures.len()), "{held} held, {:?}", after.failures);
    let now: BTreeSet<_> = server.workers().iter().map(|pid| pid.as_raw_pid()).collect();
    assert_eq!(now.len(), 2);
    assert!(!now.contains(&victim.as_raw_pid()));
    assert_eq!(now.iter().filter(|pid| workers.iter().any(|w| w.as_raw_pid() == **pid)).count(), 1);
}

#[tokio::test]
async fn a_cache_that_is_cleaned_meanwhile_is_filled_again() {
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2).own_cache().with_admin();
    let server = builder.start().await;
    let first = server.workers();
    std::fs::remove_dir_all(server.path("cache")).expect("a cache to remove");
    for victim in &first {
        process::signal(*victim, Signal::KILL);
    }
    let now = server.wait_for_workers(2).await;
    assert!(now.iter().all(|pid| !first.contains(pid)), "{now:?}");
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
}

#[tokio::test]
async fn killed_workers_fail_no_more_than_was_in_flight() {
    let builder = Server::builder().guest(guests::MISBEHAVE).workers(3).with_admin();
    let server = builder.start().await;
    let load = server.load().mixed().ask(Ask::get("/sleep?ms=5")).expect(&["ok\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    let kills = 5;
    for _ in 0..kills {
        process::signal(server.workers()[0], Signal::KILL);
        server.wait_for_workers(3).await;
        load.wait_for_answers_to_each_kind(5).await;
    }
    let report = load.stop().await;
    report.print(&format!("kill -9 of {kills} workers, one after the other"));
    assert_eq!(report.refused(), 0);
    assert!(report.failures.iter().all(|failure| failure.fault == Fault::Reset), "{report}");
    // Of all clients together there were no more in flight.
    assert!(report.failures.len() <= kills * (8 + 4 + 2 * 4), "{report}");
}

#[tokio::test]
async fn a_client_of_a_killed_worker_learns_of_it_however_far_its_request_had_come() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut accepted = server.connect_raw().await;
    let mut half_read = server.connect_raw().await;
    half_read.send_and_see_it_read("GET / HTTP/1.1\r\nhost: a").await;
    let mut dispatched = server.connect_raw().await;
    dispatched.send_and_see_it_read("GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut connection = server.connect().await;
    let mut begun = connection.open(Ask::get("/slow-body?chunks=2&ms=60000")).await;
    assert_eq!(begun.read_exactly(8).await, b"chunk 0\n");

    process::signal(server.worker(), Signal::KILL);

    for client in [&mut accepted, &mut half_read, &mut dispatched] {
        assert_eq!(client.read_to_end().await, "");
    }
    assert!(begun.try_read().await.is_err(), "half of a response is not a whole one");
    server.wait_for_lines("worker ready", 2).await;
    assert_eq!(server.get("/").await.ok(), "ok\n");
}

#[tokio::test]
async fn what_another_worker_has_in_flight_is_untouched() {
    let server = Server::builder().guest(guests::MISBEHAVE).workers(2).start().await;
    let connections = server.connect_to_each_worker(&Ask::get("/")).await;
    let mut in_flight = Vec::new();
    for (worker, mut connection) in connections {
        let mut response = connection.open(Ask::get("/slow-body?chunks=2&ms=1000")).await;
        assert_eq!(response.read_exactly(8).await, b"chunk 0\n");
        in_flight.push((worker, response, connection));
    }
    let [(victim, lost, _), (_, kept, _)] = &mut in_flight[..] else { panic!("two workers") };
    process::signal(Pid::from_raw(*victim).expect("a pid"), Signal::KILL);
    assert!(lost.try_read().await.is_err(), "half of a response is not a whole one");
    assert_eq!(kept.read_exactly(8).await, b"chunk 1\n");
    assert_eq!(kept.read().await, None);
}

#[tokio::test]
async fn a_replaced_worker_answers() {
    let server = Server::builder().guest(guests::HELLO).workers(2).start().await;
    let victim = server.workers()[0];
    process::signal(victim, Signal::KILL);
    server.wait_for_lines("worker ready", 3).await;
    assert_eq!(server.wait_for_line("worker exited").await.text("reason"), "killed by SIGKILL");
    let connections = server.connect_to_each_worker(&Ask::get("/")).await;
    assert_eq!(connections.len(), 2);
    assert!(!connections.contains_key(&victim.as_raw_pid()));
}

#[tokio::test]
async fn workers_end_by_themselves_when_the_supervisor_is_killed() {
    let mut server = Server::builder().guest(guests::HELLO_P2).workers(2).start().await;
    let workers = server.workers();
    assert_eq!(workers.len(), 2);
    server.kill_supervisor().await;
    for worker in workers {
        wait::until("an orphaned worker to end", || (!process::is_running(worker)).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn orphaned_workers_finish_what_they_have_begun() {
    let mut server = Server::of(guests::MISBEHAVE).await;
    let worker = server.worker();
    let mut connection = server.connect().await;
    let mut response = connection.open(Ask::get("/slow-body?chunks=3&ms=300")).await;
    assert_eq!(response.read_exactly(8).await, b"chunk 0\n");
    server.kill_supervisor().await;
    assert_eq!(response.read_exactly(8).await, b"chunk 1\n");
    assert_eq!(response.read_exactly(8).await, b"chunk 2\n");
    assert_eq!(response.read().await, None);
    wait::until("the worker to end", || (!process::is_running(worker)).then_some(())).await;
}
