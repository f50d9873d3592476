//! Origins that guests may call.
//!
//! Purpose: text to [`OriginPattern`], and whether a request's origin matches it.
//! Owner: validation parses, the engine matches. Invariant: what is not clearly
//! allowed is denied; the default port is filled in, so that matching knows no
//! special case.

use std::{net::Ipv6Addr, path::Path};

use crate::{
    config::{OriginPattern, OriginScheme},
    value::{Fault, Kind, authority::Authority},
};

/// `https://api.example.com`, `http://127.0.0.1:8081`, `https://*.example.com`
pub(crate) struct Origin;

impl Kind for Origin {
    type Value = OriginPattern;

    fn expected(&self) -> String {
        r#"an origin such as "https://api.example.com""#.to_owned()
    }

    fn example(&self) -> String {
        "https://api.example.com".to_owned()
    }

    fn parse(&self, text: &str, _: &Path) -> Result<OriginPattern, Fault> {
        let (scheme, rest) = text.split_once("://").ok_or(Fault::Malformed)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => OriginScheme::Http,
            "https" => OriginScheme::Https,
            _ => return Err(Fault::refused("the scheme must be http or https")),
        };
        if let Some((origin, _)) = rest.split_once(['/', '?', '#']) {
            let remedy = format!("try {}://{origin}", scheme.name());
            return Err(Fault::remedied("an origin has no path and no query", remedy));
        }
        if rest.contains('@') {
            return Err(Fault::refused("an origin has no user name and no password"));
        }
        let (subdomains, host) = match rest.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, rest),
        };
        let wildcard = || {
            Fault::remedied(
                "a * stands for the whole left part of a name",
                "try https://*.example.com",
            )
        };
        if host.contains('*') {
            return Err(wildcard());
        }
        let authority = Authority::parse(host).map_err(Fault::refused)?;
        if subdomains && authority.is_ip {
            return Err(wildcard());
        }
        match authority.port.unwrap_or_else(|| scheme.default_port()) {
            0 => Err(Fault::refused("port 0 cannot be called")),
            port => Ok(OriginPattern { scheme, host: authority.host, subdomains, port }),
        }
    }

    fn show(&self, value: &OriginPattern) -> String {
        value.to_string()
    }
}

impl OriginScheme {
    /// As in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl OriginPattern {
    /// Whether a request to this origin is allowed. `host` may be in any case, an IPv6
    /// address with or without brackets. No name is resolved: `127.0.0.1` does not
    /// match `localhost`, nor a name with a dot at its end the one without.
    pub fn matches(&self, scheme: OriginScheme, host: &str, port: u16) -> bool {
        scheme == self.scheme && port == self.port && self.matches_host(host)
    }

    fn matches_host(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if self.subdomains {
            // Compared as bytes: a host that is not ASCII has no boundary to split at.
            let (host, parent) = (host.as_bytes(), self.host.as_bytes());
            let Some(at) = host.len().checked_sub(parent.len()) else { return false };
            let (sub, tail) = host.split_at(at);
            return tail.eq_ignore_ascii_case(parent)
                && sub.strip_suffix(b".").is_some_and(|labels| {
                    labels.split(|&byte| byte == b'.').all(|label| !label.is_empty())
                });
        }
        match (host.parse::<Ipv6Addr>(), self.host.parse::<Ipv6Addr>()) {
            (Ok(host), Ok(own)) => host == own,
            _ => host.eq_ignore_ascii_case(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Origin;
    use crate::{
        config::{OriginPattern, OriginScheme},
        value::{Fault, Kind},
    };

    fn origin(text: &str) -> OriginPattern {
        Origin.parse(text, Path::new("/")).expect(text)
    }

    #[test]
    fn shows_what_it_read() {
        for (text, shown) in [
            ("https://api.example.com", "https://api.example.com"),
            ("HTTPS://API.example.com:443", "https://api.example.com"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("http://[0::1]:80", "http://[::1]"),
        ] {
            assert_eq!(origin(text).to_string(), shown);
            assert_eq!(origin(shown), origin(text));
        }
    }

    #[test]
    fn refuses_what_is_no_origin() {
        for (text, part) in [
            ("ftp://a", "http or https"),
            ("https://a/b", "no path"),
            ("https://a/", "no path"),
            ("https://a?b", "no path"),
            ("https://user:secret@a", "no user name"),
            ("https://*", "left part"),
            ("https://*.*.com", "left part"),
            ("https://api*.example.com", "left part"),
            ("https://*.10.0.0.1", "left part"),
            ("https://*.[::1]", "left part"),
            ("http://a:0", "port 0"),
            ("http://", "is not a host name"),
        ] {
            match Origin.parse(text, Path::new("/")) {
                Err(Fault::Refused { problem, .. }) => assert!(problem.contains(part), "{problem}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(Origin.parse("api.example.com", Path::new("/")), Err(Fault::Malformed));
    }

    #[test]
    fn matches_only_what_it_names() {
        use OriginScheme::{Http, Https};
        for (pattern, scheme, host, port, expected) in [
            ("https://api.example.com", Https, "API.example.com", 443, true),
            ("https://api.example.com", Http, "api.example.com", 443, false),
            ("https://api.example.com", Https, "api.example.com", 8443, false),
            ("https://api.example.com", Https, "x.api.example.com", 443, false),
            ("https://api.example.com", Https, "api.example.com.", 443, false),
            ("https://*.example.com", Https, "a.example.com", 443, true),
            ("https://*.example.com", Https, "a.b.EXAMPLE.com", 443, true),
            ("https://*.example.com", Https, "example.com", 443, false),
            ("https://*.example.com", Https, ".example.com", 443, false),
            ("https://*.example.com", Https, "a..example.com", 443, false),
            ("https://*.example.com", Https, "evilexample.com", 443, false),
            ("https://*.example.com", Https, "a.example.com.evil.org", 443, false),
            ("https://*.example.com", Https, "ü.example.com", 443, true),
            ("https://*.example.com", Https, "üexample.co", 443, false),
            ("http://[::1]:8080", Http, "[::1]", 8080, true),
            ("http://[::1]:8080", Http, "0:0::1", 8080, true),
            ("http://127.0.0.1", Http, "localhost", 80, false),
        ] {
            let matched = origin(pattern).matches(scheme, host, port);
            assert_eq!(matched, expected, "{pattern} {host}:{port}");
        }
    }
}
