//! How addresses and origins are written.
//!
//! Purpose: logs, errors and the effective settings print them alike. Owner: the
//! types of `config`. Invariant: a [`BindAddress`] or [`OriginPattern`] written this
//! way reads as itself again.

use std::fmt;

use crate::{
    config::{BindAddress, BoundAddress, Identity, OriginPattern, PeerRange},
    value::bracketed,
};

impl fmt::Display for BindAddress {
    /// `127.0.0.1:8000`, `[::1]:8000`, `unix:/run/app.sock`, `fd:3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{}:{port}", bracketed(host)),
            Self::Unix { path, mode: None } => write!(f, "unix:{}", path.display()),
            Self::Unix { path, mode: Some(mode) } => {
                write!(f, "unix:{}?mode={mode:03o}", path.display())
            }
            Self::Descriptor(descriptor) => write!(f, "fd:{descriptor}"),
        }
    }
}

impl fmt::Display for BoundAddress {
    /// `http://127.0.0.1:8000`, `unix:/run/app.sock`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for OriginPattern {
    /// `https://*.example.com`, with the port unless it is the scheme's own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcard = if self.subdomains { "*." } else { "" };
        write!(f, "{}://{wildcard}{}", self.scheme.name(), bracketed(&self.host))?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl fmt::Display for PeerRange {
    /// `*`, `10.0.0.0/8`, and of a single address only that: `::1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("*"),
            Self::Network { address, prefix } => {
                let whole = if address.is_ipv4() { 32 } else { 128 };
                write!(f, "{address}")?;
                if *prefix == whole { Ok(()) } else { write!(f, "/{prefix}") }
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (chain, key) = (self.chain.len(), self.key.len());
        write!(f, "Identity {{ {chain} bytes of certificates, {key} bytes of a key }}")
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddr};

    use crate::config::{BoundAddress, Identity};

    #[test]
    fn a_private_key_is_not_shown() {
        let identity = Identity { chain: "chain".to_owned(), key: "secret".to_owned() };
        let shown = format!("{identity:#?}");
        assert_eq!(shown, "Identity { 5 bytes of certificates, 6 bytes of a key }");
    }

    #[test]
    fn a_bound_address_can_be_opened_in_a_browser() {
        for (bound, shown) in [
            (BoundAddress::Tcp(([127, 0, 0, 1], 8000).into()), "http://127.0.0.1:8000"),
            (BoundAddress::Tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, 80))), "http://[::1]:80"),
            (BoundAddress::Unix("/run/app.sock".into()), "unix:/run/app.sock"),
        ] {
            assert_eq!(bound.to_string(), shown);
        }
    }
}
