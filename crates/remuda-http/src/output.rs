//! Output that nobody may be reading.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whether `output` takes bytes without waiting: up to 4096 (`PIPE_BUF`) if it is a pipe,
/// whatever is written if it is a file.
///
/// For what an event loop writes to standard output or error: a reader that hangs must
/// cost log lines, not requests.
#[must_use]
pub fn takes_bytes(output: impl AsFd) -> bool {
    let mut wanted = [PollFd::new(&output, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Where the question fails, writing tells more than not writing.
    poll(&mut wanted, Some(&at_once)).is_err()
        || wanted[0].revents().intersects(PollFlags::OUT | PollFlags::ERR | PollFlags::NVAL)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_pipe_takes_bytes_until_it_is_full() {
        let (_reader, mut writer) = std::io::pipe().expect("a pipe");
        assert!(takes_bytes(&writer));
        let mut written = 0;
        while takes_bytes(&writer) && written < 1 << 24 {
            written += writer.write(&[0; 4096]).expect("written");
        }
        assert!(!takes_bytes(&writer), "still ready after {written} bytes");
    }
}
