//! What HTTP/2 lets clients do that costs them nothing and the server much.

use std::{collections::BTreeMap, time::Duration};

use remuda_tests::{
    Ask, Raw, Server, Upstream, guests,
    http2::{
        DATA, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING,
        PRIORITY, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, post, preface,
        reset, window_update,
    },
    noise::noise,
    server::Builder,
    wait,
    wait::timed,
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
    assert_eq!(counted, floods.len() as f64);
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
    let counted = server.metrics().await.sum("remuda_rejected_total", &[("reason", "http2_flood")]);
    assert_eq!(counted, 1.0);
    nothing_is_in_flight(&server).await;
}

/// All that it may have in flight but one, in one packet.
#[tokio::test]
async fn a_client_that_gives_up_all_its_requests_at_once_is_no_flood() {
    let server = Server::of(guests::MISBEHAVE).await;
    let streams: Vec<u32> = (0..STREAMS - 1).map(|number| 2 * number + 1).collect();
    let asks = streams.iter().flat_map(|stream| get(*stream, "/never"));
    let resets = streams.iter().flat_map(|stream| reset(*stream));
    let wanted = 2 * STREAMS - 1;
    let bytes: Vec<u8> = asks.chain(get(wanted, "/")).chain(resets).collect();
    let mut client = client_that_sends(&server, &bytes).await;
    loop {
        let frame = client.read_whole_frame().await;
        assert_ne!(frame.kind, GOAWAY, "{frame:?}");
        if frame.stream == wanted && frame.flags & END_STREAM != 0 {
            break;
        }
    }
    nothing_is_in_flight(&server).await;
}

/// It cannot know how many it may open before it has read that.
#[tokio::test]
async fn streams_beyond_those_that_may_be_open_are_refused_and_the_connection_goes_on() {
    const MANY: u32 = 1000;
    let server = Server::of(guests::HELLO).await;
    let asks: Vec<u8> = (0..MANY).flat_map(|number| get(2 * number + 1, "/")).collect();
    let mut client = client_that_sends(&server, &asks).await;
    let (mut answered, mut refused) = (0, 0);
    while answered + refused < MANY {
        let frame = client.read_whole_frame().await;
        assert_ne!(frame.kind, GOAWAY, "after {answered} answers, {refused} refused: {frame:?}");
        if frame.kind == RST_STREAM {
            assert_eq!(frame.code(), Some(REFUSED_STREAM), "{frame:?}");
            refused += 1;
        } else if frame.stream > 0 && frame.flags & END_STREAM != 0 {
            answered += 1;
        }
    }
    assert!(refused > 0 && answered >= STREAMS, "{answered} were answered, {refused} refused");
    let another = 2 * MANY + 1;
    client.send(get(another, "/")).await;
    while client.read_whole_frame().await.stream != another {}
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
    assert_eq!(client_stalled(&server).await, f64::from(STREAMS));
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

/// A response that hyper takes whole, and what its client takes of it at a time.
const SHORT: usize = 8000;
const SIP: usize = 800;

/// Between sips; ten of them are longer than an idle connection is kept, by
/// `keep_alive_timeout`, in a drain or when it is one too many.
const PAUSE: Duration = Duration::from_millis(150);

/// Less than it may take nothing.
const SOON: Duration = Duration::from_secs(4);

/// A server that ends idle connections soon.
fn impatient() -> Builder {
    let builder = Server::builder().guest(guests::ECHO).flag("--response-idle-timeout", "6s");
    builder.flag("--keep-alive-timeout", "400ms")
}

/// Asks for all of this to be sent back.
fn echo(stream: u32, body: &[u8]) -> Vec<u8> {
    [post(stream, "/"), frame(DATA, END_STREAM, stream, body)].concat()
}

/// Reads until so much of a response has come; whether it has come to its end.
async fn read_until(client: &mut Raw, echoed: &mut Vec<u8>, length: usize) -> bool {
    while echoed.len() < length {
        let frame = client.read_whole_frame().await;
        assert_ne!(frame.kind, RST_STREAM, "{frame:?} after {} bytes", echoed.len());
        if frame.kind == DATA {
            echoed.extend(frame.payload);
            if frame.flags & END_STREAM != 0 {
                return true;
            }
        }
    }
    false
}

/// A client that has been sent the first sip of its response, which hyper has taken whole.
async fn client_that_sips(server: &Server) -> (Raw, Vec<u8>) {
    let mut client = server.connect_raw().await;
    client.send([preface(INITIAL_WINDOW_SIZE, SIP as u32), echo(1, &noise(SHORT))].concat()).await;
    let mut echoed = Vec::new();
    assert!(!read_until(&mut client, &mut echoed, SIP).await);
    (client, echoed)
}

/// Takes the rest of it, slowly.
async fn sip(client: &mut Raw, mut echoed: Vec<u8>) {
    let mut ended = false;
    while !ended {
        tokio::time::sleep(PAUSE).await;
        client.send(window_update(1, SIP as u32)).await;
        let granted = echoed.len() + SIP;
        ended = read_until(client, &mut echoed, granted.min(SHORT)).await;
        assert_eq!(ended, echoed.len() == SHORT, "{} bytes", echoed.len());
    }
    assert!(echoed == noise(SHORT), "the body that came back is another");
}

#[tokio::test]
async fn a_connection_whose_response_is_on_its_way_is_not_idle() {
    let server = impatient().start().await;
    let (mut client, echoed) = client_that_sips(&server).await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("remuda_in_flight", &[]), 1.0);
    assert_eq!(metrics.sum("remuda_connections", &[("state", "active")]), 1.0);
    assert_eq!(metrics.sum("remuda_requests_total", &[]), 0.0, "it has not ended");
    sip(&mut client, echoed).await;
    nothing_is_in_flight(&server).await;
    // Now it is, and ends as one that is idle.
    let (elapsed, _) = timed(client.read_frames_to_end()).await;
    assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("remuda_requests_total", &[("status", "200")]), 1.0);
    assert_eq!(metrics.sum("remuda_responses_broken_off_total", &[]), 0.0);
}

