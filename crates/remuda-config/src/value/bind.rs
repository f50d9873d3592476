//! Addresses to listen on.
//!
//! Purpose: text to [`BindAddress`] and to the path of a socket. Owner: validation. Invariant: nothing is resolved
//! or opened here.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    config::BindAddress,
    value::{
        Fault, Kind,
        authority::{Authority, bracketed, parse_port},
        path::absolute,
    },
};

/// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`, `:8000`, `unix:/run/app.sock`,
/// `unix:/run/app.sock?mode=660`, `fd:3`
pub(crate) struct Bind;

/// The room in `sockaddr_un.sun_path`, less the NUL at its end: unix(7).
const LONGEST_SOCKET_PATH: usize = 107;

/// What parts the path of a unix socket from the permissions of its file.
const MODE: &str = "?mode=";

impl Kind for Bind {
    type Value = BindAddress;

    fn expected(&self) -> String {
        r#"an address such as "127.0.0.1:8000" or "unix:/run/app.sock""#.to_owned()
    }

    fn example(&self) -> String {
        "127.0.0.1:8000".to_owned()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<BindAddress, Fault> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path, base);
        }
        if let Some(number) = text.strip_prefix("fd:") {
            return descriptor(number);
        }
        if text.contains('/') {
            return Err(Fault::Malformed);
        }
        if let Some(port) = text.strip_prefix(':').filter(|rest| !rest.contains(':')) {
            let port = parse_port(port).map_err(Fault::refused)?;
            return Ok(BindAddress::Tcp { host: String::new(), port });
        }
        let authority = Authority::parse(text).map_err(Fault::refused)?;
        let port = authority.port.ok_or_else(|| {
            let host = bracketed(&authority.host);
            Fault::remedied("has no port", format!("try {host}:8000"))
        })?;
        Ok(BindAddress::Tcp { host: authority.host, port })
    }

    fn show(&self, value: &BindAddress) -> String {
        value.to_string()
    }
}

/// The path of a unix socket, with or without `unix:` before it.
pub(crate) struct SocketPath;

impl Kind for SocketPath {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a path".to_owned()
    }

    fn example(&self) -> String {
        "/run/remuda.sock".to_owned()
    }

    fn parse(&self, text: &str, base: &Path) -> Result<PathBuf, Fault> {
        socket_path(text.strip_prefix("unix:").unwrap_or(text), base)
    }

    fn show(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }
}

fn unix(text: &str, base: &Path) -> Result<BindAddress, Fault> {
    // No other question mark is special: a path may have one.
    let (path, mode) = match text.rsplit_once(MODE) {
        Some((path, digits)) => (path, Some(permissions(digits)?)),
        None => (text, None),
    };
    Ok(BindAddress::Unix { path: socket_path(path, base)?, mode })
}

fn socket_path(path: &str, base: &Path) -> Result<PathBuf, Fault> {
    const EXAMPLE: &str = "try unix:/run/app.sock";
    if path.is_empty() {
        return Err(Fault::remedied("has no path", EXAMPLE));
    }
    if path.starts_with('@') {
        return Err(Fault::remedied("abstract sockets are not supported", EXAMPLE));
    }
    if path.contains(['\0', ',']) {
        return Err(Fault::remedied("a socket's path has no comma and no NUL", EXAMPLE));
    }
    let path = absolute(base, Path::new(path))?;
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_SOCKET_PATH {
        return Err(Fault::remedied(
            format!("the socket's path has {length} bytes, at most {LONGEST_SOCKET_PATH} fit"),
            "use a shorter one",
        ));
    }
    Ok(path)
}

/// Octal, as for chmod(1).
fn permissions(digits: &str) -> Result<u32, Fault> {
    let is_octal = !digits.is_empty() && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or_else(|| {
        Fault::remedied(
            format!("the mode {digits:?} is not an octal number up to 777"),
            "try unix:/run/app.sock?mode=660",
        )
    })
}

fn descriptor(number: &str) -> Result<BindAddress, Fault> {
    match number.parse() {
        Ok(descriptor) if descriptor >= 3 => Ok(BindAddress::Descriptor(descriptor)),
        _ => Err(Fault::remedied("is not a descriptor from 3 upwards", "try fd:3")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Bind, SocketPath};
    use crate::value::{Fault, Kind};

    #[test]
    fn reads_every_form() {
        for (text, shown) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8000", "[::1]:8000"),
            ("LocalHost:8000", "localhost:8000"),
            (":8000", ":8000"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:///run/app.sock", "unix:/run/app.sock"),
            ("unix:app.sock", "unix:/srv/app.sock"),
            ("unix:app.sock?mode=0660", "unix:/srv/app.sock?mode=660"),
            ("unix:/run/app.sock?mode=7", "unix:/run/app.sock?mode=007"),
            ("unix:/run/app?1.sock", "unix:/run/app?1.sock"),
            ("fd:3", "fd:3"),
        ] {
            let address = Bind.parse(text, Path::new("/srv")).expect(text);
            assert_eq!(Bind.show(&address), shown);
            assert_eq!(Bind.parse(shown, Path::new("/")), Ok(address), "{shown} again");
        }
    }

    #[test]
    fn a_path_alone_is_enough_where_nothing_else_can_be_meant() {
        for text in ["run/app.sock", "unix:run/app.sock", "/srv/run/app.sock"] {
            let path = SocketPath.parse(text, Path::new("/srv"));
            assert_eq!(path, Ok("/srv/run/app.sock".into()), "{text}");
        }
        let refused = SocketPath.parse(&"x".repeat(104), Path::new("/srv"));
        assert!(matches!(refused, Err(Fault::Refused { .. })), "{refused:?}");
    }

    #[test]
    fn refuses_everything_else() {
        let long = format!("unix:/{}", "x".repeat(107));
        for (text, part) in [
            ("127.0.0.1", "has no port"),
            ("8000", "is not a host name"),
            ("::1:8000", "without brackets"),
            (":port", "is not a port"),
            ("unix:", "has no path"),
            ("unix:@app", "abstract"),
            ("unix:?mode=660", "has no path"),
            ("unix:/run/app.sock?mode=", "is not an octal number"),
            ("unix:/run/app.sock?mode=+66", "is not an octal number"),
            ("unix:/run/app.sock?mode=680", "is not an octal number"),
            ("unix:/run/app.sock?mode=1777", "is not an octal number"),
            ("fd:2", "from 3 upwards"),
            ("fd:x", "from 3 upwards"),
            (&long, "has 108 bytes, at most 107 fit"),
        ] {
            match Bind.parse(text, Path::new("/")) {
                Err(Fault::Refused { problem, .. }) => assert!(problem.contains(part), "{problem}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(Bind.parse("http://127.0.0.1:80", Path::new("/")), Err(Fault::Malformed));
    }
}
