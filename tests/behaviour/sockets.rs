//! Listening sockets: shared, one for each slot, inherited, and what waits in them.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
};

use futures_util::future::join_all;
use remuda_tests::{
    Connection, Raw, Server, guests,
    process::{self, Signal},
    server::Builder,
    wait,
};

fn hello() -> Builder {
    Server::builder().guest(guests::HELLO_P2).with_admin()
}

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Connections that are not accepted, with a request in each.
async fn in_the_queue(address: SocketAddr, count: usize) -> Vec<Raw> {
    let mut clients = join_all((0..count).map(|_| Raw::connect(address))).await;
    for client in &mut clients {
        client.send(REQUEST).await;
    }
    assert_eq!(queued(address), count as u64);
    clients
}

fn queued(address: SocketAddr) -> u64 {
    process::listeners(address).iter().map(|listener| listener.queued).sum()
}

async fn all_are_answered(clients: Vec<Raw>) {
    for mut client in clients {
        let response = client.read_to_end().await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response:?}");
        assert!(response.ends_with("Hello, world!\n"), "{response:?}");
    }
}

#[tokio::test]
async fn a_shared_socket_is_one_and_reuseport_has_one_for_each_slot() {
    for (accept, count) in [("shared", 1), ("reuseport", 3)] {
        let server = hello().workers(3).flag("--accept", accept).start().await;
        assert_eq!(process::listeners(server.address()).len(), count, "{accept}");
        assert_eq!(server.connect_to_each_worker(&remuda_tests::Ask::get("/")).await.len(), 3);
    }
}

#[tokio::test]
async fn what_waits_for_workers_that_are_killed_is_answered_by_the_next_ones() {
    for accept in ["shared", "reuseport"] {
        let server = hello().workers(2).flag("--accept", accept).start().await;
        let workers = server.workers();
        let _stopped = [process::stop(workers[0]).await, process::stop(workers[1]).await];
        let clients = in_the_queue(server.address(), 40).await;
        for worker in &workers {
            process::signal(*worker, Signal::KILL);
        }
        all_are_answered(clients).await;
        server.wait_for_workers(2).await;
    }
}

#[tokio::test]
async fn what_waits_for_a_slot_that_goes_is_answered() {
    let server = hello().workers(4).flag("--accept", "reuseport").start().await;
    let mut stopped = Vec::new();
    for worker in server.workers() {
        stopped.push(process::stop(worker).await);
    }
    let clients = in_the_queue(server.address(), 80).await;
    // They are told before they can accept again.
    let told = async {
        wait::until_async("3 workers to be told to go", async || {
            let states = server.worker_states().await;
            let told = states.iter().filter(|state| state.state == "draining").count();
            (told == 3).then_some(())
        })
        .await;
        drop(stopped);
    };
    tokio::join!(server.order(&["scale", "1"]), told);
    all_are_answered(clients).await;
    server.wait_for_workers(1).await;
    let one_after_the_other = join_all((0..40).map(|_| server.get("/"))).await;
    assert!(one_after_the_other.into_iter().all(|reply| reply.status == 200));
}

