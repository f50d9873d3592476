//! Putting a component where it is served from.

use std::{fs, path::Path};

use crate::Error;

/// Copies a component, unless it is there already. `false` when nothing has changed.
///
/// # Errors
/// When the place cannot be written.
pub fn publish(bytes: &[u8], place: &Path) -> Result<bool, Error> {
    if fs::read(place).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
    }
    let draft = place.with_extension("wasm.draft");
    fs::write(&draft, bytes)
        .and_then(|()| fs::rename(&draft, place))
        .map_err(Error::write(place))?;
    Ok(true)
}
