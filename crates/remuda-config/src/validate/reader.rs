//! Reads merged raw values, one key at a time.
//!
//! Purpose: the one place where text meets its kind: parses it, records the effective
//! setting, words the error. Owner: one for the server, one for each route. Invariant:
//! every key of its table is read exactly once (debug builds check it).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    error::ConfigError,
    key::{Arity, Key},
    nearest::last_part,
    raw::{Layer, Raw, RawValue},
    setting::Setting,
    source::Source,
    value::{Fault, Kind},
};

/// What relative paths are relative to.
pub(crate) struct Folders {
    /// The folder of the configuration file.
    pub(crate) file: PathBuf,
    /// The working folder, for everything else.
    pub(crate) base: PathBuf,
}

impl Folders {
    pub(crate) fn of(&self, source: &Source) -> &Path {
        if matches!(source, Source::File { .. }) { &self.file } else { &self.base }
    }
}

/// Whose keys are read.
pub(crate) struct Scope {
    pub(crate) keys: &'static [Key],
    /// Goes before each path: empty, or `route[0].`
    pub(crate) prefix: String,
}

pub(crate) struct Reader<'a> {
    scope: Scope,
    values: Layer,
    folders: &'a Folders,
    errors: &'a mut Vec<ConfigError>,
    /// By the key's place in its table.
    settings: BTreeMap<usize, Setting>,
    taken: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        scope: Scope,
        values: Layer,
        folders: &'a Folders,
        errors: &'a mut Vec<ConfigError>,
    ) -> Self {
        Self { scope, values, folders, errors, settings: BTreeMap::new(), taken: Vec::new() }
    }

    /// The effective settings in the order of the table.
    pub(crate) fn finish(mut self) -> Vec<Setting> {
        self.taken.sort_unstable();
        debug_assert_eq!(
            self.taken,
            {
                let mut paths: Vec<_> = self.scope.keys.iter().map(|key| key.path).collect();
                paths.sort_unstable();
                paths
            },
            "each key is read exactly once"
        );
        self.settings.into_values().collect()
    }

    /// What was given, unparsed, for keys that are no plain values.
    pub(crate) fn raw(&mut self, path: &'static str) -> Option<Raw> {
        self.taken.push(path);
        self.values.remove(path)
    }

    /// Reads a key; `None` when it was not given or, after an error, is not valid.
    pub(crate) fn take<K: Kind>(&mut self, path: &'static str, kind: &K) -> Option<K::Value> {
        let raw = self.raw(path)?;
        let value = self.parse(path, kind, &raw)?;
        self.record(path, kind.show(&value), &raw.source, None);
        Some(value)
    }

    /// Who set a key that was read.
    pub(crate) fn source(&self, path: &str) -> Source {
        let setting = self.index(path).and_then(|index| self.settings.get(&index));
        setting.map_or(Source::Default, |setting| setting.source.clone())
    }

    /// Reads a list, each element with its source.
    pub(crate) fn take_list<K: Kind>(
        &mut self,
        path: &'static str,
        kind: &K,
    ) -> Option<Vec<(K::Value, Source)>> {
        let raw = self.raw(path)?;
        let elements = match raw.value {
            RawValue::Text(text) if text.trim() == NONE => Vec::new(),
            RawValue::Text(text) => {
                text.split(',').map(|element| Raw::text(element, raw.source.clone())).collect()
            }
            RawValue::List(list) => list,
            RawValue::Table(_) => vec![Raw { value: raw.value, source: raw.source.clone() }],
        };
        let count = elements.len();
        let values: Vec<_> = elements
            .into_iter()
            .filter_map(|element| Some((self.parse(path, kind, &element)?, element.source)))
            .collect();
        if values.len() < count {
            return None;
        }
        let shown = values.iter().map(|(value, _)| kind.show(value)).collect();
        self.record(path, list_text(shown), &raw.source, None);
        Some(values)
    }

    /// What a relative path from there is relative to.
    pub(crate) fn base(&self, source: &Source) -> &'a Path {
        self.folders.of(source)
    }

    /// Parses one value of a key, or says what is wrong with it.
    pub(crate) fn parse<K: Kind>(&mut self, path: &str, kind: &K, raw: &Raw) -> Option<K::Value> {
        let fault = match &raw.value {
            RawValue::Text(text) if text.trim().is_empty() => Fault::refused("is empty"),
            RawValue::Text(text) => match kind.parse(text.trim(), self.base(&raw.source)) {
                Ok(value) => return Some(value),
                Err(fault) => fault,
            },
            RawValue::List(_) | RawValue::Table(_) => Fault::Malformed,
        };
        let (problem, remedy) = match fault {
            Fault::Malformed => {
                (format!("expected {}, got {}", kind.expected(), raw.value.described()), None)
            }
            Fault::Refused { problem, remedy } => (problem, remedy),
        };
        let remedy = remedy.unwrap_or_else(|| self.example(path, kind.example(), &raw.source));
        self.fail(path, raw.source.clone(), problem, remedy);
        None
    }

    /// `try --workers 4`, as it would be written in the same place. A key's default is
    /// the best example of it.
    fn example(&self, path: &str, example: String, source: &Source) -> String {
        let key = self.scope.keys.iter().find(|key| key.path == path);
        let list = key.is_some_and(|key| key.arity == Arity::List);
        let default = key.map(|key| key.default).filter(|text| !["", "auto", NONE].contains(text));
        // Several values at once are written in another way in every place.
        let default = default.filter(|text| !text.contains(','));
        let text = default.map_or(example, str::to_owned);
        match source {
            Source::Flag(flag) if flag.starts_with("--") => format!("try {flag} {text}"),
            Source::Flag(_) => format!("try {text}"),
            Source::Environment(name) => format!("try {name}={text}"),
            Source::File { .. } | Source::Default => {
                let bare = text.parse::<u64>().is_ok() || text.parse::<bool>().is_ok();
                let value = if bare { text } else { format!("{text:?}") };
                let value = if list { format!("[{value}]") } else { value };
                format!("try {} = {value}", last_part(path))
            }
        }
    }

    /// Reports a mistake in a key of this scope.
    pub(crate) fn fail(
        &mut self,
        path: &str,
        source: Source,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.errors.push(ConfigError {
            source,
            key: Some(format!("{}{path}", self.scope.prefix)),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Whether a key has a value, and is yet to be read.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.values.contains_key(path)
    }

    /// Takes back what was recorded: the key has no effect.
    pub(crate) fn forget(&mut self, path: &str) {
        if let Some(index) = self.index(path) {
            self.settings.remove(&index);
        }
    }

    fn index(&self, path: &str) -> Option<usize> {
        self.scope.keys.iter().position(|key| key.path == path)
    }

    /// Records the effective value of a key, in place of what `take` recorded.
    pub(crate) fn record(
        &mut self,
        path: &str,
        value: String,
        source: &Source,
        reason: Option<String>,
    ) {
        let Some(index) = self.index(path) else { return };
        let key = format!("{}{path}", self.scope.prefix);
        self.settings.insert(index, Setting { key, value, source: source.clone(), reason });
    }
}

/// The empty list.
pub(crate) const NONE: &str = "none";

/// The canonical text of a list.
pub(crate) fn list_text(shown: Vec<String>) -> String {
    if shown.is_empty() { NONE.to_owned() } else { shown.join(", ") }
}
