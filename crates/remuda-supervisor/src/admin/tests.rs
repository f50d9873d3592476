//! The admin server over real sockets, before a loop that answers as a test wants.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use remuda_config::{BindAddress, ControlSocket};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    sync::oneshot,
    time::{Duration, Instant, timeout},
};

use super::{
    accept::MAX_CONNECTIONS,
    call::{Done, Metrics, Order, Refused, Reloads, Status},
    sockets::Sockets,
    *,
};

/// Far more than an answer takes, on a machine that is busy with other tests as well, and
/// less than anything that clients are waited for.
const SOON: Duration = Duration::from_secs(1);

/// An admin server and the loop's ends of its channels.
struct World {
    calls: mpsc::Receiver<Call>,
    health: watch::Sender<Health>,
    tcp: String,
    unix: PathBuf,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    _sockets: Sockets,
    _folder: tempfile::TempDir,
}

/// What a client has read.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let unix = folder.path().join("control.sock");
        let address = BindAddress::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
        let workers = BoundAddress::Tcp("127.0.0.1:8000".parse().expect("an address"));
        let socket = ControlSocket::Path(unix.clone());
        let sockets = Sockets::bind(Some(&address), Some(&socket), Some(&workers), None);
        let sockets = sockets.expect("bound");
        let read_only = sockets.admin().next().expect("a listener");
        let tcp = read_only.address.to_string().replace("http://", "");
        let control = sockets.control().expect("a listener");

        let (to_loop, calls) = mpsc::channel(4);
        let (health, to_read) = watch::channel(Health { started: false, ready: Err("starting") });
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let admin = Admin { calls: to_loop, health: to_read, control: Some(unix.clone()) };
        admin.serve(read_only, Access::ReadOnly, &tasks, shutdown.clone()).expect("served");
        admin.serve(control, Access::Full, &tasks, shutdown.clone()).expect("served");
        Self { calls, health, tcp, unix, tasks, shutdown, _sockets: sockets, _folder: folder }
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(&self.tcp).await.expect("connected")
    }

    async fn unix(&self) -> UnixStream {
        UnixStream::connect(&self.unix).await.expect("connected")
    }

    /// Asks the read-only side.
    async fn get(&self, path: &str) -> Answer {
        exchange(self.tcp().await, "GET", path).await
    }

    /// Gives an order while nobody answers it.
    async fn post(&self, path: &str) -> Answer {
        exchange(self.unix().await, "POST", path).await
    }

    async fn next_order(&mut self) -> (Order, oneshot::Sender<Result<Done, Refused>>) {
        match self.calls.recv().await {
            Some(Call::Order(order, answer)) => (order, answer),
            other => panic!("no order but {other:?}"),
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    method: &str,
    path: &str,
) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: remuda\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (head, body) = (head.to_lowercase(), body.to_owned());
    Answer { status: status.expect("a status"), head, body }
}

fn done(message: &str) -> Done {
    Done { message: message.to_owned(), generation: 3 }
}

fn status() -> Status {
    Status {
        version: "0.1.0",
        pid: 7,
        state: "serving",
        generation: 3,
        uptime_seconds: 1.5,
        addresses: vec!["http://127.0.0.1:8000".to_owned()],
        workers_wanted: 2,
        reloads: Reloads::default(),
        workers: vec![],
        routes: vec![],
    }
}

#[tokio::test]
async fn health_is_answered_while_the_loop_answers_nothing() {
    let world = World::new();
    let expect = async |live, start, ready| {
        let begun = Instant::now();
        assert_eq!(world.get("/livez").await.status, live);
        assert_eq!(world.get("/startupz").await.status, start);
        assert_eq!(world.get("/readyz").await.status, ready);
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    };
    expect(200, 503, 503).await;
    world.health.send_replace(Health { started: true, ready: Ok(()) });
    expect(200, 200, 200).await;
    world.health.send_replace(Health { started: true, ready: Err("draining") });
    expect(200, 200, 503).await;
    assert_eq!(world.get("/readyz").await.body, "draining\n");
}

