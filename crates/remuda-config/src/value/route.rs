//! Where a route is reached, and where its guest finds a folder.
//!
//! Purpose: hosts and paths in the one spelling that matching relies on. Owner:
//! validation. Invariant: no path ends in a slash (save `/`), contains `..`, or could
//! be written differently.

use std::path::Path;

use crate::{
    error::quoted,
    value::{
        Fault, Kind,
        authority::{Authority, bracketed},
    },
};

/// The path prefix of a route, as it stands in a URL.
pub(crate) struct RoutePath;

impl Kind for RoutePath {
    type Value = String;

    fn expected(&self) -> String {
        r#"a path such as "/api""#.to_owned()
    }

    fn example(&self) -> String {
        "/api".to_owned()
    }

    fn parse(&self, text: &str, _: &Path) -> Result<String, Fault> {
        let path = normalize(text)?;
        let wrong = |c: &char| !(c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@%".contains(*c));
        if let Some(wrong) = path.chars().find(wrong) {
            let problem = format!("{wrong:?} cannot stand in the path of a URL");
            return Err(Fault::remedied(problem, "write it percent-encoded, or leave it out"));
        }
        if path.contains('*') {
            return Err(Fault::remedied(
                "a path matches everything below it without a *",
                "leave the * out",
            ));
        }
        for code in path.split('%').skip(1) {
            match code.get(..2).map(str::to_ascii_lowercase).as_deref() {
                Some("2e") => {
                    return Err(Fault::remedied("a dot needs no %2E", "write it as a dot"));
                }
                Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {}
                _ => return Err(Fault::remedied("a % needs two hex digits", "write it as %25")),
            }
        }
        Ok(path)
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }
}

/// The folder of a guest at which a mount appears.
pub(crate) struct GuestPath;

impl Kind for GuestPath {
    type Value = String;

    fn expected(&self) -> String {
        r#"a path such as "/static""#.to_owned()
    }

    fn example(&self) -> String {
        "/static".to_owned()
    }

    fn parse(&self, text: &str, _: &Path) -> Result<String, Fault> {
        let path = normalize(text)?;
        if path.contains(['\0', ':']) {
            return Err(Fault::refused("a guest's path has no colon and no NUL"));
        }
        Ok(path)
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }
}

/// `/api/` is `/api`; whatever could be read in two ways is refused.
fn normalize(text: &str) -> Result<String, Fault> {
    if text == "/" {
        return Ok(text.to_owned());
    }
    let rest = text
        .strip_prefix('/')
        .ok_or_else(|| Fault::refused(format!("must begin with /, got {}", quoted(text))))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    for segment in rest.split('/') {
        if matches!(segment, "" | "." | "..") {
            let problem = format!("has the segment {segment:?}, got {}", quoted(text));
            return Err(Fault::refused(problem));
        }
    }
    Ok(format!("/{rest}"))
}

/// The host of a route; `None`, written `*`, is every host.
pub(crate) struct RouteHost;

impl Kind for RouteHost {
    type Value = Option<String>;

    fn expected(&self) -> String {
        r#"a host such as "api.example.com""#.to_owned()
    }

    fn example(&self) -> String {
        "api.example.com".to_owned()
    }

    fn parse(&self, text: &str, _: &Path) -> Result<Option<String>, Fault> {
        if text == "*" {
            return Ok(None);
        }
        let authority = Authority::parse(text).map_err(Fault::refused)?;
        let host = bracketed(&authority.host);
        if authority.port.is_some() {
            return Err(Fault::remedied(
                "has a port, and routes match every port",
                format!("write {host:?}"),
            ));
        }
        Ok(Some(host))
    }

    fn show(&self, value: &Option<String>) -> String {
        value.clone().unwrap_or_else(|| "*".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{GuestPath, RouteHost, RoutePath};
    use crate::value::Kind;

    #[test]
    fn a_path_has_one_spelling() {
        for (text, expected) in [
            ("/", Some("/")),
            ("/api", Some("/api")),
            ("/api/", Some("/api")),
            ("/a/b.c/~d", Some("/a/b.c/~d")),
            ("/caf%C3%A9", Some("/caf%C3%A9")),
            ("//", None),
            ("///", None),
            ("/api//", None),
            ("/a//b", None),
            ("/a/../b", None),
            ("/..", None),
            ("/.", None),
            ("/a/%2e%2E/b", None),
            ("/a%2", None),
            ("/a%zz", None),
            ("api", None),
            ("/café", None),
            ("/a b", None),
            ("/a?b", None),
            ("/{id}", None),
            ("/api/*", None),
        ] {
            assert_eq!(RoutePath.parse(text, Path::new("/")).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_guest_path_is_absolute() {
        for (text, expected) in [
            ("/static/", Some("/static")),
            ("/", Some("/")),
            ("/with space/ü", Some("/with space/ü")),
            ("static", None),
            ("/a/../b", None),
            ("/a:b", None),
        ] {
            assert_eq!(GuestPath.parse(text, Path::new("/")).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_host_is_lower_case_and_has_no_port() {
        for (text, expected) in [
            ("API.Example.com", Some(Some("api.example.com"))),
            ("*", Some(None)),
            ("[0::1]", Some(Some("[::1]"))),
            ("127.0.0.1", Some(Some("127.0.0.1"))),
            ("example.com:80", None),
            ("*.example.com", None),
            ("http://example.com", None),
        ] {
            let host = RouteHost.parse(text, Path::new("/")).ok();
            assert_eq!(host.as_ref().map(Option::as_deref), expected, "{text}");
        }
    }
}
