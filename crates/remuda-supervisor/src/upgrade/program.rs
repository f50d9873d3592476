//! Which executable an upgrade starts.

use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The path of this program's file, for an upgrade to start what lies there by then. To be
/// asked at the start: later it names the file that was moved out of the way.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn running_executable() -> io::Result<PathBuf> {
    env::current_exe().map(|path| as_it_was(&path))
}

/// Without what the kernel adds to the path of a file that was removed (`d_path` in
/// linux fs/d_path.c), unless a file really has this name.
fn as_it_was(path: &Path) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(original) if !path.exists() => PathBuf::from(OsStr::from_bytes(original)),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_replaced_file_is_found_at_its_old_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("remuda");
        assert_eq!(as_it_was(&folder.path().join("remuda (deleted)")), path);
        assert_eq!(as_it_was(&path), path);
    }

    #[test]
    fn a_file_may_be_called_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("remuda (deleted)");
        fs::write(&path, "").expect("written");
        assert_eq!(as_it_was(&path), path);
    }
}
