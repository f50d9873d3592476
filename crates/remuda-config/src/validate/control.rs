//! Where `remuda ctl` finds the server when nobody says.
//!
//! Purpose: the control socket's folder, which server and client must find alike. Owner:
//! validation; the client asks [`control_folder`]. Invariant: absolute, whatever the
//! environment holds.

use std::path::PathBuf;

use crate::{
    config::ControlSocket,
    raw::folder,
    validate::{Reader, Surroundings},
    value::{Auto, Off, SocketPath},
};

/// The outer `None` is not valid, the inner one is turned off.
pub(super) fn control(
    read: &mut Reader<'_>,
    surroundings: &Surroundings<'_>,
) -> Option<Option<ControlSocket>> {
    const KEY: &str = "control";
    let given = read.take(KEY, &Off(Auto(SocketPath)))?;
    Some(given.map(|path| match path {
        Some(path) => ControlSocket::Path(path),
        None => {
            let (folder, reason) = default_folder(surroundings.environment, surroundings.uid);
            let source = read.source(KEY);
            let reason = format!("in {}, {reason}", folder.display());
            read.record(KEY, "auto".to_owned(), &source, Some(reason));
            ControlSocket::Auto { folder }
        }
    }))
}

/// The folder of `control = "auto"` for a user with this environment.
pub fn control_folder(environment: &[(String, String)], uid: u32) -> PathBuf {
    default_folder(environment, uid).0
}

/// The folder and the reason for it. `/tmp` is everybody's: whoever makes the folder
/// there must see to it that it is the user's own.
fn default_folder(environment: &[(String, String)], uid: u32) -> (PathBuf, &'static str) {
    match folder(environment, "XDG_RUNTIME_DIR") {
        Some(runtime) => (runtime.join("remuda"), "$XDG_RUNTIME_DIR/remuda"),
        None if uid == 0 => (PathBuf::from("/run/remuda"), "no $XDG_RUNTIME_DIR, and root"),
        None => (PathBuf::from(format!("/tmp/remuda-{uid}")), "no $XDG_RUNTIME_DIR"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::control_folder;

    #[test]
    fn follows_the_environment_and_the_user() {
        for (runtime, uid, expected) in [
            (Some("/run/user/1000"), 1000, "/run/user/1000/remuda"),
            (Some("/run/user/0"), 0, "/run/user/0/remuda"),
            (None, 0, "/run/remuda"),
            (None, 1000, "/tmp/remuda-1000"),
            (Some(""), 1000, "/tmp/remuda-1000"),
            (Some("run"), 0, "/run/remuda"),
            (Some("/run\0"), 0, "/run/remuda"),
        ] {
            let variable = |value: &str| ("XDG_RUNTIME_DIR".to_owned(), value.to_owned());
            let environment: Vec<_> = runtime.map(variable).into_iter().collect();
            let folder = control_folder(&environment, uid);
            assert_eq!(folder, Path::new(expected), "{runtime:?} {uid}");
        }
    }
}
