//! What a worker tells when its event loop is stuck.
//!
//! Purpose: a worker that is about to be killed says first what it was doing. Owner: the
//! worker process; the reporter is a thread that sleeps until SIGUSR1 (tell) or SIGABRT
//! (tell, then die of it). Invariants: it needs nothing of the event loop, not even that
//! it lets go of a lock; it is there before anything else of the worker.

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use remuda_http::{Observer, RequestInFlight};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::{
    consts::{SIGABRT, SIGUSR1},
    low_level::{emulate_default_handler, pipe},
};

use crate::sys::LoopThread;

/// Requests that a report names.
const MAX_REQUESTS: usize = 20;

/// How long the event loop's thread has to say where it is. Two seconds after SIGABRT
/// comes SIGKILL.
const TRACE_PATIENCE: Duration = Duration::from_millis(500);

/// Bytes of a backtrace that are logged, so that a report is one write to a pipe, and of a
/// function's name.
const MAX_TRACE_BYTES: usize = 2500;
const MAX_NAME_BYTES: usize = 120;

/// What stands for frames without a name: the compiled code of guests has none.
const UNNAMED: &str = "(guest code)";

/// Tells the reporter what to report about.
pub(crate) struct Reporter {
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    /// When the event loop turned last, in milliseconds after `started`.
    last_beat: AtomicU64,
    /// Set at the end of the boot.
    watched: OnceLock<Watched>,
}

struct Watched {
    observer: Observer,
    /// Names of the routes, in the order of the configuration.
    routes: Arc<[String]>,
}

impl Reporter {
    /// Takes over the signals and starts the thread; the calling thread is the one that is
    /// reported about.
    ///
    /// # Errors
    /// When the operating system gives no thread, socket or handler.
    pub(crate) fn start() -> io::Result<Self> {
        let (tell, tell_end) = UnixStream::pair()?;
        let (abort, abort_end) = UnixStream::pair()?;
        pipe::register(SIGUSR1, tell_end)?;
        pipe::register(SIGABRT, abort_end)?;
        let thread = LoopThread::current()?;
        let shared = Arc::new(Shared {
            started: Instant::now(),
            last_beat: AtomicU64::new(0),
            watched: OnceLock::new(),
        });
        let ours = Arc::clone(&shared);
        thread::Builder::new()
            .name("reporter".to_owned())
            .spawn(move || ours.run(&tell, &abort, &thread))?;
        Ok(Self { shared })
    }

    /// From now on there are requests to report about.
    pub(crate) fn watch(&self, observer: Observer, routes: Arc<[String]>) {
        // A worker boots once.
        let _ = self.shared.watched.set(Watched { observer, routes });
    }

    /// The event loop turns.
    pub(crate) fn beat(&self) {
        let now = self.shared.started.elapsed().as_millis() as u64;
        self.shared.last_beat.store(now, Ordering::Relaxed);
    }
}

impl Shared {
    fn run(&self, tell: &UnixStream, abort: &UnixStream, thread: &LoopThread) {
        loop {
            let mut wanted = [PollFd::new(tell, PollFlags::IN), PollFd::new(abort, PollFlags::IN)];
            // Interrupted, it looks and waits again.
            let _ = poll(&mut wanted, None);
            let is_ready = |index: usize| wanted[index].revents().intersects(PollFlags::IN);
            if is_ready(1) {
                self.report(thread, true);
                // It ends this process.
                let _ = emulate_default_handler(SIGABRT);
            } else if is_ready(0) {
                // Several wishes at the same time are one.
                let _ = (&*tell).read(&mut [0; 64]);
                self.report(thread, false);
            }
        }
    }

    fn report(&self, thread: &LoopThread, aborting: bool) {
        let now = self.started.elapsed().as_millis() as u64;
        let silent_ms = now.saturating_sub(self.last_beat.load(Ordering::Relaxed));
        let (in_flight, requests) = self.requests();
        let backtrace = match thread.frames(TRACE_PATIENCE) {
            Some(frames) => join(&names(&frames)),
            None => "the thread does not answer".to_owned(),
        };
        if aborting {
            tracing::error!(
                silent_ms,
                in_flight,
                requests,
                backtrace,
                "aborting: event loop stuck"
            );
        } else {
            tracing::warn!(silent_ms, in_flight, requests, backtrace, "event loop stuck");
        }
    }

    /// How many requests are in flight, where that is known, and which.
    fn requests(&self) -> (Option<usize>, String) {
        let Some(Watched { observer, routes }) = self.watched.get() else {
            return (None, "still booting".to_owned());
        };
        match observer.oldest_in_flight(MAX_REQUESTS) {
            Some((count, oldest)) => (Some(count), describe(&oldest, routes, Instant::now())),
            None => (None, "unknown: the event loop is changing them".to_owned()),
        }
    }
}