#[tokio::test]
async fn clients_that_are_slow_or_wait_keep_no_health_check_out() {
    let world = World::new();
    let mut slow = Vec::new();
    for n in 0..2 * MAX_CONNECTIONS {
        let mut client = world.tcp().await;
        // Half a head, or a question that the loop does not answer.
        let sent = if n < MAX_CONNECTIONS {
            "GET /livez HT"
        } else {
            "GET /status HTTP/1.1\r\nHost: a\r\n\r\n"
        };
        client.write_all(sent.as_bytes()).await.expect("written");
        slow.push(client);
        let begun = Instant::now();
        assert_eq!(world.get("/livez").await.status, 200);
        assert!(begun.elapsed() < SOON, "{n}: {:?}", begun.elapsed());
    }
    // The first made room for others.
    let mut nothing = [0];
    let end = timeout(Duration::from_secs(5), slow[0].read(&mut nothing)).await.expect("closed");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_owes_something_is_closed_after_a_while() {
    let world = World::new();
    for sent in ["", "GET /livez HT", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = world.tcp().await;
        let begun = Instant::now();
        client.write_all(sent.as_bytes()).await.expect("written");
        let mut read = String::new();
        client.read_to_string(&mut read).await.expect("the end");
        let age = begun.elapsed();
        assert!(age >= connection::PATIENCE && age < 3 * connection::PATIENCE, "{age:?}");
        assert_eq!(read.contains("200 OK"), sent.ends_with("\r\n\r\n"), "{read}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_is_not_waited_for_without_bound() {
    let world = World::new();
    let answer = world.get("/status").await;
    assert_eq!((answer.status, answer.body.contains("has not answered within 3s")), (503, true));
}

#[tokio::test]
async fn status_and_metrics_are_what_the_loop_says() {
    let mut world = World::new();
    let client = world.tcp().await;
    let asked = tokio::spawn(exchange(client, "GET", "/status"));
    let Some(Call::Status(answer)) = world.calls.recv().await else { panic!("another call") };
    answer.send(status()).expect("awaited");
    let answer = asked.await.expect("answered");
    assert!(answer.head.contains("content-type: application/json\r\n"), "{answer:?}");
    assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
    let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&json["pid"], &json["workers_wanted"]), (&7.into(), &2.into()));

    let asked = tokio::spawn(exchange(world.unix().await, "GET", "/metrics"));
    let Some(Call::Metrics(answer)) = world.calls.recv().await else { panic!("another call") };
    answer.send(Metrics::default()).expect("awaited");
    let answer = asked.await.expect("answered");
    assert!(answer.head.contains("content-type: application/openmetrics-text;"), "{answer:?}");
    assert!(answer.body.ends_with("# EOF\n"), "{answer:?}");
}

#[tokio::test]
async fn the_read_only_side_takes_no_orders() {
    let mut world = World::new();
    for (method, path) in
        [("POST", "/reload"), ("GET", "/drain"), ("POST", "/livez"), ("POST", "/scale?workers=1")]
    {
        let answer = exchange(world.tcp().await, method, path).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        let socket = world.unix.display().to_string();
        assert!(answer.body.contains(&socket) && answer.body.contains("remuda ctl"), "{answer:?}");
    }
    assert!(world.calls.try_recv().is_err());
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_with_what_is_right() {
    let mut world = World::new();
    let answer = world.get("/healthz").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("GET /livez") && !answer.body.contains("/reload"), "{answer:?}");
    let answer = exchange(world.tcp().await, "DELETE", "/livez").await;
    assert_eq!((answer.status, answer.head.contains("allow: get, head")), (405, true));
    let answer = exchange(world.unix().await, "GET", "/reload").await;
    assert_eq!((answer.status, answer.head.contains("allow: post")), (405, true));
    let answer = exchange(world.unix().await, "GET", "/").await;
    assert!(answer.body.contains("POST /scale?workers=N"), "{answer:?}");
    let answer = exchange(world.tcp().await, "HEAD", "/livez").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));

    let answer = world.post("/scale?workers=many").await;
    assert_eq!(answer.status, 400);
    assert!(answer.head.contains("content-type: application/problem+json"), "{answer:?}");
    let problem: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(
        problem["detail"],
        "workers is a whole number; the request is POST /scale?workers=N"
    );
    assert_eq!((&problem["code"], &problem["status"]), (&64.into(), &400.into()));
    assert!(world.calls.try_recv().is_err());
}

