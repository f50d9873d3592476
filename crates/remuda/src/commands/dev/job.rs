//! A command of this executable that ends by itself, with what it says shown and kept.
//!
//! Owner: [`dev`](super). Invariant: it is in a process group of its own, all of which ends with
//! its owner.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process_group};

/// A running command.
pub(super) struct Job {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

/// Whether what a command says is shown as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Shown,
    Kept,
}

impl Job {
    pub(super) fn start(command: &mut Command, output: Output) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let reader = child.stderr.take().map(|stderr| {
            let said = Arc::clone(&said);
            std::thread::spawn(move || read(stderr, output, &said))
        });
        Ok(Self { child, said, reader })
    }

    /// How it ended and what it said, once it has ended.
    pub(super) fn ended(&mut self) -> io::Result<Option<(ExitStatus, String)>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        // Whoever it left behind has no more to say.
        self.kill();
        if let Some(reader) = self.reader.take() {
            // It panics only when the lock is poisoned, which it is not.
            let _ = reader.join();
        }
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Some((status, without_colours(&String::from_utf8_lossy(&said)))))
    }

    fn kill(&self) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            // There may be nobody left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // A pid that was waited for may be somebody else's by now.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

fn read(mut stderr: ChildStderr, output: Output, said: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 8 * 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        if output == Output::Shown {
            // Nobody is left to read it when this fails.
            let _ = io::stderr().lock().write_all(&buffer[..count]);
        }
        said.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
    }
}

/// Text without the control sequences of terminals (ECMA-48, section 5.4): escape, bracket,
/// parameters, and a final letter.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
        } else if characters.next() == Some('[') {
            let _ = characters.by_ref().find(|character| ('\u{40}'..='\u{7e}').contains(character));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::without_colours;

    #[test]
    fn colours_go_and_brackets_stay() {
        let text = "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m[E0308]: a\n";
        assert_eq!(without_colours(text), "error[E0308]: a\n");
        assert_eq!(without_colours("\u{1b}[31"), "");
    }
}
