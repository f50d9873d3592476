//! A closed loop of GET requests that costs as little as possible.
//!
//! Most responses to one request have the same length and end, so that a connection does not
//! read heads once one response was looked at. Only one that came in pieces, for the server was
//! busy, may be framed in another way.

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

/// Bytes of a response.
const LONGEST: usize = 16 * 1024;

/// Bytes at the end of a response that tell whether it is the usual one.
const END: usize = 8;

/// What is asked over and over.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    request: Vec<u8>,
    /// The first response.
    sample: Vec<u8>,
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
        let mut target = Self { address, request: request(path), sample: Vec::new() };
        let mut stream = target.connect().await?;
        target.sample = target.response(&mut stream, &mut vec![0; LONGEST]).await?.to_vec();
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
        let mut buffer = vec![0; LONGEST];
        let mut latencies = Vec::new();
        while Instant::now() < until {
            let sent = Instant::now();
            self.response(&mut stream, &mut buffer).await?;
            latencies.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        Ok(latencies)
    }

    /// Sends the request, and reads the whole response to it.
    async fn response<'a>(&self, stream: &mut TcpStream, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        stream.write_all(&self.request).await?;
        let mut length = 0;
        loop {
            match stream.read(&mut buffer[length..]).await? {
                0 if length == buffer.len() => bail!("a response is longer than {LONGEST} bytes"),
                0 => bail!("the server closed a connection"),
                more => length += more,
            }
            if self.is_whole(&buffer[..length])? {
                return Ok(&buffer[..length]);
            }
        }
    }

    fn is_whole(&self, response: &[u8]) -> Result<bool> {
        let as_before = response.len() == self.sample.len()
            && response[response.len() - END..] == self.sample[response.len() - END..];
        if as_before {
            return Ok(true);
        }
        ensure!(is_success(response), "an answer was no 200");
        Ok(ends(response))
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

/// Whether a response is there to its end, as its own head says (RFC 9112, section 6.3).
fn ends(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match field("content-length:").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => field("transfer-encoding:") == Some("chunked") && body.ends_with("0\r\n\r\n"),
    }
}
