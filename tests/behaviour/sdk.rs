//! Guests written with the SDK: what is between the server and a handler.

use std::time::Duration;

use http::Method;
use remuda_tests::{
    Ask, Cli, Server, Upstream,
    client::{Exchange, Reply},
    guests,
    wait::{self, timed},
};
use serde_json::{Value, json};

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
}

fn with_json(method: Method, target: &str, body: &Value) -> Ask {
    Ask::new(method, target).header("content-type", "application/json").body(body.to_string())
}

/// A server of api whose requests all come to one instance: none beside it is kept ready.
async fn api() -> Server {
    Server::builder().guest(guests::API).flag("--instance-min-idle", "0").start().await
}

/// The text that comes up to and with this.
async fn read_through(exchange: &mut Exchange, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let more = exchange.read().await.unwrap_or_else(|| panic!("no {text:?} in {read:?}"));
        read.push_str(&String::from_utf8_lossy(&more));
    }
    read
}

async fn wait_for_printed(server: &Server, text: &str) -> String {
    let find = || {
        let lines = server.printed();
        lines.iter().map(|line| line.message().to_owned()).find(|line| line.contains(text))
    };
    wait::until(&format!("{text:?} to be printed"), find).await
}

#[tokio::test]
async fn items_are_created_read_replaced_and_removed() {
    let server = api().await;
    let mut client = server.connect().await;
    let saddle = json!({"name": "saddle", "price": 5});
    let created = client.send(with_json(Method::POST, "/items", &saddle)).await;
    assert_eq!((created.status.as_u16(), created.header("location")), (201, "/items/1"));
    assert_eq!(json_of(&created), json!({"id": 1, "name": "saddle", "price": 5}));
    let bridle = json!({"name": "bridle", "price": 3});
    let replaced = client.send(with_json(Method::PUT, "/items/1", &bridle)).await;
    assert_eq!(json_of(&replaced)["name"], "bridle");
    client.send(with_json(Method::POST, "/items", &saddle)).await;
    assert_eq!(json_of(&client.get("/items").await).as_array().map(Vec::len), Some(2));
    let first = json!([{"id": 1, "name": "bridle", "price": 3}]);
    assert_eq!(json_of(&client.get("/items?limit=1").await), first);
    let head = client.send(Ask::head("/items/2")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(client.send(Ask::new(Method::DELETE, "/items/1")).await.status, 204);
    assert_eq!(client.get("/items/1").await.status, 404);
    assert_eq!(client.get("/").await.ok(), "1 of 1000 items\n");
}

#[tokio::test]
async fn what_makes_no_sense_is_a_problem_that_says_why() {
    let server = Server::of(guests::API).await;
    let post = |kind: &str, body: &str| {
        Ask::post("/items").header("content-type", kind).body(body.to_owned())
    };
    let json = "application/json";
    for (ask, status, said) in [
        (Ask::get("/items/7"), 404, "there is no item 7"),
        (Ask::get("/items/x"), 400, r#"in the path, `id` is \"x\", which is no u32"#),
        (Ask::get("/items?limit=x"), 400, r#"in the query, `limit` is \"x\""#),
        (Ask::new(Method::PATCH, "/items"), 405, "only GET, HEAD, POST"),
        (post("text/plain", "{}"), 415, "content-type: application/json"),
        (post(json, "{"), 400, "the body is no JSON: EOF"),
        (post(json, r#"{"name":"a","price":-1}"#), 422, r#""field":"price""#),
        (post(json, r#"{"name":"","price":0}"#), 422, r#"{"name":"is empty","price":"is 0"}"#),
        (Ask::get("/nowhere"), 404, "there is nothing here"),
    ] {
        let reply = server.send(ask).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert!(reply.text().contains(said), "{said}: {}", reply.text());
        assert_eq!(json_of(&reply)["status"], status);
    }
    let reply = server.send(Ask::new(Method::PATCH, "/items")).await;
    assert_eq!(reply.header("allow"), "GET, HEAD, POST");
}

/// One request of an instance wakes another, and goes on after its response.
#[tokio::test]
async fn events_of_one_request_reach_those_who_watch() {
    let server = api().await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    let mut watching =
        [first.open(Ask::get("/events")).await, second.open(Ask::get("/events")).await];
    for watcher in &mut watching {
        watcher.finish();
        assert_eq!(watcher.head().await.headers()["content-type"], "text/event-stream");
        read_through(watcher, "event: ready\n").await;
    }
    let saddle = json!({"name": "saddle", "price": 5});
    for id in 1..=3 {
        server.send(with_json(Method::POST, "/items", &saddle)).await;
        for watcher in &mut watching {
            let event = read_through(watcher, "\n\n").await;
            let expected = format!(
                "event: created\ndata: {{\"id\":{id},\"name\":\"saddle\",\"price\":5}}\n\n"
            );
            assert!(event.ends_with(&expected), "{event:?}");
        }
    }
    // Those who go away are nobody's trouble.
    let [mut watcher, gone] = watching;
    drop((gone, second));
    assert_eq!(server.send(Ask::new(Method::DELETE, "/items/1")).await.status, 204);
    read_through(&mut watcher, "event: removed\ndata: {\"id\":1}\n\n").await;
}

#[tokio::test]
async fn a_configuration_that_is_none_keeps_the_server_from_starting() {
    let serve = Cli::remuda("serve --admin off --bind 127.0.0.1:0 --env MAX_ITEMS=many");
    let ended = serve.arg(guests::API.path()).shared_cache().run().await;
    assert_eq!(ended.code, Some(70), "{ended}");
    assert!(ended.stderr.contains("MAX_ITEMS is"), "{ended}");
    let server = Server::builder().guest(guests::API).flag("--env", "MAX_ITEMS=1");
    let server = server.flag("--instance-min-idle", "0").start().await;
    assert_eq!(server.get("/").await.ok(), "0 of 1 items\n");
    let saddle = json!({"name": "saddle", "price": 5});
    let create = with_json(Method::POST, "/items", &saddle);
    assert_eq!(server.send(create.clone()).await.status, 201);
    assert_eq!(server.send(create).await.status, 507);
}

#[tokio::test]
async fn events_are_lines_of_the_log_and_shutdown_is_called() {
    let create = with_json(Method::POST, "/items", &json!({"name": "saddle", "price": 5}));
    let server = Server::of(guests::API).await;
    server.send(create.clone()).await;
    assert_eq!(wait_for_printed(&server, "created").await, "INFO api: created id=1");
    server.terminate();
    assert_eq!(wait_for_printed(&server, "gone").await, "INFO api: the items are gone");

    let quiet = Server::builder().guest(guests::API).flag("--env", "REMUDA_LOG=error,api=warn");
    let quiet = quiet.start().await;
    quiet.send(create).await;
    // Written by the server after everything that the guest could have said.
    quiet.terminate();
    wait::until("the server to leave", || (!quiet.lines("stopped").is_empty()).then_some(())).await;
    assert_eq!(quiet.printed(), []);
}

async fn gateway(upstream: &Upstream) -> Server {
    let builder = Server::builder().guest(guests::GATEWAY);
    let builder = builder.flag("--outbound-allow", upstream.origin());
    builder
        .flag("--instance-max-concurrency", "200")
        .flag("--outbound-max-per-host", "500")
        .start()
        .await
}

#[tokio::test]
async fn upstreams_are_asked_at_once() {
    let upstream = Upstream::start().await;
    let server = gateway(&upstream).await;
    let slow = upstream.url("/sleep?ms=500");
    let target = format!("/gather?url={slow}&url={slow}&url={slow}&url=http://127.0.0.1:9/");
    let (elapsed, reply) = timed(server.get(&target)).await;
    assert!(elapsed < Duration::from_millis(1400), "one after the other: {elapsed:?}");
    let answers = json_of(&reply);
    for answer in &answers.as_array().expect("a list")[..3] {
        assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!("upstream\n")));
    }
    let denied = answers[3]["error"].as_str().expect("an error");
    assert!(denied.contains("add \"http://127.0.0.1:9\" to `outbound.allow`"), "{denied}");
}

#[tokio::test]
async fn one_instance_waits_for_200_requests() {
    const MANY: usize = 200;
    let upstream = Upstream::start().await;
    let server = gateway(&upstream).await;
    let target = format!("/gather?timeout_ms=60000&url={}", upstream.url("/held"));
    let mut waiting = Vec::new();
    for count in 1..=MANY {
        let mut connection = server.connect().await;
        let mut exchange = connection.open(Ask::get(&target)).await;
        exchange.finish();
        waiting.push((connection, exchange));
        upstream.wait_for_requests(count).await;
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("remuda_in_flight", &[]), MANY as f64);
    assert_eq!(metrics.sum("remuda_instances", &[("state", "busy")]), 1.0);
    upstream.release();
    for (_, exchange) in waiting {
        assert_eq!(json_of(&exchange.reply().await)[0]["body"], "upstream\n");
    }
}

#[tokio::test]
async fn an_upstream_that_takes_too_long_is_given_up() {
    let upstream = Upstream::start().await;
    let server = gateway(&upstream).await;
    let (held, half) = (upstream.url("/held"), upstream.url("/half"));
    let reply = server.get(&format!("/proxy?timeout_ms=200&url={held}")).await;
    assert_eq!(reply.status, 504, "{reply:?}");
    assert_eq!(json_of(&reply), json!({"status": 504, "title": "Gateway Timeout"}));
    wait_for_printed(&server, "waited too long for all of it").await;
    let quick = format!("/first?timeout_ms=60000&url={held}&url={}", upstream.url("/"));
    assert_eq!(server.get(&quick).await.ok(), "upstream\n");
    upstream.wait_for_connections(1).await;
    // The head was sent, so that the connection says that something is missing.
    let proxied = server
        .connect()
        .await
        .attempt(Ask::get(&format!("/proxy?timeout_ms=300&url={half}")))
        .await;
    let broken = proxied.expect_err("half a response");
    assert_eq!(broken.body, "first");
}

#[tokio::test]
async fn bodies_pass_through_as_they_come() {
    let upstream = Upstream::start().await;
    let server = gateway(&upstream).await;
    for timeout in ["", "&timeout_ms=60000"] {
        let mut client = server.connect().await;
        let target = format!("/proxy?url={}{timeout}", upstream.url("/echo"));
        let mut exchange = client.open(Ask::post(&target).header("content-type", "text/csv")).await;
        for piece in ["one,", "two,", "three"] {
            exchange.write(piece).await;
            assert_eq!(exchange.read_exactly(piece.len()).await, piece.as_bytes());
        }
        assert_eq!(exchange.head().await.headers()["content-type"], "text/csv");
        exchange.finish();
        assert_eq!(exchange.read().await, None);
    }
    let reply = server.get("/proxy?url=http://127.0.0.1:9/").await;
    assert_eq!(reply.status, 403, "{reply:?}");
}

/// A picture of one colour.
fn image(side: usize) -> Vec<u8> {
    [format!("P6 {side} {side} 255\n").into_bytes(), vec![0x55; side * side * 3]].concat()
}

#[tokio::test]
async fn an_image_is_made_small_by_a_job() {
    let server = Server::of(guests::THUMBNAIL).await;
    let small = server.send(Ask::post("/?width=20&height=10").body(image(40))).await;
    assert_eq!((small.status.as_u16(), small.header("content-type")), (200, "image/png"));
    assert!(small.body.starts_with(b"\x89PNG\r\n\x1a\n"), "{small:?}");
    // Width and height, after the signature and the head of the first chunk.
    assert_eq!(small.body[16..24], [0, 0, 0, 10, 0, 0, 0, 10]);
    let line = wait_for_printed(&server, "made a thumbnail").await;
    assert_eq!(line, "INFO thumbnail: made a thumbnail width=10 height=10");
    // An error keeps its status and its text on the way from the job.
    let refused = server.send(Ask::post("/").body("nonsense")).await;
    assert_eq!(refused.status, 422);
    let detail = json_of(&refused)["detail"].to_string();
    assert!(detail.contains("no image that can be read"), "{detail}");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_an_answer_of_the_guest() {
    let builder = Server::builder().guest(guests::THUMBNAIL).flag("--cpu-time", "150ms");
    let server = builder.flag("--instance-min-idle", "0").start().await;
    let reply = server.send(Ask::post("/?width=2000&height=2000").body(image(1100))).await;
    assert_eq!((reply.status.as_u16(), reply.header("proxy-status")), (504, ""), "{reply:?}");
    assert_eq!(json_of(&reply), json!({"status": 504, "title": "Gateway Timeout"}));
    wait_for_printed(&server, "failed to finish a job within `limits.cpu_time`").await;
    // More than what fits into a call.
    let reply = server.send(Ask::post("/").body(image(1300))).await;
    assert_eq!((reply.status.as_u16(), reply.header("proxy-status")), (413, ""), "{reply:?}");
    assert_eq!(server.send(Ask::post("/").body(image(40))).await.status, 200);
}

/// Hooks would have it start in another way, and jobs cannot be run elsewhere.
#[test]
fn a_component_has_of_the_runtime_only_what_it_asks_for() {
    for (guest, wanted) in [
        (guests::SDK_HELLO, &[][..]),
        (guests::GATEWAY, &[]),
        (guests::API, &["lifecycle"]),
        (guests::THUMBNAIL, &["jobs", "offload"]),
    ] {
        let bytes = std::fs::read(guest.path()).expect("a component");
        let text = String::from_utf8_lossy(&bytes);
        for interface in ["lifecycle", "jobs", "offload"] {
            let there = text.contains(&format!("remuda:runtime/{interface}@"));
            assert_eq!(there, wanted.contains(&interface), "{}: {interface}", guest.name);
        }
    }
}
