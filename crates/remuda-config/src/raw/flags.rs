//! The layer of the command line.
//!
//! Purpose: what the binary parsed, key by key. Owner: `load`, once for the server's
//! keys and once for those of the route of `remuda serve COMPONENT`. Invariant: a key
//! that takes one value was given one.

use crate::{
    error::ConfigError,
    key::{Arity, Key},
    keys::find,
    raw::{Layer, Raw, RawValue, did_you_mean, unknown},
    source::Source,
};

/// Takes key paths with all values of their flag.
pub(crate) fn flags(
    keys: &'static [Key],
    given: &[(&'static str, Vec<String>)],
    errors: &mut Vec<ConfigError>,
) -> Layer {
    let mut layer = Layer::new();
    for (path, values) in given {
        let Some(key) = find(keys, path).filter(|key| key.flag.is_some()) else {
            errors.push(unknown(
                Source::Flag((*path).to_owned()),
                *path,
                "key",
                did_you_mean(None),
            ));
            continue;
        };
        let source = Source::Flag(key.flag_text());
        match (key.arity, values.as_slice()) {
            (_, []) => {}
            (Arity::One, [value]) => {
                layer.insert(key.path, Raw::text(value, source));
            }
            (Arity::One, _) => errors.push(ConfigError {
                source,
                key: Some(key.path.to_owned()),
                problem: format!("is given {} times", values.len()),
                remedy: "give it once".to_owned(),
            }),
            (Arity::List, _) => {
                layer.insert(key.path, Raw::text(values.join(","), source));
            }
            (Arity::Each, _) => {
                let list = values.iter().map(|value| Raw::text(value, source.clone())).collect();
                layer.insert(key.path, Raw { value: RawValue::List(list), source });
            }
        }
    }
    layer
}
