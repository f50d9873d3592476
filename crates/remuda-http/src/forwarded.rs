//! What proxies say of the clients behind them.
//!
//! Purpose: the client's address and scheme as they were at the outermost proxy that is
//! trusted, out of `X-Forwarded-For` and `X-Forwarded-Proto`, or `Forwarded` (RFC 7239) where
//! there is neither. Owner: the service, once for every request. Invariants: nothing that
//! somebody else has written is believed, and a guest never sees it; what is malformed says
//! nothing, and is no error; a request without any of it pays one look at its field names.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use remuda_config::TrustedPeers;

use crate::front::Client;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) client: Option<IpAddr>,
    pub(crate) is_https: bool,
}

/// Where a request of this connection comes from. Takes away what must not be believed.
pub(crate) fn origin(headers: &mut HeaderMap, client: Client, trusted: &TrustedPeers) -> Origin {
    let direct = Origin { client: client.address, is_https: client.is_secure };
    if !headers.keys().any(tells_origin) {
        return direct;
    }
    if !client.is_trusted {
        let told: Vec<HeaderName> =
            headers.keys().filter(|name| tells_origin(name)).cloned().collect();
        for name in told {
            headers.remove(name);
        }
        return direct;
    }
    let told = if headers.contains_key(FOR) || headers.contains_key(PROTO) {
        by_x_forwarded(headers, trusted)
    } else {
        by_forwarded(headers, trusted)
    };
    Origin {
        client: told.client.or(direct.client),
        is_https: told.is_https.unwrap_or(direct.is_https),
    }
}

/// `Forwarded`, `X-Forwarded-…` and `X-Real-IP`. With underscores they are the same to guests
/// that turn fields into variables, as CGI does.
fn tells_origin(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let is = |word: &[u8], name: &[u8]| {
        let same = |(ours, theirs): (&u8, &u8)| ours == theirs || *ours == b'-' && *theirs == b'_';
        word.len() == name.len() && word.iter().zip(name).all(same)
    };
    const X_FORWARDED: &[u8] = b"x-forwarded-";
    match name.first() {
        Some(b'f') => name == b"forwarded",
        Some(b'x') => {
            name.get(..X_FORWARDED.len()).is_some_and(|start| is(X_FORWARDED, start))
                || is(b"x-real-ip", name)
        }
        _ => false,
    }
}

/// What the fields say, as far as they are believed.
#[derive(Default)]
struct Told {
    client: Option<IpAddr>,
    is_https: Option<bool>,
}

fn by_x_forwarded(headers: &HeaderMap, trusted: &TrustedPeers) -> Told {
    let walk = walk(elements_from_the_right(headers, &FOR).map(node), trusted);
    // Whoever has added the address has added the scheme too, or only the outermost has.
    let schemes = elements_from_the_right(headers, &PROTO).take(walk.depth + 1);
    Told { client: walk.client, is_https: schemes.last().and_then(is_https) }
}

fn by_forwarded(headers: &HeaderMap, trusted: &TrustedPeers) -> Told {
    let values = headers.get_all(header::FORWARDED).iter();
    let mut elements: Vec<Element> =
        values.flat_map(|value| quoted_parts(value.as_bytes(), b',')).filter_map(element).collect();
    elements.reverse();
    let walk = walk(elements.iter().map(|element| element.client), trusted);
    let at = elements.get(walk.depth);
    Told { client: walk.client, is_https: at.and_then(|element| element.is_https) }
}

/// How far a chain of addresses is believed.
struct Walk {
    client: Option<IpAddr>,
    /// Its place from the right; 0 also when there is none.
    depth: usize,
}

/// Each address was written by the one to the right of it: the first that is not trusted is
/// the client, for nobody knows what it has written itself.
fn walk(from_the_right: impl Iterator<Item = Option<IpAddr>>, trusted: &TrustedPeers) -> Walk {
    let mut walk = Walk { client: None, depth: 0 };
    for (depth, address) in from_the_right.enumerate() {
        let Some(address) = address else { break };
        walk = Walk { client: Some(address), depth };
        if !trusted.contain(Some(address)) {
            break;
        }
    }
    walk
}

