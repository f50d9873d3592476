//! Host and port, as they stand in addresses, origins and routes.
//!
//! Purpose: one grammar (RFC 3986, section 3.2, without user information) for all
//! three. Owner: the kinds that contain an authority. Invariant: a host is lower case,
//! and an IP address is in its canonical form without brackets.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::quoted;

/// `host` or `host:port`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// A name, or an IP address.
    pub(crate) host: String,
    pub(crate) is_ip: bool,
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// The error says what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or("has a [ without a ]")?;
            let host: Ipv6Addr =
                inside.parse().map_err(|_| format!("{} is not an IPv6 address", quoted(inside)))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(parse_port(port)?),
                None if after.is_empty() => None,
                None => return Err(format!("has {} after the ]", quoted(after))),
            };
            return Ok(Self { host: host.to_string(), is_ip: true, port });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err("has an IPv6 address without brackets".to_owned());
            }
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (text, None),
        };
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return Ok(Self { host: address.to_string(), is_ip: true, port });
        }
        if !is_name(host) {
            return Err(format!("{} is not a host name", quoted(host)));
        }
        Ok(Self { host: host.to_ascii_lowercase(), is_ip: false, port })
    }
}

/// The host as it stands in a URL: IPv6 addresses in brackets.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// From 0, which lets the kernel choose.
pub(crate) fn parse_port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.ok_or_else(|| format!("{} is not a port from 0 to 65535", quoted(text)))
}

/// RFC 1123, section 2.1, and the underscore, which container networks use. A name
/// that ends in a number would be taken for an IPv4 address by some and not by others.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253
        && host.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::Authority;

    #[test]
    fn reads_names_addresses_and_ports() {
        for (text, host, is_ip, port) in [
            ("localhost:8000", "localhost", false, Some(8000)),
            ("API.Example.com", "api.example.com", false, None),
            ("my_service:80", "my_service", false, Some(80)),
            ("127.0.0.1:0", "127.0.0.1", true, Some(0)),
            ("[::1]:8000", "::1", true, Some(8000)),
            ("[0:0:0:0:0:0:0:1]", "::1", true, None),
        ] {
            let expected = Authority { host: host.to_owned(), is_ip, port };
            assert_eq!(Authority::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, problem) in [
            ("", r#""" is not a host name"#),
            ("::1:8000", "has an IPv6 address without brackets"),
            ("[::1", "has a [ without a ]"),
            ("[::1]8000", r#"has "8000" after the ]"#),
            ("[localhost]:80", r#""localhost" is not an IPv6 address"#),
            ("a:65536", r#""65536" is not a port from 0 to 65535"#),
            ("a:+80", r#""+80" is not a port from 0 to 65535"#),
            ("a:", r#""" is not a port from 0 to 65535"#),
            ("a..b", r#""a..b" is not a host name"#),
            ("example.com.", r#""example.com." is not a host name"#),
            ("-a", r#""-a" is not a host name"#),
            ("1.2.3", r#""1.2.3" is not a host name"#),
            ("300.1.1.1", r#""300.1.1.1" is not a host name"#),
            ("bücher.de", r#""bücher.de" is not a host name"#),
        ] {
            assert_eq!(Authority::parse(text), Err(problem.to_owned()), "{text}");
        }
    }
}
