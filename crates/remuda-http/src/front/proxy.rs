//! The header of the PROXY protocol, versions 1 and 2.
//!
//! Purpose: a pure function from the first bytes of a connection to whom it is for. Source:
//! "The PROXY protocol", versions 1 & 2, Willy Tarreau, haproxy.org. Invariants: the answer
//! does not depend on how the bytes were cut into pieces; a header that can only be
//! malformed is refused at its first wrong byte, or at a length that none may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest header of version 1, its CRLF included.
const MAX_V1: usize = 107;

/// Most bytes of addresses and extensions (TLVs) in version 2. The protocol allows 64 KiB;
/// what is in use (names, certificates' subjects, cloud ids) stays far below this.
const MAX_V2: usize = 4096;

const START_V1: &[u8] = b"PROXY ";
const START_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes that it takes; what comes after them belongs to the client.
    pub length: usize,
    /// The client's address; `None` where the header leaves it to the connection's own, as
    /// for health checks of the proxy itself.
    pub source: Option<IpAddr>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it begins with something else")]
    Start,
    #[error("it is too long")]
    TooLong,
    #[error("its {0} is malformed")]
    Part(&'static str),
}

/// Reads a header from the first bytes of a connection; `None` while more of it must come.
///
/// # Errors
/// When they are no header, whatever comes after them.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    match (is_start(START_V1, bytes), is_start(START_V2, bytes)) {
        (true, _) => parse_v1(bytes),
        (_, true) => parse_v2(bytes),
        (false, false) => Err(Malformed::Start),
    }
}

