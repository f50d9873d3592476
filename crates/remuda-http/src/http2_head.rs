//! A request head of HTTP/2, held to what one of HTTP/1 is held to.
//!
//! Purpose: [`framing`](crate::connection) sees no fields of HTTP/2, and h2 lets through
//! what a guest, or whoever it asks, could understand in two ways. Owner: the service, before
//! routing. Invariant: a head that passes could be one of HTTP/1, but for its target.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use crate::Rejection;

/// Most fields of one head, as in HTTP/1.
const MAX_FIELDS: usize = 100;

/// Refuses what is too large or ambiguous, and joins what was taken apart to be sent.
pub(crate) fn check(head: &mut Parts, max_bytes: usize) -> Result<(), Rejection> {
    if head.headers.len() > MAX_FIELDS || size_of_list(head) > max_bytes {
        return Err(Rejection::HeaderTooLarge);
    }
    check_fields(&mut head.headers)
}

fn check_fields(headers: &mut HeaderMap) -> Result<(), Rejection> {
    let (mut lengths, mut cookies) = (0, 0);
    for (name, value) in &*headers {
        // RFC 9113, section 8.2.1. In HTTP/1 it would be no part of the value.
        let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if is_space(value.as_bytes().first()) || is_space(value.as_bytes().last()) {
            return Err(Rejection::BadRequest("a field's value begins or ends with a space"));
        }
        lengths += u32::from(name == header::CONTENT_LENGTH);
        cookies += u32::from(name == header::COOKIE);
    }
    if lengths > 1 {
        return Err(Rejection::BadRequest("it has more than one Content-Length"));
    }
    if cookies > 1 {
        join_cookies(headers);
    }
    Ok(())
}

/// RFC 9113, section 8.2.3: clients send them apart so that they compress well.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // What consists of values is one.
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// The size of a head as HTTP/2 reckons it (RFC 9113, section 6.5.2), without the names of
/// what is not a field in HTTP/1.
fn size_of_list(head: &Parts) -> usize {
    const OVERHEAD: usize = 32;
    let target = head.uri.authority().map_or(0, |authority| authority.as_str().len())
        + head.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + OVERHEAD;
    target + head.headers.iter().map(field).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(fields: &[(&'static str, &str)]) -> Result<HeaderMap, Rejection> {
        let (mut head, ()) = Request::new(()).into_parts();
        for (name, value) in fields {
            head.headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        check(&mut head, 8192).map(|()| head.headers)
    }

    #[test]
    fn cookies_become_one_field() {
        let headers = checked(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e")]);
        let headers = headers.expect("a head");
        assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=b; c=d; e"]);
        assert_eq!(headers["x"], "y");
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for fields in [
            &[("content-length", "1"), ("content-length", "1")][..],
            &[("x", " y")],
            &[("x", "y\t")],
            &[("x", "y "), ("z", "")],
        ] {
            assert!(matches!(checked(fields), Err(Rejection::BadRequest(_))), "{fields:?}");
        }
        assert!(checked(&[("content-length", "1"), ("x", ""), ("y", "a b")]).is_ok());
    }

    #[test]
    fn heads_have_a_size_and_a_number_of_fields() {
        assert!(checked(&[("x", "y"); MAX_FIELDS]).is_ok());
        assert_eq!(checked(&[("x", "y"); MAX_FIELDS + 1]), Err(Rejection::HeaderTooLarge));
        assert_eq!(checked(&[("x", &"y".repeat(8192))]), Err(Rejection::HeaderTooLarge));
    }
}
