//! The folder of compiled components.
//!
//! Purpose: compile a component once per machine, and let all workers map the same
//! pages. Invariants: an entry's name is the hash of everything that its code depends
//! on, entries appear complete or not at all, and nobody but their owner can write them.

use std::{
    fs::{self, DirBuilder, File},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{capacity::Shape, settings::EngineKind};

/// Bits of a file mode that let group or others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// Bytes that are read of a checksum; one has 64.
const MAX_CHECKSUM: u64 = 100;

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the cache, making the folder if it is missing, for its owner alone.
    ///
    /// # Errors
    /// When the folder cannot be made, or when others could write into it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        check(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where the code of `component`, compiled by `engine`, belongs.
    pub(crate) fn entry(
        &self,
        engine: &wasmtime::Engine,
        kind: EngineKind,
        shape: Shape,
        component: &[u8],
    ) -> PathBuf {
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        let mut digest = Sha256::new();
        digest.update(env!("CARGO_PKG_VERSION"));
        digest.update(settings.finish().to_le_bytes());
        digest.update(component);
        let mut name = hex(&digest.finalize());
        name.push_str(&shape.suffix());
        name.push_str(kind.artifact_suffix());
        self.folder.join(name)
    }

    /// Puts `code` at `entry`, atomically, and its checksum beside it.
    pub(crate) fn store(&self, entry: &Path, code: &[u8]) -> io::Result<()> {
        self.write(&checksum_file(entry), checksum(entry, code)?.as_bytes())?;
        self.write(entry, code)
    }

    fn write(&self, entry: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".compiling-").tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(entry)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// Refuses an entry that is not whole, not what was compiled for its name, or not ours alone.
pub(crate) fn verify(entry: &Path) -> io::Result<()> {
    check(entry)?;
    let mut noted = Vec::new();
    open(&checksum_file(entry))?.take(MAX_CHECKSUM).read_to_end(&mut noted)?;
    if checksum(entry, open(entry)?)?.as_bytes() == noted {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged, or another component's code"))
}

/// Takes away an entry that [`verify`] refused for what it is, so that it is compiled again.
pub(crate) fn discard(entry: &Path, refused: &io::Error) {
    use io::ErrorKind::{InvalidData, PermissionDenied, UnexpectedEof};
    if matches!(refused.kind(), InvalidData | PermissionDenied | UnexpectedEof) {
        // What cannot be taken away is refused again.
        let _ = fs::remove_file(entry);
    }
}

/// Opens a file itself: a link may lead to where others can write, a pipe has no end.
fn open(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file"));
    }
    File::open(path)
}

/// Belongs to a name as well as to code, so that no entry can stand in for another one.
fn checksum(entry: &Path, mut code: impl Read) -> io::Result<String> {
    let name = entry.file_name().unwrap_or_default().as_encoded_bytes();
    let mut digest = Sha256::new().chain_update(name);
    // Bit by bit: the code of an interpreter is large.
    let mut chunk = vec![0; CHUNK];
    loop {
        match code.read(&mut chunk)? {
            0 => return Ok(hex(&digest.finalize())),
            length => digest.update(&chunk[..length]),
        }
    }
}

fn checksum_file(entry: &Path) -> PathBuf {
    entry.with_extension("sha256")
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses a file or folder that somebody other than this process's user could change.
fn check(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let user = rustix::process::geteuid().as_raw();
    let problem = if metadata.uid() != user && metadata.uid() != 0 {
        format!("belongs to user {}, not to user {user}", metadata.uid())
    } else if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        format!("can be written by others (mode {:03o})", metadata.mode() & 0o777)
    } else {
        return Ok(());
    };
    let message = format!("{} {problem}, so its code cannot be trusted", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_folder_is_for_its_owner_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("a/b");
        Cache::open(&folder).expect("opened");
        let mode = fs::metadata(&folder).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
        let error = Cache::open(folder.path()).expect_err("refused");
        assert!(error.to_string().contains("can be written by others (mode 777)"), "{error}");
    }

    #[test]
    fn entries_differ_by_content_and_engine() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path()).expect("opened");
        let engine =
            |kind| wasmtime::Engine::new(&crate::settings::compiling(kind)).expect("an engine");
        let (sequential, concurrent) = (EngineKind::Sequential, EngineKind::Concurrent);
        let entry = |kind, bytes: &[u8]| cache.entry(&engine(kind), kind, Shape::default(), bytes);
        assert_eq!(entry(sequential, b"a"), entry(sequential, b"a"));
        assert_ne!(entry(sequential, b"a"), entry(sequential, b"b"));
        assert_ne!(entry(sequential, b"a"), entry(concurrent, b"a"));
        for kind in [sequential, concurrent] {
            assert_eq!(EngineKind::of_artifact(&entry(kind, b"a")), Some(kind));
        }
    }

    #[test]
    fn only_what_was_stored_under_a_name_is_sound() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path()).expect("opened");
        let [entry, other] = ["a.cwasm", "b.cwasm"].map(|name| folder.path().join(name));
        verify(&entry).expect_err("nothing is there");
        for (entry, code) in [(&entry, b"code"), (&other, b"more")] {
            cache.store(entry, code).expect("stored");
            verify(entry).expect("sound");
        }
        fs::write(&entry, b"cOde").expect("damaged");
        let error = verify(&entry).expect_err("damaged");
        assert_eq!(error.to_string(), "it is damaged, or another component's code");
        for file in [checksum_file, Path::to_owned] {
            fs::copy(file(&other), file(&entry)).expect("copied");
        }
        verify(&entry).expect_err("another's");
    }
}
