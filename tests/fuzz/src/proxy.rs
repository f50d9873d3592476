//! The PROXY protocol: the answer does not depend on how the bytes arrive, nobody is waited
//! for without a bound, and a header says the same as when it was written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arbitrary::{Arbitrary, Unstructured};
use remuda_http::proxy_protocol::{Header, parse};

/// More bytes than any header that is taken has: 16 and 4096 of version 2.
const ENOUGH: usize = 16 + 4096;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Looks at `input` as at what one connection has sent, and at a header made of it.
///
/// # Panics
/// When a promise is broken.
pub fn proxy(input: &[u8]) {
    cut_anywhere(input);
    if let Ok(sent) = Sent::arbitrary(&mut Unstructured::new(input)) {
        let bytes = sent.bytes();
        let expected = Header { length: bytes.len(), source: sent.source() };
        assert_eq!(parse(&bytes), Ok(Some(expected)), "{}", bytes.escape_ascii());
        cut_anywhere(&[&bytes, input].concat());
    }
}

/// Whatever has come of these bytes, the answer is none yet, or that to all of them.
fn cut_anywhere(bytes: &[u8]) {
    let whole = parse(bytes);
    assert!(bytes.len() < ENOUGH || whole != Ok(None), "more is waited for");
    let decided = match &whole {
        Ok(Some(header)) => {
            assert_eq!(parse(&bytes[..header.length]), whole, "what follows is looked at");
            assert_eq!(header.source, by_the_book(&bytes[..header.length]));
            header.length
        }
        _ => bytes.len(),
    };
    for end in 0..decided.min(ENOUGH) {
        match (parse(&bytes[..end]), &whole) {
            (Ok(None), _) => {}
            (Err(_), Err(_)) => break,
            early => panic!("{early:?} after {end} bytes"),
        }
    }
}

/// Whom a header names that is known to be one.
fn by_the_book(header: &[u8]) -> Option<IpAddr> {
    if let Some(rest) = header.strip_prefix(SIGNATURE) {
        return match (rest[0], rest[1]) {
            (0x21, 0x11 | 0x12) => Some(<[u8; 4]>::try_from(&rest[4..8]).expect("four").into()),
            (0x21, 0x21 | 0x22) => Some(<[u8; 16]>::try_from(&rest[4..20]).expect("16").into()),
            _ => None,
        };
    }
    assert!(header.starts_with(b"PROXY ") && header.ends_with(b"\r\n") && header.len() <= 107);
    let line = str::from_utf8(header).expect("text");
    let words: Vec<_> = line.trim_end_matches("\r\n").split(' ').collect();
    if words[1] == "UNKNOWN" {
        return None;
    }
    assert_eq!(words.len(), 6, "{line}");
    assert!(words[4].parse::<u16>().is_ok() && words[5].parse::<u16>().is_ok(), "{line}");
    let (source, destination): (IpAddr, IpAddr) =
        (words[2].parse().expect("an address"), words[3].parse().expect("an address"));
    assert!(source.is_ipv4() == destination.is_ipv4(), "{line}");
    assert_eq!(source.is_ipv4(), words[1] == "TCP4", "{line}");
    Some(source)
}

/// A header as a proxy would send it.
#[derive(Arbitrary)]
enum Sent {
    Unknown,
    Line(Ends),
    Binary { ends: Ends, datagrams: bool, extensions: Vec<(u8, Vec<u8>)> },
    Unix { extensions: Vec<(u8, Vec<u8>)> },
    Local { family: u8, rest: Vec<u8> },
}

/// Source and destination.
#[derive(Arbitrary)]
enum Ends {
    V4([Ipv4Addr; 2], [u16; 2]),
    V6([Ipv6Addr; 2], [u16; 2]),
}

impl Sent {
    fn source(&self) -> Option<IpAddr> {
        match self {
            Self::Line(ends) | Self::Binary { ends, .. } => Some(match ends {
                Ends::V4([source, _], _) => IpAddr::from(*source),
                Ends::V6([source, _], _) => IpAddr::from(*source),
            }),
            Self::Unknown | Self::Unix { .. } | Self::Local { .. } => None,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Unknown => b"PROXY UNKNOWN\r\n".to_vec(),
            Self::Line(Ends::V4([from, to], ports)) => line(4, from, to, *ports),
            Self::Line(Ends::V6([from, to], ports)) => line(6, from, to, *ports),
            Self::Binary { ends, datagrams, extensions } => {
                let (family, addresses, ports) = match ends {
                    Ends::V4(ends, ports) => (0x10, ends.map(|end| end.octets()).concat(), ports),
                    Ends::V6(ends, ports) => (0x20, ends.map(|end| end.octets()).concat(), ports),
                };
                let ports = ports.map(u16::to_be_bytes).concat();
                let kind = family | if *datagrams { 2 } else { 1 };
                binary(0x21, kind, &[addresses, ports, tlv(extensions)].concat())
            }
            Self::Unix { extensions } => {
                binary(0x21, 0x31, &[vec![b'/'; 216], tlv(extensions)].concat())
            }
            Self::Local { family, rest } => binary(0x20, *family, &rest[..rest.len().min(4096)]),
        }
    }
}

fn line(
    version: u8,
    from: impl ToString,
    to: impl ToString,
    [source, target]: [u16; 2],
) -> Vec<u8> {
    let (from, to) = (from.to_string(), to.to_string());
    format!("PROXY TCP{version} {from} {to} {source} {target}\r\n").into_bytes()
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// Those for which there is room beside the longest addresses.
fn tlv(extensions: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, value) in extensions {
        let Ok(length) = u16::try_from(value.len()) else { break };
        if bytes.len() + 3 + value.len() > 4096 - 216 {
            break;
        }
        bytes.push(*kind);
        bytes.extend(length.to_be_bytes());
        bytes.extend(value);
    }
    bytes
}
