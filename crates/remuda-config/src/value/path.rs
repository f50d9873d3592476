//! Paths on the host.
//!
//! Purpose: makes a path absolute at once, since the file it stands in, the shell it
//! was typed in and the worker that opens it have different working folders. Owner:
//! validation. Invariant: absolute, without `.` and doubled slashes; whether anything
//! is there is not asked.

use std::path::{Path, PathBuf};

use crate::value::{Fault, Kind};

/// A file or folder of the host, with an example of one.
pub(crate) struct HostPath(pub(crate) &'static str);

impl Kind for HostPath {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a path".to_owned()
    }

    fn example(&self) -> String {
        self.0.to_owned()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<PathBuf, Fault> {
        if text.contains('\0') {
            return Err(Fault::remedied("has a NUL in it", "remove it"));
        }
        absolute(base, Path::new(text))
    }

    fn show(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }
}

/// `path` as seen from `base`, without `.` and doubled slashes. `..` is kept: behind a
/// symbolic link it is not what it seems. White space at its end would be lost where a
/// setting is written down.
pub(crate) fn absolute(base: &Path, path: &Path) -> Result<PathBuf, Fault> {
    let path: PathBuf = base.join(path).components().collect();
    if path.to_string_lossy().ends_with(char::is_whitespace) {
        return Err(Fault::remedied("ends in white space", "rename it"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::absolute;

    #[test]
    fn begins_at_the_base() {
        for (path, expected) in [
            ("app.wasm", "/srv/app.wasm"),
            ("./a//b/./c/", "/srv/a/b/c"),
            ("/opt/app.wasm", "/opt/app.wasm"),
            ("../app.wasm", "/srv/../app.wasm"),
            (".", "/srv"),
        ] {
            let path = absolute(Path::new("/srv"), Path::new(path));
            assert_eq!(path, Ok(PathBuf::from(expected)));
        }
        for path in ["app /", "app\u{a0}/."] {
            assert!(absolute(Path::new("/srv"), Path::new(path)).is_err(), "{path:?}");
        }
    }
}