/// Route, id and age of each request.
fn describe(requests: &[RequestInFlight], routes: &[String], now: Instant) -> String {
    let describe = |request: &RequestInFlight| {
        let route = routes.get(request.route).map_or("?", String::as_str);
        let age = now.saturating_duration_since(request.started).as_secs_f64();
        format!("{route} {:016x} {age:.3}s", request.id)
    };
    requests.iter().map(describe).collect::<Vec<_>>().join(", ")
}

/// The names of the functions at these addresses, innermost first, without the frames of
/// the signal handler that found them.
pub(crate) fn names(frames: &[usize]) -> Vec<String> {
    let mut named: Vec<Named> = Vec::new();
    for frame in frames {
        let before = named.len();
        backtrace::resolve(std::ptr::without_provenance_mut(*frame), |symbol| {
            named.extend(Named::of(symbol));
        });
        if named.len() == before && named.last().is_none_or(|last| last.text != UNNAMED) {
            named.push(Named { text: UNNAMED.to_owned(), is_handler: false });
        }
    }
    without_handler(named)
}

/// A frame as it is reported.
struct Named {
    text: String,
    /// It belongs to what runs signal handlers.
    is_handler: bool,
}

impl Named {
    /// Function, file and line; the folder of the file is nobody's business.
    fn of(symbol: &backtrace::Symbol) -> Option<Self> {
        let name = format!("{:#}", symbol.name()?);
        let path = symbol.filename();
        let is_handler = name.contains("signal_hook_registry::")
            || path.is_some_and(|path| path.to_string_lossy().contains("signal-hook-registry"));
        let mut text = short(&name);
        if let (Some(file), Some(line)) = (path.and_then(Path::file_name), symbol.lineno()) {
            text.push_str(&format!(" {}:{line}", file.display()));
        }
        Some(Self { text, is_handler })
    }
}

/// A function's name without what stands in angle brackets: of generic code, that is most of
/// it, and says least.
fn short(name: &str) -> String {
    let (mut depth, mut before) = (0_usize, ' ');
    let outside = |character: &char| {
        let is_arrow = *character == '>' && before == '-';
        before = *character;
        depth += usize::from(*character == '<');
        let is_outside = depth == 0;
        depth -= usize::from(*character == '>' && !is_arrow && depth > 0);
        is_outside
    };
    let name: String = name.chars().filter(outside).collect();
    name.replace("::::", "::").trim_matches(':').to_owned()
}

fn without_handler(mut frames: Vec<Named>) -> Vec<String> {
    if let Some(last) = frames.iter().rposition(|frame| frame.is_handler) {
        frames.drain(..=last);
        // Where a signal handler returns to: code of the C library that has no name.
        if frames.first().is_some_and(|frame| frame.text == UNNAMED) {
            frames.remove(0);
        }
    }
    frames.into_iter().map(|frame| frame.text).collect()
}

/// One line, as long as a log line should be.
fn join(names: &[String]) -> String {
    let mut line = String::new();
    for name in names {
        let end = name.floor_char_boundary(MAX_NAME_BYTES);
        if line.len() + end > MAX_TRACE_BYTES {
            line.push_str(" < …");
            break;
        }
        if !line.is_empty() {
            line.push_str(" < ");
        }
        line.push_str(&name[..end]);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_described_by_route_id_and_age() {
        let started = Instant::now();
        let request = |route, id| RequestInFlight { id, route, started };
        let line = describe(
            &[request(0, 0x2a), request(7, 1)],
            &["/api".to_owned()],
            started + Duration::from_millis(1500),
        );
        assert_eq!(line, "/api 000000000000002a 1.500s, ? 0000000000000001 1.500s");
    }

    #[test]
    fn names_of_generic_functions_are_short() {
        assert_eq!(short("call_raw<remuda::State, (), [u8]>"), "call_raw");
        assert_eq!(short("<alloc::Box<F,A> as core::FnOnce<Args>>::call_once"), "call_once");
        assert_eq!(short("vm::<impl vm::State>::with::{{closure}}"), "vm::with::{{closure}}");
        assert_eq!(short("call_once<fn() -> Exit<()>, ()>"), "call_once");
        assert_eq!(short("main"), "main");
    }

    #[test]
    fn the_frames_of_the_handler_are_left_out() {
        let frames = |texts: &[&str]| {
            let named =
                |text: &&str| Named { text: (*text).to_owned(), is_handler: *text == "handler" };
            without_handler(texts.iter().map(named).collect())
        };
        assert_eq!(frames(&["trace", "handler", UNNAMED, "memset", "main"]), ["memset", "main"]);
        assert_eq!(frames(&["memset", "main"]), ["memset", "main"]);
    }

    #[test]
    fn a_deep_stack_stays_one_line() {
        let line = join(&vec!["é".repeat(500); 100]);
        assert!(line.len() < MAX_TRACE_BYTES + MAX_NAME_BYTES && line.ends_with(" < …"));
    }
}
