//! A closed loop of GET requests that costs as little as possible.
//!
//! All responses to one request have the same length, so that after the first one a
//! connection only counts bytes.

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

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

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
}

/// Loads `address` for `duration`; latencies come sorted.
pub(crate) async fn run(
    address: SocketAddr,
    connections: usize,
    duration: Duration,
) -> Result<Outcome> {
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(client(address, started + duration));
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

async fn client(address: SocketAddr, until: Instant) -> Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    let expected = first_response(&mut stream, &mut buffer).await?;
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let sent = Instant::now();
        stream.write_all(REQUEST).await?;
        let mut received = 0;
        while received < expected {
            match stream.read(&mut buffer).await? {
                0 => bail!("the server closed a connection"),
                length => received += length,
            }
        }
        ensure!(received == expected, "a response was longer than the first one");
        latencies.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    Ok(latencies)
}

/// Reads until nothing has come for a while, and checks that it was a success.
async fn first_response(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize> {
    const QUIET: Duration = Duration::from_millis(200);

    stream.write_all(REQUEST).await?;
    let mut length = stream.read(buffer).await?;
    ensure!(buffer.starts_with(b"HTTP/1.1 200"), "the first answer was no 200");
    while let Ok(more) = tokio::time::timeout(QUIET, stream.read(&mut buffer[length..])).await {
        match more? {
            0 => bail!("the server closed a connection after one response"),
            more => length += more,
        }
    }
    Ok(length)
}
