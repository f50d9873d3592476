//! The query of a URL: `KEY=VALUE` pairs joined by `&`, taken as they are.

use std::str::FromStr;

pub(crate) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(crate) fn new(query: &'a str) -> Self {
        Self(query)
    }

    /// The value of a key.
    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The number that a key has, or this one when it is not there.
    ///
    /// # Errors
    /// When it is there and no number.
    pub(crate) fn number<N: FromStr>(&self, key: &str, default: N) -> Result<N, String> {
        let Some(value) = self.text(key) else { return Ok(default) };
        value.parse().map_err(|_| format!("{key} is to be a whole number, not \"{value}\""))
    }
}
