//! What an HTTP/2 client sends that carries nothing.
//!
//! Purpose: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA and unknown
//! frames cost the server work each and their sender next to nothing; a request that is
//! reset as soon as it is sent costs even more (CVE-2019-9511 to 9518, CVE-2023-44487). h2
//! bounds what they make it keep, not how many it answers. Here each of them takes from a
//! balance, to which time, requests and bytes in either direction add. Owner:
//! [`framing`](super::framing), for the connections that turn out to be HTTP/2. Invariants:
//! it keeps no bytes; whoever asks for something and takes what it gets is never refused.
//!
//! Figures: a request adds 3, for its own WINDOW_UPDATEs and a PING; one that is reset
//! takes 4. So does a client that resets three of four requests go on for ever, one that
//! resets all of them at 100 a second. A response adds 1 for each 512 bytes, for clients
//! that say with every 4 KiB, or more often, that they have read it.

use crate::clock;

/// The most that a client can save, and what it begins with.
const FULL: u64 = 1000;

/// What time adds per second.
const PER_SECOND: u64 = 100;

/// What a request adds, and what a reset takes.
const REQUEST: u64 = 3;
const RESET: u64 = 4;

/// Bytes written that add 1.
const BYTES: u64 = 512;

/// Types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// Length, type, flags, stream.
const HEAD: usize = 9;

/// GOAWAY with ENHANCE_YOUR_CALM. Streams up to the highest number may have been processed:
/// which were, only h2 knows.
pub(super) const GOAWAY: [u8; 17] =
    [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x0b];

/// Where one frame ends and the next begins.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// Bytes until the next head.
    skip: usize,
    head: [u8; HEAD],
    /// Bytes of it that have come.
    have: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    length: usize,
}

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    received: Cursor,
    written: Cursor,
    balance: u64,
    /// Bytes written that have added nothing yet.
    bytes: u64,
    /// Until when time has been added, as [`clock`] has it.
    added_until: u64,
}

impl Cursor {
    /// Whether whatever comes next begins a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        self.skip == 0 && self.have == 0
    }

    /// The next frame whose head is complete; moves `bytes` past what it has seen.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = &bytes[skipped..];
        let wanted = (HEAD - self.have).min(bytes.len());
        self.head[self.have..self.have + wanted].copy_from_slice(&bytes[..wanted]);
        self.have += wanted;
        *bytes = &bytes[wanted..];
        if self.have < HEAD {
            return None;
        }
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        (self.skip, self.have) = (length, 0);
        Some(Frame { kind, flags, length })
    }
}

impl Frames {
    /// After the preface.
    pub(super) fn new() -> Self {
        Self {
            received: Cursor::default(),
            written: Cursor::default(),
            balance: FULL,
            bytes: 0,
            added_until: clock::now(),
        }
    }

    /// Looks at what was received; false if it is too much of nothing.
    pub(super) fn received(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(frame) = self.received.next(&mut bytes) {
            let cost = match frame.kind {
                HEADERS => {
                    self.balance = (self.balance + REQUEST).min(FULL);
                    0
                }
                DATA if frame.length > 0 || frame.flags & END_STREAM != 0 => {
                    self.balance = (self.balance + 1).min(FULL);
                    0
                }
                RST_STREAM => RESET,
                _ => 1,
            };
            if !self.pay(cost) {
                return false;
            }
        }
        true
    }

    /// Looks at what was written.
    pub(super) fn written(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.balance = (self.balance + self.bytes / BYTES).min(FULL);
        self.bytes %= BYTES;
        while self.written.next(&mut bytes).is_some() {}
    }

    /// Whether a frame of the server's can be written now.
    pub(super) fn can_write(&self) -> bool {
        self.written.is_between_frames()
    }

    fn pay(&mut self, cost: u64) -> bool {
        if self.balance < cost {
            // The clock is read only by whoever has used up everything.
            let now = clock::now();
            let added = now.saturating_sub(self.added_until) * PER_SECOND / 1000;
            if added > 0 {
                self.balance = (self.balance + added).min(FULL);
                self.added_until = now;
            }
        }
        match self.balance.checked_sub(cost) {
            Some(left) => self.balance = left,
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        [&head, payload].concat()
    }

    /// How many of these are taken, at most so many.
    fn taken(frames: &mut Frames, bytes: &[u8], most: usize) -> usize {
        let taken = (0..most).take_while(|_| frames.received(bytes)).count();
        // The next one begins anew, after what was not looked at.
        frames.received = Cursor::default();
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_carry_nothing_have_an_end() {
        for nothing in [
            frame(PING, 0, &[0; 8]),
            frame(4, 0, &[]),
            frame(2, 0, &[0; 5]),
            frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]),
            frame(DATA, 0, &[]),
            frame(9, 0, b"more of a head"),
            frame(200, 0, b"nobody knows it"),
        ] {
            assert_eq!(taken(&mut Frames::new(), &nothing, 9999), 1000, "{nothing:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_gives_some_back() {
        let (mut frames, ping) = (Frames::new(), frame(PING, 0, &[0; 8]));
        assert_eq!(taken(&mut frames, &ping, 9999), 1000);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(taken(&mut frames, &ping, 9999), 200);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(taken(&mut frames, &ping, 9999), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_all_reset_have_an_end_and_others_have_none() {
        let (request, reset) = (frame(HEADERS, 5, b"head"), frame(RST_STREAM, 0, &[0; 4]));
        let rapid = [request.as_slice(), &reset].concat();
        assert!((990..1010).contains(&taken(&mut Frames::new(), &rapid, 9999)));
        let half = [request.as_slice(), &request, &reset].concat();
        assert_eq!(taken(&mut Frames::new(), &half, 99_999), 99_999);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_reads_may_say_so_and_whoever_sends_may_ask() {
        let (mut reader, update) = (Frames::new(), frame(WINDOW_UPDATE, 0, &[0, 0, 16, 0]));
        for _ in 0..99_999 {
            reader.written(&frame(DATA, 0, &[0; 4096]));
            assert!(reader.received(&update) && reader.received(&update));
        }
        let mut dribbles = Frames::new();
        let refused = (0..9999).find(|_| {
            dribbles.written(&frame(DATA, 0, &[0]));
            !dribbles.received(&update)
        });
        assert!(refused.is_some(), "a byte at a time is next to nothing");
        let sent = [frame(DATA, 0, b"x"), frame(PING, 0, &[0; 8])].concat();
        assert_eq!(taken(&mut Frames::new(), &sent, 99_999), 99_999);
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_do_not_matter() {
        let mut frames = Frames::new();
        let bytes = [
            frame(HEADERS, 5, &[7; 70_000]),
            frame(DATA, 1, &[]),
            frame(PING, 0, &[6; 8]).repeat(10),
        ];
        for byte in bytes.concat() {
            assert!(frames.received(&[byte]));
        }
        assert_eq!(frames.balance, FULL - 10);
        assert!(frames.received.is_between_frames());
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_of_the_servers_is_not_cut_in_two() {
        let (mut frames, ping) = (Frames::new(), frame(PING, 1, &[0; 8]));
        assert!(frames.can_write());
        for end in 1..ping.len() {
            frames.written(&ping[end - 1..end]);
            assert!(!frames.can_write());
        }
        frames.written(&ping[ping.len() - 1..]);
        assert!(frames.can_write());
    }
}
