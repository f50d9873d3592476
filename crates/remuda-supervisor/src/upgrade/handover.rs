//! The successor's side of an upgrade.
//!
//! Owner: [`run`](crate::run), from its start until the first workers are ready.
//! Invariant: the predecessor hears exactly one word, or learns from the end of the pipe
//! that there will be none.

use std::{
    env, fs,
    io::{self, Write},
    os::fd::{OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{FileType, fstat};

use super::{
    Offer, SocketKind, VARIABLE,
    letter::{Letter, Word},
};
use crate::{listeners::problem_of, sys};

/// Descriptors can be claimed once in the life of a process.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// Why a server that was started as a successor cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error(
        "failed to take over from a running server: REMUDA_HANDOVER is not what a server writes \
         that upgrades itself ({problem}); unset it"
    )]
    Malformed { problem: String },
}

impl HandoverError {
    /// The exit code of the process, as in the design's section 10 and `sysexits.h`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        78
    }
}

/// What a predecessor has handed over.
#[derive(Debug)]
pub(crate) struct Handover {
    offers: Vec<(Offer, OwnedFd)>,
    taken: Vec<RawFd>,
    /// Until the answer is given.
    answer: Option<fs::File>,
}

impl Handover {
    /// Takes over what the environment describes; `None` if this server is nobody's
    /// successor, or has asked before. No child inherits any of it.
    ///
    /// # Errors
    /// When the variable describes something else than what this process has inherited.
    pub(crate) fn from_environment() -> Result<Option<Self>, HandoverError> {
        let Some(text) = env::var_os(VARIABLE) else { return Ok(None) };
        if CLAIMED.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        let malformed = |problem| HandoverError::Malformed { problem };
        let text = text.to_str().ok_or_else(|| malformed("it is not UTF-8".to_owned()))?;
        Self::claim(text).map(Some).map_err(malformed)
    }

    fn claim(text: &str) -> Result<Self, String> {
        let letter: Letter = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let sockets = letter.sockets.iter().map(|offer| offer.descriptor);
        let mut numbers: Vec<_> = sockets.chain([letter.answer]).collect();
        numbers.sort_unstable();
        if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("descriptor {} is in it twice", twice[0]));
        }
        // All of them are examined before the first is taken: if one is not what it should
        // be, none may be ours.
        let examined = |number: RawFd| -> Result<OwnedFd, String> {
            let copy = (number > 2).then(|| sys::duplicate(number).ok()).flatten();
            copy.ok_or_else(|| format!("descriptor {number} is not open"))
        };
        let is_pipe = fstat(examined(letter.answer)?)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        if !is_pipe {
            return Err(format!("descriptor {} is no pipe", letter.answer));
        }
        for offer in &letter.sockets {
            if let Some(problem) = problem_of(&examined(offer.descriptor)?) {
                return Err(format!("descriptor {}: {problem}", offer.descriptor));
            }
        }
        let claim = |number| sys::claim(number).map_err(|error| error.to_string());
        let answer = Some(fs::File::from(claim(letter.answer)?));
        let offers = letter
            .sockets
            .into_iter()
            .map(|offer| Ok((claim(offer.descriptor)?, offer)))
            .map(|claimed: Result<_, String>| claimed.map(|(socket, offer)| (offer, socket)))
            .collect::<Result<_, _>>()?;
        Ok(Self { offers, taken: Vec::new(), answer })
    }

    /// The sockets of one configured address, by slot; none if it is new.
    pub(crate) fn take(&mut self, kind: SocketKind, configured: &str) -> Vec<(Offer, OwnedFd)> {
        let is_asked = |offer: &Offer| offer.kind == kind && offer.configured == configured;
        let asked = self.offers.iter().map(|(offer, _)| offer).filter(|offer| is_asked(offer));
        let Some(place) = asked.map(|offer| offer.place).min() else { return Vec::new() };
        let mut taken: Vec<_> = self
            .offers
            .extract_if(.., |(offer, _)| is_asked(offer) && offer.place == place)
            .collect();
        taken.sort_by_key(|(offer, _)| offer.slot);
        self.taken.extend(taken.iter().map(|(offer, _)| offer.descriptor));
        taken
    }

    /// Tells the predecessor to leave, and closes what nobody has taken. What was taken is
    /// this server's from now on, and must be told so.
    pub(crate) fn ready(mut self) {
        let taken = std::mem::take(&mut self.taken);
        self.say(&Word::Ready { taken });
    }

    /// Tells the predecessor to stay, and why.
    pub(crate) fn failed(mut self, reason: &str) {
        self.say(&Word::Failed { reason: reason.to_owned() });
    }

    fn say(&mut self, word: &Word) {
        let Some(mut answer) = self.answer.take() else { return };
        let said = serde_json::to_string(word)
            .map_err(io::Error::other)
            .and_then(|line| answer.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = said {
            // It has ended meanwhile, and this server is the only one.
            tracing::warn!(%error, "the server before this one does not listen any more");
        }
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.say(&Word::Failed { reason: "it ended before it was ready".to_owned() });
    }
}

/// Tells the predecessor, if there is one that waits, why this server does not even start;
/// for what goes wrong before [`run`](crate::run), such as a configuration that is refused.
pub fn report_failed_start(reason: &str) {
    if let Ok(Some(handover)) = Handover::from_environment() {
        handover.failed(reason);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_end_of_the_predecessor_is_no_failure() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let answer = Some(fs::File::from(OwnedFd::from(writer)));
        let handover = Handover { offers: Vec::new(), taken: Vec::new(), answer };
        drop(reader);
        handover.ready();
    }

    #[test]
    fn one_word_is_said() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let answer = Some(fs::File::from(OwnedFd::from(writer)));
        Handover { offers: Vec::new(), taken: vec![5], answer }.ready();
        let said = io::read_to_string(reader).expect("read");
        assert_eq!(said, "{\"ready\":{\"taken\":[5]}}\n");
    }

    #[test]
    fn what_no_server_wrote_is_refused() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let file = fs::File::open("/dev/null").expect("a file");
        let pipe = writer.as_raw_fd();
        let socket = |descriptor: RawFd| {
            let address = r#"{"Tcp":"127.0.0.1:80"}"#;
            format!(
                r#"{{"kind":"bind","configured":":80","place":0,"slot":0,"address":{address},
                "descriptor":{descriptor},"is_open":true,"is_own":true,"file":null}}"#
            )
        };
        let letter = |answer: RawFd, sockets: &str| {
            format!(r#"{{"answer":{answer},"sockets":[{sockets}]}}"#)
        };
        for (text, problem) in [
            ("yes".to_owned(), "expected value"),
            (letter(1, ""), "descriptor 1 is not open"),
            (letter(9999, ""), "descriptor 9999 is not open"),
            (letter(file.as_raw_fd(), ""), "is no pipe"),
            (letter(pipe, &socket(pipe)), "twice"),
            (letter(pipe, &socket(9999)), "descriptor 9999 is not open"),
            (letter(pipe, &socket(reader.as_raw_fd())), "is not a socket"),
        ] {
            let error = Handover::claim(&text).expect_err("refused");
            assert!(error.contains(problem), "{error}");
        }
    }
}