#[tokio::test]
async fn restarts_with_reuseport_lose_nothing() {
    let server = hello().workers(2).flag("--accept", "reuseport").start().await;
    let load = server.load().mixed().expect(&["Hello, world!\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    for _ in 0..5 {
        for slot in ["0", "1"] {
            server.order(&["restart", slot]).await;
        }
        server.reload().await.unwrap_or_else(|line| panic!("{line}"));
        for (signal, count) in [(Signal::TTIN, 3), (Signal::TTOU, 2)] {
            server.signal(signal);
            server.wait_for_workers(count).await;
        }
    }
    let report = load.stop().await;
    report.print("reuseport: 10 restarts, 5 reloads, 5 times one worker more and one fewer");
    report.assert_flawless();
}

/// The busiest worker has at most so many times the connections of the idlest.
const WORST: f64 = 1.5;

/// A machine that is busy with something else can keep the processor from one of the workers
/// while all connections come; not time and again.
const ATTEMPTS: usize = 3;

#[expect(clippy::print_stderr, reason = "the figure is worth knowing")]
async fn assert_spread(how: &str, connect: impl AsyncFn(&Server) -> Vec<Connection>) {
    let mut seen = Vec::new();
    for _ in 0..ATTEMPTS {
        let server = hello().workers(4).start().await;
        let connections = connect(&server).await;
        let spread = process::connections(server.address(), &server.workers());
        drop(connections);
        eprintln!("200 connections that come {how}: {spread:?}");
        assert_eq!(spread.iter().sum::<usize>(), 200);
        let (most, least) = (spread.iter().max(), spread.iter().min());
        let (most, least) = most.zip(least).expect("workers");
        if *most as f64 <= WORST * *least as f64 {
            return;
        }
        seen.push(spread);
    }
    panic!("{how}: {seen:?}");
}

#[tokio::test]
async fn connections_that_come_in_a_burst_spread() {
    assert_spread("in a burst", async |server| {
        let mut connections = join_all((0..200).map(|_| server.connect())).await;
        let replies = join_all(connections.iter_mut().map(|connection| connection.get("/"))).await;
        assert!(replies.into_iter().all(|reply| reply.status == 200));
        connections
    })
    .await;
}

#[tokio::test]
async fn connections_that_trickle_in_spread() {
    assert_spread("one after the other", async |server| {
        let mut connections: Vec<Connection> = Vec::new();
        for _ in 0..200 {
            let mut connection = server.connect().await;
            assert_eq!(connection.get("/").await.status, 200);
            connections.push(connection);
        }
        connections
    })
    .await;
}

#[tokio::test]
async fn sockets_that_systemd_passes_on_are_served() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = tcp.local_addr().expect("an address");
    let builder = hello().workers(2);
    let path = builder.path("passed.sock");
    let unix = UnixListener::bind(&path).expect("a path for a socket");
    // What came before the server was there is served as well.
    let mut early = Raw::connect(address).await;
    early.send(REQUEST).await;
    let mut server = builder.inherits(tcp).inherits(unix).start().await;
    assert_eq!(server.tcp_addresses(), [address]);
    assert!(early.read_to_end().await.ends_with("Hello, world!\n"));
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
    let mut connection = Connection::unix(&path).await.expect("a connection");
    assert_eq!(connection.get("/").await.ok(), "Hello, world!\n");
    server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
    // The socket belongs to systemd, which goes on listening.
    assert!(path.exists());
}

#[tokio::test]
async fn load_on_a_unix_socket_survives_reloads() {
    let builder = hello().workers(2);
    let path = builder.path("app.sock");
    let server = builder.bind(&format!("unix:{}", path.display())).start().await;
    let load = server.load().of(path.clone()).mixed().expect(&["Hello, world!\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    for _ in 0..10 {
        server.reload().await.unwrap_or_else(|line| panic!("{line}"));
        load.wait_for_answers_to_each_kind(5).await;
    }
    server.terminate();
    let report = load.until_refused().await;
    report.print("unix socket: 10 reloads and a drain");
    report.assert_no_failure();
    wait::until("the socket to be removed", || (!path.exists()).then_some(())).await;
}

#[tokio::test]
async fn a_backlog_that_the_kernel_cuts_is_warned_of() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("a limit");
    let most: u64 = most.trim().parse().expect("a number");
    for (backlog, warnings) in [(most, 0), (most + 1, 1)] {
        let server = hello().flag("--backlog", backlog.to_string()).start().await;
        let lines = server.log().into_iter().filter(|line| line.text("level") == "WARN");
        let lines: Vec<_> = lines.filter(|line| line.to_string().contains("somaxconn")).collect();
        assert_eq!(lines.len(), warnings, "{}", server.stderr());
        assert!(lines.iter().all(|line| line.to_string().contains(&most.to_string())));
    }
}
