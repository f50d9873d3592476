//! Where an HTTP/1 request ends, and whether that is beyond doubt.
//!
//! Purpose: two parsers that disagree on where a request ends let a client smuggle one past
//! whoever is in front. hyper is forgiving where RFC 9112 allows it; here what is ambiguous
//! is refused before hyper sees it. Owner: [`tracked`](super::tracked), one [`Framing`] per
//! connection. Invariants: what it lets through has one meaning, and whole lines only; hyper
//! never refuses it in words of its own; it keeps no bytes, and never looks into bodies, but
//! for chunk sizes. Every byte of every head passes through here: one look at each is enough.

use http::Uri;
use memchr::memchr;

use crate::rejection::names_json;

use super::http2_frames::Frames;

/// Why a request is refused; the connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400, with what is wrong.
    Ambiguous(&'static str),
    /// 431
    TooLarge,
    /// Of a request that is being answered already: whoever reads its body is told.
    Body(&'static str),
    /// Too many frames of HTTP/2 that carry nothing.
    Flood,
}

/// The lines with which every HTTP/2 connection begins (RFC 9113, section 3.4), and no
/// HTTP/1 request.
const HTTP2_PREFACE: [&[u8]; 4] = [b"PRI * HTTP/2.0", b"", b"SM", b""];

/// Most fields of one head; hyper's own limit.
const MAX_FIELDS: usize = 100;

/// Empty lines that may come before a request line (RFC 9112, section 2.2, asks for one).
const MAX_EMPTY_LINES: usize = 2;

/// Longest target that hyper takes.
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// Longest body that anybody can mean; hyper has meanings of its own for the largest numbers.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// Longest line with a chunk's size, its extensions included.
const MAX_CHUNK_LINE: usize = 4096;

/// Looks at everything that a connection receives.
#[derive(Debug)]
pub struct Framing {
    max_head: usize,
    part: Part,
}

/// What comes next.
#[derive(Debug)]
enum Part {
    /// A request line, after so many empty ones.
    Start {
        empty: usize,
    },
    /// This line of the preface of HTTP/2; the first one if nothing has come yet.
    Preface(usize),
    Fields(Head),
    /// So many bytes of a body.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk, then CRLF.
    Chunk(u64),
    Trailers {
        fields: usize,
    },
    Http2(Frames),
}

/// What the fields so far say.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    fields: usize,
    is_http10: bool,
    length: Option<u64>,
    chunked: bool,
    accepts_json: bool,
}

impl Framing {
    /// For heads of at most so many bytes.
    #[must_use]
    pub fn new(max_head: usize) -> Self {
        Self { max_head, part: Part::Preface(0) }
    }

    /// Looks at the next bytes; how many of them may go on, and whether the next one never
    /// will. The others are to be shown again, together with what comes after them.
    pub fn look(&mut self, bytes: &[u8]) -> (usize, Option<Refusal>) {
        let mut seen = 0;
        while seen < bytes.len() {
            let rest = &bytes[seen..];
            match &mut self.part {
                Part::Http2(frames) => {
                    let refusal = (!frames.received(rest)).then_some(Refusal::Flood);
                    return (bytes.len(), refusal);
                }
                Part::Body(left) | Part::Chunk(left) if *left > 0 => {
                    let taken = (*left).min(rest.len() as u64);
                    *left -= taken;
                    seen += taken as usize;
                    if let Part::Body(0) = self.part {
                        self.part = Part::Start { empty: 0 };
                    }
                }
                _ => {
                    let end = memchr(b'\n', rest);
                    let taken = match end {
                        Some(end) => self.take(&rest[..end]),
                        None => self.check_length(rest.len()),
                    };
                    match (taken, end) {
                        (Ok(()), Some(end)) => seen += end + 1,
                        (Ok(()), None) => return (seen, None),
                        (Err(refusal), _) => return (seen, Some(self.located(refusal))),
                    }
                }
            }
        }
        (seen, None)
    }

    /// A refusal says where it belongs to.
    fn located(&self, refusal: Refusal) -> Refusal {
        match (&self.part, refusal) {
            (Part::ChunkSize | Part::Chunk(_), Refusal::Ambiguous(what)) => Refusal::Body(what),
            (Part::Trailers { .. }, Refusal::Ambiguous(what)) => Refusal::Body(what),
            (Part::Trailers { .. }, _) => Refusal::Body("its trailers are too large"),
            _ => refusal,
        }
    }

