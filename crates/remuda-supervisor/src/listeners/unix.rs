//! Unix listeners: a file in the file system that outlives its owner.

use std::{
    fs, io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use remuda_config::BoundAddress;
use rustix::{
    fs::{Mode, OFlags, fstat},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{BindError, Listener, Owner};

const DENIED: &str = "the folder must be writable by the user who runs the server";

/// Binds `path`, in the place of a socket file that nobody listens on any more. The file
/// has the permissions of `mode` before anybody can connect, or those that the umask leaves.
pub(crate) fn bind(path: &Path, backlog: i32, mode: Option<u32>) -> Result<Listener, BindError> {
    let in_use = |error: &io::Error| Errno::from_io_error(error) == Some(Errno::ADDRINUSE);
    match listen(path, backlog, mode) {
        Err(error) if in_use(&error) => {
            remove_stale(path)?;
            listen(path, backlog, mode)
        }
        other => other,
    }
    .map_err(|error| failure(path, error))
}

fn listen(path: &Path, backlog: i32, mode: Option<u32>) -> io::Result<Listener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile(Some(SocketInode::at(path)?));
    if let Some(mode) = mode {
        change_mode(path, mode)?;
    }
    socket.listen(backlog)?;
    let address = BoundAddress::Unix(path.to_owned());
    let owner = Owner::Us { file: Some(file) };
    Ok(Listener { address, owner, socket: socket.into() })
}

/// Changes the permissions of a socket's file, and of nothing that somebody puts in its
/// place at this moment. The umask would do the same, for the whole process.
pub(super) fn change_mode(path: &Path, mode: u32) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let kind = rustix::fs::FileType::from_raw_mode(fstat(&file)?.st_mode);
    if kind != rustix::fs::FileType::Socket {
        return Err(Errno::NOTSOCK.into());
    }
    // fchmod(2) takes no descriptor of this sort.
    let file = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
}

/// Only a refused connection proves that nobody listens.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    match connect(path).map_err(|error| (Errno::from_io_error(&error), error)) {
        Err((Some(Errno::CONNREFUSED), _)) => {
            tracing::info!(path = %path.display(), "replacing a stale socket file");
            fs::remove_file(path).map_err(|error| failure(path, error))
        }
        Err((Some(Errno::NOENT), _)) => Ok(()),
        Err((Some(Errno::ACCESS | Errno::PERM), error)) => Err(failure(path, error)),
        Ok(()) | Err(_) => Err(BindError::InUse { address: text(path) }),
    }
}

/// Non-blocking, for a live server with a full accept queue would let it wait.
fn connect(path: &Path) -> io::Result<()> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    probe.connect(&SockAddr::unix(path)?)
}

fn failure(path: &Path, error: io::Error) -> BindError {
    BindError::new(text(path), error, DENIED)
}

fn text(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A socket's file, as long as nobody puts another one in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SocketInode {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl SocketInode {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), device_and_inode: identity(path)? })
    }
}

/// Removes the socket file at the end, unless it is no longer ours.
#[derive(Debug)]
pub(super) struct SocketFile(Option<SocketInode>);

impl SocketFile {
    /// Takes over the duty to remove it.
    pub(super) fn take_over(file: SocketInode) -> Self {
        Self(Some(file))
    }

    /// Leaves the file to somebody else.
    pub(super) fn leave(mut self) {
        self.0 = None;
    }

    pub(super) fn inode(&self) -> Option<&SocketInode> {
        self.0.as_ref()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Some(SocketInode { path, device_and_inode }) = &self.0 else { return };
        if identity(path).is_ok_and(|current| current == *device_and_inode) {
            let shown = path.display();
            match fs::remove_file(path) {
                Ok(()) => tracing::debug!(path = %shown, "socket file removed"),
                Err(error) => {
                    tracing::warn!(path = %shown, %error, "failed to remove the socket file")
                }
            }
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.sock");
        (folder, path)
    }

    #[test]
    fn a_bound_path_answers_and_is_removed_at_the_end() {
        let (_folder, path) = folder();
        let listener = bind(&path, 16, None).expect("bound");
        UnixStream::connect(&path).expect("connected");
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_mode_is_exact_whatever_the_umask_is() {
        for mode in [0o600, 0o666, 0o620] {
            let (_folder, path) = folder();
            let _listener = bind(&path, 16, Some(mode)).expect("bound");
            let permissions = fs::metadata(&path).expect("a file").permissions();
            assert_eq!(permissions.mode() & 0o777, mode);
            UnixStream::connect(&path).expect("connected");
        }
    }

    #[test]
    fn the_mode_of_what_is_no_socket_is_not_changed() {
        let (folder, path) = folder();
        let precious = folder.path().join("precious");
        fs::write(&precious, "").expect("written");
        fs::set_permissions(&precious, fs::Permissions::from_mode(0o600)).expect("changed");
        std::os::unix::fs::symlink(&precious, &path).expect("linked");
        change_mode(&path, 0o666).expect_err("refused");
        change_mode(&precious, 0o666).expect_err("refused");
        let permissions = fs::metadata(&precious).expect("a file").permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let (_folder, path) = folder();
        drop(UnixListener::bind(&path).expect("a listener that leaves its file behind"));
        assert!(path.exists());
        let _listener = bind(&path, 16, None).expect("bound");
        UnixStream::connect(&path).expect("connected");
    }

    #[test]
    fn a_live_socket_is_in_use() {
        let (_folder, path) = folder();
        let _other = UnixListener::bind(&path).expect("a listener");
        let error = bind(&path, 16, None).expect_err("a conflict").to_string();
        let start = format!("failed to bind unix:{}: address in use; ", path.display());
        assert!(error.starts_with(&start), "{error}");
        UnixStream::connect(&path).expect("the other one is untouched");
    }

    #[test]
    fn a_live_socket_with_a_full_queue_is_in_use() {
        let (_folder, path) = folder();
        let other = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        other.bind(&SockAddr::unix(&path).expect("an address")).expect("bound");
        other.listen(0).expect("listening");
        let _waiting = UnixStream::connect(&path).expect("a connection that fills the queue");
        assert!(matches!(bind(&path, 16, None), Err(BindError::InUse { .. })));
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let (_folder, path) = folder();
        fs::write(&path, "precious").expect("written");
        let error = bind(&path, 16, None).expect_err("refused");
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("read"), "precious");
    }

    #[test]
    fn a_successors_socket_is_not_removed() {
        let (_folder, path) = folder();
        let listener = bind(&path, 16, None).expect("bound");
        fs::remove_file(&path).expect("removed");
        let _successor = UnixListener::bind(&path).expect("a successor");
        drop(listener);
        assert!(path.exists());
    }

    #[test]
    fn a_missing_folder_and_a_long_path_are_errors() {
        assert!(matches!(
            bind(Path::new("/no/such/folder"), 16, None),
            Err(BindError::Other { .. })
        ));
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        assert!(matches!(bind(&long, 16, None), Err(BindError::Other { .. })));
    }
}
