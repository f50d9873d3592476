//! Where the control socket is, and binding it.
//!
//! Owner: the [loop](crate::run), at the start. Invariant: whoever can connect to it can
//! stop the server, so its file has the mode 0600 before anybody can connect, and a folder
//! made for it is one that nobody else can write to.

use std::{
    fs::{self, DirBuilder},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _},
    },
    path::Path,
};

use remuda_config::{BindAddress, BoundAddress, ControlSocket};
use rustix::process::geteuid;

use crate::{
    listeners::{BindError, Listener},
    upgrade::{Handover, SocketKind},
};

/// For the owner alone.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
/// Write permission of the group and of all others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The room in `sockaddr_un.sun_path`, less the NUL at its end: unix(7).
const LONGEST_PATH: usize = 107;
/// By it `remuda ctl` knows the sockets in the folder.
const EXTENSION: &str = ".sock";

/// Connections that may wait.
const BACKLOG: u32 = 128;

/// Binds the control socket of a server whose first address is `first`; with what it was
/// bound as.
///
/// A folder that nobody has chosen may be impossible to make, as in a container with a
/// read-only file system: then there is a warning and no control socket.
///
/// # Errors
/// When another server answers there, or when a chosen path cannot be bound.
pub(super) fn bind(
    socket: &ControlSocket,
    first: &BoundAddress,
    handover: Option<&mut Handover>,
) -> Result<Option<(BindAddress, Listener)>, BindError> {
    let folder = match socket {
        ControlSocket::Path(path) => return bind_path(path, handover),
        ControlSocket::Auto { folder } => folder,
    };
    let path = folder.join(file_name(folder, first));
    let problem = match prepare(folder).map(|()| bind_path(&path, handover)) {
        Ok(Ok(listener)) => return Ok(listener),
        Ok(Err(error @ BindError::Taken { .. })) => return Err(error),
        Ok(Err(error)) => described(&error),
        Err(problem) => problem,
    };
    tracing::warn!(
        folder = %folder.display(),
        problem,
        "no control socket, remuda ctl cannot reach this server; choose one with --control"
    );
    Ok(None)
}

fn bind_path(
    path: &Path,
    handover: Option<&mut Handover>,
) -> Result<Option<(BindAddress, Listener)>, BindError> {
    let address = BindAddress::Unix { path: path.to_owned(), mode: Some(FILE_MODE) };
    let listeners = Listener::bind(SocketKind::Control, &address, BACKLOG, handover);
    let listeners = listeners.map_err(|error| error.set_with("--control"))?;
    Ok(listeners.into_iter().next().map(|listener| (address, listener)))
}

/// With its cause, for it is not returned to anybody.
fn described(error: &BindError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Makes the folder, or finds it as safe as if it had just been made.
fn prepare(folder: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
    // It may be there and be something else; what it is comes next.
    made.or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error.to_string()),
    })?;
    // Not followed: in a folder like /tmp, anybody can put a link into its place.
    let found = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Err("it is not a folder".to_owned());
    }
    let (owner, ours) = (found.uid(), geteuid().as_raw());
    if owner != ours {
        return Err(format!("it belongs to user {owner}, and the server runs as user {ours}"));
    }
    if found.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(format!("others may write to it (mode {:o})", found.mode() & 0o7777));
    }
    Ok(())
}

