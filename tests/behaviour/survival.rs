//! Faults from outside that a worker survives, while it serves everybody else.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use remuda_tests::{
    Ask, Load, Raw, Server, guests,
    load::{Fault, Report},
    process,
    upstream::{Manner, Rude},
    wait,
};

/// Slow enough for a server that is not optimised on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Clients that do the same wrong thing.
const HUNDREDS: usize = 300;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// The worker is the one it was, holds nothing for those that have gone, and answers.
async fn is_healthy(server: &Server, worker: process::Pid) {
    wait::until_async("everything to be given back", async || {
        let metrics = server.metrics().await;
        let in_flight = metrics.sum("remuda_in_flight", &[]);
        let connections = metrics.sum("remuda_connections", &[]);
        (in_flight == 0.0 && connections == 0.0).then_some(())
    })
    .await;
    let (elapsed, reply) = wait::timed(server.get("/")).await;
    assert_eq!(reply.status, 200);
    assert!(elapsed < SOON, "it took {elapsed:?} to answer");
    assert_eq!(server.worker(), worker);
}

/// Other clients have had answers all the time.
async fn is_undisturbed(load: Load) -> Report {
    load.wait_for_answers(20).await;
    let report = load.stop().await;
    report.assert_flawless();
    for tally in report.tallies.values() {
        let slowest = tally.quantile(1.0);
        assert!(slowest < SOON, "one answer took {slowest:?}");
    }
    report
}

