//! A scenario with mistakes in it, read as far as it goes.
//!
//! Owner: [`Raw::from_file`]. Invariant: each key that does not exist and each value of a wrong
//! type is told by itself, and what is left is understood, so that validation can tell the
//! others.

use toml::{Table, Value};

use super::{Problem, Raw};

/// What can be understood, with what cannot.
///
/// # Errors
/// When it is not TOML, of which no more is known than where that begins.
pub(super) fn read(text: &str) -> Result<Raw, toml::de::Error> {
    let error = match toml::from_str::<Raw>(text) {
        Ok(raw) => return Ok(raw),
        Err(error) => error,
    };
    let mut unread = Vec::new();
    let whole = Value::Table(text.parse::<Table>()?);
    let sound = sift(whole, String::new(), &|value| value, &mut unread);
    let raw: Raw = sound.unwrap_or_else(|| Value::Table(Table::new())).try_into()?;
    // Who finds no mistake in the parts believes the whole.
    if unread.is_empty() { Err(error) } else { Ok(Raw { unread, ..raw }) }
}

/// A value without what is wrong in it; `around` puts it where it stands in a scenario.
fn sift(
    value: Value,
    key: String,
    around: &dyn Fn(Value) -> Value,
    unread: &mut Vec<Problem>,
) -> Option<Value> {
    let understood = |value: Value| around(value).try_into::<Raw>();
    let Err(error) = understood(value.clone()) else { return Some(value) };
    match value {
        Value::Table(table) if understood(Value::Table(Table::new())).is_ok() => {
            let mut sound = Table::new();
            for (name, value) in table {
                let dot = if key.is_empty() { "" } else { "." };
                let inner = |value| around(Value::Table(Table::from_iter([(name.clone(), value)])));
                if let Some(value) = sift(value, format!("{key}{dot}{name}"), &inner, unread) {
                    sound.insert(name, value);
                }
            }
            Some(Value::Table(sound))
        }
        Value::Array(list) if understood(Value::Array(Vec::new())).is_ok() => {
            let inner = |value| around(Value::Array(vec![value]));
            let sound = list.into_iter().enumerate().filter_map(|(index, value)| {
                sift(value, format!("{key}[{index}]"), &inner, unread)
            });
            Some(Value::Array(sound.collect()))
        }
        value => {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            unread.push(Problem { key, value, remedy: error.message().to_owned() });
            None
        }
    }
}
