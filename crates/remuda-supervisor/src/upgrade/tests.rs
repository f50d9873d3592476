//! Upgrades to a shell, which says what it is told to, and to this very executable, which
//! plays the successor's [parts](successor).

mod successor;

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::PoisonError,
    time::Duration,
};

use remuda_config::{Accept, BoundAddress};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, Mode, mkfifoat},
};

use super::*;
use crate::reap::ONE_REAPS;

/// Nothing here takes a fraction of it, unless it is broken.
const LIMIT: Duration = Duration::from_secs(30);

fn tcp() -> BindAddress {
    BindAddress::Tcp { host: "127.0.0.1".into(), port: 0 }
}

fn unix(path: PathBuf) -> BindAddress {
    BindAddress::Unix { path, mode: None }
}

/// A server with two slots, a TCP and a unix address, and an admin listener.
struct Predecessor {
    listeners: Listeners,
    admin: Listener,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Predecessor {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.sock");
        let asked = [tcp(), unix(path.clone())];
        let listeners = Listeners::bind(&asked, 64, Accept::ReusePort, 2, None).expect("listeners");
        let admin = Listener::bind(SocketKind::Admin, &tcp(), 16, None).expect("bound").remove(0);
        Self { listeners, admin, path, _folder: folder }
    }

    fn upgrade(&self, program: &Path, arguments: &[OsString]) -> Result<Upgrade, UpgradeError> {
        let extra = Extra { kind: SocketKind::Admin, configured: &tcp(), listener: &self.admin };
        Upgrade::start(program, arguments, &self.listeners, &[extra])
    }

    /// To a shell that runs `script`, with the pipe as its descriptor 3.
    fn upgrade_to_shell(&self, script: &str) -> Upgrade {
        self.upgrade(Path::new("/bin/sh"), &["-c".into(), script.into()]).expect("a shell")
    }

    /// To a part of [`successor`].
    fn upgrade_to(&self, part: &str) -> Upgrade {
        let part = format!("upgrade::tests::successor::{part}");
        let arguments =
            ["--ignored".into(), "--exact".into(), part.into(), self.path.clone().into()];
        self.upgrade(&env::current_exe().expect("a path"), &arguments).expect("a successor")
    }

    fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let tcp = |address: &BoundAddress| match address {
            BoundAddress::Tcp(address) => *address,
            BoundAddress::Unix(path) => panic!("bound {}", path.display()),
        };
        let first = self.listeners.iter().next().expect("a listener");
        (tcp(&first.address), tcp(&self.admin.address))
    }
}

