//! Many at a time.

use std::time::Duration;

use futures_util::future::join_all;
use remuda_tests::{Ask, Server, Upstream, guests, wait::timed};

#[tokio::test]
async fn two_hundred_connections_are_kept_alive() {
    let server = Server::builder().guest(guests::HELLO).workers(2).start().await;
    let mut connections = join_all((0..200).map(|_| server.connect())).await;
    for _ in 0..5 {
        let replies = join_all(connections.iter_mut().map(|connection| connection.get("/"))).await;
        assert_eq!(replies.len(), 200);
        for reply in replies {
            assert_eq!(reply.ok(), "Hello, world!\n");
        }
    }
}

/// S2. On a slow machine and with a server that is not optimised; one after the other they
/// would take more than three minutes.
const MOST: Duration = Duration::from_secs(3);

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the figure is worth knowing")]
async fn two_hundred_requests_wait_for_an_upstream_at_the_same_time() {
    let upstream = Upstream::start().await;
    let server = Server::builder().guest(guests::FETCH).flag("--outbound-allow", upstream.origin());
    let server = server.start().await;
    let ask = Ask::fetch(&upstream.url("/sleep?ms=1000"));
    let mut connections = join_all((0..200).map(|_| server.connect())).await;

    let asking = join_all(connections.iter_mut().map(|connection| connection.send(ask.clone())));
    let (elapsed, replies) = timed(asking).await;

    assert!(replies.into_iter().all(|reply| reply.ok() == "upstream\n"));
    assert_eq!(upstream.requests(), 200);
    eprintln!("200 requests that wait for 1 s took {elapsed:.2?}");
    assert!(elapsed < MOST, "200 requests that wait for 1 s took {elapsed:.2?}");
}