#[tokio::test]
async fn two_orders_at_once_are_both_answered() {
    let mut world = World::new();
    let scale = tokio::spawn(exchange(world.unix().await, "POST", "/scale?workers=3"));
    let (first, first_answer) = world.next_order().await;
    let reload = tokio::spawn(exchange(world.unix().await, "POST", "/reload"));
    let (second, second_answer) = world.next_order().await;
    assert_eq!((first, second), (Order::Scale(3), Order::Reload));

    let reason = "failed to load: remuda.toml:3: unknown key\nuse workers.count".to_owned();
    second_answer.send(Err(Refused { reason: reason.clone(), code: 78 })).expect("awaited");
    first_answer.send(Ok(done("3 workers"))).expect("awaited");

    let answer = reload.await.expect("answered");
    let problem: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(
        (answer.status, &problem["detail"], &problem["code"]),
        (422, &reason.into(), &78.into())
    );
    let answer = scale.await.expect("answered");
    let said: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((answer.status, &said["message"]), (200, &"3 workers".into()));
}

#[tokio::test]
async fn an_order_outlives_its_client() {
    let mut world = World::new();
    let mut client = world.unix().await;
    client.write_all(b"POST /restart?worker=1 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
    let (order, mut answer) = world.next_order().await;
    assert_eq!(order, Order::Restart(1));
    drop(client);
    // The loop may notice, and has the order all the same.
    timeout(Duration::from_secs(5), answer.closed()).await.expect("the client is gone");
}

#[tokio::test]
async fn orders_that_the_loop_does_not_take_are_refused_at_once() {
    let world = World::new();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut client = world.unix().await;
        client.write_all(b"POST /reload HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
        waiting.push(client);
    }
    while world.calls.len() < 4 {
        tokio::task::yield_now().await;
    }
    let answer = world.post("/drain").await;
    assert_eq!((answer.status, answer.body.contains("too many orders wait")), (503, true));
}

#[tokio::test]
async fn the_end_answers_who_waits_and_takes_nobody_new() {
    let mut world = World::new();
    let idle = world.tcp().await;
    let drain = tokio::spawn(exchange(world.unix().await, "POST", "/drain"));
    let reload = tokio::spawn(exchange(world.unix().await, "POST", "/reload"));
    for _ in 0..2 {
        match world.next_order().await {
            (Order::Drain, answer) => answer.send(Ok(done("draining"))).expect("awaited"),
            // Forgotten, but not dropped: only the shutdown ends the wait.
            (_, answer) => std::mem::forget(answer),
        }
    }
    world.shutdown.cancel();
    world.tasks.close();
    timeout(Duration::from_secs(5), world.tasks.wait()).await.expect("all tasks end");
    assert_eq!(drain.await.expect("answered").status, 200);
    let answer = reload.await.expect("answered");
    assert_eq!((answer.status, answer.body.contains("the server has ended")), (503, true));
    drop(idle);
}

#[tokio::test]
async fn the_control_socket_is_for_its_owner_alone() {
    let world = World::new();
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&world.unix), 0o600);
}

#[test]
fn an_admin_address_that_is_taken_is_changed_with_its_own_flag() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = other.local_addr().expect("an address").port();
    let address = BindAddress::Tcp { host: "127.0.0.1".to_owned(), port };
    let error = Sockets::bind(Some(&address), None, None, None).expect_err("refused").to_string();
    assert!(error.contains("in use") && error.ends_with("with --admin"), "{error}");
}
