//! Which executable an upgrade starts.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{self, Path, PathBuf},
};

/// The path from which this program was started, for an upgrade to start what lies there by
/// then, also where it is a link that leads to another version. To be asked at the start:
/// later it names the file that was moved out of the way.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn running_executable() -> io::Result<PathBuf> {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    let running = identity(Path::new("/proc/self/exe"))?;
    // Whoever starts a program can call it anything.
    let is_this = |path: &PathBuf| identity(path).is_ok_and(|found| found == running);
    let called = env::args_os().next().and_then(|name| as_called(&name).find(is_this));
    called.map_or_else(|| env::current_exe().map(|path| as_it_was(&path)), Ok)
}

/// Where a program called `name` may be: there, or in one of the folders of `PATH`.
fn as_called(name: &OsStr) -> impl Iterator<Item = PathBuf> {
    let has_folder = name.as_bytes().contains(&b'/');
    let here = has_folder.then(|| path::absolute(name).ok()).flatten();
    let paths = env::var_os("PATH").filter(|_| !has_folder);
    let folders: Vec<PathBuf> = paths.iter().flat_map(env::split_paths).collect();
    let name = PathBuf::from(name);
    here.into_iter().chain(folders.into_iter().map(move |folder| folder.join(&name)))
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
    use super::*;

    #[test]
    fn the_name_it_was_called_by_is_looked_for_where_a_shell_would() {
        let here = env::current_dir().expect("a folder");
        assert_eq!(as_called(OsStr::new("./a/b")).collect::<Vec<_>>(), [here.join("a/b")]);
        assert!(as_called(OsStr::new("sh")).any(|path| path.is_file()));
        let own = running_executable().expect("a path");
        assert!(own.is_absolute() && own.is_file(), "{}", own.display());
    }

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
