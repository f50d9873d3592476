//! What a project's sources are, and whether they have changed.
//!
//! Owner: [`dev`](super). They are looked at again and again instead of being watched: that finds
//! the same in containers, on network drives and in editors that replace files. Invariant: what a
//! build writes is no source, nor what `remuda dev` itself says, so that no build causes the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ignore::WalkBuilder;

use super::CONFIGURATION;

/// Written by tools. What begins with a dot is not looked at either.
const NOT_SOURCES: [&str; 6] =
    ["Cargo.lock", "__pycache__", "node_modules", "package-lock.json", "target", "venv"];

/// How the names end of what programs write while they run.
const NOT_WRITTEN_BY_HAND: [&str; 10] =
    ["~", ".log", ".pid", ".sock", ".sqlite", ".sqlite3", ".db", "-journal", "-wal", "-shm"];

/// All sources of a project at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources(BTreeMap<PathBuf, (SystemTime, u64)>);

impl Sources {
    /// Looks at all files of a folder but those that its `.gitignore` and `.ignore` name. What
    /// cannot be read is not there.
    pub(super) fn of(folder: &Path) -> Self {
        let said_by_this = said_by_this();
        let mut sources = BTreeMap::new();
        let mut add = |path: PathBuf| {
            if let Ok(metadata) = fs::metadata(&path)
                && metadata.is_file()
                && !said_by_this.contains(&(metadata.dev(), metadata.ino()))
            {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                sources.insert(path, (modified, metadata.len()));
            }
        };
        // Whoever ignores the folder from above it wants it followed nevertheless.
        let mut walk = WalkBuilder::new(folder);
        walk.require_git(false).parents(false).git_global(false).git_exclude(false);
        walk.filter_entry(|entry| {
            entry.depth() == 0 || is_source(&entry.file_name().to_string_lossy())
        });
        // Links to folders are not followed: they may lead back.
        for entry in walk.build().flatten() {
            if entry.file_type().is_some_and(|kind| !kind.is_dir()) {
                add(entry.into_path());
            }
        }
        // It may hold secrets that are kept out of the repository.
        add(folder.join(CONFIGURATION));
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
    !name.starts_with('.')
        && !NOT_WRITTEN_BY_HAND.iter().any(|end| name.ends_with(end))
        && !NOT_SOURCES.contains(&name)
}

/// The files that this process's output goes to, by device and inode.
fn said_by_this() -> BTreeSet<(u64, u64)> {
    let of = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    [rustix::fs::fstat(io::stdout()), rustix::fs::fstat(io::stderr())]
        .into_iter()
        .filter_map(|stat| stat.ok().map(of))
        .collect()
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
            "server.pid",
            "data/app.sqlite-wal",
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
    fn what_git_ignores_is_no_source_but_for_the_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::create_dir_all(folder.path().join("data")).expect("a folder");
            fs::write(folder.path().join(name), text).expect("a file");
        };
        write(".gitignore", "/data/\n*.out\nremuda.toml\n");
        let before = Sources::of(folder.path());
        write("data/orders", "");
        write("a.out", "");
        assert_eq!(Sources::of(folder.path()), before);
        write("remuda.toml", "");
        assert_ne!(Sources::of(folder.path()), before);
    }

    #[test]
    fn a_link_that_leads_back_is_no_maze() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).expect("a link");
        assert_eq!(Sources::of(folder.path()), Sources::default());
    }
}
