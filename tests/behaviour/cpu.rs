//! Work that burns the processor as applications do is done right, beside others and within limits.

use std::time::Duration;

use remuda_tests::{Ask, Server, figure, guests, load::Kind, wait};

/// Answers of the route beside, and of the one that burns.
const ANSWERS: usize = 1000;
const HASHES: usize = 40;

/// For a server that is not optimised on a busy machine.
const SLACK: Duration = Duration::from_millis(200);

async fn refused(server: &Server, target: &str, body: &'static [u8], why: &str) {
    let reply = server.send(Ask::post(target).body(body)).await;
    assert_eq!(reply.status, 400, "{target}: {reply:?}");
    assert!(reply.text().contains(why), "{target}: {reply:?}");
}

/// The hashes are test vectors of the reference implementation of Argon2 (its `src/test.c`).
#[tokio::test]
async fn a_password_is_hashed_as_by_the_reference_implementation() {
    let server = Server::of(guests::CPU).await;
    for (parameters, password, hash) in [
        ("m=65536,t=2", "password", "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
        ("m=256,t=2", "password", "c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
        (
            "m=65536,t=2",
            "differentpassword",
            "c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94",
        ),
    ] {
        let target = format!("/hash?{}&salt=somesalt", parameters.replace(',', "&"));
        let reply = server.send(Ask::post(&target).body(password)).await.ok();
        assert_eq!(reply, format!("$argon2id$v=19${parameters},p=1${hash}\n"));
    }
    let salted = async || server.send(Ask::post("/hash?m=256&t=1").body("password")).await.ok();
    let (one, other) = (salted().await, salted().await);
    assert!(one.starts_with("$argon2id$v=19$m=256,t=1,p=1$") && one != other, "{one} {other}");
}

#[tokio::test]
async fn a_document_is_put_in_order_and_added_up() {
    let server = Server::of(guests::CPU).await;
    let document = r#"{"b": [3, {"z": -1.5, "a": null}], "a": 7, "text": "8"}"#;
    assert_eq!(
        server.send(Ask::post("/transform").body(document)).await.ok(),
        concat!(
            r#"{"document":{"a":7,"b":[3,{"a":null,"z":-1.5}],"text":"8"},"#,
            r#""numbers":{"count":3,"max":7.0,"min":-1.5,"sum":8.5}}"#,
            "\n"
        )
    );
}

/// An image in the plainest of formats: a head and three bytes for each pixel.
fn pixels(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    let rows = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let size = format!("P7\nWIDTH {width}\nHEIGHT {height}\n");
    let mut image = format!("{size}DEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n").into_bytes();
    image.extend(rows.flat_map(|(x, y)| pixel(x, y)));
    image
}

#[tokio::test]
async fn an_image_is_made_to_fit() {
    let server = Server::of(guests::CPU).await;
    let orange = |_, _| [250, 140, 10];
    let ask = Ask::post("/resize?width=16&height=16&as=pnm").body(pixels(64, 32, orange));
    assert!(server.send(ask).await.body == pixels(16, 8, orange));

    // Through the compression and back.
    let colourful = pixels(40, 30, |x, y| [x as u8 * 6, y as u8 * 8, (x * y % 251) as u8]);
    let ask = Ask::post("/resize?width=40&height=30").body(colourful.clone());
    let png = server.send(ask).await;
    assert_eq!(png.header("content-type"), "image/png");
    assert!(png.body.starts_with(b"\x89PNG\r\n\x1a\n"), "{png:?}");
    let ask = Ask::post("/resize?width=40&height=30&as=pnm").body(png.body);
    assert!(server.send(ask).await.body == colourful);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_sentence() {
    let server = Server::of(guests::CPU).await;
    refused(&server, "/hash?m=much", b"", "m is to be a whole number, not \"much\"").await;
    refused(&server, "/hash?m=1", b"", "memory cost is too small").await;
    refused(&server, "/hash?t=0", b"", "t=0: time cost is too small").await;
    refused(&server, "/hash?salt=short", b"", "salt").await;
    // More than the cap of an instance: the guest lives to say so.
    refused(&server, "/hash?m=200000", b"", "memory").await;
    refused(&server, "/transform", b"{", "this is no JSON: EOF").await;
    refused(&server, "/resize", b"GIF89a", "this is no such image").await;
    refused(&server, "/resize?width=0", b"", "between 1 and 4096").await;
    refused(&server, "/resize?as=bmp", b"", "png or pnm").await;
    assert_eq!(server.get("/other").await.status, 404);
    assert!(server.get("/").await.ok().contains("/hash"));
}

const BESIDE: &str = r#"
    [[route]]
    component = "[guests]/hello.wasm"
    [[route]]
    path = "/hash"
    component = "[guests]/cpu.wasm"
"#;

/// With no setting but the routes.
#[tokio::test]
async fn passwords_hashed_on_all_processors_hold_up_nobody_under_load() {
    let server = Server::builder().config(BESIDE).start().await;
    let hello = async || {
        let load = server.load().kept(4).start();
        load.wait_for_answers(ANSWERS).await;
        load.stop().await
    };
    let quiet = hello().await;
    let ask = Ask::post("/hash?salt=somesalt").body("password");
    let callers = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    let hashing = server.load().kept(callers).ask(ask).start();
    hashing.wait_for_answers(callers).await;
    let beside = hello().await;
    hashing.wait_for_answers(HASHES).await;
    // Several that are in one instance move together.
    wait::until_async("callers to have moved", async || {
        let metrics = server.metrics().await;
        let moved = metrics.sum("remuda_offloads_total", &[("route", "/hash")]);
        (moved >= 5.0).then_some(())
    })
    .await;
    let hashes = hashing.stop().await;
    for report in [&quiet, &beside, &hashes] {
        report.assert_flawless();
    }
    let p99 = |report: &remuda_tests::load::Report| report.tallies[&Kind::Kept].quantile(0.99);
    let (quiet, beside, hash) = (p99(&quiet), p99(&beside), p99(&hashes));
    figure(format_args!("hello: p99 {quiet:?}, {beside:?} beside {callers} callers that hash"));
    figure(format_args!("hash: p99 {hash:?}"));
    assert!(beside <= quiet * 2 + SLACK, "p99 went from {quiet:?} to {beside:?}");

    let metrics = server.metrics().await;
    assert_eq!(metrics.value("remuda_offloads_total", &[("route", "/")]), 0.0);
    assert!(metrics.value("remuda_guest_cpu_seconds_total", &[("route", "/hash")]) > 0.1);
}

#[tokio::test]
async fn a_hash_that_takes_too_much_is_ended() {
    let builder = Server::builder().guest(guests::CPU).flag("--cpu-time", "300ms");
    let server = builder.start().await;
    let endless = Ask::post("/hash?t=4000000000").body("password");
    server.send(endless).await.assert_rejected(504, "cpu_time");
    let modest = server.send(Ask::post("/hash?m=256&t=1").body("password")).await.ok();
    assert!(modest.starts_with("$argon2id$"), "{modest}");
}
