//! Events of `tracing` and `log`, one line each on standard error, where the server finds them.
//!
//! Owner: the handler's export, which installs it in each instance. Invariant: whoever installs another
//! subscriber first keeps it.

mod filter;
mod line;

use std::{
    io::Write as _,
    sync::{Mutex, PoisonError},
};

use tracing::{Event, Level, Metadata, Subscriber, level_filters::LevelFilter, span};

use filter::Filter;
use line::Line;

/// Sends all events of this instance to standard error from now on.
pub(crate) fn install() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let variable = |name| std::env::var(name).ok();
        let wanted = variable("REMUDA_LOG").or_else(|| variable("RUST_LOG"));
        let filter = Filter::parse(wanted.as_deref().unwrap_or("info"));
        log::set_max_level(filter.max_log());
        let logger = Stderr { filter, spans: Mutex::default() };
        let _ = log::set_boxed_logger(Box::new(FromLog(logger.filter.clone())));
        let _ = tracing::subscriber::set_global_default(logger);
    });
}

/// The subscriber.
struct Stderr {
    filter: Filter,
    spans: Mutex<Spans>,
}

/// Spans by number, and which of them are entered.
#[derive(Default)]
struct Spans {
    next: u64,
    open: Vec<(u64, usize, String)>,
    entered: Vec<u64>,
}

impl Stderr {
    fn spans(&self) -> std::sync::MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enables(metadata.target(), *metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.filter.max())
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line::new(span.metadata().name());
        span.record(&mut line);
        let mut spans = self.spans();
        spans.next += 1;
        let id = spans.next;
        spans.open.push((id, 1, line.into_text()));
        span::Id::from_u64(id)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        let mut spans = self.spans();
        if let Some((_, _, text)) = spans.open.iter_mut().find(|(id, ..)| *id == span.into_u64()) {
            let mut line = Line::new(text);
            values.record(&mut line);
            *text = line.into_text();
        }
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line::new("");
        event.record(&mut line);
        let spans = self.spans();
        let entered = spans.entered.iter();
        let names = entered.filter_map(|id| spans.open.iter().find(|(open, ..)| open == id));
        let context: String = names.map(|(.., text)| format!("{text}: ")).collect();
        print(*metadata.level(), metadata.target(), &context, &line.into_text());
    }

    fn enter(&self, span: &span::Id) {
        self.spans().entered.push(span.into_u64());
    }

    fn exit(&self, span: &span::Id) {
        let mut spans = self.spans();
        if let Some(index) = spans.entered.iter().rposition(|id| *id == span.into_u64()) {
            spans.entered.remove(index);
        }
    }

    fn clone_span(&self, span: &span::Id) -> span::Id {
        let mut spans = self.spans();
        if let Some((_, users, _)) = spans.open.iter_mut().find(|(id, ..)| *id == span.into_u64()) {
            *users += 1;
        }
        span.clone()
    }

    fn try_close(&self, span: span::Id) -> bool {
        let mut spans = self.spans();
        let Some(index) = spans.open.iter().position(|(id, ..)| *id == span.into_u64()) else {
            return false;
        };
        spans.open[index].1 -= 1;
        let is_last = spans.open[index].1 == 0;
        if is_last {
            spans.open.remove(index);
        }
        is_last
    }
}

/// What comes through `log`.
struct FromLog(Filter);

impl log::Log for FromLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.0.enables(metadata.target(), level(metadata.level()))
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = line::one_line(&record.args().to_string());
            print(level(record.level()), record.target(), "", &text);
        }
    }

    fn flush(&self) {}
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::ERROR,
        log::Level::Warn => Level::WARN,
        log::Level::Info => Level::INFO,
        log::Level::Debug => Level::DEBUG,
        log::Level::Trace => Level::TRACE,
    }
}

/// In one write, for each is a call to the host.
fn print(level: Level, target: &str, context: &str, text: &str) {
    let line = format!("{level} {target}: {context}{text}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}
