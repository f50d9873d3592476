//! The server as PID 1 of a container.
//!
//! `unshare` makes the container: a PID namespace in which the server is the first
//! process. That takes root, or a system that grants as much to its users.

use std::process::Command;

use remuda_tests::{
    Ask, Server, guests,
    process::{self, Pid, Signal},
    wait,
};

/// A namespace that ends with its first process, and that ends with `unshare`.
const CONTAINER: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// Leaves a process behind whose parent has ended, then becomes the server.
const WITH_AN_ORPHAN: [&str; 4] = ["sh", "-c", "(sleep 1000 &); exec \"$@\"", "sh"];

#[tokio::test]
async fn it_serves_replaces_workers_and_drains() {
    if !can_make_containers() {
        return;
    }
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2);
    let mut server = builder.launched_by(&CONTAINER).start().await;
    assert_eq!(server.wait_for_line("listening").await.number("pid"), 1);
    let victim = server.workers()[0];
    process::signal(victim, Signal::KILL);
    server.wait_for_lines("worker ready", 3).await;
    assert_eq!(server.connect_to_each_worker(&Ask::get("/")).await.len(), 2);
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn it_reaps_the_orphans_of_others() {
    if !can_make_containers() {
        return;
    }
    let launcher = [&CONTAINER[..], &WITH_AN_ORPHAN[..]].concat();
    let server = Server::builder().guest(guests::HELLO_P2).launched_by(&launcher).start().await;
    let is_sleep = |pid: &Pid| process::arguments(*pid).first().is_some_and(|name| name == "sleep");
    let orphan = process::children(server.supervisor()).into_iter().find(is_sleep);
    let orphan = orphan.expect("an orphan that has become a child of the server");
    process::signal(orphan, Signal::KILL);
    // As a zombie it would still exist.
    wait::until("the orphan to be reaped", || (!process::exists(orphan)).then_some(())).await;
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
    assert_eq!(server.lines("worker exited").len(), 0);
}

/// Leaves many behind that end with the exit code of a server that cannot start.
const WITH_MANY: [&str; 4] = [
    "sh",
    "-c",
    "for i in 1 2 3 4 5 6 7 8; do (sh -c \"sleep 0.$i; exit 70\" &); done; exec \"$@\"",
    "sh",
];

#[tokio::test]
async fn what_becomes_of_strangers_changes_nothing() {
    if !can_make_containers() {
        return;
    }
    let launcher = [&CONTAINER[..], &WITH_MANY[..]].concat();
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2).with_admin();
    let mut server = builder.launched_by(&launcher).start().await;
    let load = server.load().mixed().start();
    let alone = || process::children(server.supervisor()).len() == server.workers().len();
    wait::until("all strangers to be reaped", || alone().then_some(())).await;
    server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    load.wait_for_answers_to_each_kind(10).await;
    load.stop().await.assert_flawless();
    assert_eq!(server.metrics().await.sum("remuda_worker_restarts_total", &[]), 0.0);
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
}

#[expect(clippy::print_stderr, reason = "whoever wonders why nothing was tested can read it")]
fn can_make_containers() -> bool {
    let tried = Command::new(CONTAINER[0]).args(&CONTAINER[1..]).arg("true").output();
    match tried {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr).trim());
            false
        }
        Err(error) => {
            eprintln!("skipped: no unshare: {error}");
            false
        }
    }
}
