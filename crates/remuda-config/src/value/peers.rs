//! Addresses and networks that are trusted.
//!
//! Purpose: text to [`PeerRange`], and whether a peer is in one. Owner: validation
//! parses, the front of the server matches. Invariant: an IPv4 address is the same whether
//! it comes as such or inside IPv6 (`::ffff:10.0.0.1`), as dual-stack sockets show it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use crate::{
    config::{PeerRange, TrustedPeers},
    value::{Fault, Kind},
};

/// `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`, `*`
pub(crate) struct Peers;

impl Kind for Peers {
    type Value = PeerRange;

    fn expected(&self) -> String {
        r#"an address, a network such as "10.0.0.0/8", or "*""#.to_owned()
    }

    fn example(&self) -> String {
        "10.0.0.0/8".to_owned()
    }

    fn parse(&self, text: &str, _: &Path) -> Result<PeerRange, Fault> {
        if text == "*" {
            return Ok(PeerRange::Everybody);
        }
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| Fault::Malformed)?;
        let (address, whole) = match address.to_canonical() {
            // Its prefix would count from the beginning of the IPv6 address.
            canonical if canonical != address && prefix.is_some() => {
                return Err(Fault::remedied(
                    "is a network of IPv4 inside IPv6",
                    "write it as IPv4",
                ));
            }
            canonical => (canonical, if canonical.is_ipv4() { 32 } else { 128 }),
        };
        let prefix = match prefix {
            None => whole,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= whole)
                .ok_or_else(|| Fault::refused(format!("its prefix is not from 0 to {whole}")))?,
        };
        let network = masked(address, prefix);
        if network != address {
            let meant = PeerRange::Network { address: network, prefix };
            let problem = format!("{text:?} names one address and a network at once");
            return Err(Fault::remedied(problem, format!("try {meant} or {address}")));
        }
        Ok(PeerRange::Network { address, prefix })
    }

    fn show(&self, value: &PeerRange) -> String {
        value.to_string()
    }
}

impl TrustedPeers {
    /// Whether the peer at this address is one of them; `None` is the peer of a unix socket.
    pub fn contain(&self, peer: Option<IpAddr>) -> bool {
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical();
        self.0.iter().any(|range| match *range {
            PeerRange::Everybody => true,
            PeerRange::Network { address, prefix } => {
                address.is_ipv4() == peer.is_ipv4() && masked(peer, prefix) == address
            }
        })
    }
}

/// The first `prefix` bits.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Peers;
    use crate::{
        config::TrustedPeers,
        value::{Fault, Kind},
    };

    fn peers(texts: &[&str]) -> TrustedPeers {
        let parse = |text: &&str| Peers.parse(text, Path::new("/")).expect(text);
        TrustedPeers(texts.iter().map(parse).collect())
    }

    #[test]
    fn a_peer_is_trusted_when_it_is_in_one_of_the_networks() {
        for (trusted, peer, expected) in [
            (&["127.0.0.0/8", "::1"][..], "127.9.9.9", true),
            (&["127.0.0.0/8", "::1"], "::1", true),
            (&["127.0.0.0/8", "::1"], "::ffff:127.0.0.1", true),
            (&["127.0.0.0/8", "::1"], "128.0.0.1", false),
            (&["127.0.0.0/8", "::1"], "::2", false),
            (&["10.1.2.3"], "10.1.2.3", true),
            (&["10.1.2.3"], "10.1.2.2", false),
            (&["::ffff:10.1.2.3"], "10.1.2.3", true),
            (&["10.128.0.0/9"], "10.200.0.1", true),
            (&["10.128.0.0/9"], "10.127.255.255", false),
            (&["0.0.0.0/0"], "8.8.8.8", true),
            (&["0.0.0.0/0"], "fd00::1", false),
            (&["::/0"], "fd00::1", true),
            (&["fd00::/8"], "fdff::1", true),
            (&["fd00::/8"], "fe00::1", false),
            (&["*"], "fe00::1", true),
            (&[], "127.0.0.1", false),
        ] {
            let peer = Some(peer.parse().expect("an address"));
            assert_eq!(peers(trusted).contain(peer), expected, "{trusted:?} {peer:?}");
        }
    }

    #[test]
    fn the_peer_of_a_unix_socket_is_local() {
        assert!(peers(&["127.0.0.1"]).contain(None));
        assert!(peers(&["*"]).contain(None));
        assert!(!peers(&["10.0.0.0/8"]).contain(None));
    }

    #[test]
    fn shows_what_it_read() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("0::1", "::1"),
            ("fd00::/8", "fd00::/8"),
            ("*", "*"),
        ] {
            assert_eq!(peers(&[text]).0[0].to_string(), shown);
            assert_eq!(peers(&[shown]), peers(&[text]));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["localhost", "10.0.0", "10.0.0.0:80", "[::1]", "**", "010.0.0.1", "1.2.3.4/"] {
            assert!(Peers.parse(text, Path::new("/")).is_err(), "{text}");
        }
        for (text, remedy) in [
            ("10.1.2.3/8", Some("try 10.0.0.0/8 or 10.1.2.3".to_owned())),
            ("::ffff:10.0.0.0/104", Some("write it as IPv4".to_owned())),
            ("10.0.0.0/33", None),
            ("::/129", None),
        ] {
            match Peers.parse(text, Path::new("/")) {
                Err(Fault::Refused { remedy: given, .. }) => assert_eq!(given, remedy, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
