//! What is wrong with the configuration.
//!
//! Purpose: one line per mistake that says where, what, and what to do about it.
//! Owner: returned by [`crate::load`], printed by the binary. Invariant: a
//! [`ConfigErrors`] is never empty, and every line of it is exactly one error.

use std::{error::Error, fmt};

use crate::source::Source;

/// One mistake in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it was made; `Default` when something is missing altogether.
    pub source: Source,
    /// The key, such as `workers.count` or `route[0].path` (routes count from 0).
    pub key: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    /// `remuda.toml:7: workers.cont: unknown key; did you mean "workers.count"?`
    ///
    /// Flags and variables name their key themselves, so that it is not repeated.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = matches!(self.source, Source::Environment(_) | Source::Flag(_));
        if self.source != Source::Default {
            write!(f, "{}: ", one_line(&self.source.to_string()))?;
        }
        if let Some(key) = self.key.as_deref().filter(|_| !named) {
            write!(f, "{}: ", one_line(key))?;
        }
        write!(f, "{}; {}", one_line(&self.problem), one_line(&self.remedy))
    }
}

impl Error for ConfigError {}

/// Every mistake that was found, in the order in which an operator would fix them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// In the order of their places. An empty list means that something was given up
    /// without a word, which is a mistake in this crate and says so.
    pub(crate) fn new(mut errors: Vec<ConfigError>) -> Self {
        if errors.is_empty() {
            errors.push(ConfigError {
                source: Source::Default,
                key: None,
                problem: "the configuration is not valid, and nothing said why".to_owned(),
                remedy: "report this as a bug in Remuda".to_owned(),
            });
        }
        errors.sort_by_key(|error| error.source.rank());
        errors.dedup();
        Self(errors)
    }

    /// The errors; at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// What an operator wrote, quoted for a message: escaped, and cut when it is long.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{:?}", start + "…")
}

/// A quoted TOML key or a file name may hold a line break.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