/// Whether bytes that begin so may follow, or have.
fn is_start(start: &[u8], bytes: &[u8]) -> bool {
    let length = start.len().min(bytes.len());
    start[..length] == bytes[..length]
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 40000 443`, CRLF
fn parse_v1(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let window = &bytes[..bytes.len().min(MAX_V1)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if window.len() < MAX_V1 { Ok(None) } else { Err(Malformed::TooLong) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(Malformed::Part("end"))?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed::Part("text"))?;
    let mut words = line.split(' ').skip(1);
    let source = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(ends::<Ipv4Addr>(words)?.into()),
        Some("TCP6") => Some(ends::<Ipv6Addr>(words)?.into()),
        _ => return Err(Malformed::Part("protocol")),
    };
    Ok(Some(Header { length: end + 1, source }))
}

/// The source's address, of four words that must be right.
fn ends<'a, A: std::str::FromStr>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<A, Malformed> {
    let mut address = || words.next()?.parse::<A>().ok();
    let source = address().ok_or(Malformed::Part("source address"))?;
    address().ok_or(Malformed::Part("destination address"))?;
    for part in ["source port", "destination port"] {
        let port = words.next().unwrap_or_default();
        let plain = port == "0" || port.starts_with(|digit: char| ('1'..='9').contains(&digit));
        let port = port.parse::<u16>().ok().filter(|_| plain);
        port.ok_or(Malformed::Part(part))?;
    }
    words.next().map_or(Ok(source), |_| Err(Malformed::Part("end")))
}

/// Signature, version and command, family and transport, length, addresses, extensions.
fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    const HEAD: usize = START_V2.len() + 4;
    let is_local = match bytes.get(START_V2.len()) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(Malformed::Part("version or command")),
    };
    let Some(&[_, _, _, _, _, _, _, _, _, _, _, _, _, family, high, low]) =
        bytes.first_chunk::<HEAD>()
    else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_V2 {
        return Err(Malformed::TooLong);
    }
    // Its addresses say nothing of a LOCAL one; 0 is unspecified, 3 a unix socket.
    let (addresses, kind) = match family {
        _ if is_local => (0, 0),
        0x00 => (0, 0),
        0x11 | 0x12 => (12, 4),
        0x21 | 0x22 => (36, 6),
        0x31 | 0x32 => (216, 0),
        _ => return Err(Malformed::Part("family or transport")),
    };
    if length < addresses {
        return Err(Malformed::Part("length"));
    }
    let Some(body) = bytes.get(HEAD..HEAD + length) else { return Ok(None) };
    let source = match kind {
        4 => body.first_chunk::<4>().map(|address| IpAddr::from(*address)),
        6 => body.first_chunk::<16>().map(|address| IpAddr::from(*address)),
        _ => None,
    };
    Ok(Some(Header { length: HEAD + length, source }))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// What becomes of these bytes, which must not depend on how they are cut.
    fn parsed(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
        let whole = parse(bytes);
        let mut bit_by_bit = Ok(None);
        for end in 0..=bytes.len() {
            bit_by_bit = parse(&bytes[..end]);
            if bit_by_bit != Ok(None) {
                break;
            }
        }
        let bit_by_bit_fails = bit_by_bit.is_err();
        assert_eq!(bit_by_bit_fails, whole.is_err(), "{bytes:?}");
        assert!(bit_by_bit_fails || bit_by_bit == whole, "{bytes:?}");
        whole
    }

    fn source(bytes: &[u8]) -> Option<String> {
        let header = parsed(bytes).expect("a header").expect("all of it");
        assert_eq!(header.length, bytes.len());
        // What follows is not looked at.
        let mut more = bytes.to_vec();
        more.extend_from_slice(b"\r\n\r\n\0GET / HTTP/1.1\r\n");
        assert_eq!(parse(&more), Ok(Some(header)));
        header.source.map(|source| source.to_string())
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("not so long").to_be_bytes();
        [START_V2, &[command, family], &length, body].concat()
    }

    #[test]
    fn version_1_is_a_line() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n", Some("192.0.2.1")),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255")),
            ("PROXY TCP6 2001:db8::1 ::1 0 1\r\n", Some("2001:db8::1")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN whatever comes here\r\n", None),
        ] {
            assert_eq!(source(line.as_bytes()).as_deref(), expected, "{line}");
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_V1 - 16));
        assert_eq!(longest.len(), MAX_V1);
        assert_eq!(source(longest.as_bytes()), None);
    }

    #[test]
    fn what_is_no_version_1_is_refused() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY\r\n",
            "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4 192.0.2.1\r192.0.2.2 1 2\r\n",
        ] {
            assert!(parsed(line.as_bytes()).is_err(), "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_V1 - 15));
        assert_eq!(parsed(long.as_bytes()), Err(Malformed::TooLong));
        assert_eq!(parsed(b"PROXY TCP4 \xff\xff 192.0.2.2 1 2\r\n"), Err(Malformed::Part("text")));
    }

    #[test]
    fn version_2_is_binary() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0x9c, 0x40, 0x01, 0xbb];
        let v6 = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 20]].concat();
        let with_tlv = [&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        for (bytes, expected) in [
            (v2(0x21, 0x11, &v4), Some("192.0.2.1")),
            (v2(0x21, 0x12, &v4), Some("192.0.2.1")),
            (v2(0x21, 0x11, &with_tlv), Some("192.0.2.1")),
            (v2(0x21, 0x11, &[&v4[..], &[0; MAX_V2 - 12]].concat()), Some("192.0.2.1")),
            (v2(0x21, 0x21, &v6), Some("::1")),
            (v2(0x21, 0x31, &[b'/'; 216]), None),
            (v2(0x21, 0x00, &[]), None),
            (v2(0x21, 0x00, &[1, 2, 3]), None),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &v4), None),
            (v2(0x20, 0xff, &[]), None),
        ] {
            assert_eq!(source(&bytes).as_deref(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_version_2_is_refused() {
        for bytes in [
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x31, &[0; 215]),
            v2(0x21, 0x13, &[0; 12]),
            v2(0x21, 0x41, &[0; 12]),
            v2(0x21, 0x11, &[0; MAX_V2 + 1]),
            b"\r\n\r\n\0\r\nQUIT\r\n\x21\x11".to_vec(),
        ] {
            assert!(parsed(&bytes).is_err(), "{bytes:?}");
        }
    }

    /// Bytes that look like a header for as long as possible.
    fn almost() -> impl Strategy<Value = Vec<u8>> {
        let start = prop_oneof![
            Just(b"".to_vec()),
            Just(b"PROXY ".to_vec()),
            Just(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2".to_vec()),
            Just(START_V2.to_vec()),
            (0x1f..0x23_u8, 0x10..0x33_u8, 0..40_u8).prop_map(|(command, family, length)| [
                START_V2,
                &[command, family, 0, length]
            ]
            .concat()),
        ];
        let rest = prop_oneof![
            vec(any::<u8>(), 0..64),
            "[ TCP46UNKOW0-9a-f:.\r\n]{0,120}".prop_map(String::into_bytes)
        ];
        (start, rest).prop_map(|(start, rest)| [start, rest].concat())
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_however_they_are_cut(bytes in almost()) {
            if let Ok(Some(header)) = parsed(&bytes) {
                prop_assert!(header.length <= bytes.len());
                prop_assert_eq!(parse(&bytes[..header.length]), Ok(Some(header)));
                prop_assert_eq!(parse(&bytes[..header.length - 1]), Ok(None));
            }
        }
    }
}
