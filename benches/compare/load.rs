//! A closed loop of requests that costs as little as possible.
//!
//! Most short responses to one request have the same length and end, so that a connection does
//! not read heads once one response was looked at. Only one that came in pieces, for the server
//! was busy, may be framed in another way; then it is read as long ones are, to the end that its
//! framing gives it.

use std::{
    net::SocketAddr,
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::framing::Response;
use anyhow::{Result, bail, ensure};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Bytes of a response that is compared with others.
const SHORT: usize = 16 * 1024;

/// Bytes that are read at a time of a longer one.
const PIECE: usize = 64 * 1024;

/// Bytes at the end of a response that tell whether it is the usual one.
const END: usize = 8;

/// Requests from which on the slowest thousandth of them is more than a handful.
pub(crate) const ENOUGH: usize = 10_000;

/// Of a client whose request failed.
const PAUSE: Duration = Duration::from_millis(10);

/// What is asked over and over.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    request: Arc<[u8]>,
    /// The first response, if it was short.
    sample: Arc<[u8]>,
    /// Bytes of each body.
    pub(crate) length: usize,
}

/// All requests of one run.
pub(crate) struct Outcome {
    pub(crate) latencies_micros: Vec<f64>,
    /// Requests that were not answered, or with something else.
    pub(crate) errors: usize,
    pub(crate) elapsed: Duration,
}

impl Outcome {
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let last = self.latencies_micros.len().saturating_sub(1);
        self.latencies_micros.get((last as f64 * part) as usize).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn millis(&self, part: f64) -> f64 {
        self.percentile(part) / 1e3
    }

    /// p99.9 in milliseconds; no number where that would be one of a handful.
    pub(crate) fn thousandth(&self) -> f64 {
        if self.latencies_micros.len() < ENOUGH { f64::NAN } else { self.millis(0.999) }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies_micros.len() as f64 / self.elapsed.as_secs_f64()
    }
}

impl Target {
    /// Looks at one response to a GET of `path`, and checks that it is a success.
    pub(crate) async fn probe(address: SocketAddr, path: &str) -> Result<Self> {
        Self::probe_with(address, request(path)).await
    }

    /// The same with a POST of so many bytes.
    pub(crate) async fn probe_post(address: SocketAddr, path: &str, bytes: usize) -> Result<Self> {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n");
        let mut request = head.into_bytes();
        request.resize(request.len() + bytes, b'x');
        Self::probe_with(address, request).await
    }

    async fn probe_with(address: SocketAddr, request: Vec<u8>) -> Result<Self> {
        let (request, sample) = (Arc::from(request), Arc::from([]));
        let mut target = Self { address, request, sample, length: 0 };
        let mut stream = target.connect().await?;
        stream.write_all(&target.request).await?;
        let (mut buffer, mut response, mut whole) =
            (vec![0; PIECE], Response::default(), Vec::new());
        loop {
            let bytes = read(&mut stream, &mut buffer).await?;
            whole.extend_from_slice(bytes);
            if response.take(bytes)? {
                break;
            }
        }
        target.length = response.length;
        if whole.len() <= SHORT {
            target.sample = whole.into();
        }
        Ok(target)
    }

    /// Loads it for `duration`; latencies come sorted. Requests that are under way at its end
    /// are waited for.
    ///
    /// # Errors
    /// When none was answered.
    pub(crate) async fn load(&self, connections: usize, duration: Duration) -> Result<Outcome> {
        Self::alternating(slice::from_ref(self), connections, duration).await
    }

    /// The same with a client that never sleeps.
    ///
    /// A server that is slower than its client finds it asleep at most answers, and pays for
    /// waking it, which a client on another machine would not cost it. This one looks for answers
    /// all the time, and leaves the core to whoever else wants it in between.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) async fn load_awake(
        &self,
        connections: usize,
        duration: Duration,
    ) -> Result<Outcome> {
        let look = async {
            loop {
                std::thread::yield_now();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            outcome = self.load(connections, duration) => outcome,
            () = look => unreachable!("it never ends"),
        }
    }

    /// The same with callers who ask for one target after the other.
    ///
    /// # Errors
    /// When nobody was answered.
    pub(crate) async fn alternating(
        targets: &[Self],
        connections: usize,
        duration: Duration,
    ) -> Result<Outcome> {
        let started = Instant::now();
        let targets: Arc<[Self]> = targets.into();
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(Arc::clone(&targets), started + duration));
        }
        let (mut latencies_micros, mut errors) = (Vec::new(), 0);
        while let Some(client) = clients.join_next().await {
            let (latencies, failed) = client?;
            latencies_micros.extend(latencies);
            errors += failed;
        }
        let elapsed = started.elapsed();
        ensure!(!latencies_micros.is_empty(), "no request was answered, {errors} failed");
        latencies_micros.sort_by(f64::total_cmp);
        Ok(Outcome { latencies_micros, errors, elapsed })
    }

    /// Asks on a connection, which is made if there is none.
    async fn ask(&self, stream: &mut Option<TcpStream>, buffer: &mut [u8]) -> Result<()> {
        let stream = match stream {
            Some(stream) => stream,
            None => stream.insert(self.connect().await?),
        };
        self.response(stream, buffer).await
    }

    /// Sends the request, and reads the whole response to it.
    async fn response(&self, stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
        let first = self.send(stream, buffer).await?;
        if self.is_as_before(&buffer[..first]) {
            return Ok(());
        }
        let mut response = Response::default();
        let mut is_whole = response.take(&buffer[..first])?;
        while !is_whole {
            is_whole = response.take(read(stream, buffer).await?)?;
        }
        ensure!(response.length == self.length, "a body has {} bytes", response.length);
        Ok(())
    }

    /// Sends the request, and reads what there is of the response while it does: a server that
    /// sends back what it gets waits for that.
    async fn send(&self, stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize> {
        if self.request.len() <= PIECE / 4 {
            stream.write_all(&self.request).await?;
            return Ok(read(stream, buffer).await?.len());
        }
        let (mut reading, mut writing) = stream.split();
        let read = async {
            match reading.read(buffer).await? {
                0 => bail!("the server closed a connection"),
                count => Ok(count),
            }
        };
        let write = async { Ok(writing.write_all(&self.request).await?) };
        let (count, ()) = tokio::try_join!(read, write)?;
        Ok(count)
    }

    fn is_as_before(&self, response: &[u8]) -> bool {
        let (length, end) = (self.sample.len(), response.len().saturating_sub(END));
        length > 0 && response.len() == length && response[end..] == self.sample[end..]
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Latencies in microseconds, and how many requests failed.
async fn client(targets: Arc<[Target]>, until: Instant) -> (Vec<f64>, usize) {
    let (mut latencies, mut errors) = (Vec::new(), 0);
    let (mut stream, mut buffer) = (None, vec![0; PIECE]);
    for target in targets.iter().cycle() {
        let sent = Instant::now();
        if sent >= until {
            break;
        }
        match target.ask(&mut stream, &mut buffer).await {
            Ok(()) => latencies.push(sent.elapsed().as_secs_f64() * 1e6),
            Err(_) => {
                errors += 1;
                stream = None;
                // Lest one that refuses everybody is asked for nothing else.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    (latencies, errors)
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

async fn read<'a>(stream: &mut TcpStream, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    match stream.read(buffer).await? {
        0 => bail!("the server closed a connection"),
        count => Ok(&buffer[..count]),
    }
}
