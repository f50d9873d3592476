//! The server's certificate and key, out of their files into the configuration.
//!
//! Owner: the loading of a configuration, at the start and at every reload. Invariant: what
//! was checked here is what all workers of a generation use; they never open these files.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::SystemTime};

use remuda_config::{Identity, Loaded};
use remuda_http::Tls;

use crate::exit::{Exit, Failure};

/// More than any chain or key has, in bytes.
const MAX: u64 = 1 << 20;

/// Reads and checks them, if there are any.
pub(super) fn read(loaded: &mut Loaded) -> Result<(), Failure> {
    let Some(tls) = &mut loaded.config.http.tls else { return Ok(()) };
    tls.identity =
        Identity { chain: text("http.tls_cert", &tls.cert)?, key: text("http.tls_key", &tls.key)? };
    let checked =
        Tls::build(tls).map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
    loaded.warnings.extend(checked.warning(SystemTime::now()));
    let key = tls.key.display();
    // It was there a moment ago; if it is not any more, nobody can read it.
    if fs::metadata(&tls.key).is_ok_and(|key| key.permissions().mode() & 0o004 != 0) {
        loaded.warnings.push(format!(
            "http.tls_key: everybody on this machine can read {key}; try chmod o-r {key}"
        ));
    }
    Ok(())
}

fn text(setting: &str, path: &Path) -> Result<String, Failure> {
    let failed = |problem: &str| {
        let message = format!(
            "{setting}: failed to read {}: {problem}; name a file in PEM that this user may read",
            path.display()
        );
        Failure::new(Exit::Configuration, message)
    };
    // Opening a pipe could take for ever.
    let metadata = fs::metadata(path).map_err(|error| failed(&error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("it is not a file"));
    }
    if metadata.len() > MAX {
        return Err(failed("it is larger than 1 MiB"));
    }
    let bytes = fs::read(path).map_err(|error| failed(&error.to_string()))?;
    // Comments may be in any encoding; what counts is ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
