//! The servers that are compared, and how each is started.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::Instant};

use crate::Options;

/// Longest time from start to first connection.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What all of Remuda are told beside what they serve.
const REMUDA: [&str; 8] =
    ["--bind", "ADDRESS", "--admin", "off", "--control", "off", "--log-level", "error"];

const WASMTIME: [&str; 4] = ["serve", "-Scli", "--addr", "ADDRESS"];

/// The best that we know for `wasmtime serve` with fresh instances.
const POOLING: [&str; 5] = [
    "-Opooling-allocator",
    "-Opooling-memory-keep-resident=1048576",
    "-Opooling-table-keep-resident=65536",
    "-Opooling-async-stack-keep-resident=65536",
    "-Opooling-pagemap-scan",
];

pub(crate) struct Contender {
    pub(crate) name: String,
    program: PathBuf,
    /// `ADDRESS` stands for the address to listen on, `HOST` and `PORT` for its parts.
    args: Vec<String>,
    /// Where it is started, if that matters.
    folder: Option<PathBuf>,
}

/// A running server; ends when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Servers of one component with a route for each of several paths.
pub(crate) struct Routed {
    pub(crate) contenders: Vec<Contender>,
    /// Their configurations.
    _folder: TempDir,
}

/// Those that answer with a short text; whether they are installed shows when they are started.
pub(crate) fn hellos(options: &Options) -> Vec<Contender> {
    let guest = |name: &str| options.guest(name).display().to_string();
    let remuda = |name, wasm: &str, workers, more: &[&str]| {
        let component = guest(wasm);
        let mut args = vec!["serve", &component, "--workers", workers];
        args.extend(REMUDA);
        args.extend(more);
        Contender::new(name, options.release("remuda"), &args)
    };
    let wasmtime = |name, wasm: &str, more: &[&str]| {
        let component = guest(wasm);
        let mut args = WASMTIME.to_vec();
        args.extend(more);
        args.push(&component);
        Contender::new(name, options.wasmtime.clone(), &args)
    };
    let reuse = ["--instances", "reuse"];
    vec![
        Contender::new("native hyper", options.release("native-hello"), &["ADDRESS"]),
        Contender::new(
            "native hyper that burns 10 µs",
            options.release("native-hello"),
            &["ADDRESS", "10"],
        ),
        remuda("remuda 0.2 fresh", "hello-p2.wasm", "1", &[]),
        remuda("remuda 0.2 fresh, 2 workers", "hello-p2.wasm", "2", &[]),
        remuda("remuda 0.2 reused", "hello-p2.wasm", "1", &reuse),
        remuda("remuda 0.2 reused, 2 workers", "hello-p2.wasm", "2", &reuse),
        remuda("remuda 0.3 reused", "hello.wasm", "1", &[]),
        remuda("remuda 0.3 reused, 2 workers", "hello.wasm", "2", &[]),
        remuda("remuda 0.3 fresh", "hello.wasm", "1", &["--instances", "fresh"]),
        wasmtime("wasmtime serve 0.2 fresh", "hello-p2.wasm", &[]),
        wasmtime("wasmtime serve 0.2 fresh, pooling", "hello-p2.wasm", &POOLING),
        wasmtime("wasmtime serve 0.3 reused", "hello.wasm", &[]),
    ]
}

