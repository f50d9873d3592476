//! The control socket: whatever bytes come, they are a message, an error or the end, and a
//! message arrives as it was sent.

use std::{cell::RefCell, collections::BTreeMap, io::Write as _, os::unix::net, time::Duration};

use arbitrary::{Arbitrary, Unstructured};
use remuda_control::{
    Connections, FromWorker, Heartbeat, Histogram, InstanceCounts, Queue, RouteSnapshot, Snapshot,
    ToWorker, split,
};
use serde_json::Value;
use tokio::{
    net::UnixStream,
    runtime::{Builder, Runtime},
};

/// Bytes that fit into a socket's buffer, so that nobody has to read meanwhile.
const MOST: usize = 64 << 10;

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_io().build().expect("a runtime"));
}

/// Reads `input` as either side would, and sends a message made of it.
///
/// # Panics
/// When a promise is broken.
pub fn control(input: &[u8]) {
    let input = &input[..input.len().min(MOST)];
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            for message in received::<FromWorker>(input).await {
                arrives(&message).await;
            }
            for message in received::<ToWorker>(input).await {
                arrives(&message).await;
            }
            let mut made = Unstructured::new(input);
            if let Ok(message) = Worker::arbitrary(&mut made) {
                arrives(&FromWorker::from(message)).await;
            }
            if let Ok(message) = Supervisor::arbitrary(&mut made) {
                arrives(&ToWorker::from(message)).await;
            }
        });
    });
}

/// All messages in these bytes, until there is an error or their end.
async fn received<M: serde::de::DeserializeOwned>(bytes: &[u8]) -> Vec<M> {
    let (ours, theirs) = net::UnixStream::pair().expect("a pair of sockets");
    { theirs }.write_all(bytes).expect("room in the socket");
    ours.set_nonblocking(true).expect("a socket of ours");
    let ours = UnixStream::from_std(ours).expect("a runtime");
    let (mut reader, _) = split::<M, ()>(ours);
    let mut messages = Vec::new();
    while let Ok(Some(message)) = reader.receive().await {
        messages.push(message);
    }
    messages
}

async fn arrives<M>(message: &M)
where
    M: serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let (mut reader, _) = split::<M, M>(ours);
    let (_, mut writer) = split::<M, M>(theirs);
    let (sent, received) = tokio::join!(writer.send(message), reader.receive());
    sent.expect("a message can be sent");
    let received = received.expect("a message can be read").expect("a message comes");
    assert!(same(&json(message), &json(&received)), "{message:?}\n{received:?}");
}

fn json(message: &impl serde::Serialize) -> Value {
    serde_json::to_value(message).expect("a message can be sent")
}

/// The same but for the last digit of fractions, which JSON need not keep.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let found = |(key, one)| other.get(key).is_some_and(|other| same(one, other));
            one.len() == other.len() && one.iter().all(found)
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
            (one - other).abs() <= one.abs() * 1e-14
        }
        _ => one == other,
    }
}

/// A message from a worker, as arbitrary as it gets.
#[derive(Arbitrary)]
enum Worker {
    Ready,
    Heartbeat { lag: Duration, counts: [usize; 3], served: u64 },
    Snapshot(Figures),
    Draining,
    Failed(String),
}

/// A message from the supervisor; configurations have a target of their own.
#[derive(Arbitrary)]
enum Supervisor {
    Serve,
    Drain { grace: Duration, wait: Option<Duration> },
    Snapshot,
}

#[derive(Arbitrary)]
struct Figures {
    routes: Vec<Route>,
    reasons: [BTreeMap<String, u64>; 4],
    gauges: [u64; 6],
    queue: Times,
    hosts: BTreeMap<String, Times>,
}

#[derive(Arbitrary)]
struct Route {
    name: String,
    responses: BTreeMap<u16, u64>,
    seconds: Times,
    instances: [u64; 2],
    guest_cpu_seconds: f64,
}

#[derive(Arbitrary)]
struct Times {
    bounds: Vec<f64>,
    counts: Vec<u64>,
    sum: f64,
}

impl From<Worker> for FromWorker {
    fn from(message: Worker) -> Self {
        match message {
            Worker::Ready => Self::Ready,
            Worker::Heartbeat { lag, counts: [in_flight, queued, connections], served } => {
                Self::Heartbeat(Heartbeat { lag, in_flight, queued, connections, served })
            }
            Worker::Snapshot(figures) => Self::Snapshot(Box::new(figures.into())),
            Worker::Draining => Self::Draining,
            Worker::Failed(reason) => Self::Failed { reason },
        }
    }
}

impl From<Supervisor> for ToWorker {
    fn from(message: Supervisor) -> Self {
        match message {
            Supervisor::Serve => Self::Serve,
            Supervisor::Drain { grace, wait } => Self::Drain {
                grace,
                queue: wait.map_or(Queue::Leave, |wait| Queue::Empty { wait }),
            },
            Supervisor::Snapshot => Self::Snapshot,
        }
    }
}

#[allow(clippy::needless_update, reason = "a figure that is new need not be here at once")]
impl From<Figures> for Snapshot {
    fn from(figures: Figures) -> Self {
        let [active, idle, in_flight, capacity, queue_depth, stalls] = figures.gauges;
        let [rejected, broken_off, tls_handshakes, proxy_headers] = figures.reasons;
        let routes = figures.routes.into_iter();
        let routes = routes.map(|route| RouteSnapshot {
            route: route.name,
            responses: route.responses,
            seconds: route.seconds.into(),
            instances: InstanceCounts { busy: route.instances[0], idle: route.instances[1] },
            guest_cpu_seconds: finite(route.guest_cpu_seconds),
            ..RouteSnapshot::default()
        });
        let hosts = figures.hosts.into_iter();
        Self {
            routes: routes.collect(),
            rejected,
            broken_off,
            tls_handshakes,
            proxy_headers,
            connections: Connections { active, idle },
            in_flight,
            capacity,
            queue_depth,
            queue_seconds: figures.queue.into(),
            stalls,
            outbound_seconds: hosts.map(|(host, times)| (host, times.into())).collect(),
            ..Self::default()
        }
    }
}

impl From<Times> for Histogram {
    fn from(times: Times) -> Self {
        Self {
            bounds: times.bounds.into_iter().map(finite).collect(),
            counts: times.counts,
            sum: finite(times.sum),
        }
    }
}

/// Nothing takes an endless time, and JSON has no word for it.
fn finite(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds } else { 0.0 }
}