/// `127.0.0.1:8000.sock`, or for a unix socket its file name and a hash of its path, as
/// long as the path of the control socket still has room for it.
fn file_name(folder: &Path, first: &BoundAddress) -> String {
    let path = match first {
        BoundAddress::Tcp(address) => return format!("{address}{EXTENSION}"),
        BoundAddress::Unix(path) => path,
    };
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    let rest = format!("-{:08x}{EXTENSION}", hasher.finish() as u32);
    let room = LONGEST_PATH.saturating_sub(folder.as_os_str().as_bytes().len() + 1 + rest.len());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => letter,
        _ => '-',
    };
    let name: String = name.chars().map(plain).take(room).collect();
    format!("{name}{rest}")
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::{
            fs::{PermissionsExt as _, symlink},
            net::{UnixListener, UnixStream},
        },
        path::PathBuf,
    };

    use super::*;

    fn tcp() -> BoundAddress {
        BoundAddress::Tcp("127.0.0.1:8000".parse().expect("an address"))
    }

    /// A folder that is not there yet, in one that vanishes.
    fn folder() -> (tempfile::TempDir, PathBuf, ControlSocket) {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("run/remuda");
        let socket = ControlSocket::Auto { folder: folder.clone() };
        (parent, folder, socket)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn folder_and_socket_are_for_the_owner_alone() {
        let (_parent, folder, socket) = folder();
        let listener = bind(&socket, &tcp(), None).expect("bound").expect("a listener");
        let path = folder.join("127.0.0.1:8000.sock");
        assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
        UnixStream::connect(&path).expect("connected");
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_owner_keeps_its_socket_and_a_dead_one_does_not() {
        let (_parent, folder, socket) = folder();
        let listener = bind(&socket, &tcp(), None).expect("bound");
        let error = bind(&socket, &tcp(), None).expect_err("refused").to_string();
        assert!(error.contains("address in use") && error.ends_with("with --control"), "{error}");
        drop(listener);

        let path = folder.join("127.0.0.1:8000.sock");
        drop(UnixListener::bind(&path).expect("a listener that leaves its file behind"));
        let _listener = bind(&socket, &tcp(), None).expect("bound").expect("a listener");
        assert_eq!(mode(&path), 0o600);
        UnixStream::connect(&path).expect("connected");
    }

    #[test]
    fn a_chosen_path_must_be_bound() {
        let (parent, ..) = folder();
        let path = parent.path().join("control.sock");
        let bound = bind(&ControlSocket::Path(path.clone()), &tcp(), None).expect("bound");
        assert!(bound.is_some_and(|(_, listener)| listener.address == BoundAddress::Unix(path)));
        let missing = ControlSocket::Path(parent.path().join("no/such/folder.sock"));
        assert!(matches!(bind(&missing, &tcp(), None), Err(BindError::Other { .. })));
    }

    #[test]
    fn a_folder_that_cannot_be_made_means_no_control_socket() {
        let (parent, ..) = folder();
        fs::write(parent.path().join("file"), "").expect("written");
        let socket = ControlSocket::Auto { folder: parent.path().join("file/remuda") };
        assert!(bind(&socket, &tcp(), None).expect("no error").is_none());
    }

    #[test]
    fn a_folder_that_others_control_is_not_used() {
        let (parent, folder, socket) = folder();
        fs::create_dir_all(&folder).expect("made");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("changed");
        let problem = prepare(&folder).expect_err("refused");
        assert_eq!(problem, "others may write to it (mode 777)");
        assert!(bind(&socket, &tcp(), None).expect("no error").is_none());
        assert_eq!(fs::read_dir(&folder).expect("read").count(), 0);

        let link = parent.path().join("link");
        symlink(&folder, &link).expect("linked");
        assert_eq!(prepare(&link).expect_err("refused"), "it is not a folder");
    }

    #[test]
    fn every_address_has_a_name_that_fits() {
        let of = |path: &str| BoundAddress::Unix(path.into());
        let short = Path::new("/run/remuda");
        let v6 = BoundAddress::Tcp("[::]:80".parse().expect("an address"));
        assert_eq!(file_name(short, &v6), "[::]:80.sock");
        let (one, other) = (file_name(short, &of("/a/b.sock")), file_name(short, &of("/c/b.sock")));
        assert!(one.starts_with("b.sock-") && one.ends_with(".sock") && one != other, "{one}");
        let odd = file_name(short, &of("/run/a b\u{e4},\n.sock"));
        assert!(odd.starts_with("a-b---.sock-"), "{odd}");

        let long = PathBuf::from(format!("/{}", "f".repeat(60)));
        let name = file_name(&long, &of(&format!("/{}", "x".repeat(100))));
        assert_eq!(long.join(name).as_os_str().len(), LONGEST_PATH);
    }
}