/// Those that do all works (see guests/works), and may ask `upstream`.
pub(crate) fn workers(options: &Options, upstream: SocketAddr) -> Vec<Contender> {
    let guest = |name: &str| options.guest(name).display().to_string();
    let allow = format!("http://{upstream}");
    let remuda = |name, wasm: &str, workers, more: &[&str]| {
        let component = guest(wasm);
        let mut args = vec!["serve", &component, "--workers", workers];
        args.extend(REMUDA);
        // As the others have it, who know no such bound.
        args.extend(["--outbound-allow", &allow, "--outbound-max-per-host", "250"]);
        args.extend(more);
        Contender::new(name, options.release("remuda"), &args)
    };
    let wasmtime = |name, wasm: &str, more: &[&str]| {
        let component = guest(wasm);
        let mut args = WASMTIME.to_vec();
        args.extend(more);
        args.push(&component);
        Contender::new(name, options.wasmtime.clone(), &args)
    };
    let folder = path("benches/peers");
    let python = |name, command: &str, args: &[&str]| {
        let mut contender = Contender::new(name, options.peers.join(command), args);
        contender.folder = Some(folder.clone());
        contender
    };
    let uvicorn = ["--host", "HOST", "--port", "PORT", "--no-access-log", "--log-level", "error"];
    let uvicorn = |name, app, workers| {
        python(name, "uvicorn", &[&uvicorn[..], &["--workers", workers, app]].concat())
    };
    let granian = ["--interface", "asgi", "--host", "HOST", "--port", "PORT", "--no-access-log"];
    let granian = |name, workers| {
        let more = ["--log-level", "error", "--workers", workers, "asgi:app"];
        python(name, "granian", &[&granian[..], &more].concat())
    };
    let reuse = ["--instances", "reuse"];
    vec![
        Contender::new("native hyper", options.release("native-works"), &["ADDRESS"]),
        remuda("remuda 0.2 fresh", "works-p2.wasm", "1", &[]),
        remuda("remuda 0.2 fresh, 2 workers", "works-p2.wasm", "2", &[]),
        remuda("remuda 0.2 reused", "works-p2.wasm", "1", &reuse),
        remuda("remuda 0.2 reused, 2 workers", "works-p2.wasm", "2", &reuse),
        remuda("remuda 0.3 reused", "works.wasm", "1", &[]),
        remuda("remuda 0.3 reused, 2 workers", "works.wasm", "2", &[]),
        remuda("remuda SDK", "works-sdk.wasm", "1", &[]),
        remuda("remuda SDK, 2 workers", "works-sdk.wasm", "2", &[]),
        wasmtime("wasmtime serve 0.2 fresh", "works-p2.wasm", &[]),
        wasmtime("wasmtime serve 0.2 fresh, pooling", "works-p2.wasm", &POOLING),
        wasmtime("wasmtime serve 0.3 reused", "works.wasm", &[]),
        uvicorn("uvicorn, raw ASGI", "asgi:app", "1"),
        uvicorn("uvicorn, raw ASGI, 2 workers", "asgi:app", "2"),
        uvicorn("uvicorn, FastAPI", "fastapi_app:app", "1"),
        uvicorn("uvicorn, FastAPI, 2 workers", "fastapi_app:app", "2"),
        granian("granian, raw ASGI", "1"),
        granian("granian, raw ASGI, 2 workers", "2"),
    ]
}

/// A path in the checkout, wherever this was started.
fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name)
}

/// Those that serve `component` at several paths, and run what is at `burns` as each of Remuda's
/// executors does. No other setting is touched.
pub(crate) fn routed(
    options: &Options,
    component: &str,
    paths: &[&str],
    burns: &str,
) -> Result<Routed> {
    let component = options.guest(component).display().to_string();
    let folder = tempfile::tempdir()?;
    let mut contenders = Vec::new();
    for executor in ["auto", "blocking", "async"] {
        let mut config = String::new();
        for path in paths {
            config += &format!("[[route]]\npath = \"{path}\"\ncomponent = {component:?}\n");
        }
        config += &format!("[[route]]\npath = \"{burns}\"\ncomponent = {component:?}\n");
        config += &format!("executor = \"{executor}\"\n");
        let file = folder.path().join(format!("{executor}.toml"));
        fs::write(&file, config)?;
        let file = file.display().to_string();
        let mut args = vec!["serve", "--config", &file];
        args.extend(REMUDA);
        args.extend(["--workers", "1"]);
        contenders.push(Contender::new(
            &format!("remuda {executor}"),
            options.release("remuda"),
            &args,
        ));
    }
    for (name, flags) in [("wasmtime serve", &[][..]), ("wasmtime serve, pooling", &POOLING)] {
        let mut args = WASMTIME.to_vec();
        args.extend(flags);
        args.push(&component);
        contenders.push(Contender::new(name, options.wasmtime.clone(), &args));
    }
    Ok(Routed { contenders, _folder: folder })
}

impl Contender {
    fn new(name: &str, program: PathBuf, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { name: name.to_owned(), program, args, folder: None }
    }

    /// Starts the server and waits until it accepts.
    pub(crate) async fn start(&self) -> Result<Running> {
        let address = free_address()?;
        let args = self.args.iter().map(|arg| match arg.as_str() {
            "ADDRESS" => address.to_string(),
            "HOST" => address.ip().to_string(),
            "PORT" => address.port().to_string(),
            other => other.to_owned(),
        });
        let program = std::path::absolute(&self.program).ok().filter(|path| path.exists());
        let child = Command::new(program.as_ref().unwrap_or(&self.program))
            .args(args)
            .current_dir(self.folder.as_deref().unwrap_or(Path::new(".")))
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
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Running {
    /// A server that listens.
    pub(crate) fn of(child: Child, address: SocketAddr) -> Self {
        Self { child, address }
    }

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
