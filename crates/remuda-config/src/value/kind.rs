//! What a kind of value is.
//!
//! Purpose: lets the reader treat all values alike. Owner: the kinds beside it.
//! Invariant: parsing is a pure function of the text and the folder it is relative to.

use std::path::Path;

/// How a value is written and read.
pub(crate) trait Kind {
    type Value;

    /// For "expected …, got …".
    fn expected(&self) -> String;

    /// A value that is right.
    fn example(&self) -> String;

    /// Reads trimmed text that is not empty; relative paths begin at `base`.
    fn parse(&self, text: &str, base: &Path) -> Result<Self::Value, Fault>;

    /// The canonical text.
    fn show(&self, value: &Self::Value) -> String;
}

/// Why a text is not a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is something else altogether.
    Malformed,
    /// It is understood and not allowed.
    Refused {
        problem: String,
        /// `None` suggests an example.
        remedy: Option<String>,
    },
}

impl Fault {
    pub(crate) fn refused(problem: impl Into<String>) -> Self {
        Self::Refused { problem: problem.into(), remedy: None }
    }

    pub(crate) fn remedied(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Refused { problem: problem.into(), remedy: Some(remedy.into()) }
    }
}
