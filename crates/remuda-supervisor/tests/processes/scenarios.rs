//! What the supervisor does when things happen to its processes.

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

use remuda_config::BindAddress;
use rustix::process::{Signal, kill_process};

use crate::{
    runner::Scenario,
    server::{Server, is_running, pid_of, process_folder},
};

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => { pub(crate) const ALL: &[Scenario] = &[$((stringify!($name), $name)),*]; };
}

scenarios![
    one_line_says_what_is_served_and_where,
    a_killed_worker_is_replaced,
    an_order_to_end_drains_all_workers,
    ctrl_c_reaches_the_workers_through_the_supervisor,
    new_connections_are_refused_while_it_drains,
    a_second_order_ends_at_once,
    a_killed_supervisor_leaves_no_orphan,
    a_killed_supervisor_takes_its_compiler_along,
    orphans_of_strangers_are_reaped,
    workers_that_die_at_boot_end_the_server,
    the_last_words_of_a_worker_are_the_servers,
    workers_that_are_never_ready_end_the_server,
    a_worker_that_sends_garbage_is_replaced,
    an_unusable_component_ends_the_server,
    an_order_to_end_is_obeyed_while_compiling,
    an_address_in_use_ends_the_server,
    a_unix_socket_is_removed_at_the_end,
    a_reload_replaces_every_worker,
    what_is_wrong_with_a_reload_changes_nothing,
    a_reload_of_workers_that_are_never_ready_is_given_up,
    a_reload_that_comes_during_a_reload_comes_after_it,
    more_and_fewer_workers_on_a_signal,
    a_silent_worker_is_aborted_and_replaced,
    a_worker_that_lived_long_enough_is_replaced,
];

fn one_line_says_what_is_served_and_where() {
    let server = Server::builder().start().ready();
    let line = server.wait_for_line("listening");
    assert_eq!(line["workers"], 2);
    assert_eq!(pid_of(&line), server.pid());
    assert!(line["elapsed_ms"].is_u64());
    let workers = server.ready_workers();
    assert_eq!(workers.len(), 2);
    assert_ne!(workers[0], workers[1]);
    assert!(workers.contains(&server.ask()));
    assert_eq!(server.lines("listening").len(), 1);
}

fn a_killed_worker_is_replaced() {
    let server = Server::builder().start().ready();
    let [victim, other] = server.ready_workers()[..] else { panic!("two workers") };

    kill_process(victim, Signal::KILL).expect("killed");

    let replacement = server.wait_for("a replacement", || server.ready_workers().get(2).copied());
    assert!(![victim, other].contains(&replacement));
    assert!(is_running(other));
    assert!([other, replacement].contains(&server.ask()));
    let line = server.wait_for_line("worker exited");
    assert_eq!(pid_of(&line), victim);
    assert_eq!(line["reason"], "killed by SIGKILL");
    assert_eq!(server.lines("listening").len(), 1);
}

fn an_order_to_end_drains_all_workers() {
    let mut server = Server::builder().start().ready();
    let address = server.address();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    assert_workers_left_by_themselves(&server);
    assert!(TcpStream::connect(address).is_err());
}

fn ctrl_c_reaches_the_workers_through_the_supervisor() {
    let mut server = Server::builder().start().ready();
    server.signal_group(Signal::INT);
    assert_eq!(server.wait(), Some(0));
    assert_workers_left_by_themselves(&server);
}

fn new_connections_are_refused_while_it_drains() {
    let mut server = Server::builder().worker("lingers").start().ready();
    let address = server.address();
    server.signal(Signal::TERM);
    server.wait_for("a refusal", || TcpStream::connect(address).is_err().then_some(()));
    assert!(server.lines("worker exited").is_empty());
    server.signal(Signal::QUIT);
    assert_eq!(server.wait(), Some(0));
}

fn a_second_order_ends_at_once() {
    let mut server = Server::builder().worker("stays").start().ready();
    server.signal(Signal::TERM);
    server.wait_for_line("draining");
    server.signal(Signal::INT);
    assert_eq!(server.wait(), Some(0));
    let exits = server.lines("worker exited");
    assert_eq!(exits.len(), 2);
    assert!(exits.iter().all(|line| line["reason"] == "killed by SIGKILL"), "{exits:?}");
}

