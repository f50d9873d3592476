//! The environment variables of a guest.
//!
//! Purpose: `env = { NAME = "value" }`, or `--env NAME=VALUE`. Owner: validation of a
//! route. Invariant: a variable's value appears in no error and no printed setting,
//! since it may be a secret.

use crate::{
    raw::{Raw, RawValue},
    source::Source,
    validate::{
        Reader,
        reader::{NONE, list_text},
    },
};

const KEY: &str = "env";
const TWICE: &str = "is given twice";

pub(crate) fn env(read: &mut Reader<'_>) -> Option<Vec<(String, String)>> {
    let raw = read.raw(KEY)?;
    let source = raw.source.clone();
    let mut env: Vec<(String, String)> = Vec::new();
    let mut valid = true;
    for (pair, source) in pairs(raw) {
        match pair.and_then(|pair| check(pair, &env)) {
            Ok(pair) => env.push(pair),
            Err(problem) => {
                let remedy = match source {
                    _ if problem.ends_with(TWICE) => "give it once",
                    Source::Flag(_) => "try --env NAME=VALUE",
                    _ => r#"try env = { NAME = "value" }"#,
                };
                read.fail(KEY, source, problem, remedy);
                valid = false;
            }
        }
    }
    let names: Vec<String> = env.iter().map(|(name, _)| name.clone()).collect();
    let reason = (!names.is_empty()).then(|| "values are not shown".to_owned());
    read.record(KEY, list_text(names), &source, reason);
    valid.then_some(env)
}

/// A name and a value, or what was given in their place.
type Pair = Result<(String, String), String>;

fn pairs(Raw { value, source }: Raw) -> Vec<(Pair, Source)> {
    match value {
        RawValue::Text(text) if text == NONE => Vec::new(),
        RawValue::Text(_) => vec![(Err("expected a table, got text".to_owned()), source)],
        RawValue::Table(table) => table
            .into_iter()
            .map(|(name, Raw { value, source })| match value {
                RawValue::Text(value) => (Ok((name, value)), source),
                other => {
                    let got = other.described();
                    (Err(format!("expected a string for {name:?}, got {got}")), source)
                }
            })
            .collect(),
        RawValue::List(list) => list
            .into_iter()
            .map(|Raw { value, source }| {
                let pair = match &value {
                    RawValue::Text(text) => text.split_once('='),
                    RawValue::List(_) | RawValue::Table(_) => None,
                };
                let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
                (pair.ok_or_else(|| "expected NAME=VALUE".to_owned()), source)
            })
            .collect(),
    }
}

/// What environ(7) can express, each name once.
fn check((name, value): (String, String), before: &[(String, String)]) -> Pair {
    if name.is_empty() || name.contains(['=', '\0']) {
        Err("a variable's name is not empty and has no = and no NUL".to_owned())
    } else if value.contains('\0') {
        Err(format!("the value of {name:?} has a NUL in it"))
    } else if before.iter().any(|(other, _)| *other == name) {
        Err(format!("{name:?} {TWICE}"))
    } else {
        Ok((name, value))
    }
}
