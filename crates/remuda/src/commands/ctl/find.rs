//! Which server is meant.
//!
//! Owner: [`ctl`](super). Invariant: no guess among several; and a configuration that is
//! wrong elsewhere does not keep its server from being found, for then it is that
//! `remuda ctl reload` says what is wrong.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;

use super::{client, show};
use crate::exit::{Exit, Failure};

/// Read when nothing else is named, as by `remuda serve`.
const DEFAULT_FILE: &str = "remuda.toml";
/// Longest wait for one of several servers to say who it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the setting `control` can say.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Auto,
    Off,
    Path(PathBuf),
}

/// The path of the control socket: the one that is named, or that a file names, or that of
/// the one server that is running.
pub(super) async fn socket(named: Option<&str>, config: Option<&Path>) -> Result<PathBuf, Failure> {
    let place = match named {
        Some(text) => place(text, Path::new("")),
        None => in_file(config)?,
    };
    match place {
        Place::Path(path) => Ok(path),
        Place::Off => Err(unavailable(
            "the control socket is turned off in the configuration; set control, or send signals",
        )),
        Place::Auto => {
            let environment: Vec<_> = env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect();
            let uid = rustix::process::getuid().as_raw();
            the_one_in(&remuda_config::control_folder(&environment, uid)).await
        }
    }
}

/// The same forms as in the configuration.
fn place(text: &str, base: &Path) -> Place {
    match text {
        "auto" => Place::Auto,
        "off" => Place::Off,
        path => Place::Path(base.join(path.strip_prefix("unix:").unwrap_or(path))),
    }
}

/// What the configuration file says, in the one key that matters here.
fn in_file(config: Option<&Path>) -> Result<Place, Failure> {
    let path = config.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if config.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(Place::Auto);
        }
        Err(error) => {
            let message = format!("failed to read {}: {error}", path.display());
            return Err(Failure::new(Exit::Configuration, message));
        }
    };
    Ok(in_text(&text, path.parent().unwrap_or(Path::new(""))))
}

/// A file that is no TOML has no say; the server that refuses it does.
fn in_text(text: &str, base: &Path) -> Place {
    let table: toml::Table = text.parse().unwrap_or_default();
    match table.get("control").and_then(toml::Value::as_str) {
        Some(text) => place(text, base),
        None => Place::Auto,
    }
}

/// The only socket in the folder that somebody answers at.
async fn the_one_in(folder: &Path) -> Result<PathBuf, Failure> {
    let mut live = Vec::new();
    for path in sockets(folder) {
        if client::connect(&path).await.is_ok() {
            live.push(path);
        }
    }
    match live.as_slice() {
        [] => Err(unavailable(format!(
            "no server of this user is running: there is none in {}; name its socket with \
             --control PATH, or its configuration with --config FILE",
            folder.display()
        ))),
        [one] => Ok(one.clone()),
        several => Err(unavailable(choice(several).await)),
    }
}

/// In the order of their names; none when the folder cannot be read. Sockets of other users
/// are passed over: whoever made the folder in /tmp first could pass for a server.
fn sockets(folder: &Path) -> Vec<PathBuf> {
    let ours = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut sockets: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
        .filter(|path| fs::symlink_metadata(path).is_ok_and(|socket| socket.uid() == ours))
        .collect();
    sockets.sort();
    sockets
}

async fn choice(sockets: &[PathBuf]) -> String {
    let mut message = "several servers are running; choose one:".to_owned();
    for socket in sockets {
        let asked = client::send(socket, Method::GET, "/status".to_owned());
        let who = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => show::who(&answer.body),
            _ => None,
        };
        let who = who.unwrap_or_else(|| "it does not answer".to_owned());
        message.push_str(&format!("\n  --control '{}'  {who}", socket.display()));
    }
    message
}

fn unavailable(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_file_names_the_socket_whatever_else_is_wrong_with_it() {
        let base = Path::new("/etc/app");
        for (text, place) in [
            ("control = 'run/ctl.sock'\nnonsense = 1", Place::Path("/etc/app/run/ctl.sock".into())),
            ("control = 'unix:/run/ctl.sock'", Place::Path("/run/ctl.sock".into())),
            ("control = 'auto'", Place::Auto),
            ("control = 'off'", Place::Off),
            ("bind = ':80'", Place::Auto),
            ("control = ", Place::Auto),
        ] {
            assert_eq!(in_text(text, base), place, "{text}");
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(future)
    }

    #[test]
    fn the_one_server_that_lives_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        drop(UnixListener::bind(path("a.sock")).expect("one that leaves its file behind"));
        let none = run(the_one_in(folder.path())).expect_err("nobody");
        assert!(none.to_string().starts_with("no server of this user is running"), "{none}");

        let _live = UnixListener::bind(path("b.sock")).expect("a listener");
        let _other = UnixListener::bind(path("b.txt")).expect("a listener");
        assert_eq!(run(the_one_in(folder.path())).expect("found"), path("b.sock"));
    }

    #[test]
    fn several_servers_are_listed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let _listeners = ["a.sock", "b.sock"].map(|name| {
            let listener = UnixListener::bind(path(name)).expect("a listener");
            std::thread::spawn(move || {
                use std::io::{Read as _, Write as _};
                // The first connection only asks whether anybody is there.
                let _probe = listener.accept().expect("a client");
                let (mut client, _) = listener.accept().expect("a client");
                let _ = client.read(&mut [0; 1024]);
                let body = r#"{"pid":42,"addresses":["http://127.0.0.1:8000"]}"#;
                let length = body.len();
                let _ = write!(client, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            })
        });
        let message = run(the_one_in(folder.path())).expect_err("several").to_string();
        let line =
            format!("--control '{}'  pid 42, http://127.0.0.1:8000", path("b.sock").display());
        assert!(message.contains(&line), "{message}");
    }
}