fn a_killed_supervisor_leaves_no_orphan() {
    let mut server = Server::builder().start().ready();
    let workers = server.ready_workers();
    server.kill();
    for worker in workers {
        server.wait_until_gone(worker);
    }
}

fn a_killed_supervisor_takes_its_compiler_along() {
    let mut server = Server::builder().compiler("hangs").start();
    let compiler = server.wait_for_pid("compiling");
    server.kill();
    server.wait_until_gone(compiler);
}

fn orphans_of_strangers_are_reaped() {
    let server = Server::builder().worker("leaves an orphan").start().ready();
    let orphan = server.wait_for_pid("orphan");
    // A zombie would still have its folder.
    server.wait_for("the orphan to be reaped", || (!process_folder(orphan).exists()).then_some(()));
    assert!(server.lines("worker exited").is_empty());
    assert!(server.ready_workers().contains(&server.ask()));
}

fn workers_that_die_at_boot_end_the_server() {
    let mut server = Server::builder().worker("dies").start();
    assert_eq!(server.wait(), Some(70));
    let failure = server.wait_for_line("failed");
    assert_eq!(
        failure["error"],
        "failed to start workers: 6 attempts in a row failed, the last one: exited with code 1"
    );
}

fn the_last_words_of_a_worker_are_the_servers() {
    let mut server = Server::builder().worker("fails").start();
    assert_eq!(server.wait(), Some(70));
    let failure = server.wait_for_line("failed");
    let error = failure["error"].as_str().expect("an error");
    assert!(error.ends_with("the component needs more memory (exited with code 70)"), "{error}");
}

fn workers_that_are_never_ready_end_the_server() {
    let hurry = |config: &mut remuda_config::Config| {
        config.workers.boot_timeout = Duration::from_millis(50);
    };
    let mut server = Server::builder().worker("sleeps").configure(hurry).start();
    assert_eq!(server.wait(), Some(70));
    let failure = server.wait_for_line("failed");
    let error = failure["error"].as_str().expect("an error");
    assert!(error.contains("not ready"), "{error}");
}

fn a_worker_that_sends_garbage_is_replaced() {
    let server =
        Server::builder().configure(|config| config.workers.count = 1).worker("babbles").start();
    let killed = server.wait_for_line("killing worker");
    server.set_worker("serves");
    let server = server.ready();
    let last = server.ready_workers().pop();
    assert_eq!(last, Some(server.ask()));
    assert_ne!(last, Some(pid_of(&killed)));
}

fn an_unusable_component_ends_the_server() {
    let mut server = Server::builder().compiler("refuses").start();
    assert_eq!(server.wait(), Some(65));
    assert_eq!(server.wait_for_line("failed")["error"], "the component exports nothing");
    assert!(server.lines("worker started").is_empty());
}

fn an_order_to_end_is_obeyed_while_compiling() {
    let mut server = Server::builder().compiler("hangs").start();
    let compiler = server.wait_for_pid("compiling");
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    server.wait_until_gone(compiler);
}

fn an_address_in_use_ends_the_server() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = other.local_addr().expect("an address").port();
    let taken = |config: &mut remuda_config::Config| {
        config.bind = vec![BindAddress::Tcp { host: "127.0.0.1".into(), port }];
    };
    let mut server = Server::builder().configure(taken).start();
    assert_eq!(server.wait(), Some(69));
    assert!(server.lines("compiled").is_empty());
}

fn a_unix_socket_is_removed_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let address = BindAddress::Unix { path: path.clone(), mode: None };
    let too = |config: &mut remuda_config::Config| config.bind.push(address);
    let mut server = Server::builder().configure(too).start();
    server.wait_for_line("listening");
    assert!(path.exists());
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
    assert!(!path.exists());
}

fn a_reload_replaces_every_worker() {
    let server = Server::builder().start().ready();
    let old = server.ready_workers();
    server.configure(|config| config.workers.count = 3);
    server.signal(Signal::HUP);
    let line = server.wait_for_line("reloaded");
    assert_eq!((&line["generation"], &line["workers"]), (&2.into(), &3.into()));
    let new = server.ready_workers().split_off(2);
    assert_eq!(new.len(), 3);
    for worker in old {
        server.wait_until_gone(worker);
    }
    assert!(new.contains(&server.ask()));
    assert!(
        server.lines("worker exited").iter().all(|line| line["reason"] == "exited with code 0")
    );
}

