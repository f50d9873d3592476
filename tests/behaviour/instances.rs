//! Which instance answers: a fresh one, or one that has answered before, alone or not.

use std::time::Duration;

use futures_util::future::join_all;
use remuda_tests::{Ask, Server, guests, process, server::Builder, wait};

/// What the guest witness tells of itself.
#[derive(Debug, PartialEq, Eq)]
struct Testimony {
    instance: String,
    served: u64,
    in_flight: u64,
}

impl Testimony {
    fn read(text: &str) -> Self {
        let field = |name: &str| {
            let fields = text.split_whitespace().filter_map(|field| field.split_once('='));
            let value = fields.into_iter().find(|(field, _)| *field == name);
            value.unwrap_or_else(|| panic!("no {name} in {text:?}")).1
        };
        let number = |name: &str| field(name).parse().expect("a number");
        Self {
            instance: field("instance").to_owned(),
            served: number("served"),
            in_flight: number("in-flight"),
        }
    }
}

async fn witness(flags: &[(&str, &str)]) -> Server {
    let builder = Server::builder().guest(guests::WITNESS);
    let with = |builder: Builder, (flag, value): &(&str, &str)| builder.flag(flag, *value);
    flags.iter().fold(builder, with).start().await
}

async fn ask(server: &Server) -> Testimony {
    Testimony::read(&server.get("/").await.ok())
}

#[tokio::test]
async fn an_instance_of_0_3_is_used_again() {
    let server = witness(&[]).await;
    let first = ask(&server).await;
    for served in 2..=20 {
        let next = ask(&server).await;
        assert_eq!((&next.instance, next.served), (&first.instance, served));
    }
}

#[tokio::test]
async fn fresh_instances_have_served_nobody() {
    let server = witness(&[("--instances", "fresh")]).await;
    let mut seen = Vec::new();
    for _ in 0..10 {
        let Testimony { instance, served, .. } = ask(&server).await;
        assert_eq!(served, 1);
        assert!(!seen.contains(&instance), "{instance} is not fresh");
        seen.push(instance);
    }
}

#[tokio::test]
async fn an_instance_is_retired_after_its_last_request() {
    let server = witness(&[("--instance-max-requests", "3")]).await;
    let mut served = Vec::new();
    for _ in 0..7 {
        served.push(ask(&server).await.served);
    }
    assert_eq!(served, [1, 2, 3, 1, 2, 3, 1]);
}

#[tokio::test]
async fn an_idle_instance_is_retired() {
    let server = witness(&[("--instance-idle-timeout", "200ms")]).await;
    let first = ask(&server).await;
    let another = wait::until_async("another instance", async || {
        // Looking more often would keep it from being idle.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Some(ask(&server).await).filter(|next| next.instance != first.instance)
    });
    assert_eq!(another.await.served, 1);
}

#[tokio::test]
async fn an_instance_that_trapped_is_never_used_again() {
    let server = witness(&[]).await;
    let before = ask(&server).await;
    let broken = server.connect().await.try_send(Ask::get("/break")).await;
    broken.expect_err("it breaks off");
    let after = ask(&server).await;
    assert_ne!(after.instance, before.instance);
    assert_eq!(after.served, 1);
}

#[tokio::test]
async fn two_requests_share_an_instance_and_do_not_mix() {
    let server = witness(&[]).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    let (one, two) = tokio::join!(first.get("/together?one"), second.get("/together?two"));
    let (one, two) = (Testimony::read(&one.ok()), Testimony::read(&two.ok()));
    assert_eq!(one.instance, two.instance);
    assert_eq!(one.in_flight.max(two.in_flight), 2);

    let printed = server.printed();
    let request_of = |message: &str| {
        let line = printed.iter().find(|line| line.message() == message);
        line.unwrap_or_else(|| panic!("nobody printed {message}")).text("request").to_owned()
    };
    assert_eq!(request_of("one before"), request_of("one after"));
    assert_eq!(request_of("two before"), request_of("two after"));
    assert_ne!(request_of("one before"), request_of("two before"));
    assert_eq!(request_of("one before").len(), 16);
}

#[tokio::test]
async fn an_instance_takes_no_more_than_it_may() {
    let flags = [("--instance-max-concurrency", "1"), ("--request-timeout", "1s")];
    let server = witness(&flags).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    // Each waits for another in its instance, and there is none.
    let (one, two) = tokio::join!(first.get("/together?one"), second.get("/together?two"));
    one.assert_rejected(504, "deadline");
    two.assert_rejected(504, "deadline");
    assert_eq!(ask(&server).await.in_flight, 1);
}

#[tokio::test]
async fn bodies_in_one_instance_do_not_mix() {
    let server = Server::of(guests::ECHO).await;
    let mut connections = join_all((0..8).map(|_| server.connect())).await;
    let mut exchanges = Vec::new();
    for connection in &mut connections {
        exchanges.push(connection.open(Ask::post("/")).await);
    }
    for round in 0..5 {
        for (number, exchange) in exchanges.iter_mut().enumerate() {
            exchange.write(format!("round {round} of {number}")).await;
        }
        for (number, exchange) in exchanges.iter_mut().enumerate() {
            let expected = format!("round {round} of {number}");
            assert_eq!(exchange.read_exactly(expected.len()).await, expected.as_bytes());
        }
    }
}

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn an_instance_of_0_2_is_used_again_where_asked_for() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--instances", "reuse");
    let server = builder.flag("--instance-idle-timeout", "2s").start().await;
    // A WebAssembly memory does not shrink: it stays with the instance, and goes with it.
    assert_eq!(server.get("/alloc?mib=100").await.ok(), "ok\n");
    assert_eq!(server.get("/").await.ok(), "ok\n");
    assert!(process::resident_bytes(server.worker()) > 100 * MIB, "the instance is gone");
    gives_memory_back(&server).await;
}

#[tokio::test]
async fn an_instance_of_0_2_is_not_used_again_by_default() {
    let server = Server::of(guests::MISBEHAVE).await;
    assert_eq!(server.get("/alloc?mib=100").await.ok(), "ok\n");
    gives_memory_back(&server).await;
}

async fn gives_memory_back(server: &Server) {
    let worker = server.worker();
    let small = || (process::resident_bytes(worker) < 80 * MIB).then_some(());
    wait::until("the worker to give memory back", small).await;
}

#[tokio::test]
async fn a_reused_instance_of_0_2_serves_one_request_at_a_time() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--instances", "reuse");
    let server = builder.start().await;
    let mut connections = join_all((0..4).map(|_| server.connect())).await;
    for _ in 0..3 {
        let asking = connections.iter_mut().map(|connection| connection.get("/sleep?ms=50"));
        assert!(join_all(asking).await.into_iter().all(|reply| reply.ok() == "ok\n"));
    }
    assert_eq!(server.get("/trap").await.status, 500);
    assert_eq!(server.get("/").await.ok(), "ok\n");
}