    /// Whether the connection has begun as one of HTTP/2.
    /// Whether all that was received is whole requests.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.part, Part::Preface(0) | Part::Start { .. })
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.part, Part::Http2(_))
    }

    /// Looks at what was written.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        if let Part::Http2(frames) = &mut self.part {
            frames.written(bytes);
        }
    }

    /// Whether a frame of HTTP/2 can be written now, between those of hyper.
    pub(super) fn can_write_a_frame(&self) -> bool {
        matches!(&self.part, Part::Http2(frames) if frames.can_write())
    }

    /// Whether an `Accept` among the fields of the unfinished head so far names JSON.
    pub(super) fn accepts_json(&self) -> bool {
        matches!(&self.part, Part::Fields(head) if head.accepts_json)
    }

    fn check_length(&self, line: usize) -> Result<(), Refusal> {
        match &self.part {
            Part::Start { .. } | Part::Preface(_) if line > self.max_head => Err(Refusal::TooLarge),
            Part::Fields(head) if head.bytes + line > self.max_head => Err(Refusal::TooLarge),
            Part::Trailers { .. } if line > self.max_head => Err(Refusal::TooLarge),
            Part::ChunkSize | Part::Chunk(_) if line > MAX_CHUNK_LINE => {
                Err(Refusal::Ambiguous("a chunk's size is too long"))
            }
            _ => Ok(()),
        }
    }

    /// Understands one line, without its LF.
    fn take(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.check_length(line.len())?;
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err(Refusal::Ambiguous("a line ends with LF alone"));
        };
        if let Part::Preface(next) = self.part {
            self.part = preface(next, line)?;
        }
        self.part = match &mut self.part {
            Part::Preface(_) | Part::Body(_) | Part::Http2(_) => return Ok(()),
            Part::Start { empty } if line.is_empty() && *empty < MAX_EMPTY_LINES => {
                Part::Start { empty: *empty + 1 }
            }
            Part::Start { .. } => {
                let is_http10 = request_line(line)?;
                Part::Fields(Head { bytes: line.len() + 2, is_http10, ..Head::default() })
            }
            Part::Fields(head) if line.is_empty() => match (head.chunked, head.length) {
                (true, _) => Part::ChunkSize,
                (false, Some(length)) if length > 0 => Part::Body(length),
                (false, _) => Part::Start { empty: 0 },
            },
            Part::Fields(head) => {
                head.take(line, self.max_head)?;
                return Ok(());
            }
            Part::ChunkSize => match chunk_size(line)? {
                0 => Part::Trailers { fields: 0 },
                size => Part::Chunk(size),
            },
            Part::Chunk(_) if line.is_empty() => Part::ChunkSize,
            Part::Chunk(_) => return Err(Refusal::Ambiguous("a chunk is longer than it says")),
            Part::Trailers { .. } if line.is_empty() => Part::Start { empty: 0 },
            Part::Trailers { fields } => {
                field(line)?;
                if *fields >= MAX_FIELDS {
                    return Err(Refusal::TooLarge);
                }
                Part::Trailers { fields: *fields + 1 }
            }
        };
        Ok(())
    }
}

impl Head {
    fn take(&mut self, line: &[u8], max_head: usize) -> Result<(), Refusal> {
        self.bytes += line.len() + 2;
        self.fields += 1;
        if self.bytes > max_head || self.fields > MAX_FIELDS {
            return Err(Refusal::TooLarge);
        }
        let (name, value) = field(line)?;
        // Most fields are told from these by their length alone.
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(Refusal::Ambiguous("it has more than one Content-Length"));
            }
            self.length = Some(
                number(value.trim_ascii(), 10)
                    .filter(|length| *length <= MAX_LENGTH)
                    .ok_or(Refusal::Ambiguous("its Content-Length is not a number of bytes"))?,
            );
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Ambiguous("its Transfer-Encoding is not just chunked"));
            }
            if self.is_http10 {
                return Err(Refusal::Ambiguous("HTTP/1.0 has no Transfer-Encoding"));
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"accept") {
            self.accepts_json |= names_json(value);
        }
        if self.chunked && self.length.is_some() {
            return Err(Refusal::Ambiguous("it has Content-Length and Transfer-Encoding"));
        }
        Ok(())
    }
}

