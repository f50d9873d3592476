//! Log lines: human on a terminal, JSON otherwise.

use std::io::IsTerminal as _;

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

/// Starts logging to standard error. Lines of different processes do not mix, for each
/// is one write.
pub(crate) fn init(log: &Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Of libraries, only what needs attention.
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("remuda", level)
        .with_target("guest", level);
    let lines = fmt::layer().with_writer(std::io::stderr);
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
