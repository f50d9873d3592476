//! A JSON document once through the parser: its keys in order, its numbers added up.

use serde_json::{Value, json};

use crate::{Done, query::Query};

pub(crate) fn transform(_query: &Query<'_>, document: &[u8]) -> Done {
    let document: Value =
        serde_json::from_slice(document).map_err(|error| format!("this is no JSON: {error}"))?;
    let mut numbers = Vec::new();
    collect(&document, &mut numbers);
    let ends = |pick: fn(f64, f64) -> f64| numbers.iter().copied().reduce(pick);
    let transformed = json!({
        "document": document,
        "numbers": {
            "count": numbers.len(),
            "sum": numbers.iter().sum::<f64>(),
            "min": ends(f64::min),
            "max": ends(f64::max),
        },
    });
    Ok(("application/json", format!("{transformed}\n").into_bytes()))
}

/// All numbers below a value. Its depth is bounded by the parser.
fn collect(value: &Value, numbers: &mut Vec<f64>) {
    match value {
        Value::Number(number) => numbers.extend(number.as_f64()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, numbers)),
        Value::Object(members) => members.values().for_each(|member| collect(member, numbers)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
