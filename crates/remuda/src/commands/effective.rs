//! The effective settings, printed at start (S1).

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use remuda_config::Setting;

/// Logs every setting: a table for people, a line each for machines.
pub(crate) fn log(settings: &[Setting], json: bool) {
    if json {
        for Setting { key, value, source, reason } in settings {
            tracing::info!(key, value, %source, reason, "setting");
        }
    } else {
        // Nobody is left to read it when this fails.
        let _ = io::stderr().lock().write_all(table(settings).as_bytes());
    }
}

/// Key, value, and where it comes from, in columns.
pub(crate) fn table(settings: &[Setting]) -> String {
    let width = |cell: fn(&Setting) -> usize| settings.iter().map(cell).max().unwrap_or_default();
    let key_width = width(|setting| setting.key.chars().count());
    let value_width = width(|setting| setting.value.chars().count()).min(MAX_VALUE_WIDTH);
    let mut table = String::new();
    for Setting { key, value, source, reason } in settings {
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(table, "  {key:key_width$}  {value:value_width$}  {source}{reason}");
    }
    table
}

/// Longer values push their own source to the right, not everybody's.
const MAX_VALUE_WIDTH: usize = 40;
