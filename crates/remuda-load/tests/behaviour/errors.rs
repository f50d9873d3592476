//! Every way to fail has its own count.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use remuda_load::report::Report;

use crate::{report, server::Server};

/// The kinds of errors of a run, all of whose requests fail.
fn kinds(target: &str, text: &str) -> Vec<String> {
    let report = report(target, text);
    assert_eq!(report.summary.all.ok, 0, "{:?}", report.summary);
    assert_eq!(report.summary.all.errors, report.summary.all.requests);
    told(&report)
}

/// Each has a message.
fn told(report: &Report) -> Vec<String> {
    let kinds: Vec<_> = report.summary.all.errors_by_kind.keys().cloned().collect();
    assert_eq!(report.summary.examples.keys().cloned().collect::<Vec<_>>(), kinds);
    kinds
}

/// A server that lets one connection through, which looks whether it is there, and treats
/// the others as told.
fn rude(treat: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        listener.accept().unwrap();
        for stream in listener.incoming() {
            treat(stream.unwrap());
        }
    });
    url
}

#[test]
fn a_status_that_was_not_expected() {
    let server = Server::tcp();
    let report = report(&format!("{}/status/503", server.url), "users = 2\nrequests = 20");
    assert_eq!((told(&report), report.summary.all.errors), (vec!["status".to_owned()], 20));
    assert_eq!(report.summary.all.statuses["503"], 20);
    assert!(report.summary.all.failed_ms.is_some() && report.summary.all.latency_ms.is_none());
    assert_eq!(server.connections(), 2, "a whole answer leaves its connection as it was");
}

#[test]
fn a_body_without_what_was_expected() {
    let server = Server::tcp();
    let text = "users = 1\nrequests = 5\n[[endpoint]]\nexpect_body = 'Goodbye'";
    assert_eq!(kinds(&server.url, text), ["body"]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_response_that_is_late() {
    let server = Server::tcp();
    for http in ["1", "2"] {
        let text = format!(
            "users = 2\nrequests = 4\nrequest_timeout = '50ms'\nconnection.http = '{http}'"
        );
        assert_eq!(kinds(&format!("{}/slow/20000", server.url), &text), ["timeout"]);
    }
}

#[test]
fn a_connection_that_is_closed_before_the_response() {
    assert_eq!(kinds(&rude(drop), "users = 2\nrequests = 10"), ["closed"]);
    let server = Server::tcp();
    let url = format!("{}/hang-up", server.url);
    assert_eq!(kinds(&url, "users = 2\nrequests = 10"), ["closed"]);
    let http2 = "users = 2\nrequests = 10\nconnection.http = '2'";
    assert_eq!(kinds(&url, http2), ["closed"]);
}

#[test]
fn a_body_that_breaks_off() {
    let server = Server::tcp();
    let url = format!("{}/break", server.url);
    for http in ["1", "2"] {
        let text = format!("users = 1\nrequests = 5\nconnection.http = '{http}'");
        assert_eq!(kinds(&url, &text), ["closed"], "HTTP/{http}");
    }
}

#[test]
fn a_body_in_chunks_that_are_none() {
    let url = rude(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}5\r\nhello\r\nzz\r\n").as_bytes()).unwrap();
        // It is no end that is taken for the mistake.
        let _ = stream.read(&mut [0; 1024]);
    });
    let report = report(&url, "users = 1\nrequests = 3");
    assert_eq!(told(&report), ["protocol"]);
    // There was an answer, if a bad one.
    assert_eq!((report.summary.all.statuses["200"], report.unanswered()), (3, None));
}

#[test]
fn an_answer_that_is_not_http() {
    let url = rude(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"220 smtp.example.com ready\r\n\r\n").unwrap();
    });
    assert_eq!(kinds(&url, "users = 1\nrequests = 5"), ["protocol"]);
}

#[test]
fn a_server_that_goes_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It answers nobody; when it goes, whoever is in its backlog is sent away.
    let thread = thread::spawn(move || listener.accept().map(drop).unwrap());
    let report = report(&url, "users = 2\nrequests = 10\nconnection.reuse = false");
    thread.join().unwrap();
    let kinds = told(&report);
    assert!(kinds.contains(&"connect".to_owned()), "{kinds:?}");
    assert_eq!(report.summary.all.ok, 0);
}

/// The first connection, which looks whether somebody is there, comes to a real server; the
/// others find none that speaks TLS.
fn once(server: &Server, treat: fn(TcpStream)) -> String {
    let secure = server.url.trim_start_matches("https://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(secure).unwrap();
        let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut back, &mut forth));
        // Only its end counts.
        let _ = std::io::copy(&mut client, &mut server);
        listener.incoming().for_each(|stream| treat(stream.unwrap()));
    });
    url
}

#[test]
fn tls_that_fails_and_tls_that_never_begins() {
    let server = Server::tls();
    let cacert = server.certificate.as_ref().unwrap();
    let text = format!(
        "users = 1\nrequests = 3\nconnection = {{ timeout = '200ms', cacert = '{}' }}",
        cacert.display()
    );
    let plain = once(&server, |mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    assert_eq!(kinds(&plain, &text), ["tls"]);
    let silent = once(&server, std::mem::forget);
    assert_eq!(kinds(&silent, &text), ["connect_timeout"]);
}

/// Twenty users of one connection that cannot be made are told after one timeout, not after
/// one each.
#[test]
fn users_of_a_shared_connection_fail_together() {
    let server = Server::tls();
    let cacert = server.certificate.as_ref().unwrap().display();
    let text = format!(
        "users = 20\nthreads = 1\nduration = '1s'\n\
         connection = {{ timeout = '200ms', cacert = '{cacert}' }}"
    );
    let silent = once(&server, std::mem::forget);
    let report = report(&silent, &text);
    assert_eq!(told(&report), ["connect_timeout"]);
    // At most every 200 ms, and 100 ms before the next attempt.
    assert!(report.summary.all.errors >= 40, "{:?}", report.summary.all);
}
