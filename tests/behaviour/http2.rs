//! What HTTP/2 lets clients do that costs them nothing and the server much.

use std::time::Duration;

use remuda_tests::{
    Ask, Raw, Server, Upstream, guests,
    http2::{
        DATA, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY,
        RST_STREAM, SETTINGS, frame, get, post, preface, reset, window_update,
    },
    noise::noise,
    wait,
};

/// What clients have that do not say otherwise.
const WINDOW: u32 = 65_535;

/// More than a client may send of what carries nothing.
const FLOOD: usize = 5000;

/// Streams of one connection.
const STREAMS: u32 = 200;

/// A client that has sent this much, or as much of it as the server took.
async fn client_that_sends(server: &Server, bytes: &[u8]) -> Raw {
    let mut client = server.connect_raw().await;
    client.send(preface(INITIAL_WINDOW_SIZE, WINDOW)).await;
    client.try_send(bytes).await;
    client
}

#[tokio::test]
async fn floods_of_frames_that_carry_nothing_end_the_connection() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut other = server.connect_http2().await;
    let floods = [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("WINDOW_UPDATE", window_update(0, 1)),
        ("WINDOW_UPDATE of a stream", window_update(1, 1)),
        ("empty DATA", frame(DATA, 0, 1, &[])),
        ("unknown", frame(200, 0, 0, b"nobody knows it")),
        ("RST_STREAM", reset(1)),
    ];
    for (what, nothing) in &floods {
        let bytes = [post(1, "/never"), nothing.repeat(FLOOD)].concat();
        let mut client = client_that_sends(&server, &bytes).await;
        let frames = client.read_frames_to_end().await;
        let last = frames.last().unwrap_or_else(|| panic!("{what}: no frame at all"));
        assert_eq!((last.kind, last.code()), (GOAWAY, Some(ENHANCE_YOUR_CALM)), "{what}: {last:?}");
        assert_eq!(other.get("/").await.ok(), "ok\n", "{what}");
    }
    let metrics = server.metrics().await;
    let counted = metrics.sum("remuda_rejected_total", &[("reason", "http2_flood")]);
    // h2 has a limit of its own for empty DATA.
    assert_eq!(counted, (floods.len() - 1) as f64);
}

#[tokio::test]
async fn a_head_without_an_end_ends_the_connection() {
    const CONTINUATION: u8 = 9;
    let server = Server::of(guests::HELLO).await;
    let mut other = server.connect_http2().await;
    // A head that does not end with its frame.
    let mut bytes = frame(HEADERS, 0, 1, &[0x82, 0x86]);
    let field = [&[0x00, 0x01, b'x', 0x7f, 0x81, 0x7e][..], &[b'y'; 16_384 - 6]].concat();
    bytes.extend(frame(CONTINUATION, 0, 1, &field).repeat(100));
    let mut client = client_that_sends(&server, &bytes).await;
    let frames = client.read_frames_to_end().await;
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY), "{frames:?}");
    assert_eq!(other.get("/").await.ok(), "Hello, world!\n");
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut other = server.connect_http2().await;
    let streams = (0..5000).map(|number| 2 * number + 1);
    let rapid: Vec<u8> =
        streams.flat_map(|stream| [get(stream, "/never"), reset(stream)].concat()).collect();
    let mut client = client_that_sends(&server, &rapid).await;
    let frames = client.read_frames_to_end().await;
    let calm = |frame: &remuda_tests::http2::Frame| frame.code() == Some(ENHANCE_YOUR_CALM);
    assert!(frames.iter().any(calm), "{frames:?}");
    assert_eq!(other.get("/").await.ok(), "ok\n");
    nothing_is_in_flight(&server).await;
}

/// Each is looked at before it is reset, so that guests begin to work for it.
#[tokio::test]
async fn requests_that_are_reset_soon_have_an_end_and_so_have_their_guests() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut other = server.connect_http2().await;
    let mut client = client_that_sends(&server, &[]).await;
    let (mut stream, mut most) = (1, 0.0_f64);
    let rounds = 50;
    for _ in 0..rounds {
        let streams: Vec<u32> = (0..STREAMS / 2).map(|number| stream + 2 * number).collect();
        stream += STREAMS;
        let heads: Vec<u8> = streams.iter().flat_map(|stream| get(*stream, "/never")).collect();
        if !client.try_send(heads).await {
            break;
        }
        // What is asked later is answered later.
        assert_eq!(other.get("/").await.ok(), "ok\n");
        most = most.max(server.metrics().await.sum("remuda_in_flight", &[]));
        let resets: Vec<u8> = streams.iter().flat_map(|stream| reset(*stream)).collect();
        client.try_send(resets).await;
    }
    assert!(most > 0.0, "no request was ever in flight");
    assert!(most <= f64::from(STREAMS), "{most} requests were in flight");
    let asked = stream / 2;
    assert!(asked < rounds * STREAMS / 2, "all {asked} were taken");
    assert_eq!(client.read_frames_to_end().await.last().map(|frame| frame.kind), Some(GOAWAY));
    nothing_is_in_flight(&server).await;
    assert_eq!(other.get("/").await.ok(), "ok\n");
}