/// What comes after this line of a preface; its first one may also be a request line.
fn preface(number: usize, line: &[u8]) -> Result<Part, Refusal> {
    match (line == HTTP2_PREFACE[number], number + 1) {
        (true, next) if next < HTTP2_PREFACE.len() => Ok(Part::Preface(next)),
        (true, _) => Ok(Part::Http2(Frames::new())),
        (false, 1) => Ok(Part::Start { empty: 0 }),
        (false, _) => Err(Refusal::Ambiguous("its HTTP/2 preface is malformed")),
    }
}

/// Whether `METHOD target HTTP/1.x` is of HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    const WRONG: Refusal = Refusal::Ambiguous("its request line is malformed");
    let (method, rest) = leading(line, TOKEN);
    let [b' ', rest @ ..] = rest else { return Err(WRONG) };
    let (plain, _) = leading(rest, TARGET);
    let (target, version) = match memchr(b' ', &rest[plain.len()..]) {
        Some(more) => (&rest[..plain.len() + more], &rest[plain.len() + more + 1..]),
        None => return Err(WRONG),
    };
    if method.is_empty() || target.is_empty() {
        return Err(WRONG);
    }
    if target.len() > MAX_TARGET {
        return Err(Refusal::TooLarge);
    }
    // Of a plain path it is known what hyper makes of it; anything else is asked about.
    let is_plain = target[0] == b'/' && plain.len() == target.len();
    if !is_plain && !is_understood(target) {
        return Err(WRONG);
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err(WRONG),
    }
}

/// Whether it is a target for `http::Uri`, which does not look at a fragment, and text for
/// hyper, which looks at all of it.
fn is_understood(target: &[u8]) -> bool {
    !has_control(target)
        && !target.contains(&b'\t')
        && std::str::from_utf8(target).is_ok_and(|target| target.parse::<Uri>().is_ok())
}

/// Name and value.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let (name, rest) = leading(line, TOKEN);
    match rest {
        [b':', value @ ..] if !name.is_empty() => {
            if has_control(value) {
                return Err(Refusal::Ambiguous("it has a control character"));
            }
            Ok((name, value))
        }
        [b' ' | b'\t', ..] if name.is_empty() => {
            Err(Refusal::Ambiguous("a field goes on in a second line"))
        }
        rest if !rest.contains(&b':') => Err(Refusal::Ambiguous("a field has no colon")),
        _ => Err(Refusal::Ambiguous("a field's name is malformed")),
    }
}

/// The size of a chunk; extensions are passed over (RFC 9112, section 7.1.1).
fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    if has_control(line) {
        return Err(Refusal::Ambiguous("it has a control character"));
    }
    let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
    number(size.trim_ascii_end(), 16).ok_or(Refusal::Ambiguous("a chunk's size is not a number"))
}

/// Digits only: no sign, no space, no prefix, no overflow.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let is_digit = |byte: &u8| (*byte as char).is_digit(radix);
    let text = std::str::from_utf8(digits).ok()?;
    (!digits.is_empty() && digits.iter().all(is_digit))
        .then(|| u64::from_str_radix(text, radix).ok())?
}

/// What a byte may be part of: a bit for each.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < classes.len() {
        let is = byte as u8;
        if is.is_ascii_alphanumeric() || contains(b"!#$%&'*+-.^_`|~", is) {
            classes[byte] |= TOKEN;
        }
        if is.is_ascii_alphanumeric() || contains(b"!$%&'()*+,-./:;=?@[\\]^_|~", is) {
            classes[byte] |= TARGET;
        }
        byte += 1;
    }
    classes
};

/// RFC 9110, section 5.6.2.
const TOKEN: u8 = 1;

/// What `http::Uri` takes anywhere in path and query, and most targets consist of.
const TARGET: u8 = 2;

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut index = 0;
    while index < set.len() {
        if set[index] == byte {
            return true;
        }
        index += 1;
    }
    false
}

/// The bytes of a class with which `bytes` begin, and the rest.
fn leading(bytes: &[u8], class: u8) -> (&[u8], &[u8]) {
    let is_other = |byte: &u8| CLASSES[usize::from(*byte)] & class == 0;
    bytes.split_at(bytes.iter().position(is_other).unwrap_or(bytes.len()))
}

