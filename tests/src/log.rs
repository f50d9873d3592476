//! Lines of a JSON log.

use std::fmt;

use serde_json::Value;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line(Value);

impl Line {
    /// All lines that are JSON.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).map(Self).collect()
    }

    #[must_use]
    pub fn message(&self) -> &str {
        self.text("message")
    }

    /// A field that holds text; empty if there is none.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// A field that holds a whole number.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or_else(|| panic!("{field} is no number in {self}"))
    }

    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
