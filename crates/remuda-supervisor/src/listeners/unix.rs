//! Unix listeners: a file in the file system that outlives its owner.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use remuda_config::BoundAddress;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{BindError, Listener};

const DENIED: &str = "the folder must be writable by the user who runs the server";

/// Binds `path`, in the place of a socket file that nobody listens on any more.
pub(super) fn bind(path: &Path, backlog: i32) -> Result<Listener, BindError> {
    let in_use = |error: &io::Error| Errno::from_io_error(error) == Some(Errno::ADDRINUSE);
    match listen(path, backlog) {
        Err(error) if in_use(&error) => {
            remove_stale(path)?;
            listen(path, backlog)
        }
        other => other,
    }
    .map_err(|error| failure(path, error))
}

fn listen(path: &Path, backlog: i32) -> io::Result<Listener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::at(path)?;
    socket.listen(backlog)?;
    let address = BoundAddress::Unix(path.to_owned());
    Ok(Listener { address, is_ours: true, _file: Some(file), socket: socket.into() })
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

/// Removes the socket file at the end, unless it is no longer ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), device_and_inode: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|current| current == self.device_and_inode) {
            let path = self.path.display();
            match fs::remove_file(&self.path) {
                Ok(()) => tracing::debug!(%path, "socket file removed"),
                Err(error) => tracing::warn!(%path, %error, "failed to remove the socket file"),
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
        let listener = bind(&path, 16).expect("bound");
        UnixStream::connect(&path).expect("connected");
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let (_folder, path) = folder();
        drop(UnixListener::bind(&path).expect("a listener that leaves its file behind"));
        assert!(path.exists());
        let _listener = bind(&path, 16).expect("bound");
        UnixStream::connect(&path).expect("connected");
    }

    #[test]
    fn a_live_socket_is_in_use() {
        let (_folder, path) = folder();
        let _other = UnixListener::bind(&path).expect("a listener");
        let error = bind(&path, 16).expect_err("a conflict").to_string();
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
        assert!(matches!(bind(&path, 16), Err(BindError::InUse { .. })));
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let (_folder, path) = folder();
        fs::write(&path, "precious").expect("written");
        let error = bind(&path, 16).expect_err("refused");
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("read"), "precious");
    }

    #[test]
    fn a_successors_socket_is_not_removed() {
        let (_folder, path) = folder();
        let listener = bind(&path, 16).expect("bound");
        fs::remove_file(&path).expect("removed");
        let _successor = UnixListener::bind(&path).expect("a successor");
        drop(listener);
        assert!(path.exists());
    }

    #[test]
    fn a_missing_folder_and_a_long_path_are_errors() {
        assert!(matches!(bind(Path::new("/no/such/folder"), 16), Err(BindError::Other { .. })));
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        assert!(matches!(bind(&long, 16), Err(BindError::Other { .. })));
    }
}