/// Whether there is anything but visible characters, white space and what is not ASCII.
fn has_control(bytes: &[u8]) -> bool {
    let is_control = |byte: u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
    // Without a way out in the middle, the compiler looks at many at a time.
    bytes.iter().fold(false, |found, byte| found | is_control(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 8192;

    /// What becomes of these bytes in one piece, which must not depend on the pieces.
    fn look(bytes: &[u8]) -> (usize, Option<Refusal>) {
        let whole = Framing::new(MAX).look(bytes);
        let mut framing = Framing::new(MAX);
        let (mut passed, mut refused) = (0, None);
        for end in 1..=bytes.len() {
            let (more, refusal) = framing.look(&bytes[passed..end]);
            passed += more;
            refused = refusal;
            if refused.is_some() {
                break;
            }
        }
        assert_eq!(whole, (passed, refused), "{}", String::from_utf8_lossy(bytes));
        whole
    }

    fn refusal(bytes: &str) -> Option<Refusal> {
        look(bytes.as_bytes()).1
    }

    #[test]
    fn what_has_one_meaning_goes_through() {
        for request in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\ncontent-length:  5 \r\nx: \tok\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n00a\r\n\0\n\r\x7f456789\r\n0\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(look(request.as_bytes()), (request.len(), None), "{request}");
        }
    }

    #[test]
    fn the_first_request_goes_through_and_an_ambiguous_second_one_does_not() {
        let (first, second) = ("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nhost: a\r\n\r\n");
        let (passed, refused) = look(format!("{first}{second}").as_bytes());
        assert_eq!(passed, first.len());
        assert!(refused.is_some());
    }

    #[test]
    fn heads_have_a_size_and_a_number_of_fields() {
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(MAX));
        assert_eq!(refusal(&long), Some(Refusal::TooLarge));
        let endless = format!("GET /{}", "y".repeat(MAX));
        assert_eq!(refusal(&endless), Some(Refusal::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(refusal(&many), Some(Refusal::TooLarge));
    }

    #[test]
    fn http2_is_left_alone() {
        let mut framing = Framing::new(MAX);
        let bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\n anything";
        assert_eq!(framing.look(bytes), (bytes.len(), None));
        assert!(framing.is_http2());
        // Whoever begins in this way must go on in it, and nobody else may.
        for request in [
            "PRI * HTTP/2.0\r\nhost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert!(refusal(request).is_some(), "{request:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_counted_from_the_first_one_after_the_preface() {
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
        let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[0; 8]].concat();
        let bytes = [&HTTP2_PREFACE.join(&b"\r\n"[..])[..], b"\r\n", &settings].concat();
        let mut framing = Framing::new(MAX);
        assert_eq!(framing.look(&bytes), (bytes.len(), None));
        assert!(framing.can_write_a_frame());
        for number in 1..1000 {
            assert_eq!(framing.look(&ping), (ping.len(), None), "{number}");
        }
        assert_eq!(framing.look(&ping), (ping.len(), Some(Refusal::Flood)));
    }

    #[test]
    fn it_is_known_whether_the_client_accepts_json() {
        let look = |bytes: &str| {
            let mut framing = Framing::new(MAX);
            let _ = framing.look(bytes.as_bytes());
            framing.accepts_json()
        };
        let accept = "GET / HTTP/1.1\r\nACCEPT: text/html, application/json\r\n";
        assert!(look(accept));
        assert!(look(&format!("{accept}x: y\r\nwrong\r\n")));
        assert!(!look(&format!("{accept}\r\n")), "the next request may want something else");
        assert!(!look("GET / HTTP/1.1\r\naccept: text/html\r\nx-accept: application/json\r\n"));
        assert!(!look("GET / HTTP/1.1\r\nwrong\r\naccept: application/json\r\n"));
    }

    #[test]
    fn targets_are_those_that_are_understood_behind_it() {
        for target in ["/", "*", "/a?b=c&d", "/\"{}\"", "/#x", "/\u{fc}", "http://a:1/b", "a:80"] {
            assert_eq!(refusal(&format!("GET {target} HTTP/1.1\r\n\r\n")), None, "{target}");
        }
        for target in ["/<", "/a?b>", "/^`\u{7f}", "http://", "/a?`#\u{7f}", "a b"] {
            assert!(refusal(&format!("GET {target} HTTP/1.1\r\n\r\n")).is_some(), "{target}");
        }
        for target in [&b"/\xfc"[..], b"/?\xfc", b"/#\xfc", b"/#a?\xfc", b"\xfc", b"/#\t"] {
            let request = [b"GET ", target, b" HTTP/1.1\r\n\r\n"].concat();
            assert!(look(&request).1.is_some(), "{}", target.escape_ascii());
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(MAX_TARGET));
        assert_eq!(Framing::new(1 << 20).look(long.as_bytes()).1, Some(Refusal::TooLarge));
    }

    #[test]
    fn nothing_follows_a_broken_chunk_or_trailer() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        let long = format!("1;{}", "x".repeat(MAX_CHUNK_LINE));
        let large = format!("0\r\nx: {}", "y".repeat(MAX));
        let many = format!("0\r\n{}\r\n", "x: y\r\n".repeat(MAX_FIELDS + 1));
        for body in [
            "zz\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1 0\r\n",
            "1\n",
            "1;a=\0\r\n",
            "1;a=\r;b\r\n",
            "1;a=\n\r\n",
            "10000000000000000\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx: y\0\r\n",
            "0\r\nx y: z\r\n",
            "0\r\n y\r\n",
            &long,
            &large,
            &many,
        ] {
            let request = format!("{head}{body}\r\nGET / HTTP/1.1\r\n\r\n");
            let (passed, refused) = look(request.as_bytes());
            assert!(matches!(refused, Some(Refusal::Body(_))), "{body:?}");
            assert!(passed < head.len() + body.len(), "{body:?}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let get = |fields: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        for request in [
            get("content-length: 1\r\ntransfer-encoding: chunked\r\n"),
            get("transfer-encoding: chunked\r\ncontent-length: 1\r\n"),
            get("content-length: 1\r\ncontent-length: 1\r\n"),
            get("content-length: 1, 1\r\n"),
            get("content-length: +1\r\n"),
            get("content-length: -1\r\n"),
            get("content-length: 0x1\r\n"),
            get("content-length: 1 1\r\n"),
            get("content-length:\r\n"),
            get("content-length: 9223372036854775808\r\n"),
            get("content-length: 18446744073709551614\r\n"),
            get("content-length: 18446744073709551615\r\n"),
            get("content-length: 99999999999999999999\r\n"),
            get("transfer-encoding: identity\r\n"),
            get("transfer-encoding: gzip, chunked\r\n"),
            get("transfer-encoding: chunked, chunked\r\n"),
            get("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
            get("transfer-encoding: xchunked\r\n"),
            get("transfer-encoding: \"chunked\"\r\n"),
            get("transfer-encoding : chunked\r\n"),
            get("transfer-encoding\t: chunked\r\n"),
            get(" x: y\r\n"),
            get("x: y\r\n z\r\n"),
            get("x: y\r\n\tz\r\n"),
            get("x: \0\r\n"),
            get("x: a\rb\r\n"),
            get("x\0: y\r\n"),
            get("x y: z\r\n"),
            get(": y\r\n"),
            get("x\r\n"),
            get("x: \x0b\r\n"),
            get("x: y\n"),
            "GET / HTTP/1.1\nhost: a\n\n".to_owned(),
            "GET / HTTP/1.1\r\nhost: a\r\n\n".to_owned(),
            "GET  / HTTP/1.1\r\n\r\n".to_owned(),
            "GET / HTTP/1.1 \r\n\r\n".to_owned(),
            "GET /a b HTTP/1.1\r\n\r\n".to_owned(),
            "GET /\t HTTP/1.1\r\n\r\n".to_owned(),
            "GET / HTTP/1.2\r\n\r\n".to_owned(),
            "GET / HTTP/2.0\r\n\r\n".to_owned(),
            "GET / http/1.1\r\n\r\n".to_owned(),
            "GET /\r\n\r\n".to_owned(),
            "G(T / HTTP/1.1\r\n\r\n".to_owned(),
            " GET / HTTP/1.1\r\n\r\n".to_owned(),
            "\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_owned(),
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        ] {
            assert!(refusal(&request).is_some(), "{request:?}");
        }
    }
}