fn what_is_wrong_with_a_reload_changes_nothing() {
    let server = Server::builder().start().ready();
    let workers = server.ready_workers();
    let mut failures = 0;
    let mut fails = |reason: &str| {
        server.signal(Signal::HUP);
        failures += 1;
        let line = server.wait_for_lines("reload failed", failures).remove(failures - 1);
        let given = line["reason"].as_str().expect("a reason");
        assert!(given.contains(reason), "{given:?} does not say {reason:?}");
        assert!(workers.contains(&server.ask()));
    };
    server.set_compiler("refuses");
    fails("the component exports nothing");
    server.set_compiler("works");
    server.set_worker("dies");
    // Either of the two may be the first.
    fails(": exited with code 1");
    server.set_worker("fails");
    fails("the component needs more memory");
    server.set_worker("serves");
    server.configure(|config| config.workers.backlog = 7);
    fails("workers.backlog cannot change while the server runs");
    server.spoil_configuration();
    fails("key must be a string");
    assert!(workers.iter().all(|worker| is_running(*worker)));
    assert!(server.lines("reloaded").is_empty());
}

fn a_reload_of_workers_that_are_never_ready_is_given_up() {
    let server = Server::builder().start().ready();
    server.set_worker("sleeps");
    server.configure(|config| config.workers.boot_timeout = Duration::from_millis(50));
    server.signal(Signal::HUP);
    let line = server.wait_for_line("reload failed");
    assert!(line["reason"].as_str().is_some_and(|reason| reason.contains("not ready")), "{line}");
    assert!(server.ready_workers().contains(&server.ask()));
}

fn a_reload_that_comes_during_a_reload_comes_after_it() {
    let server = Server::builder().start().ready();
    for _ in 0..5 {
        server.signal(Signal::HUP);
    }
    server.wait_for_lines("reloaded", 1);
    server.signal(Signal::HUP);
    server.wait_for_lines("reloaded", 2);
    server.wait_for("the first workers to leave", || {
        (server.lines("worker exited").len() >= 4).then_some(())
    });
    assert!(server.lines("reload failed").is_empty());
}

fn more_and_fewer_workers_on_a_signal() {
    let server = Server::builder().start().ready();
    server.signal(Signal::TTIN);
    server.wait_for_lines("worker ready", 3);
    let third = server.ready_workers()[2];
    server.signal(Signal::TTOU);
    server.wait_until_gone(third);
    server.signal(Signal::TTOU);
    server.wait_for_lines("worker exited", 2);
    server.signal(Signal::TTOU);
    server.wait_for_line("workers can be from 1 to 1024");
    assert!(server.ready_workers().contains(&server.ask()));
}

fn a_silent_worker_is_aborted_and_replaced() {
    let hurry = |config: &mut remuda_config::Config| {
        config.workers.count = 1;
        config.workers.heartbeat_timeout = Duration::from_millis(1500);
    };
    let server = Server::builder().worker("is silent").configure(hurry).start();
    server.wait_for_line("listening");
    server.set_worker("serves");
    server.wait_for_line("worker is silent");
    let aborted = server.wait_for_line("aborting a silent worker");
    let replacement = server.wait_for("a replacement", || server.ready_workers().get(1).copied());
    server.wait_until_gone(pid_of(&aborted));
    assert_eq!(server.ask(), replacement);
    let line = server.wait_for_line("worker exited");
    let reason = line["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("silent for ") && reason.contains("SIGABRT"), "{reason}");
}

fn a_worker_that_lived_long_enough_is_replaced() {
    let briefly = |config: &mut remuda_config::Config| {
        config.workers.count = 1;
        config.workers.max_lifetime = Some(Duration::from_secs(1));
    };
    let server = Server::builder().configure(briefly).start().ready();
    let line = server.wait_for_line("worker replaced");
    assert_eq!(line["reason"], "max_lifetime");
    let [first, second, ..] = server.ready_workers()[..] else { panic!("two workers") };
    assert_eq!(pid_of(&line), first);
    server.wait_until_gone(first);
    assert_ne!(first, second);
}

fn assert_workers_left_by_themselves(server: &Server) {
    let exits = server.lines("worker exited");
    assert_eq!(exits.len(), 2);
    assert!(exits.iter().all(|line| line["reason"] == "exited with code 0"), "{exits:?}");
}
