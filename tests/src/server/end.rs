//! How a server ends: as a test wants it, or with the test.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Server, is_worker};
use crate::{
    process::{self, Pid, Signal},
    wait,
};

/// How long a server that nobody needs any more may drain.
const DRAIN: Duration = Duration::from_millis(200);

/// How long it may take to end at once.
const END: Duration = Duration::from_secs(10);

impl Server {
    /// Waits for the end of the process; its exit code.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let status = wait::until("the server to end", || self.process.ended()).await;
        self.has_ended = self.is_first;
        status.code()
    }

    /// Has this process, which has taken over, be the server from now on. It is no child
    /// of ours, so its exit code is not known.
    pub fn follow(&mut self, successor: Pid) {
        self.supervisor = successor;
        self.is_first = false;
    }

    /// Waits until the supervisor has ended, whoever its parent is.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn gone(&mut self) {
        let supervisor = self.supervisor;
        wait::until("the server to end", || {
            // A zombie of ours is reaped by this.
            self.process.ended();
            (!process::is_running(supervisor)).then_some(())
        })
        .await;
        self.has_ended = true;
    }

    /// Kills the supervisor, and nothing else.
    pub async fn kill_supervisor(&mut self) {
        self.orphans = self.workers();
        self.signal(Signal::KILL);
        self.exit_code().await;
    }

    fn ends_within(&mut self, time: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < time {
            let ended = self.process.ended().is_some();
            if ended && (self.is_first || !process::is_running(self.supervisor)) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Drains for a while; then at once; then by force.
    fn end(&mut self) {
        self.orphans = self.workers();
        for patience in [DRAIN, END] {
            self.terminate();
            if self.ends_within(patience) {
                return;
            }
        }
        self.signal(Signal::KILL);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end();
        }
        for orphan in self.orphans.iter().filter(|pid| is_worker(pid)) {
            process::signal(*orphan, Signal::KILL);
        }
        let (log, output) = (self.stderr(), self.stdout());
        // What guests say of their own panics is in lines of JSON.
        let is_panic = |line: &str| line.contains("panicked at") && !line.starts_with('{');
        let panicked = log.lines().any(is_panic);
        if panicked || thread::panicking() {
            // The settings are many, and those that matter are in the test.
            let log = log.lines().filter(|line| !line.contains(r#""message":"setting""#));
            print(&log.collect::<Vec<_>>().join("\n"), &output);
        }
        assert!(!panicked || thread::panicking(), "a process of the server has panicked");
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows what its server wrote")]
fn print(log: &str, output: &str) {
    eprintln!("--- standard error of the server ---\n{log}");
    eprintln!("--- standard output of the server ---\n{output}");
}
