//! Where a response ends, found byte by byte as it comes (RFC 9112, sections 6 and 7).

use anyhow::{Context as _, Result, bail, ensure};

/// Bytes of a head.
const LONGEST_HEAD: usize = 16 * 1024;

/// One response on its way.
#[derive(Default)]
pub(crate) struct Response {
    head: Vec<u8>,
    body: Option<Body>,
    /// Bytes of the body, framing apart.
    pub(crate) length: usize,
}

enum Body {
    /// So many bytes are left.
    Counted(usize),
    Chunked(Chunk),
}

/// What comes next of a chunked body.
#[derive(Clone, Copy)]
enum Chunk {
    /// Digits of its size, of which this is the number so far.
    Size(usize),
    /// The end of the line with its size.
    Line(usize),
    Data(usize),
    /// The end of the line after its data.
    DataEnd,
    /// The empty line after the last one.
    End,
}

impl Response {
    /// Takes what has come. True at the response's end, which nothing may follow.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<bool> {
        if self.body.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let from = before.saturating_sub(3);
            let Some(end) = self.head[from..].windows(4).position(|it| it == b"\r\n\r\n") else {
                ensure!(self.head.len() <= LONGEST_HEAD, "a head is longer than {LONGEST_HEAD}");
                return Ok(false);
            };
            let end = from + end + 4;
            bytes = &bytes[end - before..];
            self.head.truncate(end);
            self.body = Some(framing(&self.head)?);
        }
        match &mut self.body {
            Some(Body::Counted(left)) => {
                ensure!(bytes.len() <= *left, "something follows a response");
                *left -= bytes.len();
                self.length += bytes.len();
                Ok(*left == 0)
            }
            Some(Body::Chunked(chunk)) => chunk.take(bytes, &mut self.length),
            None => Ok(false),
        }
    }
}

impl Chunk {
    fn take(&mut self, mut bytes: &[u8], length: &mut usize) -> Result<bool> {
        while let Some((byte, rest)) = bytes.split_first() {
            match self {
                Self::Data(left) => {
                    let count = bytes.len().min(*left);
                    bytes = &bytes[count..];
                    *left -= count;
                    *length += count;
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    continue;
                }
                Self::Size(size) => match (*byte as char).to_digit(16) {
                    Some(digit) => *size = *size * 16 + digit as usize,
                    None => *self = Self::Line(*size),
                },
                _ => {}
            }
            if *byte == b'\n' {
                *self = match *self {
                    Self::Line(0) => Self::End,
                    Self::Line(size) => Self::Data(size),
                    Self::DataEnd => Self::Size(0),
                    Self::End => {
                        ensure!(rest.is_empty(), "something follows a response");
                        return Ok(true);
                    }
                    Self::Size(_) | Self::Data(_) => bail!("a chunk is malformed"),
                };
            }
            bytes = rest;
        }
        Ok(false)
    }
}

fn framing(head: &[u8]) -> Result<Body> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let status = text.lines().next().unwrap_or_default();
    ensure!(status.starts_with("http/1.1 200"), "an answer was {status}");
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("transfer-encoding:") == Some("chunked") {
        return Ok(Body::Chunked(Chunk::Size(0)));
    }
    let length = field("content-length:").context("a response has neither length nor chunks")?;
    Ok(Body::Counted(length.parse().context("a Content-Length is no number")?))
}
