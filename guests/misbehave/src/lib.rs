//! Does on demand what a server must survive: traps, burns, leaks, hangs and stops half-way.
//!
//! The path says what goes wrong, the query how much of it. It is a 0.2 guest, so that both
//! worlds are tested. A path that it does not know is answered `ok`.

mod freeze;
mod hoard;
mod query;
mod reply;

use std::hint::black_box;
use std::time::{Duration, Instant};

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{ErrorCode, Fields, IncomingRequest, ResponseOutparam, Scheme};

use crate::freeze::freeze;
use crate::hoard::hoard;
use crate::query::Query;
use crate::reply::{Stream, answer};

const MIB: usize = 1024 * 1024;

struct Misbehave;

wasip2::http::proxy::export!(Misbehave);

impl wasip2::exports::http::incoming_handler::Guest for Misbehave {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = Query::new(query);
        match path {
            "/trap" => core::arch::wasm32::unreachable(),
            "/exit" => std::process::exit(1),
            "/spin" => match query.number("rounds") {
                Some(rounds) => (0..rounds).for_each(|_| round()),
                None => spin(query.millis("ms")),
            },
            "/freeze" => {
                if !freeze(query.number("mib").unwrap_or(1)) {
                    return answer(out, 500, b"there is not so much memory\n");
                }
            }
            "/alloc" => return alloc(query.number("mib"), query.millis("ms"), out),
            "/hoard" => return answer(out, 200, hoard(&query).as_bytes()),
            "/sleep" => sleep(query.millis("ms").unwrap_or_default()),
            "/never" => never(),
            "/panic-after-head" => panic_after_head(out),
            "/error" => return error(out),
            "/no-response" => return drop(out),
            "/break" => break_off(&query.text("how").unwrap_or_default(), out),
            "/slow-body" => return slow_body(&query, out),
            "/flood" => flood(query.number("mib").unwrap_or(1)),
            "/print" => print(&query.text("text").unwrap_or_default()),
            "/env" => return env(&query, out),
            "/read" => return read(&query, out),
            "/seen" => return seen(&request, out),
            "/after" => return after(&query, out),
            "/set" => return set(&query, out),
            "/status" => return answer(out, query.number("code").unwrap_or(200) as u16, b"ok\n"),
            _ => {}
        }
        answer(out, 200, b"ok\n");
    }
}

/// Burns the processor for so long, or for ever.
fn spin(time: Option<Duration>) {
    let start = Instant::now();
    loop {
        round();
        if time.is_some_and(|time| start.elapsed() >= time) {
            return;
        }
    }
}

/// The same amount of work every time, however long it takes.
fn round() {
    for step in 0..10_000 {
        black_box(step);
    }
}

/// Takes so much memory, writes to all of it and answers while it holds it, after some time.
/// Takes it without end when no amount is given.
fn alloc(mib: Option<u64>, time: Option<Duration>, out: ResponseOutparam) {
    let mut held = Vec::new();
    while mib.is_none_or(|mib| (held.len() as u64) < mib) {
        held.push(black_box(vec![0xa5_u8; MIB]));
    }
    sleep(time.unwrap_or_default());
    answer(out, 200, b"ok\n");
    drop(black_box(held));
}

fn sleep(time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    monotonic_clock::subscribe_duration(nanoseconds).block();
}

fn never() -> ! {
    loop {
        sleep(Duration::from_hours(1));
    }
}

fn panic_after_head(out: ResponseOutparam) -> ! {
    let body = Stream::start(out);
    body.send(b"the beginning of a body\n");
    panic!("asked to panic after the head");
}

/// Returns an error of wasi:http in the place of a response.
fn error(out: ResponseOutparam) {
    ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("asked to fail".to_owned()))));
}

/// Sends the beginning of a body, and fails when the host has passed it on.
fn break_off(how: &str, out: ResponseOutparam) -> ! {
    let body = Stream::start(out);
    body.send(b"the beginning of a body\n");
    sleep(Duration::from_millis(200));
    match how {
        "exit" => std::process::exit(1),
        "alloc" => loop {
            std::mem::forget(black_box(vec![0xa5_u8; MIB]));
        },
        "spin" => loop {
            std::hint::spin_loop();
        },
        _ => core::arch::wasm32::unreachable(),
    }
}

fn slow_body(query: &Query, out: ResponseOutparam) {
    let pause = query.millis("ms").unwrap_or_default();
    let body = Stream::start(out);
    let burns = query.number("burns") == Some(1);
    for chunk in 0..query.number("chunks").unwrap_or(1) {
        if burns {
            spin(Some(pause));
            sleep(Duration::from_millis(1));
        } else if chunk > 0 {
            sleep(pause);
        }
        body.send(format!("chunk {chunk}\n").as_bytes());
    }
    body.finish();
}

fn print(text: &str) {
    println!("{text}");
    eprintln!("{text}");
}

/// Prints so much without ending the line, then a line.
fn flood(mib: u64) {
    let piece = "x".repeat(MIB);
    (0..mib).for_each(|_| print!("{piece}"));
    println!();
}

fn env(query: &Query, out: ResponseOutparam) {
    match std::env::var(query.text("key").unwrap_or_default()) {
        Ok(value) => answer(out, 200, value.as_bytes()),
        Err(error) => answer(out, 404, error.to_string().as_bytes()),
    }
}

fn read(query: &Query, out: ResponseOutparam) {
    match std::fs::read(query.text("path").unwrap_or_default()) {
        Ok(contents) => answer(out, 200, &contents),
        Err(error) => answer(out, 500, error.to_string().as_bytes()),
    }
}

/// Answers with a field that is not a guest's to set; the body says what the host made of that.
fn set(query: &Query, out: ResponseOutparam) {
    let (name, value) = (query.text("name").unwrap_or_default(), query.text("value"));
    let headers = Fields::new();
    let result = headers.append(&name, value.unwrap_or_default().as_bytes());
    let said = format!("{result:?}\n");
    Stream::with_headers(out, 200, headers).end_with(said.as_bytes());
}

/// Says what it sees of the request: scheme and authority, then a line for each field.
fn seen(request: &IncomingRequest, out: ResponseOutparam) {
    let scheme = match request.scheme() {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
        Some(Scheme::Other(_)) => "other",
        None => "none",
    };
    let mut text = format!("{scheme}://{}\n", request.authority().unwrap_or_default());
    for (name, value) in request.headers().entries() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    answer(out, 200, text.as_bytes());
}

/// Answers completely, then goes on working.
fn after(query: &Query, out: ResponseOutparam) {
    answer(out, 200, b"ok\n");
    sleep(query.millis("ms").unwrap_or_default());
    println!("after done");
}
