//! Where requests go: an origin, and how to reach it.
//!
//! Owner: the scenario. Invariant: a target's authority is what `Host` and `:authority`
//! say, whatever socket leads there.

use std::{fmt, path::PathBuf};

use http::{Uri, uri::Authority};

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub is_tls: bool,
    /// What requests say they are for.
    pub authority: Authority,
    pub address: Address,
    /// Path and query; `/` when none was given.
    pub path: String,
}

/// What is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// What a target must look like.
pub(super) const FORM: &str =
    "write http://HOST:PORT/PATH, https://HOST/PATH or unix:/PATH/OF/SOCKET";

/// And what it must not have: it would be in every report.
pub(super) const NO_USER: &str =
    "leave out user and password, and send them in the header authorization";

/// A URL without user and password, if it has one of them.
pub(super) fn without_user(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (_, host) = rest[..end].rsplit_once('@')?;
    Some(format!("{scheme}://{host}{}", &rest[end..]))
}

impl Target {
    /// Understands a URL or `unix:` and the path of a socket.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Self {
                is_tls: false,
                authority: Authority::from_static("localhost"),
                address: Address::Unix(PathBuf::from(path)),
                path: "/".to_owned(),
            });
        }
        let uri: Uri = text.split('#').next()?.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?.clone();
        // A password in a URL would be in every report.
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        // A port that is no number is not a missing one.
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if has_port => return None,
            None if is_tls => 443,
            None => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let address = Address::Tcp { host, port };
        (!authority.host().is_empty()).then_some(Self { is_tls, authority, address, path })
    }

    /// The name that the server's certificate must have.
    #[must_use]
    pub fn server_name(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }
}

impl fmt::Display for Target {
    /// Without the path.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Address::Tcp { .. } => {
                let scheme = if self.is_tls { "https" } else { "http" };
                write!(formatter, "{scheme}://{}", self.authority)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_sockets_are_understood() {
        let target = Target::parse("https://example.com/a?b=c#d").unwrap();
        assert_eq!(target.address, Address::Tcp { host: "example.com".into(), port: 443 });
        assert_eq!((target.path.as_str(), target.is_tls), ("/a?b=c", true));
        let target = Target::parse("http://[::1]:8000").unwrap();
        assert_eq!(target.address, Address::Tcp { host: "::1".into(), port: 8000 });
        assert_eq!((target.path.as_str(), target.to_string().as_str()), ("/", "http://[::1]:8000"));
        let target = Target::parse("unix:/run/app.sock").unwrap();
        assert_eq!(target.address, Address::Unix("/run/app.sock".into()));
        assert_eq!(target.to_string(), "unix:/run/app.sock");
    }

    #[test]
    fn a_password_is_not_repeated() {
        let bare = |text| without_user(text);
        assert_eq!(bare("http://u:p@a:80/b@c").as_deref(), Some("http://a:80/b@c"));
        assert_eq!(bare("http://u@p@a").as_deref(), Some("http://a"));
        assert_eq!(bare("http://a/b@c"), None);
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for wrong in ["", "localhost:80", "ftp://a/", "http://", "http://u:p@a/", "http://a:b/"] {
            assert_eq!(Target::parse(wrong), None, "{wrong:?}");
        }
    }
}
