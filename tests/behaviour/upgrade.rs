//! Another executable takes over while requests come, or the old one stays.

use std::time::Duration;

use remuda_tests::{
    Server, guests,
    load::Load,
    process::{self, Pid, Signal},
    sandbox,
    server::Builder,
    wait,
};

fn two_workers() -> Builder {
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2).own_executable();
    builder.with_admin().flag("--boot-timeout", "3s")
}

async fn under_load(server: &Server) -> Load {
    let load = server.load().mixed().expect(&["Hello, world!\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    load
}

#[tokio::test]
async fn a_new_executable_takes_over_under_load() {
    let mut server = two_workers().start().await;
    let load = under_load(&server).await;
    let idle = server.load().kept(4).fresh(2).http2(1, 2).pause(Duration::from_millis(50)).start();
    let old = server.supervisor();
    for _ in 0..3 {
        server.replace_executable(&sandbox::server());
        server.upgrade().await;
        server.wait_for_workers(2).await;
        load.wait_for_answers_to_each_kind(10).await;
    }
    assert_ne!(server.supervisor(), old);
    assert_eq!(server.exit_code().await, Some(0));
    assert_eq!(server.readyz().await.status, 200);
    // Health checks, metrics and orders find it where its predecessor was.
    assert_eq!(server.status().await["pid"], server.supervisor().as_raw_pid());
    server.order(&["scale", "1"]).await;
    for (load, name) in [(load, "busy"), (idle, "idle in between")] {
        let report = load.stop().await;
        report.print(&format!("3 upgrades, clients {name}"));
        report.assert_flawless();
    }
    server.terminate();
    server.gone().await;
}

/// Has the server try to upgrade to this script, and waits until it has given up.
async fn stays(server: &Server, script: &str) {
    let workers = server.workers();
    let failures = server.lines(FAILED).len();
    server.write("remuda", script);
    make_executable(server);
    server.signal(Signal::USR2);
    let line = server.wait_for_lines(FAILED, failures + 1).await.remove(failures);
    assert!(!line.text("reason").is_empty(), "{line}");
    assert!(process::is_running(server.supervisor()));
    // Nobody is left behind of those that were started in vain.
    let alone = || (process::children(server.supervisor()) == workers).then_some(());
    wait::until("nobody but the workers to be there", alone).await;
    assert_eq!(server.readyz().await.status, 200);
}

const FAILED: &str = "upgrade failed";

fn make_executable(server: &Server) {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(server.path("remuda"), mode).expect("a file of ours");
}

#[tokio::test]
async fn an_executable_that_fails_changes_nothing() {
    let mut server = two_workers().start().await;
    let load = under_load(&server).await;
    let scripts = ["#!/bin/sh\nexit 70\n", "#!/bin/sh\nexec sleep 1000\n", "no executable at all"];
    for script in scripts {
        stays(&server, script).await;
        load.wait_for_answers_to_each_kind(5).await;
    }
    let report = load.stop().await;
    report.print("3 upgrades that failed");
    report.assert_flawless();

    // None of it stands in the way of the next one.
    server.replace_executable(&sandbox::server());
    server.upgrade().await;
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
}

#[tokio::test]
async fn an_order_to_end_ends_an_upgrade_too() {
    for order in ["drain", "signal"] {
        let mut server = two_workers().start().await;
        server.write("remuda", "#!/bin/sh\nexec sleep 1000\n");
        make_executable(&server);
        server.signal(Signal::USR2);
        let upgrading = server.wait_for_line("upgrading").await;
        let pid = i32::try_from(upgrading.number("pid")).expect("a pid");
        let successor = Pid::from_raw(pid).expect("a pid");
        let ended = server.ctl(&["scale", "3"]).await;
        assert!(ended.stderr.contains("upgrade"), "{ended}");
        match order {
            "drain" => drop(server.order(&["drain"]).await),
            _ => server.terminate(),
        }
        assert_eq!(server.exit_code().await, Some(0));
        assert!(!process::is_running(successor), "the successor serves nobody");
    }
}

#[tokio::test]
async fn a_new_executable_that_cannot_use_the_configuration_changes_nothing() {
    let config = "[[route]]\ncomponent = \"[guests]/hello-p2.wasm\"\n";
    let builder = Server::builder().config(config).workers(2).own_executable().with_admin();
    let server = builder.start().await;
    let workers = server.workers();
    server.configure("[wrokers]\ncount = 2\n");
    server.signal(Signal::USR2);
    let line = server.wait_for_line(FAILED).await;
    assert!(!line.text("reason").is_empty(), "{line}");
    assert_eq!(server.workers(), workers);
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
}