#[tokio::test]
async fn a_full_table_of_open_files_is_waited_for() {
    const FULL: &str = "failed to accept a connection; trying again";
    let builder = Server::builder().guest(guests::HELLO).flag("--keep-alive-timeout", "1h");
    let few = ["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    let server = builder.precursor(&few).start().await;
    let warned = server.log().iter().any(|line| line.message().contains("and gets 64: raise"));
    assert!(warned, "nothing is said of the limit");
    let worker = server.worker();

    let mut clients = join_all((0..100).map(|_| server.connect_raw())).await;
    for client in &mut clients {
        client.send(GET).await;
    }
    server.wait_for_line(FULL).await;
    let (started, before) = (Instant::now(), process::processor_time(worker));
    // Long enough for many attempts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let busy = process::processor_time(worker) - before;
    assert!(busy < started.elapsed() / 10, "it was busy for {busy:?} of {:?}", started.elapsed());
    assert_eq!(server.lines(FULL).len(), 1);

    let served = clients.extract_if(.., |client| client.received().ends_with("Hello, world!\n"));
    let served: Vec<Raw> = served.collect();
    assert!((10..60).contains(&served.len()), "{} are served at first", served.len());
    assert!(clients.len() < served.len() * 2, "the others fit into their places, one by one");
    // Whoever leaves makes room for one who waits.
    drop(served);
    while !clients.is_empty() {
        let mut client = clients.remove(0);
        client.read_through("Hello, world!\n").await;
    }
    is_healthy(&server, worker).await;
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the figures are worth knowing")]
async fn two_thousand_clients_that_send_a_byte_now_and_then_disturb_nobody() {
    const CLIENTS: usize = 2000;
    process::allow_many_files();
    let builder = Server::builder().guest(guests::HELLO).flag("--header-timeout", "4s");
    let server = builder.start().await;
    let worker = server.worker();
    let load = server.load().kept(4).http2(1, 4).pause(Duration::from_millis(5)).start();
    load.wait_for_answers(100).await;
    let before = process::resident_bytes(worker);

    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        clients.push(server.connect_raw().await);
    }
    let (started, mut peak) = (Instant::now(), before);
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nhost: a\r\nx: ").await;
    }
    let ended = join_all(clients.into_iter().map(async |mut client| {
        while client.try_send("x").await && started.elapsed() < SOON * 6 {
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        client.read_to_end().await
    }));
    let watch = async {
        loop {
            peak = peak.max(process::resident_bytes(worker));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answers = tokio::select! {
        answers = ended => answers,
        () = watch => unreachable!("it goes on for ever"),
    };
    let elapsed = started.elapsed();
    assert!(elapsed < SOON * 4, "the last one was there for {elapsed:?}");
    let each = peak.saturating_sub(before) / CLIENTS as u64;
    assert!(each < 32 * 1024, "{each} bytes for each connection");
    let told = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 408 ")).count();
    eprintln!("{CLIENTS} slow clients gone after {elapsed:.1?}; {each} bytes each; {told} told");

    is_undisturbed(load).await.print("beside slow clients");
    let metrics = server.metrics().await;
    let counted = metrics.sum("remuda_rejected_total", &[("reason", "header_timeout")]);
    assert_eq!(counted, CLIENTS as f64);
    is_healthy(&server, worker).await;
}

/// Clients that send this, wait for that of the answer, and do the same wrong thing then.
async fn hundreds(
    server: &Server,
    sends: &str,
    awaits: &str,
    leaves: impl AsyncFn(Raw),
) -> Duration {
    let started = Instant::now();
    let clients = (0..HUNDREDS).map(async |_| {
        let mut client = server.connect_raw().await;
        client.send(sends).await;
        if !awaits.is_empty() {
            client.read_through(awaits).await;
        }
        leaves(client).await;
    });
    join_all(clients).await;
    started.elapsed()
}

#[tokio::test]
async fn clients_that_reset_their_connections_cost_only_themselves() {
    process::allow_many_files();
    let server = Server::of(guests::MISBEHAVE).await;
    let worker = server.worker();
    let load = server.load().kept(4).http2(1, 4).start();
    let head = "POST / HTTP/1.1\r\nhost: a\r\n";
    let unfinished = format!("{head}content-length: 9999\r\n\r\nthe beginning of a body");
    let slow = "GET /slow-body?chunks=1000&ms=20 HTTP/1.1\r\nhost: a\r\n\r\n";
    let never = "GET /never HTTP/1.1\r\nhost: a\r\n\r\n";
    for (sends, awaits) in
        [(head, ""), (unfinished.as_str(), ""), (never, ""), (slow, "chunk 3\n"), (GET, "")]
    {
        hundreds(&server, sends, awaits, async |client| client.reset()).await;
    }
    is_undisturbed(load).await;
    is_healthy(&server, worker).await;
}

#[tokio::test]
async fn clients_that_stop_sending_amid_a_request_are_answered_or_gone() {
    process::allow_many_files();
    let builder = Server::builder().guest(guests::MISBEHAVE);
    let server = builder.flag("--limit-concurrency", HUNDREDS.to_string()).start().await;
    let worker = server.worker();
    let load = server.load().kept(2).start();
    let ends = async |mut client: Raw| {
        client.shut_down_sending().await;
        // Nothing more than what it has said already, and not for long.
        let answer = client.read_to_end().await;
        assert!(!answer.contains("chunk 999\n"), "{answer}");
    };
    let never = "GET /never HTTP/1.1\r\nhost: a\r\n\r\n";
    let slow = "GET /slow-body?chunks=1000&ms=60 HTTP/1.1\r\nhost: a\r\n\r\n";
    let unfinished = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf";
    for (sends, awaits) in [("GET / HT", ""), (unfinished, ""), (never, ""), (slow, "chunk 0\n")] {
        let elapsed = hundreds(&server, sends, awaits, ends).await;
        assert!(elapsed < SOON * 4, "{sends}: the last one was there for {elapsed:?}");
    }
    is_undisturbed(load).await;
    is_healthy(&server, worker).await;
}

/// As with `nc -N`.
#[tokio::test]
async fn a_client_that_only_asks_is_answered_by_a_guest_that_does_not_wait() {
    let server = Server::of(guests::HELLO_P2).await;
    let mut client = server.connect_raw().await;
    client.send(GET).await;
    client.shut_down_sending().await;
    let answer = client.read_to_end().await;
    assert!(answer.ends_with("Hello, world!\n"), "{answer:?}");
}

#[tokio::test]
async fn a_storm_of_traps_costs_only_those_requests() {
    let server = Server::of(guests::MISBEHAVE).await;
    let worker = server.worker();
    let load = server.load().kept(8).http2(1, 4);
    let load = load.ask(Ask::get("/trap")).ask(Ask::get("/")).start();
    load.wait_for_answers(1000).await;
    let report = load.stop().await;
    for failure in &report.failures {
        assert_eq!(failure.fault, Fault::Status, "{failure}");
        assert!(failure.reason.starts_with("500 "), "{failure}");
    }
    let (answered, trapped) = (report.answered(), report.failures.len());
    // Each client has both in turn, and stops after any.
    assert!(answered.abs_diff(trapped) <= 12, "{answered} answers, {trapped} traps");
    assert_eq!(report.with_body("ok\n"), answered);
    is_healthy(&server, worker).await;
}

/// A route that calls an upstream, and one that does not.
async fn server_beside(upstream: &Rude) -> Server {
    let config = format!(
        r#"
        [outbound]
        allow = ["{}"]
        connect_timeout = "2s"
        first_byte_timeout = "2s"
        between_bytes_timeout = "2s"
        [[route]]
        component = "[guests]/hello-p2.wasm"
        [[route]]
        path = "/fetch"
        component = "[guests]/fetch.wasm"
        "#,
        upstream.origin()
    );
    Server::builder().config(&config).start().await
}

fn fetch(upstream: &Rude) -> Ask {
    Ask::get("/fetch").header("x-url", &format!("{}/", upstream.origin()))
}

#[tokio::test]
async fn an_upstream_that_never_answers_costs_only_those_who_ask_it() {
    const ASKING: usize = 100;
    process::allow_many_files();
    let upstream = Rude::start(Manner::Silent).await;
    let server = server_beside(&upstream).await;
    let worker = server.worker();
    let load = server.load().kept(4).http2(1, 4).expect(&["Hello, world!\n"]).start();
    let asking = join_all((0..ASKING).map(async |_| {
        let (elapsed, reply) = wait::timed(server.send(fetch(&upstream))).await;
        assert_eq!(reply.status, 502, "{reply:?}");
        elapsed
    }));
    let (times, ()) = tokio::join!(asking, upstream.wait_for_connections(ASKING));
    for elapsed in times {
        assert!(elapsed >= Duration::from_secs(2), "given up after {elapsed:?}");
        assert!(elapsed < SOON * 2, "given up after {elapsed:?}");
    }
    upstream.wait_for_connections(0).await;
    is_undisturbed(load).await;
    is_healthy(&server, worker).await;
}

#[tokio::test]
async fn an_upstream_that_sends_garbage_costs_only_those_who_ask_it() {
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let with = |rest: &[u8]| [&head, rest].concat();
    for manner in [
        Manner::Says(Vec::new()),
        Manner::Says(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        Manner::Says(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        Manner::Says(b"HTTP/1.1 99999 What\r\n\r\n".to_vec()),
        Manner::Says(b"HTTP/9.9 200 OK\r\n\r\n".to_vec()),
        Manner::Says(with(b"content-length: many\r\n\r\nbody")),
        Manner::Says(with(b"content-length: 3\r\ncontent-length: 4\r\n\r\nbody")),
        Manner::Says(with(b"x: \0\r\n\r\n")),
        Manner::Says(with(b"no colon\r\n\r\n")),
        Manner::Says(with(b"content-length: 99\r\n\r\ntoo little")),
        Manner::Says(with(b"transfer-encoding: chunked\r\n\r\nzz\r\nbody")),
        Manner::Says(with(b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nbody")),
        Manner::SaysForEver(vec![0xff; 4096]),
        Manner::SaysForEver(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        Manner::SaysForEver([b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(999)].concat()),
    ] {
        let upstream = Rude::start(manner.clone()).await;
        let server = server_beside(&upstream).await;
        let worker = server.worker();
        let load = server.load().kept(2).expect(&["Hello, world!\n"]).start();
        let answers = join_all((0..10).map(async |_| {
            let mut connection = server.connect().await;
            wait::within_patience("an end", connection.try_send(fetch(&upstream))).await
        }));
        for answer in answers.await {
            match answer {
                // Where the body is wrong the guest has given a head, which may not be sent yet.
                Ok(reply) => {
                    assert!(matches!(reply.status.as_u16(), 500 | 502), "{manner:?}: {reply:?}");
                }
                // What was passed on before that turned out does not look complete.
                Err(broken) => assert!(broken.body.len() < 99, "{manner:?}: {broken}"),
            }
        }
        is_undisturbed(load).await;
        let grown = process::resident_bytes(worker);
        assert!(grown < 512 * 1024 * 1024, "{manner:?}: the worker has {grown} bytes");
        is_healthy(&server, worker).await;
    }
}
