//! Tells which instance answered, and what else that instance has done and is doing.
//!
//! | path | answer |
//! |---|---|
//! | `/` | a line: `instance=RANDOM served=NUMBER in-flight=NUMBER` |
//! | `/together?TEXT` | the same, once two requests are in this instance; each prints before and after that wait |
//! | `/wait?MS` | the same, after a wait |
//! | `/spin?MS` | the same, after as much work without a pause |
//! | `/after?MS` | the same; afterwards it waits, and prints `after done` |
//! | `/bursts?MS` | ten times the line, each after as much work without a pause |
//! | `/break` | the head and the beginning of a body, then a trap |

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{random, spawn_local, wit_future, wit_stream};

thread_local! {
    static INSTANCE: u64 = random::random::get_random_u64();
    static SERVED: Cell<u64> = const { Cell::new(0) };
    static IN_FLIGHT: Cell<u64> = const { Cell::new(0) };
    /// Requests that have come to `/together`.
    static TOGETHER: Cell<u64> = const { Cell::new(0) };
}

/// Nanoseconds between two looks, and before a trap: the host gets to send what there is.
const PAUSE: u64 = 10_000_000;
const BEFORE_TRAP: u64 = 300_000_000;

struct Witness;

wasip3::http::service::export!(Witness);

impl wasip3::exports::http::handler::Guest for Witness {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        SERVED.set(SERVED.get() + 1);
        IN_FLIGHT.set(IN_FLIGHT.get() + 1);
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, text) = target.split_once('?').unwrap_or((&target, ""));
        let time = Duration::from_millis(text.parse().unwrap_or_default());
        match path {
            "/together" => together(text).await,
            "/wait" => wait(time).await,
            "/spin" => spin(time),
            _ => {}
        }
        let (instance, served) = (INSTANCE.with(|id| *id), SERVED.get());
        let line =
            format!("instance={instance:016x} served={served} in-flight={}\n", IN_FLIGHT.get());
        let (breaks, goes_on) = (path == "/break", path == "/after");
        let bursts = if path == "/bursts" { 10 } else { 0 };
        let (mut body, contents) = wit_stream::new();
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _) = Response::new(Fields::new(), Some(contents), trailers);
        spawn_local(async move {
            for _ in 0..bursts {
                spin(time);
                body.write_all(line.clone().into_bytes()).await;
            }
            if bursts == 0 {
                body.write_all(line.into_bytes()).await;
            }
            if breaks {
                monotonic_clock::wait_for(BEFORE_TRAP).await;
                core::arch::wasm32::unreachable();
            }
            IN_FLIGHT.set(IN_FLIGHT.get() - 1);
            drop(body);
            if goes_on {
                wait(time).await;
                println!("after done");
            }
        });
        Ok(response)
    }
}

async fn wait(time: Duration) {
    monotonic_clock::wait_for(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).await;
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        for round in 0..10_000 {
            black_box(round);
        }
    }
}

/// Waits for another request to do the same in this instance.
async fn together(text: &str) {
    println!("{text} before");
    TOGETHER.set(TOGETHER.get() + 1);
    while TOGETHER.get() < 2 {
        monotonic_clock::wait_for(PAUSE).await;
    }
    // The other one looks again before either goes on.
    monotonic_clock::wait_for(2 * PAUSE).await;
    eprintln!("{text} after");
}
