//! What all layers have in common.
//!
//! Purpose: the raw value, the layer of defaults, and what is said about keys that
//! do not exist. Owner: the layers beside it. Invariant: a default is text like any
//! other and takes the same way.

use std::collections::BTreeMap;

use crate::{error::ConfigError, key::Key, nearest::nearest, source::Source};

/// Key path to what was given for it.
pub(crate) type Layer = BTreeMap<&'static str, Raw>;

/// A value as it was given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) value: RawValue,
    pub(crate) source: Source,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawValue {
    /// Text, and every number, boolean or date of a file.
    Text(String),
    List(Vec<Raw>),
    Table(BTreeMap<String, Raw>),
}

impl Raw {
    pub(crate) fn text(text: impl Into<String>, source: Source) -> Self {
        Self { value: RawValue::Text(text.into()), source }
    }
}

impl RawValue {
    /// For "expected a number, got a table".
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Text(text) => crate::error::quoted(text),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// The lowest layer.
pub(crate) fn defaults(keys: &'static [Key]) -> Layer {
    keys.iter()
        .filter(|key| !key.default.is_empty())
        .map(|key| (key.path, Raw::text(key.default, Source::Default)))
        .collect()
}

/// Somebody set a key that does not exist.
pub(crate) fn unknown(
    source: Source,
    key: impl Into<String>,
    what: &str,
    remedy: String,
) -> ConfigError {
    ConfigError { source, key: Some(key.into()), problem: format!("unknown {what}"), remedy }
}

/// Names the nearest of the known keys, if one is near.
pub(crate) fn unknown_remedy<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(nearest(given, known))
}

pub(crate) fn did_you_mean(meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => "remove it, or see docs/configuration.md for the keys".to_owned(),
    }
}