/// Runs `test` while no other test reaps children.
fn alone(test: impl Future<Output = ()>) {
    let _alone = ONE_REAPS.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

async fn outcome(upgrade: &mut Upgrade) -> UpgradeOutcome {
    tokio::time::timeout(LIMIT, upgrade.outcome()).await.expect("an outcome")
}

async fn failure(script: &str) -> String {
    let mut upgrade = Predecessor::new().upgrade_to_shell(script);
    match outcome(&mut upgrade).await {
        UpgradeOutcome::Failed(reason) => reason,
        UpgradeOutcome::Ready(taken) => panic!("ready with {taken:?}"),
    }
}

/// Waits for the end of a process.
fn wait(process: &OwnedFd) {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    let mut ended = [PollFd::new(process, PollFlags::IN)];
    assert_eq!(poll(&mut ended, Some(&limit)), Ok(1), "the successor goes on");
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("connected");
    client.set_read_timeout(Some(LIMIT)).expect("a timeout");
    client
}

fn answer(mut client: impl Read) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn a_successor_that_is_ready_says_what_it_has_taken() {
    alone(async {
        let before = Predecessor::new();
        // 3 is the pipe, 4 and 5 are the sockets of the slots.
        let mut upgrade = before.upgrade_to_shell(r#"echo '{"ready":{"taken":[5,6]}}' >&3"#);
        let UpgradeOutcome::Ready(taken) = outcome(&mut upgrade).await else { panic!("failed") };
        let tcp = BoundAddress::Tcp(before.addresses().0);
        assert!(taken.has(SocketKind::Bind, &tcp, 1) && !taken.has(SocketKind::Bind, &tcp, 0));
        assert!(taken.has(SocketKind::Bind, &BoundAddress::Unix(before.path.clone()), 0));
        assert!(!taken.has(SocketKind::Admin, &BoundAddress::Tcp(before.addresses().1), 0));
    });
}

#[test]
fn a_successor_that_fails_says_why_or_at_least_ends() {
    alone(async {
        let reason =
            failure(r#"echo '{"failed":{"reason":"no worker starts"}}' >&3; exec sleep 100"#);
        assert_eq!(reason.await, "no worker starts");
        assert_eq!(failure("exit 3").await, "it ended without a word");
        assert_eq!(failure("kill -9 $$").await, "it ended without a word");
        assert_eq!(failure("echo ready >&3").await, "its answer makes no sense: ready");
    });
}

#[test]
fn a_program_that_does_not_start_is_named() {
    alone(async {
        let error = Predecessor::new().upgrade(Path::new("/no/such/remuda"), &[]);
        let error = error.expect_err("not there").to_string();
        assert_eq!(error, "failed to start /no/such/remuda for the upgrade");
    });
}

#[test]
fn a_successor_that_never_answers_is_killed_when_nobody_waits_any_more() {
    alone(async {
        tokio::time::pause();
        let mut upgrade = Predecessor::new().upgrade_to_shell("exec sleep 1000");
        assert!(tokio::time::timeout(LIMIT, upgrade.outcome()).await.is_err());
        let process = upgrade.process.try_clone().expect("a copy");
        drop(upgrade);
        wait(&process);
    });
}

#[test]
fn a_successor_that_is_ready_outlives_the_upgrade() {
    alone(async {
        let before = Predecessor::new();
        let script = r#"echo '{"ready":{"taken":[]}}' >&3; exec 3>&-; read line <"$0""#;
        let pipe = before.path.with_file_name("pipe");
        mkfifoat(CWD, &pipe, Mode::RWXU).expect("a named pipe");
        let arguments = ["-c".into(), script.into(), pipe.clone().into()];
        let mut upgrade = before.upgrade(Path::new("/bin/sh"), &arguments).expect("a shell");
        assert!(matches!(outcome(&mut upgrade).await, UpgradeOutcome::Ready(_)));
        let process = upgrade.process.try_clone().expect("a copy");
        drop(upgrade);
        // Opening it waits for the one that reads; if that were killed, it would for ever.
        tokio::task::spawn_blocking(move || std::fs::write(pipe, "line\n").expect("written"));
        wait(&process);
    });
}

#[test]
fn a_successor_serves_whoever_waits_in_any_queue() {
    alone(async {
        let mut before = Predecessor::new();
        let (address, admin) = before.addresses();
        let waiting: Vec<_> = (0..30).map(|_| connect(address)).collect();
        let (local, health) =
            (UnixStream::connect(&before.path).expect("connected"), connect(admin));

        let mut upgrade = before.upgrade_to("serves");
        let outcome = outcome(&mut upgrade).await;

        let UpgradeOutcome::Ready(taken) = outcome else { panic!("{outcome:?}") };
        let pid = upgrade.pid().as_raw_pid().to_string();
        for client in waiting {
            assert_eq!(answer(client), pid);
        }
        assert_eq!(answer(local), pid);
        assert_eq!(answer(health), pid);

        // The old server leaves, and takes nothing along.
        assert!(taken.has(SocketKind::Admin, &before.admin.address, 0));
        before.listeners.leave_to_successor(&taken);
        before.admin.leave();
        before.listeners.last_call();
        drop((before.listeners, before.admin));
        assert!(before.path.exists());
        let mut last = connect(address);

        // Whoever says this ends the successor, which removes the file.
        last.write_all(b"end").expect("written");
        assert_eq!(answer(last), pid);
        wait(&upgrade.process);
        assert!(!before.path.exists());
    });
}

#[test]
fn a_successor_that_fails_leaves_everything_as_it_was() {
    alone(async {
        for (part, reason) in
            [("fails", "no worker starts"), ("gives_up", "it ended before it was ready")]
        {
            let before = Predecessor::new();
            let mut upgrade = before.upgrade_to(part);
            assert_eq!(outcome(&mut upgrade).await, UpgradeOutcome::Failed(reason.into()));
            wait(&upgrade.process);

            let clients: Vec<_> = (0..20).map(|_| connect(before.addresses().0)).collect();
            let _local = UnixStream::connect(&before.path).expect("connected");
            let slots = (0..2).filter_map(|slot| before.listeners.for_slot(slot).next());
            let served: usize = slots.map(successor::serve_whoever_waits).sum();
            assert_eq!(served, clients.len());
        }
    });
}
