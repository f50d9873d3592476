//! Configuration from the environment.
//!
//! Invariant: an error names the variable, and what to do about it.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::pairs::{self, Pair, PairError};

/// Why there is no configuration.
///
/// ```
/// # #[derive(serde::Deserialize, Debug)]
/// # struct Config { no_such_variable: String }
/// let error = remuda_sdk::env::<Config>().unwrap_err();
/// assert!(error.to_string().contains("NO_SUCH_VARIABLE"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("failed to read the environment: {variable} {what}; set it in `env` of the route")]
pub struct EnvError {
    variable: String,
    what: String,
}

/// Makes a value of the environment: each field is the variable of its name in capitals.
///
/// A guest has the variables that its route gives to it (`env`), and no others. Fields may be texts,
/// numbers, `bool`, enums without values, `Option`s, and have defaults (`#[serde(default)]`).
///
/// # Errors
/// When a variable is missing, or is not what the field wants.
///
/// ```
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Config {
///     /// `PATH`
///     path: String,
///     /// `WORKERS_OF_MINE`
///     #[serde(default)]
///     workers_of_mine: u32,
/// }
///
/// let config: Config = remuda_sdk::env()?;
/// assert_eq!(config.workers_of_mine, 0);
/// # Ok::<(), remuda_sdk::Error>(())
/// ```
pub fn env<T: DeserializeOwned>() -> Result<T, EnvError> {
    env_with_prefix("")
}

/// The same, of variables that begin with this.
///
/// # Errors
/// As [`env`](fn@env).
///
/// ```
/// # #[derive(serde::Deserialize)]
/// struct Config {
///     /// `SHOP_TITLE`
///     title: Option<String>,
/// }
///
/// let config: Config = remuda_sdk::env_with_prefix("SHOP_")?;
/// assert_eq!(config.title, None);
/// # Ok::<(), remuda_sdk::Error>(())
/// ```
pub fn env_with_prefix<T: DeserializeOwned>(prefix: &str) -> Result<T, EnvError> {
    // What is no text belongs to no field.
    let variables = std::env::vars_os();
    let variables = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    read(prefix, variables)
}

fn read<T: DeserializeOwned>(
    prefix: &str,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<T, EnvError> {
    let pairs: Vec<Pair<'_>> = variables
        .filter_map(|(name, value)| {
            let field = name.strip_prefix(prefix)?.to_ascii_lowercase();
            Some((Cow::Owned(field), Cow::Owned(value)))
        })
        .collect();
    pairs::from_pairs(&pairs).map_err(|error: PairError| {
        let name = error.name.as_deref().unwrap_or("it").to_ascii_uppercase();
        EnvError { variable: format!("{prefix}{name}"), what: error.message().to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Config {
        database_url: String,
        #[serde(default)]
        pool: u32,
    }

    fn read_all(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        read("APP_", variables).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_variables() {
        let config = Config { database_url: "x".into(), pool: 3 };
        let variables = [("APP_DATABASE_URL", "x"), ("APP_POOL", "3"), ("OTHER", "y")];
        assert_eq!(read_all(&variables), Ok(config));
    }

    #[test]
    fn errors_name_the_variable() {
        let error = read_all(&[("DATABASE_URL", "x")]).expect_err("another prefix");
        let expected = "failed to read the environment: APP_DATABASE_URL is missing; set it in \
                        `env` of the route";
        assert_eq!(error, expected);
        let variables = [("APP_DATABASE_URL", "x"), ("APP_POOL", "many")];
        let error = read_all(&variables).expect_err("no number");
        assert!(error.contains("APP_POOL is \"many\", which is no u32"), "{error}");
    }
}
