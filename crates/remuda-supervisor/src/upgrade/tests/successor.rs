//! Parts of a successor, each in a process of its own, which a test starts with the path of
//! the unix socket as its last argument.

use std::{env, io::Write, process};

use socket2::{SockRef, Socket};

use super::*;

/// Answers everybody in the accept queue with the pid; how many they were.
pub(super) fn serve_whoever_waits(listener: &Listener) -> usize {
    let accept = || SockRef::from(listener).accept().ok();
    std::iter::from_fn(accept).map(|(client, _)| greet(client)).count()
}

fn greet(mut client: Socket) {
    client.set_nonblocking(false).expect("blocking");
    client.write_all(process::id().to_string().as_bytes()).expect("written");
}

/// With a slot more than the predecessor.
fn take_everything() -> (Handover, Listeners, Listener) {
    let path = env::args_os().next_back().expect("a path");
    let mut handover = Handover::from_environment().expect("well-formed").expect("a predecessor");
    assert!(Handover::from_environment().expect("well-formed").is_none(), "claimed twice");
    let asked = [tcp(), unix(path.into())];
    let handed_over = Some(&mut handover);
    let listeners =
        Listeners::bind(&asked, 64, Accept::ReusePort, 3, handed_over).expect("listeners");
    let handed_over = Some(&mut handover);
    let mut admin = Listener::bind(SocketKind::Admin, &tcp(), 16, handed_over).expect("a listener");
    assert_eq!(listeners.offers().count(), 4);
    (handover, listeners, admin.remove(0))
}

#[test]
#[ignore = "a part that another test starts"]
fn serves() {
    let (handover, mut listeners, mut admin) = take_everything();
    let all = || (0..3).flat_map(|slot| listeners.for_slot(slot)).chain([&admin]);
    let served: usize = all().map(serve_whoever_waits).sum();
    assert_eq!(served, 32);
    listeners.direct_to(3);
    handover.ready();
    listeners.take_over();
    admin.take_over();

    let all: Vec<_> = (0..3).filter_map(|slot| listeners.for_slot(slot).next()).collect();
    let mut wanted: Vec<_> = all.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    assert_eq!(poll(&mut wanted, Some(&limit)), Ok(1));
    let (mut client, _) =
        all.iter().find_map(|socket| SockRef::from(socket).accept().ok()).expect("a client");
    client.set_nonblocking(false).expect("blocking");
    let mut order = [0; 3];
    client.read_exact(&mut order).expect("an order");
    assert_eq!(&order, b"end");
    drop(listeners);
    greet(client);
}

#[test]
#[ignore = "a part that another test starts"]
fn fails() {
    let (handover, _listeners, _admin) = take_everything();
    handover.failed("no worker starts");
}

#[test]
#[ignore = "a part that another test starts"]
fn gives_up() {
    let (_handover, _listeners, _admin) = take_everything();
}
