//! One of a few words, "auto", "off" and "none".
//!
//! Purpose: settings whose values are named. Owner: validation. Invariant: the first
//! word for a value is its canonical one.

use std::path::Path;

use crate::value::{Fault, Kind};

/// Words and what they mean.
pub(crate) struct Choice<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn expected(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        for (index, (word, meaning)) in self.0.iter().enumerate() {
            let first = self.0.iter().position(|(_, other)| other == meaning);
            if first == Some(index) {
                words.push(word);
            }
        }
        one_of(&words)
    }

    fn example(&self) -> String {
        self.0.first().map(|(word, _)| (*word).to_owned()).unwrap_or_default()
    }

    fn parse(&self, text: &str, _: &Path) -> Result<T, Fault> {
        let found = self.0.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or(Fault::Malformed)
    }

    fn show(&self, value: &T) -> String {
        let found = self.0.iter().find(|(_, meaning)| meaning == value);
        found.map(|(word, _)| (*word).to_owned()).unwrap_or_default()
    }
}

/// A value, or `auto` for `None`.
pub(crate) struct Auto<K>(pub(crate) K);

impl<K: Kind> Kind for Auto<K> {
    type Value = Option<K::Value>;

    fn expected(&self) -> String {
        format!(r#"{} or "auto""#, self.0.expected())
    }

    fn example(&self) -> String {
        self.0.example()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<Self::Value, Fault> {
        if text == "auto" { Ok(None) } else { self.0.parse(text, base).map(Some) }
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| "auto".to_owned(), |value| self.0.show(value))
    }
}

/// A value, or `off` for `None`.
pub(crate) struct Off<K>(pub(crate) K);

impl<K: Kind> Kind for Off<K> {
    type Value = Option<K::Value>;

    fn expected(&self) -> String {
        format!(r#"{} or "off""#, self.0.expected())
    }

    fn example(&self) -> String {
        self.0.example()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<Self::Value, Fault> {
        if text == "off" { Ok(None) } else { self.0.parse(text, base).map(Some) }
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| "off".to_owned(), |value| self.0.show(value))
    }
}

/// A value, or `none` for `None`.
pub(crate) struct Unset<K>(pub(crate) K);

impl<K: Kind> Kind for Unset<K> {
    type Value = Option<K::Value>;

    fn expected(&self) -> String {
        format!(r#"{} or "none""#, self.0.expected())
    }

    fn example(&self) -> String {
        self.0.example()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<Self::Value, Fault> {
        if text == "none" { Ok(None) } else { self.0.parse(text, base).map(Some) }
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| "none".to_owned(), |value| self.0.show(value))
    }
}

/// `"cpu", "mixed" or "io"`
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
