//! More workers and fewer, while requests come.

use http::Method;
use remuda_tests::{Server, guests, process::Signal};

#[tokio::test]
async fn by_signal_and_by_order_under_load() {
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2).with_admin();
    let server = builder.start().await;
    let load = server.load().mixed().expect(&["Hello, world!\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    for count in [3, 4] {
        server.signal(Signal::TTIN);
        server.wait_for_workers(count).await;
    }
    for count in [3, 2, 1] {
        server.signal(Signal::TTOU);
        server.wait_for_workers(count).await;
        load.wait_for_answers_to_each_kind(5).await;
    }
    for count in [5, 2, 3] {
        server.order(&["scale", &count.to_string()]).await;
        server.wait_for_workers(count).await;
        load.wait_for_answers_to_each_kind(5).await;
    }
    let answer = server.control(Method::POST, "/scale?workers=1").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    server.wait_for_workers(1).await;
    load.wait_for_answers_to_each_kind(10).await;
    let report = load.stop().await;
    report.print("scaled from 2 workers to 4, 1, 5, 2, 3 and 1");
    report.assert_flawless();
}

#[tokio::test]
async fn there_is_always_a_worker() {
    let server = Server::builder().guest(guests::HELLO_P2).with_admin().start().await;
    let worker = server.worker();
    server.signal(Signal::TTOU);
    let ended = server.ctl(&["scale", "0"]).await;
    assert_eq!(ended.code, Some(64), "{ended}");
    assert_eq!(server.control(Method::POST, "/scale?workers=many").await.status, 400);
    assert_eq!(server.wait_for_workers(1).await, [worker]);
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
}

#[tokio::test]
async fn a_reload_goes_back_to_the_number_that_is_configured() {
    let server = Server::builder().guest(guests::HELLO_P2).with_admin().start().await;
    server.signal(Signal::TTIN);
    server.wait_for_workers(2).await;
    let reloaded = server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    assert_eq!(reloaded.number("workers"), 1);
    server.wait_for_workers(1).await;
}