/// No request, and no guest that works for one.
async fn nothing_is_in_flight(server: &Server) {
    wait::until_async("the requests in flight to end", async || {
        let metrics = server.metrics().await;
        let in_flight = metrics.sum("remuda_in_flight", &[]);
        let busy = metrics.sum("remuda_instances", &[("state", "busy")]);
        (in_flight == 0.0 && busy == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_cancels_half_of_its_requests_is_served_for_ever() {
    let server = Server::of(guests::HELLO).await;
    let mut client = client_that_sends(&server, &[]).await;
    let mut answered = 0;
    for number in 0..4000 {
        let (cancelled, wanted) = (4 * number + 1, 4 * number + 3);
        let asks = [get(cancelled, "/"), get(wanted, "/"), reset(cancelled)].concat();
        client.send([asks, window_update(0, 28)].concat()).await;
        loop {
            let frame = client.read_whole_frame().await;
            assert_ne!(frame.kind, GOAWAY, "after {number} requests: {frame:?}");
            if frame.stream == wanted && frame.flags & END_STREAM != 0 {
                break;
            }
        }
        answered += 1;
    }
    assert_eq!(answered, 4000);
}

#[tokio::test]
async fn streams_whose_client_never_reads_lose_their_places() {
    let builder = Server::builder().guest(guests::HELLO).flag("--limit-concurrency", "10");
    let builder = builder.flag("--queue", "0").flag("--response-idle-timeout", "1s");
    let server = builder.start().await;
    let mut client = server.connect_raw().await;
    client.send(preface(INITIAL_WINDOW_SIZE, 0)).await;
    let streams = (0..STREAMS).map(|number| 2 * number + 1);
    client.send(streams.flat_map(|stream| get(stream, "/")).collect::<Vec<u8>>()).await;
    let (mut heads, mut resets) = (0, 0);
    while heads < STREAMS {
        heads += u32::from(client.read_whole_frame().await.kind == HEADERS);
    }
    // Ten have places, and all the others were told that there is none.
    server.get("/").await.assert_rejected(503, "queue_full");
    while resets < STREAMS {
        resets += u32::from(client.read_whole_frame().await.kind == RST_STREAM);
    }
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
    // The connection goes on.
    client.send([get(401, "/"), window_update(401, 100)].concat()).await;
    loop {
        let frame = client.read_whole_frame().await;
        if frame.kind == DATA {
            assert_eq!((frame.stream, frame.payload.as_slice()), (401, &b"Hello, world!\n"[..]));
            break;
        }
    }
}

/// Longer in all than the server waits, but never for nothing.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    const SIZE: usize = 60_000;
    const STEP: usize = 7_500;
    let builder = Server::builder().guest(guests::ECHO).flag("--response-idle-timeout", "2s");
    let server = builder.start().await;
    let mut client = server.connect_raw().await;
    client.send(preface(INITIAL_WINDOW_SIZE, 0)).await;
    let body = noise(SIZE);
    client.send([post(1, "/"), window_update(0, SIZE as u32)].concat()).await;
    for (number, piece) in body.chunks(STEP).enumerate() {
        let flags = if (number + 1) * STEP == SIZE { END_STREAM } else { 0 };
        client.send(frame(DATA, flags, 1, piece)).await;
    }
    let mut echoed = Vec::new();
    for granted in (STEP..=SIZE).step_by(STEP) {
        tokio::time::sleep(Duration::from_millis(600)).await;
        client.send(window_update(1, STEP as u32)).await;
        while echoed.len() < granted {
            let frame = client.read_whole_frame().await;
            assert_ne!(frame.kind, RST_STREAM, "{frame:?} after {} bytes", echoed.len());
            if frame.kind == DATA {
                echoed.extend(frame.payload);
            }
        }
    }
    assert!(echoed == body, "the body that came back is another");
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let builder = Server::builder().guest(guests::FETCH).flag("--body-timeout", "300ms");
    let upstream = Upstream::start().await;
    let server = builder.flag("--outbound-allow", upstream.origin()).start().await;
    let mut connection = server.connect_http2().await;
    let mut exchange = connection.open(Ask::fetch_post(&upstream.url("/whole"))).await;
    exchange.write("half").await;
    let head = exchange.head().await;
    assert_eq!(head.status(), 408);
    let details = head.headers()["proxy-status"].to_str().expect("text");
    assert!(details.contains("details=\"body_timeout\""), "{details}");
    // The connection goes on.
    assert_eq!(connection.send(Ask::fetch(&upstream.url("/"))).await.ok(), "upstream\n");
}