#[tokio::test]
async fn a_drain_waits_for_a_response_that_is_on_its_way() {
    let mut server = impatient().start().await;
    let (mut client, echoed) = client_that_sips(&server).await;
    server.terminate();
    while client.read_whole_frame().await.kind != GOAWAY {}
    sip(&mut client, echoed).await;
    let (elapsed, code) = timed(server.exit_code()).await;
    assert_eq!(code, Some(0));
    assert!(elapsed < SOON, "it ended after {elapsed:?}");
}

#[tokio::test]
async fn a_connection_too_many_is_kept_for_a_response_that_is_on_its_way() {
    let builder = Server::builder().guest(guests::ECHO).flag("--max-keep-alive", "1");
    let server = builder.start().await;
    let mut kept = server.connect_http2().await;
    assert_eq!(kept.get("/").await.ok(), "");
    let (mut client, echoed) = client_that_sips(&server).await;
    sip(&mut client, echoed).await;
    // Then it is told to go.
    while client.read_whole_frame().await.kind != GOAWAY {}
    assert_eq!(kept.get("/").await.ok(), "");
}

#[tokio::test]
async fn responses_wait_for_the_window_of_their_connection() {
    const RESPONSES: u32 = 20;
    let server = impatient().start().await;
    let mut client = client_that_sends(&server, &[]).await;
    // So much may be sent only when the server has said so.
    while client.read_whole_frame().await.kind != WINDOW_UPDATE {}
    let body = noise(SHORT);
    let streams = (0..RESPONSES).map(|number| 2 * number + 1);
    client.send(streams.flat_map(|stream| echo(stream, &body)).collect::<Vec<u8>>()).await;
    let (mut length, mut ends, mut granted) = (0, 0, false);
    let mut lengths = BTreeMap::<u32, usize>::new();
    while ends < RESPONSES {
        if length == WINDOW as usize && !granted {
            // All are asked for, and no more may be sent, but ends.
            let complete = lengths.values().filter(|length| **length == SHORT).count();
            wait::until_async("the other responses to wait", async || {
                let waiting = f64::from(RESPONSES) - complete as f64;
                (server.metrics().await.sum("remuda_in_flight", &[]) == waiting).then_some(())
            })
            .await;
            tokio::time::sleep(8 * PAUSE).await;
            client.send(window_update(0, 1 << 20)).await;
            granted = true;
        }
        let frame = client.read_whole_frame().await;
        assert!(frame.kind != GOAWAY && frame.kind != RST_STREAM, "{frame:?}");
        if frame.kind == DATA {
            length += frame.payload.len();
            *lengths.entry(frame.stream).or_default() += frame.payload.len();
            ends += u32::from(frame.flags & END_STREAM != 0);
        }
    }
    assert_eq!(length, RESPONSES as usize * SHORT);
    nothing_is_in_flight(&server).await;
}

