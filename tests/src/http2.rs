//! Frames of HTTP/2 (RFC 9113), for what no HTTP/2 client would do.

use crate::raw::Raw;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

/// A flag of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A setting.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error codes.
pub const REFUSED_STREAM: u32 = 7;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a GOAWAY or RST_STREAM.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            GOAWAY => 4,
            RST_STREAM => 0,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}

/// The bytes of a frame.
///
/// # Panics
/// When the payload is too long for one.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    assert_eq!(length[0], 0, "a payload of at most 24 bits");
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client sends first, with this setting.
#[must_use]
pub fn preface(setting: u16, value: u32) -> Vec<u8> {
    let setting = [&setting.to_be_bytes()[..], &value.to_be_bytes()].concat();
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &setting)].concat()
}

/// The head of a request without a body.
#[must_use]
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    // Of the static table: `:method GET`, `:scheme http`.
    head(stream, 0x82, END_HEADERS | END_STREAM, path)
}

/// The head of a request with a body.
#[must_use]
pub fn post(stream: u32, path: &str) -> Vec<u8> {
    head(stream, 0x83, END_HEADERS, path)
}

fn head(stream: u32, method: u8, flags: u8, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a short path");
    assert!(length < 0x7f, "a path whose length is one byte");
    // `:authority a` and `:path`, both literal (RFC 7541, section 6.2.2).
    let block = [&[method, 0x86, 0x01, 1, b'a', 0x04, length], path.as_bytes()].concat();
    frame(HEADERS, flags, stream, &block)
}

/// Lets the server send so many bytes more on this stream.
#[must_use]
pub fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// Gives up a stream.
#[must_use]
pub fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

impl Raw {
    /// Reads one frame.
    ///
    /// # Panics
    /// When none comes.
    pub async fn read_whole_frame(&mut self) -> Frame {
        let head = self.read_bytes(9).await;
        let length = head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let stream = [head[5], head[6], head[7], head[8]];
        let payload = self.read_bytes(length).await;
        Frame { kind: head[3], flags: head[4], stream: u32::from_be_bytes(stream), payload }
    }

    /// Reads all frames until the server closes the connection; a reset is an end too.
    pub async fn read_frames_to_end(&mut self) -> Vec<Frame> {
        let bytes = self.read_bytes_to_end().await;
        let (mut rest, mut frames) = (bytes.as_slice(), Vec::new());
        while let [a, b, c, kind, flags, s, t, u, v, after @ ..] = rest {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            let Some((payload, after)) = after.split_at_checked(length) else { break };
            let stream = u32::from_be_bytes([*s, *t, *u, *v]);
            frames.push(Frame { kind: *kind, flags: *flags, stream, payload: payload.to_vec() });
            rest = after;
        }
        frames
    }
}
