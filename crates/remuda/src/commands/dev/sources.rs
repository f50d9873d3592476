//! What a project's sources are, and whether they have changed.
//!
//! Owner: [`dev`](super). They are looked at again and again instead of being watched: that finds
//! the same in containers, on network drives and in editors that replace files. Invariant: what a
//! build writes is no source, so that no build causes the next.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Written by tools. What begins with a dot is not looked at either.
const NOT_SOURCES: [&str; 6] =
    ["Cargo.lock", "__pycache__", "node_modules", "package-lock.json", "target", "venv"];

/// All sources of a project at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources(BTreeMap<PathBuf, (SystemTime, u64)>);

impl Sources {
    /// Looks at all files of a folder. What cannot be read is not there.
    pub(super) fn of(folder: &Path) -> Self {
        let mut sources = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if !is_source(&entry.file_name().to_string_lossy()) {
                    continue;
                }
                // Links to folders are not followed: they may lead back.
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else if let Ok(metadata) = fs::metadata(entry.path())
                    && metadata.is_file()
                {
                    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    sources.insert(entry.path(), (modified, metadata.len()));
                }
            }
        }
        Self(sources)
    }

    /// Files that are there in one only, or that are not the same in both.
    pub(super) fn changed_since<'a>(&'a self, before: &'a Self) -> Vec<&'a Path> {
        let of = |one: &'a Self, other: &'a Self| {
            one.0
                .iter()
                .filter(|(path, file)| other.0.get(*path) != Some(file))
                .map(|(path, _)| path)
        };
        let mut changed: Vec<&Path> =
            of(self, before).chain(of(before, self)).map(PathBuf::as_path).collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}

/// Neither a tool's nor an editor's.
fn is_source(name: &str) -> bool {
    !name.starts_with('.') && !name.ends_with('~') && !NOT_SOURCES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_a_source_and_what_tools_write_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write("src/app.py", "1");
        let before = Sources::of(folder.path());
        for tools in [
            "target/x",
            "node_modules/a/b.js",
            ".venv/c",
            ".git/d",
            "Cargo.lock",
            "src/app.py~",
            "a/__pycache__/e",
        ] {
            write(tools, "");
        }
        let after = Sources::of(folder.path());
        assert_eq!(after, before);
        assert!(after.changed_since(&before).is_empty());

        write("src/app.py", "12");
        write("remuda.toml", "");
        let names = |paths: Vec<&Path>| {
            paths
                .iter()
                .map(|path| path.strip_prefix(folder.path()).expect("in it").display().to_string())
                .collect::<Vec<_>>()
        };
        let third = Sources::of(folder.path());
        assert_eq!(names(third.changed_since(&after)), ["remuda.toml", "src/app.py"]);
        fs::remove_file(folder.path().join("src/app.py")).expect("removed");
        assert_eq!(names(Sources::of(folder.path()).changed_since(&third)), ["src/app.py"]);
    }

    #[test]
    fn a_link_that_leads_back_is_no_maze() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).expect("a link");
        assert_eq!(Sources::of(folder.path()), Sources::default());
    }
}
