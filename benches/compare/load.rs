//! A closed loop of GET requests that costs as little as possible.
//!
//! All responses to one request have the same length, so that a connection only counts bytes
//! once one response was looked at.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// What is asked over and over.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    request: Vec<u8>,
    /// Bytes of each response.
    expected: usize,
}

/// All requests of one run.
pub(crate) struct Outcome {
    pub(crate) latencies_micros: Vec<f64>,
    pub(crate) elapsed: Duration,
}

impl Outcome {
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let last = self.latencies_micros.len().saturating_sub(1);
        self.latencies_micros.get((last as f64 * part) as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies_micros.len() as f64 / self.elapsed.as_secs_f64()
    }
}

impl Target {
    /// Looks at one response to a GET of `path`, and checks that it is a success.
    pub(crate) async fn probe(address: SocketAddr, path: &str) -> Result<Self> {
        let mut target = Self { address, request: request(path), expected: usize::MAX };
        let mut stream = target.connect().await?;
        target.expected = first_response(&mut stream, &target.request).await?;
        Ok(target)
    }

    /// Loads it for `duration`; latencies come sorted. Requests that are under way at its end
    /// are waited for.
    pub(crate) async fn load(&self, connections: usize, duration: Duration) -> Result<Outcome> {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(self.clone().client(started + duration));
        }
        let mut latencies_micros = Vec::new();
        while let Some(client) = clients.join_next().await {
            latencies_micros.extend(client??);
        }
        let elapsed = started.elapsed();
        ensure!(!latencies_micros.is_empty(), "no request was answered");
        latencies_micros.sort_by(f64::total_cmp);
        Ok(Outcome { latencies_micros, elapsed })
    }

    async fn client(self, until: Instant) -> Result<Vec<f64>> {
        let mut stream = self.connect().await?;
        let mut buffer = vec![0; 16 * 1024];
        let mut latencies = Vec::new();
        while Instant::now() < until {
            let sent = Instant::now();
            stream.write_all(&self.request).await?;
            let mut received = 0;
            while received < self.expected {
                match stream.read(&mut buffer).await? {
                    0 => bail!("the server closed a connection"),
                    length => received += length,
                }
            }
            ensure!(received == self.expected, "a response was longer than the first one");
            latencies.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        Ok(latencies)
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// Sends one request on a connection of its own; how long it takes until the response begins.
///
/// # Errors
/// When that is no success.
pub(crate) async fn ask_once(address: SocketAddr, path: &str) -> Result<Duration> {
    let sent = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&request(path)).await?;
    let mut buffer = [0; 1024];
    let length = stream.read(&mut buffer).await?;
    ensure!(is_success(&buffer[..length]), "the answer to {path} was no 200");
    Ok(sent.elapsed())
}

fn is_success(response: &[u8]) -> bool {
    response.starts_with(b"HTTP/1.1 200")
}

/// Reads until nothing has come for a while, and checks that it was a success.
async fn first_response(stream: &mut TcpStream, request: &[u8]) -> Result<usize> {
    const QUIET: Duration = Duration::from_millis(200);

    let mut buffer = vec![0; 16 * 1024];
    stream.write_all(request).await?;
    let mut length = stream.read(&mut buffer).await?;
    ensure!(is_success(&buffer), "the first answer was no 200");
    while let Ok(more) = tokio::time::timeout(QUIET, stream.read(&mut buffer[length..])).await {
        match more? {
            0 => bail!("the server closed a connection after one response"),
            more => length += more,
        }
    }
    Ok(length)
}
