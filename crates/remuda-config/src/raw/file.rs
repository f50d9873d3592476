//! The layer of the configuration file.
//!
//! Purpose: TOML to raw values, each with its line. Owner: `load`. Invariant: every
//! key of the file has become a raw value or an error; none is dropped.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    error::ConfigError,
    key::Key,
    keys::{KEYS, ROUTE_KEYS, find, is_section, suggestions},
    raw::{Layer, Raw, RawValue, unknown, unknown_remedy},
    source::Source,
};

/// A file's content.
#[derive(Debug, Default)]
pub(crate) struct RawFile {
    pub(crate) settings: Layer,
    pub(crate) routes: Vec<RawRoute>,
}

/// One `[[route]]`.
#[derive(Debug)]
pub(crate) struct RawRoute {
    /// Its first line, or `COMPONENT`.
    pub(crate) source: Source,
    pub(crate) settings: Layer,
}

/// Reads a file's text; `None` when it is not TOML, so that nothing in it counts.
pub(crate) fn file(path: &Path, text: &str, errors: &mut Vec<ConfigError>) -> Option<RawFile> {
    let (document, mistakes) = DeTable::parse_recoverable(text);
    let mut walk = Walk { path, text, errors };
    if !mistakes.is_empty() {
        walk.not_toml(&mistakes);
        return None;
    }
    let mut file = RawFile::default();
    walk.table(document.get_ref(), "", Scope::Server, &mut file.settings);
    if let Some((key, value)) = document.get_ref().get_key_value(ROUTE) {
        file.routes = walk.routes(key.span().start, value);
    }
    Some(file)
}

const ROUTE: &str = "route";

/// Whose keys a table has.
#[derive(Clone, Copy)]
enum Scope {
    Server,
    /// By its index.
    Route(usize),
}

impl Scope {
    fn keys(self) -> &'static [Key] {
        match self {
            Self::Server => KEYS,
            Self::Route(_) => ROUTE_KEYS,
        }
    }

    fn name(self, path: &str) -> String {
        match self {
            Self::Server => path.to_owned(),
            Self::Route(index) => format!("route[{index}].{path}"),
        }
    }

    /// What was meant by a path that is not one of its own.
    fn remedy(self, path: &str) -> String {
        let known = suggestions(self.keys());
        unknown_remedy(path, known.chain(matches!(self, Self::Server).then_some(ROUTE)))
    }

    /// Where a path belongs that is a key of the other scope.
    fn elsewhere(self, path: &str) -> Option<&'static str> {
        match self {
            Self::Server => find(ROUTE_KEYS, path).map(|_| "move it into a [[route]]"),
            Self::Route(_) => find(KEYS, path).map(|_| "move it above the first [[route]]"),
        }
    }
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    errors: &'a mut Vec<ConfigError>,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, prefix: &str, scope: Scope, into: &mut Layer) {
        for (key, value) in table.iter() {
            let path = format!("{prefix}{}", key.get_ref());
            let source = self.source(key.span().start);
            // A quoted key may have a dot in it, which must not pass for two keys.
            let known = find(scope.keys(), &path).filter(|_| !key.get_ref().contains('.'));
            match (known, value.get_ref()) {
                (Some(key), value) => {
                    into.insert(key.path, Raw { value: self.value(value), source });
                }
                (None, DeValue::Table(inner)) if is_section(scope.keys(), &path) => {
                    self.table(inner, &format!("{path}."), scope, into);
                }
                (None, other) if is_section(scope.keys(), &path) => {
                    let got = self.value(other).described();
                    self.errors.push(ConfigError {
                        source,
                        key: Some(scope.name(&path)),
                        problem: format!("expected a table, got {got}"),
                        remedy: format!("try {}", section(&path, scope)),
                    });
                }
                (None, _) if path == ROUTE && matches!(scope, Scope::Server) => {}
                (None, _) => self.unknown(source, &path, scope),
            }
        }
    }

    fn unknown(&mut self, source: Source, path: &str, scope: Scope) {
        let mut error = unknown(source, scope.name(path), "key", scope.remedy(path));
        if let Some(elsewhere) = scope.elsewhere(path) {
            error.problem = "does not belong here".to_owned();
            error.remedy = elsewhere.to_owned();
        }
        self.errors.push(error);
    }

    fn routes(&mut self, start: usize, value: &Spanned<DeValue<'_>>) -> Vec<RawRoute> {
        let one = std::slice::from_ref(value);
        let elements = match value.get_ref() {
            DeValue::Array(array) => array.iter().as_slice(),
            other => {
                let got = self.value(other).described();
                let source = self.source(start);
                self.not_routes(source, &got);
                // `[route]`: what is in it is looked at all the same.
                if other.is_table() { one } else { &[] }
            }
        };
        let mut routes = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let source = self.source(element.span().start);
            match element.get_ref() {
                DeValue::Table(table) => {
                    let mut settings = Layer::new();
                    self.table(table, "", Scope::Route(index), &mut settings);
                    routes.push(RawRoute { source, settings });
                }
                other => {
                    let got = self.value(other).described();
                    self.not_routes(source, &got);
                }
            }
        }
        routes
    }

    fn not_routes(&mut self, source: Source, got: &str) {
        self.errors.push(ConfigError {
            source,
            key: Some(ROUTE.to_owned()),
            problem: format!("expected a list of tables, got {got}"),
            remedy: "write [[route]], with two brackets".to_owned(),
        });
    }

    /// Numbers, booleans and dates become the text that means the same.
    fn value(&self, value: &DeValue<'_>) -> RawValue {
        match value {
            DeValue::String(text) => RawValue::Text(text.clone().into_owned()),
            DeValue::Integer(integer) => RawValue::Text(
                i128::from_str_radix(integer.as_str(), integer.radix())
                    .map_or_else(|_| integer.to_string(), |number| number.to_string()),
            ),
            DeValue::Float(float) => RawValue::Text(float.to_string()),
            DeValue::Boolean(boolean) => RawValue::Text(boolean.to_string()),
            DeValue::Datetime(datetime) => RawValue::Text(datetime.to_string()),
            DeValue::Array(array) => {
                RawValue::List(array.iter().map(|element| self.raw(element)).collect())
            }
            DeValue::Table(table) => RawValue::Table(
                table
                    .iter()
                    .map(|(key, value)| (key.get_ref().clone().into_owned(), self.raw(value)))
                    .collect(),
            ),
        }
    }

    fn raw(&self, value: &Spanned<DeValue<'_>>) -> Raw {
        Raw { value: self.value(value.get_ref()), source: self.source(value.span().start) }
    }

    /// The parser goes on after a mistake, and often finds the same one again: only
    /// the first of each line is reported.
    fn not_toml(&mut self, mistakes: &[toml::de::Error]) {
        let mut lines = Vec::new();
        for mistake in mistakes {
            let source = self.source(mistake.span().map_or(0, |span| span.start));
            if lines.contains(&source) {
                continue;
            }
            lines.push(source.clone());
            self.errors.push(ConfigError {
                source,
                key: None,
                problem: format!("not valid TOML: {}", mistake.message()),
                remedy: "correct the syntax".to_owned(),
            });
        }
    }

    fn source(&self, offset: usize) -> Source {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        Source::File { path: self.path.to_owned(), line }
    }
}

/// How the header of a section is written.
fn section(path: &str, scope: Scope) -> String {
    match scope {
        Scope::Server => format!("[{path}]"),
        Scope::Route(_) => format!("[route.{path}]"),
    }
}
