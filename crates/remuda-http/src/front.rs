//! What happens to a connection before HTTP: a header of the PROXY protocol, then TLS.
//!
//! Owner: the connection's own task, so that a silent client holds up nobody. Invariants:
//! all of it takes `http.header_timeout` at most; where neither is configured it costs
//! nothing; what follows a header goes on untouched, however the pieces were cut.

pub mod proxy;
mod tls;

use std::{
    io,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt as _,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    complaint::Complaint,
    listener::{Rewound, Stream},
    server::Shared,
    tls::Tls,
};

/// In a drain, what has not come so far is given as long as an unfinished request head.
const DRAIN_LINGER: Duration = Duration::from_secs(2);

/// Whom a connection belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// What the PROXY protocol has announced, or the peer's own address; that of a unix
    /// socket has none.
    pub(crate) address: Option<IpAddr>,
    /// What it says of clients behind it is believed.
    pub(crate) is_trusted: bool,
    /// The connection is encrypted up to here.
    pub(crate) is_secure: bool,
}

/// A connection that is ready for HTTP.
pub(crate) struct Passed {
    pub(crate) stream: Stream,
    pub(crate) client: Client,
}

/// Makes a connection ready; `None` when it has ended, and why was counted.
pub(crate) async fn pass<H>(
    shared: &Shared<H>,
    stream: Stream,
    peer: Option<IpAddr>,
) -> Option<Passed> {
    let http = &shared.config.http;
    let peer = peer.map(|peer| peer.to_canonical());
    let client = Client {
        address: peer,
        is_trusted: http.forwarded_allow_ips.contain(peer),
        is_secure: false,
    };
    let tls = shared.tls.as_ref().filter(|_| matches!(stream, Stream::Tcp(_)));
    if tls.is_none() && !http.proxy_protocol {
        return Some(Passed { stream, client });
    }
    // It is over soon, and should not enlarge the task that stays.
    Box::pin(pass_through(shared, Passed { stream, client }, tls)).await
}

async fn pass_through<H>(shared: &Shared<H>, passed: Passed, tls: Option<&Tls>) -> Option<Passed> {
    let http = &shared.config.http;
    let patience = Patience { until: Instant::now() + http.header_timeout, drain: &shared.drain };
    let Passed { mut stream, mut client } = passed;
    if http.proxy_protocol {
        let outcome = match client.is_trusted {
            true => patience.wait(read_announced(&mut stream)).await,
            false => Some(Err(Refused::Untrusted)),
        };
        let outcome = outcome.unwrap_or(Err(Refused::Timeout));
        shared.metrics.proxy_header(outcome.as_ref().map_or_else(Refused::name, |_| "accepted"));
        match outcome {
            Ok((header, rest)) => {
                if let Some(source) = header.source {
                    client.address = Some(source.to_canonical());
                    client.is_trusted = http.forwarded_allow_ips.contain(client.address);
                }
                if !rest.is_empty() {
                    stream = Stream::Rewound(Box::new(Rewound::new(rest, stream)));
                }
            }
            Err(refused) => {
                complain(&shared.unannounced, client.address, &refused);
                return None;
            }
        }
    }
    if let Some(tls) = tls {
        let outcome = patience.wait(tls::accept(tls, stream)).await;
        let outcome = outcome.unwrap_or(Err(tls::Failed::Timeout));
        shared
            .metrics
            .tls_handshake(outcome.as_ref().map_or_else(tls::Failed::name, |_| "success"));
        match outcome {
            Ok(encrypted) => (stream, client.is_secure) = (encrypted, true),
            Err(failed) => {
                tracing::debug!(client = ?client.address, %failed, "no TLS");
                if let tls::Failed::PlainHttp(stream) = failed {
                    shared.metrics.rejected(tls::PLAIN_HTTP.reason());
                    tls::answer_plain_http(stream).await;
                }
                return None;
            }
        }
    }
    Some(Passed { stream, client })
}

/// Says that a connection is refused; it may be every one, if the setting is wrong. What just
/// connects and goes is a health check.
fn complain(complaint: &Mutex<Complaint>, peer: Option<IpAddr>, refused: &Refused) {
    let peer = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
    let mut complaint = complaint.lock().unwrap_or_else(PoisonError::into_inner);
    let counted = match refused {
        Refused::Ended(_) => None,
        _ => complaint.count(Instant::now()),
    };
    match counted {
        Some(unsaid) => {
            tracing::warn!(peer, reason = %refused, unsaid, "connection refused: no PROXY header");
        }
        None => tracing::debug!(peer, reason = %refused, "no PROXY header"),
    }
}

/// Why a connection has no header of the PROXY protocol.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the peer is not in http.forwarded_allow_ips")]
    Untrusted,
    #[error("it did not come within http.header_timeout")]
    Timeout,
    #[error(transparent)]
    Malformed(#[from] proxy::Malformed),
    #[error("the connection has ended: {0}")]
    Ended(#[from] io::Error),
}

impl Refused {
    /// For metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Timeout => "timeout",
            Self::Malformed(_) => "malformed",
            Self::Ended(_) => "ended",
        }
    }
}

/// Reads the header, and perhaps some of what follows it.
async fn read_announced(stream: &mut Stream) -> Result<(proxy::Header, Vec<u8>), Refused> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        // Refuses what is longer than a header can be.
        if let Some(header) = proxy::parse(&bytes)? {
            let rest = bytes.split_off(header.length);
            return Ok((header, rest));
        }
    }
}

/// How long a client may take.
struct Patience<'a> {
    until: Instant,
    drain: &'a CancellationToken,
}

impl Patience<'_> {
    /// `None` when it is over before `future` is.
    async fn wait<F: Future>(&self, future: F) -> Option<F::Output> {
        let drained = async {
            self.drain.cancelled().await;
            sleep(DRAIN_LINGER).await;
        };
        tokio::select! {
            biased;
            output = future => Some(output),
            () = sleep_until(self.until) => None,
            () = drained => None,
        }
    }
}
