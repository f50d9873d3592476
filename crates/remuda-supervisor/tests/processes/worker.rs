//! The worker's fake: answers every connection with its pid, unless it misbehaves.
#![expect(unsafe_code, reason = "a worker knows its descriptors only by their numbers")]

use std::{
    env, fs,
    io::Write,
    os::{fd::FromRawFd, unix::net::UnixStream},
    path::Path,
    process::{self, Command, ExitCode},
};

use remuda_control::{
    CONTROL_DESCRIPTOR, ControlReader, ControlWriter, FromWorker, Heartbeat, ToWorker, WorkerSetup,
    split,
};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use crate::{behaviour, compiler::ARTIFACT};

pub(crate) fn main(folder: &Path) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work(folder))
}

async fn work(folder: &Path) -> ExitCode {
    // SAFETY: the supervisor handed the descriptor over to this process, which takes it once.
    let mut control = unsafe { UnixStream::from_raw_fd(CONTROL_DESCRIPTOR) };
    let behaviour = behaviour(folder, "worker");
    if behaviour == "babbles" {
        control.write_all(b"\0\0\0\x02{}").expect("written");
    }
    let control = tokio::net::UnixStream::from_std(control).expect("a control socket");
    let (mut orders, mut supervisor) = split::<ToWorker, FromWorker>(control);
    let Ok(Some(ToWorker::Configure(setup))) = orders.receive().await else {
        panic!("no configuration")
    };
    assert_eq!(env::var("REMUDA_TEST_GREETING").as_deref(), Ok("hello"));
    assert_eq!(setup.artifacts, [folder.join(ARTIFACT)]);
    match behaviour.as_str() {
        "dies" => return ExitCode::FAILURE,
        "fails" => {
            let reason = "the component needs more memory".to_owned();
            supervisor.send(&FromWorker::Failed { reason }).await.expect("sent");
            return ExitCode::from(70);
        }
        "sleeps" | "babbles" => return until_the_supervisor_is_gone(orders).await,
        "leaves an orphan" => leave_an_orphan(folder),
        "serves" | "stays" | "lingers" | "is silent" => {}
        other => panic!("no such behaviour: {other}"),
    }
    supervisor.send(&FromWorker::Ready).await.expect("sent");
    if behaviour == "is silent" {
        // A worker takes the question what holds it up, and goes on.
        let _asked = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::user_defined1());
        return until_the_supervisor_is_gone(orders).await;
    }
    let beating = tokio::spawn(beat(supervisor));
    match orders.receive().await {
        Ok(Some(ToWorker::Serve)) => {}
        Ok(Some(ToWorker::Drain { .. }) | None) => return ExitCode::SUCCESS,
        other => panic!("told {other:?} instead of to serve"),
    }
    tokio::select! {
        () = serve(&setup) => return ExitCode::FAILURE,
        () = end(&mut orders, behaviour == "stays") => {}
    }
    if behaviour == "lingers" {
        // The listener is closed, but something does not finish.
        return until_the_supervisor_is_gone(orders).await;
    }
    beating.abort();
    ExitCode::SUCCESS
}

async fn beat(mut supervisor: ControlWriter<FromWorker>) {
    let mut ticks = tokio::time::interval(Heartbeat::INTERVAL / 2);
    loop {
        ticks.tick().await;
        if supervisor.send(&FromWorker::Heartbeat(Heartbeat::default())).await.is_err() {
            return;
        }
    }
}

async fn serve(setup: &WorkerSetup) {
    let descriptor = setup.listeners[0].descriptor;
    // SAFETY: as above.
    let listener = unsafe { std::net::TcpListener::from_raw_fd(descriptor) };
    let listener = TcpListener::from_std(listener).expect("a listener");
    loop {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        // The client may be gone already.
        let _ = connection.write_all(process::id().to_string().as_bytes()).await;
    }
}

async fn end(orders: &mut ControlReader<ToWorker>, stay: bool) {
    while let Ok(Some(order)) = orders.receive().await {
        match order {
            ToWorker::Drain { .. } if !stay => return,
            ToWorker::Drain { .. } | ToWorker::Serve | ToWorker::Snapshot => {}
            ToWorker::Configure(_) => panic!("configured twice"),
        }
    }
}

/// However it misbehaves, no fake outlives its scenario.
async fn until_the_supervisor_is_gone(mut orders: ControlReader<ToWorker>) -> ExitCode {
    end(&mut orders, true).await;
    ExitCode::FAILURE
}

/// Starts a process whose parent ends before it does.
fn leave_an_orphan(folder: &Path) {
    let shell = Command::new("sh").args(["-c", "sleep 0.2 & echo $!"]).output().expect("a shell");
    fs::write(folder.join("orphan"), shell.stdout).expect("written");
}
