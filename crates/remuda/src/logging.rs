//! Log lines: human on a terminal, JSON otherwise.
//!
//! Invariant: logging never waits. Whoever reads the log may stop doing so (a collector
//! that hangs, Ctrl-S on a terminal), and an event loop that waited for it would be frozen
//! by a log line. Lines that nobody takes are dropped and counted.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::atomic::{AtomicU64, Ordering},
};

use remuda_config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, filter::Targets, fmt, layer::SubscriberExt as _};

/// Whether log lines are JSON.
pub(crate) fn is_json(log: &Log) -> bool {
    match log.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    }
}

/// Standard error, as long as it takes what is written.
struct WhileTaken;

/// Lines dropped since the last one that was written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

impl Write for WhileTaken {
    /// Writes one line, or drops it. A pipe that is ready takes 4096 bytes (`PIPE_BUF`)
    /// without waiting, and without mixing them with those of other processes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if !remuda_http::takes_bytes(&stderr) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            writeln!(stderr, "remuda: {dropped} log lines were dropped, for nobody read them")?;
        }
        stderr.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What libraries may say: they warn of what clients do, some of them once for every frame,
/// which is for whoever looks for it.
fn of_libraries(level: LevelFilter) -> LevelFilter {
    level.min(if level == LevelFilter::DEBUG { LevelFilter::WARN } else { LevelFilter::ERROR })
}

fn least(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// Starts logging to standard error. Lines of different processes do not mix, for each
/// is one write.
pub(crate) fn init(log: &Log) {
    let level = least(log.level);
    let filter = Targets::new()
        .with_default(of_libraries(level))
        .with_target("remuda", level)
        .with_target("guest", least(log.guest_level));
    let lines = fmt::layer().with_writer(|| WhileTaken);
    let lines = if is_json(log) {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        let ansi = std::io::stderr().is_terminal();
        lines.compact().with_ansi(ansi).with_target(false).boxed()
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    // Only ever called once per process, so there is none set.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