/// Ten places; the connection's other requests are told that there is none.
async fn server_with_ten_places(response_idle_timeout: &str) -> Server {
    let builder = Server::builder().guest(guests::HELLO).flag("--limit-concurrency", "10");
    let builder = builder.flag("--response-idle-timeout", response_idle_timeout);
    builder.flag("--queue", "0").flag("--log-level", "debug").start().await
}

/// Asks on all streams of a connection, whose responses all wait after their first byte.
async fn client_that_takes_a_byte(server: &Server) -> Raw {
    let mut client = server.connect_raw().await;
    client.send(preface(INITIAL_WINDOW_SIZE, 1)).await;
    let streams = (0..STREAMS).map(|number| 2 * number + 1);
    client.send(streams.flat_map(|stream| get(stream, "/")).collect::<Vec<u8>>()).await;
    let mut begun = 0;
    while begun < STREAMS {
        begun += u32::from(client.read_whole_frame().await.kind == DATA);
    }
    client
}

#[tokio::test]
async fn responses_that_nobody_takes_hold_their_places_until_their_connection_is_ended() {
    let server = server_with_ten_places("1s").await;
    let mut client = client_that_takes_a_byte(&server).await;
    server.get("/").await.assert_rejected(503, "queue_full");
    assert_eq!(server.metrics().await.sum("remuda_in_flight", &[]), 10.0);
    let (elapsed, frames) = timed(client.read_frames_to_end()).await;
    assert!(elapsed < Duration::from_secs(5), "it was ended after {elapsed:?}");
    assert_eq!(frames.last().and_then(Frame::code), Some(ENHANCE_YOUR_CALM), "{frames:?}");
    nothing_is_in_flight(&server).await;
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
    assert_eq!(client_stalled(&server).await, f64::from(STREAMS));
    let mut lines = server.lines("response broke off");
    lines.retain(|line| line.text("reason") == "client_stalled" && line.text("route") == "/");
    assert_eq!(lines.len(), STREAMS as usize);
}

async fn client_stalled(server: &Server) -> f64 {
    let reason = [("reason", "client_stalled")];
    server.metrics().await.sum("remuda_responses_broken_off_total", &reason)
}

#[tokio::test]
async fn responses_that_nobody_wants_any_more_hold_no_places() {
    let server = server_with_ten_places("60s").await;
    let mut client = client_that_takes_a_byte(&server).await;
    server.get("/").await.assert_rejected(503, "queue_full");
    let streams = (0..STREAMS).map(|number| 2 * number + 1);
    client.send(streams.flat_map(reset).collect::<Vec<u8>>()).await;
    nothing_is_in_flight(&server).await;
    // The connection goes on.
    client.send([get(401, "/"), window_update(401, 100)].concat()).await;
    loop {
        let frame = client.read_whole_frame().await;
        assert_ne!(frame.kind, GOAWAY, "{frame:?}");
        if frame.stream == 401 && frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(client_stalled(&server).await, 0.0);
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

#[tokio::test]
async fn fields_that_could_mean_two_things_are_400() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut connection = server.connect_http2().await;
    for (what, ask) in [
        ("two lengths", Ask::get("/").header("content-length", "0").header("content-length", "0")),
        ("a space before a value", Ask::get("/").header("x", " y")),
        ("a tab behind a value", Ask::get("/").header("x", "y\t")),
        ("a user in the authority", Ask::get("/").header("host", "u@a")),
        ("a port beyond the last", Ask::get("/").header("host", "a:65536")),
    ] {
        let reply = connection.send(ask).await;
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
        reply.assert_rejected(400, "bad_request");
    }
    assert_eq!(connection.get("/").await.ok(), "ok\n");
}

#[tokio::test]
async fn cookies_that_come_apart_reach_the_guest_as_one() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut connection = server.connect_http2().await;
    let ask = Ask::get("/seen").header("cookie", "a=b").header("cookie", "c=d");
    let seen = connection.send(ask).await.ok();
    let cookies: Vec<&str> = seen.lines().filter(|line| line.starts_with("cookie: ")).collect();
    assert_eq!(cookies, ["cookie: a=b; c=d"], "{seen}");
}
