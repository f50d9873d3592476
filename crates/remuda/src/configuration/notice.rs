//! What `remuda dev` tells the server that it keeps: that there is such a thing, and whether
//! something is wrong.
//!
//! Owner: the variable `REMUDA_DEV`, which names a file. Invariants: the file holds a heading,
//! a line, and what is wrong, or is not there; it is read when the configuration is, so that a reload is
//! what makes the workers know it. A reload that brings a reason does not fail for what it is
//! about: the file beside it with the extension of [`SERVED`] is the text of the configuration
//! that was served last, and read in place of the project's; it is not there when the component was
//! served alone. With a file beside it that has the extension of [`NOTHING_BUILT`], there are
//! no routes.

use std::{env, fs, io::ErrorKind, path::Path};

use crate::exit::{Exit, Failure};

/// Names the file.
pub(crate) const VARIABLE: &str = "REMUDA_DEV";

/// The extension of what was served last.
pub(crate) const SERVED: &str = "toml";

/// The extension of what says that there is no component.
pub(crate) const NOTHING_BUILT: &str = "nothing";

/// Whether this server is one of `remuda dev`.
pub(crate) fn is_for_development() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// What is wrong, if anything is.
pub(super) fn read() -> Result<Option<String>, Failure> {
    let Some(path) = env::var_os(VARIABLE) else { return Ok(None) };
    match fs::read_to_string(&path) {
        Ok(notice) => Ok(Some(notice)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let message = format!(
                "{VARIABLE}: failed to read {}: {error}; only `remuda dev` sets this variable",
                path.display()
            );
            Err(Failure::new(Exit::Configuration, message))
        }
    }
}

/// Whether there is nothing that could be served.
pub(super) fn is_nothing_built() -> bool {
    let place = env::var_os(VARIABLE);
    place.is_some_and(|place| Path::new(&place).with_extension(NOTHING_BUILT).exists())
}

/// The configuration that was served before something went wrong, if `remuda dev` has kept it.
pub(super) fn served() -> Option<String> {
    fs::read_to_string(Path::new(&env::var_os(VARIABLE)?).with_extension(SERVED)).ok()
}