/// The elements of a list, the last one first.
fn elements_from_the_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let values = headers.get_all(name).iter().rev();
    let elements = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|end: SocketAddr| end.ip()))?;
    Some(address.to_canonical())
}

fn is_https(scheme: &[u8]) -> Option<bool> {
    match scheme {
        _ if scheme.eq_ignore_ascii_case(b"https") => Some(true),
        _ if scheme.eq_ignore_ascii_case(b"http") => Some(false),
        _ => None,
    }
}

/// One proxy's part of `Forwarded`.
#[derive(Default)]
struct Element {
    client: Option<IpAddr>,
    is_https: Option<bool>,
}

/// `for=192.0.2.60;proto=http;by=203.0.113.43`; `None` for an empty one, which lists may have.
fn element(text: &[u8]) -> Option<Element> {
    let mut element = Element::default();
    if text.trim_ascii().is_empty() {
        return None;
    }
    for pair in quoted_parts(text, b';') {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        // Neither an address nor a scheme has anything that would be escaped.
        let quoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let value = quoted.unwrap_or(value);
        if name.eq_ignore_ascii_case(b"for") {
            element.client = node(value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            element.is_https = is_https(value);
        }
    }
    Some(element)
}

/// The parts between separators that are not within quotes.
fn quoted_parts(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |byte| {
        let separates = *byte == separator && !is_quoted;
        if *byte == b'"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = is_quoted && *byte == b'\\' && !is_escaped;
        separates
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::{collection::vec, prelude::*};
    use remuda_config::PeerRange;

    use super::*;

    /// Trusts 10.0.0.0/8 and loopback.
    fn trusted() -> TrustedPeers {
        let network = |address: &str, prefix| PeerRange::Network {
            address: address.parse().expect("an address"),
            prefix,
        };
        TrustedPeers(vec![network("10.0.0.0", 8), network("127.0.0.0", 8)])
    }

    fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        headers
    }

    /// What a peer at 10.0.0.1 is believed.
    fn believed(fields: &[(&'static str, &[u8])]) -> (String, &'static str) {
        let mut headers = headers(fields);
        let before = headers.clone();
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        let client = Client { address, is_trusted: true, is_secure: false };
        let origin = origin(&mut headers, client, &trusted());
        assert_eq!(headers, before, "the guest sees what the proxy has said");
        let address = origin.client.map(|client| client.to_string()).unwrap_or_default();
        (address, if origin.is_https { "https" } else { "http" })
    }

    #[test]
    fn the_client_is_the_rightmost_one_that_is_not_trusted() {
        for (chain, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("1.1.1.1,192.0.2.1 ,10.0.0.2,127.0.0.1", "192.0.2.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("192.0.2.1:4711, 10.0.0.2:80", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1,,", "192.0.2.1"),
            // What is malformed ends the chain: nobody knows who wrote what is left of it.
            ("192.0.2.1, unknown", "10.0.0.1"),
            ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("", "10.0.0.1"),
            ("192.0.2.1; 10.0.0.2", "10.0.0.1"),
        ] {
            let (found, scheme) = believed(&[("x-forwarded-for", chain.as_bytes())]);
            assert_eq!((found.as_str(), scheme), (client, "http"), "{chain}");
        }
        let lines = [("x-forwarded-for", &b"1.1.1.1"[..]), ("x-forwarded-for", b"192.0.2.1")];
        assert_eq!(believed(&lines).0, "192.0.2.1");
        // What the client has written cannot hide what the proxy has.
        assert_eq!(believed(&[("x-forwarded-for", b"\xff, 192.0.2.1")]).0, "192.0.2.1");
    }

    #[test]
    fn the_scheme_is_that_of_the_proxy_that_tells_the_client() {
        for (chain, schemes, expected) in [
            ("192.0.2.1", "https", "https"),
            ("192.0.2.1", "HTTPS", "https"),
            ("192.0.2.1", "http", "http"),
            ("192.0.2.1", "https, http", "http"),
            ("192.0.2.1, 10.0.0.2", "https, http", "https"),
            ("192.0.2.1, 10.0.0.2", "https", "https"),
            ("1.1.1.1, 192.0.2.1", "https, http", "http"),
            ("192.0.2.1", "gopher", "http"),
            ("unknown", "https", "https"),
        ] {
            let fields =
                [("x-forwarded-for", chain.as_bytes()), ("x-forwarded-proto", schemes.as_bytes())];
            assert_eq!(believed(&fields).1, expected, "{chain} {schemes}");
        }
        assert_eq!(believed(&[("x-forwarded-proto", b"https")]).1, "https");
    }

    #[test]
    fn the_standard_field_says_the_same() {
        for (value, client, scheme) in [
            ("for=192.0.2.60;proto=https;by=203.0.113.43", "192.0.2.60", "https"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17", "http"),
            ("for=1.1.1.1;proto=https, for=192.0.2.1;proto=http", "192.0.2.1", "http"),
            ("for=192.0.2.1 ; proto=HTTPS , for=10.0.0.2", "192.0.2.1", "https"),
            ("host=\"a,for=1.1.1.1\";for=192.0.2.1;proto=\"https\"", "192.0.2.1", "https"),
            ("host=\"a\\\",for=1.1.1.1\";for=192.0.2.1", "192.0.2.1", "http"),
            ("for=unknown;proto=https", "10.0.0.1", "https"),
            ("for=_hidden, for=10.0.0.2", "10.0.0.2", "http"),
            ("proto=https", "10.0.0.1", "https"),
            ("for=\"192.0.2.1", "10.0.0.1", "http"),
            ("nonsense", "10.0.0.1", "http"),
            ("", "10.0.0.1", "http"),
        ] {
            let found = believed(&[("forwarded", value.as_bytes())]);
            assert_eq!(found, (client.to_owned(), scheme), "{value}");
        }
    }

    #[test]
    fn of_both_notations_the_common_one_counts() {
        let fields =
            [("forwarded", &b"for=1.1.1.1;proto=https"[..]), ("x-forwarded-for", b"192.0.2.1")];
        assert_eq!(believed(&fields), ("192.0.2.1".to_owned(), "http"));
    }

    #[test]
    fn nobody_else_is_believed_or_heard_by_guests() {
        let mut headers = headers(&[
            ("host", b"a"),
            ("forwarded", b"for=1.1.1.1"),
            ("x-forwarded-for", b"1.1.1.1"),
            ("x-forwarded-for", b"1.1.1.2"),
            ("x-forwarded-proto", b"https"),
            ("x-forwarded-host", b"evil"),
            ("x-forwarded-prefix", b"/evil"),
            ("x_forwarded_for", b"1.1.1.1"),
            ("x-forwarded_for", b"1.1.1.1"),
            ("x-real-ip", b"1.1.1.1"),
            ("x-forwarded", b"kept"),
            ("x-request-id", b"kept"),
            ("forwarded-by", b"kept"),
        ]);
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let client = Client { address, is_trusted: false, is_secure: true };
        let origin = origin(&mut headers, client, &trusted());
        assert_eq!(origin, Origin { client: address, is_https: true });
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["forwarded-by", "host", "x-forwarded", "x-request-id"]);
    }

    proptest! {
        #[test]
        fn nothing_left_of_what_the_proxy_has_written_counts(
            forged in "[ -~]{0,40}",
            bytes in vec(0x20..0x7f_u8, 0..40),
            named in prop_oneof![Just("x-forwarded-for"), Just("forwarded")],
        ) {
            let _ = believed(&[(named, &bytes)]);
            let chain = format!("{forged}, 192.0.2.1");
            prop_assert_eq!(believed(&[("x-forwarded-for", chain.as_bytes())]).0, "192.0.2.1");
        }
    }
}
