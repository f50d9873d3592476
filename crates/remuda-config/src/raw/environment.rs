//! The environment layer.
//!
//! Purpose: `REMUDA_WORKERS__COUNT=4` sets `workers.count`. Owner: `load`. Invariant:
//! no variable that begins with `REMUDA_` is silently ignored, save the
//! [`RESERVED_VARIABLES`].

use std::path::Path;

use crate::{
    error::ConfigError,
    key::{Key, VARIABLE_PREFIX},
    keys::{KEYS, RESERVED_VARIABLES, find},
    nearest::nearest,
    raw::{Layer, Raw, did_you_mean, unknown},
    source::Source,
};

/// Takes the settings out of a whole environment.
pub(crate) fn environment(variables: &[(String, String)], errors: &mut Vec<ConfigError>) -> Layer {
    let mut layer = Layer::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        if RESERVED_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let source = Source::Environment(name.clone());
        match KEYS.iter().find(|key| key.environment() == *name) {
            Some(key) => {
                layer.insert(key.path, Raw::text(value, source));
            }
            None => errors.push(unknown(source, name, "variable", remedy(rest))),
        }
    }
    layer
}

/// The value of a variable.
pub(crate) fn variable<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = variables.iter().find(|(other, _)| other == name)?;
    Some(value)
}

/// A variable that holds an absolute path; whatever else it holds is as good as nothing.
pub(crate) fn folder<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a Path> {
    let value = variable(variables, name)?;
    Some(Path::new(value)).filter(|path| path.is_absolute() && !value.contains('\0'))
}

/// Compares paths, not names, so that a wrong section is recognized.
fn remedy(rest: &str) -> String {
    let path = rest.to_ascii_lowercase().replace("__", ".");
    let known = KEYS.iter().map(|key| key.path);
    let key = nearest(&path, known).and_then(|path| find(KEYS, path));
    did_you_mean(key.map(Key::environment).as_deref())
}

#[cfg(test)]
mod tests {
    use super::environment;

    fn read(name: &str) -> (usize, String) {
        let mut errors = Vec::new();
        let layer = environment(&[(name.into(), "4".into())], &mut errors);
        (layer.len(), errors.first().map(ToString::to_string).unwrap_or_default())
    }

    #[test]
    fn takes_settings_and_nothing_else() {
        for (name, settings, error) in [
            ("REMUDA_WORKERS__COUNT", 1, ""),
            ("PATH", 0, ""),
            ("REMUDA", 0, ""),
            ("REMUDA_CONFIG", 0, ""),
            ("REMUDA_GUESTS", 0, ""),
            (
                "REMUDA_WORKERS_COUNT",
                0,
                r#"REMUDA_WORKERS_COUNT: unknown variable; did you mean "REMUDA_WORKERS__COUNT"?"#,
            ),
            (
                "REMUDA_workers__count",
                0,
                r#"REMUDA_workers__count: unknown variable; did you mean "REMUDA_WORKERS__COUNT"?"#,
            ),
            (
                "REMUDA_REQUEST_TIMEOUT",
                0,
                r#"REMUDA_REQUEST_TIMEOUT: unknown variable; did you mean "REMUDA_LIMITS__REQUEST_TIMEOUT"?"#,
            ),
            ("REMUDA_ADMIN", 1, ""),
            (
                "REMUDA_",
                0,
                "REMUDA_: unknown variable; remove it, or see docs/configuration.md for the keys",
            ),
        ] {
            assert_eq!(read(name), (settings, error.to_owned()), "{name}");
        }
    }
}
