//! The servers that are compared, and how each is started.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{net::TcpStream, time::Instant};

/// Longest time from start to first connection.
const START_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    /// `ADDRESS` stands for the address to listen on.
    args: Vec<String>,
}

/// A running server; ends when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// All of them; whether they are installed shows when they are started.
pub(crate) fn contenders(target: &Path, wasmtime: &Path) -> Vec<Contender> {
    let release = |name: &str| target.join("release").join(name);
    let guest = |name: &str| target.join("guests").join(name).display().to_string();
    let remuda = |name, wasm: &str, more: &[&str]| {
        let component = guest(wasm);
        let mut args = vec!["serve", &component, "--bind", "ADDRESS", "--workers", "1"];
        args.extend(["--admin", "off", "--control", "off"]);
        args.extend(["--log-level", "error"]);
        args.extend(more);
        Contender::new(name, release("remuda"), &args)
    };
    let wasmtime = |name, wasm: &str, more: &[&str]| {
        let component = guest(wasm);
        let mut args = vec!["serve", "-Scli", "--addr", "ADDRESS"];
        args.extend(more);
        args.push(&component);
        Contender::new(name, wasmtime.to_owned(), &args)
    };
    let reuse = ["--instances", "reuse"];
    let pooling = [
        "-Opooling-allocator",
        "-Opooling-memory-keep-resident=1048576",
        "-Opooling-table-keep-resident=65536",
        "-Opooling-async-stack-keep-resident=65536",
        "-Opooling-pagemap-scan",
    ];
    vec![
        Contender::new("native hyper", release("native-hello"), &["ADDRESS"]),
        remuda("remuda 0.2 fresh", "hello-p2.wasm", &[]),
        remuda("remuda 0.2 reused", "hello-p2.wasm", &reuse),
        remuda("remuda 0.3 reused", "hello.wasm", &[]),
        remuda("remuda 0.3 fresh", "hello.wasm", &["--instances", "fresh"]),
        wasmtime("wasmtime serve 0.2 fresh", "hello-p2.wasm", &[]),
        wasmtime("wasmtime serve 0.2 fresh, pooling", "hello-p2.wasm", &pooling),
        wasmtime("wasmtime serve 0.3 reused", "hello.wasm", &[]),
    ]
}

impl Contender {
    fn new(name: &'static str, program: PathBuf, args: &[&str]) -> Self {
        Self { name, program, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
    }

    /// Starts the server and waits until it accepts.
    pub(crate) async fn start(&self) -> Result<Running> {
        let address = free_address()?;
        let text = address.to_string();
        let args = self.args.iter().map(|arg| if arg == "ADDRESS" { &text } else { arg });
        let child = Command::new(&self.program)
            .args(args)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to run {}", self.program.display()))?;
        let mut running = Running { child, address };
        let give_up = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = running.child.try_wait()? {
                bail!("it ended at once with {status}");
            }
            if Instant::now() > give_up {
                bail!("it did not accept a connection within {START_TIMEOUT:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(running)
    }
}

/// A port that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // Asked first, so that a supervisor ends its workers.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let give_up = std::time::Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
