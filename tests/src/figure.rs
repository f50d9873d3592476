//! What a test has measured, for whoever reads its output.

use std::fmt;

/// Writes a line of figures.
#[expect(clippy::print_stderr, reason = "the figures are worth knowing")]
pub fn figure(line: fmt::Arguments<'_>) {
    eprintln!("{line}");
}
