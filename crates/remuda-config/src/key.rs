//! What a key is.
//!
//! Purpose: everything that any part of Remuda needs to know about one setting, apart
//! from the values it takes. Owner: the tables in `keys`. Invariant: constant; what was
//! given for a key is a raw value's business.

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its place in the file, such as `workers.count`; for keys of a route relative
    /// to the route.
    pub path: &'static str,
    /// The name of its flag without dashes.
    pub flag: Option<&'static str>,
    /// Other names of that flag: those of Uvicorn, Gunicorn and `wasmtime serve`.
    pub aliases: &'static [&'static str],
    /// The flag's letter.
    pub short: Option<char>,
    /// What the help calls the value.
    pub value_name: &'static str,
    /// Parsed like any other text. Empty: there is none; a route's limit is then the
    /// worker's, and `component` must be given.
    pub default: &'static str,
    pub arity: Arity,
    /// One sentence without a full stop.
    pub help: &'static str,
}

/// How many values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Its flag may be given once.
    One,
    /// Its flag may be repeated; one text may hold several, separated by commas. The
    /// text `none` is the empty list.
    List,
    /// Its flag may be repeated; each text is one value, commas and all.
    Each,
}

impl Key {
    /// The variable that sets it: `REMUDA_WORKERS__COUNT`. Keys of a route have none.
    pub fn environment(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.to_ascii_uppercase().replace('.', "__"))
    }

    /// The flag as it is typed, `--workers`; the path when it has none.
    pub fn flag_text(&self) -> String {
        self.flag.map_or_else(|| self.path.to_owned(), |flag| format!("--{flag}"))
    }

    pub(crate) const fn new(path: &'static str, help: &'static str) -> Self {
        Self {
            path,
            flag: None,
            aliases: &[],
            short: None,
            value_name: "VALUE",
            default: "",
            arity: Arity::One,
            help,
        }
    }

    pub(crate) const fn value(self, value_name: &'static str, default: &'static str) -> Self {
        Self { value_name, default, ..self }
    }

    pub(crate) const fn flag(self, flag: &'static str, aliases: &'static [&'static str]) -> Self {
        Self { flag: Some(flag), aliases, ..self }
    }

    pub(crate) const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    pub(crate) const fn arity(self, arity: Arity) -> Self {
        Self { arity, ..self }
    }
}

/// Every variable that begins with it is a setting or reserved.
pub(crate) const VARIABLE_PREFIX: &str = "REMUDA_";
