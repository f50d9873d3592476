//! Health, metrics, status and orders, whatever the workers do.

use std::{
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    time::Duration,
};

use futures_util::future::join_all;
use http::Method;
use remuda_tests::{
    Ask, Cli, Connection, Server, guests,
    process::{self, Signal},
    server::Builder,
    wait,
};

fn hello() -> Builder {
    Server::builder().guest(guests::HELLO_P2).workers(2).with_admin()
}

#[tokio::test]
async fn a_server_that_serves_is_alive_started_and_ready() {
    let server = hello().start().await;
    for answer in [server.livez().await, server.startupz().await, server.readyz().await] {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(server.ask_admin("/nothing").await.status, 404);
    let status = server.status().await;
    assert_eq!(status["pid"], server.supervisor().as_raw_pid());
    assert_eq!((&status["state"], &status["generation"]), (&"serving".into(), &1.into()));
    assert_eq!(status["workers_wanted"], 2);
    let mut pids: Vec<_> = server.worker_states().await.iter().map(|state| state.pid).collect();
    pids.sort_by_key(|pid| pid.as_raw_pid());
    assert_eq!(pids, server.workers());
}

#[tokio::test]
async fn nobody_is_ready_without_a_worker() {
    let config = "[[route]]\ncomponent = \"app.wasm\"\n";
    let builder = Server::builder().install(guests::HELLO_P2, "app.wasm").config(config);
    let mut server = builder.with_admin().own_cache().start().await;
    // Whatever is to replace it finds no component any more, compiled or not.
    std::fs::remove_dir_all(server.path("cache")).expect("a cache in the sandbox");
    server.remove("app.wasm");
    process::signal(server.worker(), Signal::KILL);
    let answer = wait::until_async("readiness to end", async || {
        Some(server.readyz().await).filter(|answer| answer.status != 200)
    })
    .await;
    assert_eq!(answer.status, 503);
    assert!(!answer.body.trim().is_empty());
    assert_eq!(server.livez().await.status, 200);
    assert_eq!(server.startupz().await.status, 200);
    assert_eq!(server.exit_code().await, Some(70));
}

/// What health checks may take, and what a busy machine that tests other things may take.
const WANTED: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_millis(500);

/// Asks for everything several times; the longest wait.
#[expect(clippy::print_stderr, reason = "the figure is worth knowing")]
async fn answers_in_time(server: &Server, when: &str) {
    let mut waits = Vec::new();
    for _ in 0..20 {
        for path in ["/livez", "/startupz", "/readyz", "/status", "/metrics"] {
            let answer = server.ask_admin(path).await;
            // A worker that is stopped may count as one that does not accept.
            let expected = answer.status == 200 || (path == "/readyz" && answer.status == 503);
            assert!(expected, "{path} {when}: {answer:?}");
            waits.push((answer.elapsed, path));
        }
    }
    waits.sort_unstable();
    let (longest, path) = waits[waits.len() - 1];
    let in_time = waits.iter().filter(|(elapsed, _)| *elapsed <= WANTED).count();
    let all = waits.len();
    eprintln!("{when}, {in_time} of {all} within {WANTED:?}, the slowest {longest:.1?} ({path})");
    assert!(longest < MOST, "{path} took {longest:?} {when}");
}

#[tokio::test]
async fn health_is_answered_while_every_worker_is_saturated() {
    let builder = Server::builder().guest(guests::MISBEHAVE).workers(2).with_admin();
    let server = builder.start().await;
    let clients = (0..32).map(|_| server.connect());
    let mut clients = join_all(clients).await;
    let mut burning = Vec::new();
    for client in &mut clients {
        burning.push(client.open(Ask::get("/spin?ms=20000")).await);
    }
    wait::until_async("all of them to burn", async || {
        (server.metrics().await.sum("remuda_in_flight", &[]) >= 32.0).then_some(())
    })
    .await;
    answers_in_time(&server, "while 2 workers burn").await;
}

#[tokio::test]
async fn health_is_answered_while_every_worker_is_stopped() {
    let server = hello().flag("--heartbeat-timeout", "60s").start().await;
    assert_eq!(server.get("/").await.status, 200);
    let _stopped =
        [process::stop(server.workers()[0]).await, process::stop(server.workers()[1]).await];
    answers_in_time(&server, "while 2 workers are stopped").await;
    // From what they said last.
    assert_eq!(server.metrics().await.values("remuda_worker_rss_bytes", &[]).len(), 2);
}

#[tokio::test]
async fn the_admin_address_takes_no_orders() {
    let server = hello().start().await;
    let workers = server.workers();
    let orders = ["/reload", "/drain", "/scale?workers=3", "/restart?worker=0"];
    for order in orders {
        for method in [Method::POST, Method::GET, Method::PUT] {
            let mut connection = Connection::http1(server.admin()).await.expect("a connection");
            let reply = connection.send(Ask::new(method.clone(), order)).await;
            assert!([403, 405].contains(&reply.status.as_u16()), "{method} {order}: {reply:?}");
        }
    }
    for path in ["/livez", "/metrics", "/status"] {
        let mut connection = Connection::http1(server.admin()).await.expect("a connection");
        let reply = connection.send(Ask::post(path)).await;
        assert_eq!(reply.status, 403, "{path}: {reply:?}");
    }
    let status = server.status().await;
    assert_eq!((&status["state"], &status["generation"]), (&"serving".into(), &1.into()));
    assert_eq!(server.workers(), workers);
}

#[tokio::test]
async fn orders_on_the_control_socket_are_post_requests() {
    let server = hello().start().await;
    for order in ["/reload", "/drain", "/scale?workers=3", "/restart?worker=0"] {
        let answer = server.control(Method::GET, order).await;
        assert_eq!(answer.status, 405, "{answer:?}");
    }
    assert_eq!(server.status().await["generation"], 1);
    assert_eq!(server.control(Method::GET, "/livez").await.status, 200);
    assert_eq!(server.control(Method::POST, "/reload").await.status, 200);
    assert_eq!(server.status().await["generation"], 2);
}

#[tokio::test]
async fn metrics_add_up_over_all_workers_dead_ones_included() {
    let server = hello().start().await;
    let answered = |status| vec![("route", "/"), ("status", status)];
    let connections = server.connect_to_each_worker(&Ask::get("/")).await;
    for mut connection in connections.into_values() {
        for _ in 0..10 {
            connection.get("/").await;
        }
    }
    let before = server.metrics().await;
    let count = before.value("remuda_requests_total", &answered("200"));
    assert!(count >= 22.0, "{before}");
    assert_eq!(before.kind("remuda_requests_total"), "counter");
    assert_eq!(before.kind("remuda_request_seconds"), "histogram");
    assert_eq!(before.value("remuda_request_seconds_count", &[("route", "/")]), count);
    assert_eq!(before.value("remuda_workers", &[("state", "ready")]), 2.0);
    assert_eq!(before.labels("remuda_worker_rss_bytes", "worker"), ["0", "1"]);

    let victim = server.workers()[0];
    server.order(&["restart", "0"]).await;
    server.order(&["restart", "1"]).await;
    wait::until("the first one to end", || (!process::is_running(victim)).then_some(())).await;
    server.wait_for_workers(2).await;
    assert_eq!(server.get("/").await.status, 200);
    let after = server.metrics().await;
    assert_eq!(after.value("remuda_requests_total", &answered("200")), count + 1.0, "{after}");
    assert_eq!(after.value("remuda_worker_restarts_total", &[("reason", "restart")]), 2.0);
}

/// Of one slot, user and system together, in seconds.
async fn cpu_of_slot(server: &Server, slot: &str) -> f64 {
    server.metrics().await.sum("remuda_worker_cpu_seconds_total", &[("worker", slot)])
}

#[tokio::test]
async fn cpu_time_is_counted_by_slot_and_does_not_go_back() {
    let builder = Server::builder().guest(guests::MISBEHAVE).workers(1).with_admin();
    let server = builder.start().await;
    let before = cpu_of_slot(&server, "0").await;
    let _ = server.get("/spin?ms=400").await.ok();
    let after = cpu_of_slot(&server, "0").await;
    let user = [("worker", "0"), ("mode", "user")];
    assert!(after > before, "{before} {after}");
    // The machine may be busy: it spins by the clock.
    wait::until_async("400 ms of CPU time", async || {
        let _ = server.get("/spin?ms=100").await.ok();
        (cpu_of_slot(&server, "0").await >= before + 0.4).then_some(())
    })
    .await;
    assert!(server.metrics().await.value("remuda_worker_cpu_seconds_total", &user) > 0.3);

    // Whoever comes after in the slot goes on counting, also after a violent end.
    let old = server.workers()[0];
    let counted = cpu_of_slot(&server, "0").await;
    server.order(&["restart", "0"]).await;
    wait::until("the first one to end", || (!process::is_running(old)).then_some(())).await;
    let replaced = cpu_of_slot(&server, "0").await;
    assert!(replaced >= counted, "{counted} {replaced}");
    process::signal(server.workers()[0], Signal::KILL);
    wait::until_async("its successor", async || {
        let restarts = server.metrics().await.sum("remuda_worker_restarts_total", &[]);
        (restarts >= 2.0).then_some(())
    })
    .await;
    server.wait_for_workers(1).await;
    let killed = cpu_of_slot(&server, "0").await;
    assert!(killed >= replaced, "{replaced} {killed}");
    assert_eq!(server.metrics().await.labels("remuda_worker_cpu_seconds_total", "worker"), ["0"]);
    assert!(server.metrics().await.sum("remuda_supervisor_cpu_seconds_total", &[]) > 0.0);
}

#[tokio::test]
async fn every_metric_is_there_before_anything_has_happened() {
    let metrics = hello().start().await.metrics().await;
    let names = [
        ("remuda_in_flight", "gauge"),
        ("remuda_queue_depth", "gauge"),
        ("remuda_queue_seconds", "histogram"),
        ("remuda_connections", "gauge"),
        ("remuda_workers", "gauge"),
        ("remuda_worker_rss_bytes", "gauge"),
        ("remuda_worker_cpu_seconds_total", "counter"),
        ("remuda_supervisor_cpu_seconds_total", "counter"),
        ("remuda_loop_lag_seconds", "gauge"),
        ("remuda_instances", "gauge"),
        ("remuda_reloads_total", "counter"),
        ("remuda_worker_restarts_total", "counter"),
        ("remuda_shed_total", "counter"),
        ("remuda_requests_total", "counter"),
        ("remuda_request_seconds", "histogram"),
    ];
    for (name, kind) in names {
        assert_eq!(metrics.kind(name), kind, "{name}");
    }
}

#[tokio::test]
async fn the_status_is_for_people_and_for_programs() {
    let server = hello().start().await;
    let table = server.order(&["status"]).await;
    for worker in server.workers() {
        assert!(table.contains(&worker.as_raw_pid().to_string()), "{table}");
    }
    let json = server.order(&["status", "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(status["pid"], server.supervisor().as_raw_pid());
}

#[tokio::test]
async fn a_drain_by_order_is_one() {
    let mut server = hello().start().await;
    server.order(&["drain"]).await;
    assert_eq!(server.exit_code().await, Some(0));
    assert!(!server.path("control.sock").exists());
    // Nobody is there any more, and that is said.
    let ended = server.ctl(&["status"]).await;
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("control.sock"), "{ended}");
}

#[tokio::test]
async fn the_control_socket_is_its_owner_s_alone() {
    let server = hello().start().await;
    let metadata = std::fs::metadata(server.control_socket()).expect("a control socket");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_control_socket_that_nobody_owns_is_taken_over() {
    let builder = hello();
    drop(UnixListener::bind(builder.path("control.sock")).expect("a path for a socket"));
    let server = builder.start().await;
    assert_eq!(server.control(Method::GET, "/livez").await.status, 200);
}

#[tokio::test]
async fn a_control_socket_with_a_live_owner_is_not() {
    let server = hello().start().await;
    let command = Cli::remuda("serve --bind 127.0.0.1:0 --workers 1").shared_cache();
    let command = command.arg("--control").arg(server.control_socket()).arg("--admin").arg("off");
    let ended = command.arg(guests::HELLO_P2.path()).run().await;
    assert_eq!(ended.code, Some(69), "{ended}");
    assert!(ended.stderr.contains("control.sock"), "{ended}");
    assert_eq!(server.control(Method::GET, "/livez").await.status, 200);
}
