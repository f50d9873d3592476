//! Ways to a server.

use std::sync::atomic::Ordering;

use remuda_load::RunError;

use crate::{
    report, run, scenario,
    server::{Server, State},
};

#[test]
fn unix_sockets_lead_to_servers() {
    let server = Server::unix();
    let first = report(&server.url, "users = 2\nrequests = 50");
    assert_eq!((first.summary.all.ok, server.connections()), (50, 2));
    let path = server.url.trim_start_matches("unix:");
    let text = format!("users = 1\nrequests = 5\nconnection.unix_socket = '{path}'");
    assert_eq!(report("http://nowhere.invalid", &text).summary.all.ok, 5);
}

#[test]
fn http2_by_prior_knowledge_shares_connections() {
    let server = Server::tcp();
    let text = "users = 20\nthreads = 2\nduration = '300ms'\nconnection.http = '2'\n\
                connection.streams = 5";
    let report = report(&server.url, text);
    assert_eq!(report.summary.all.ok, State::get(&server.state.http2));
    assert_eq!((report.summary.all.ok, report.summary.all.errors), (server.requests(), 0));
    assert_eq!((server.connections(), report.protocol.as_str()), (4, "HTTP/2"));
}

#[test]
fn http2_has_fresh_connections_too() {
    let server = Server::tcp();
    let text = "users = 4\nrequests = 40\nconnection.http = '2'\nconnection.reuse = false";
    let report = report(&server.url, text);
    assert_eq!((report.summary.all.ok, server.connections()), (40, 40));
}

#[test]
fn tls_agrees_on_the_version() {
    for (http, protocol) in [("auto", "HTTP/2"), ("2", "HTTP/2"), ("1", "HTTP/1.1")] {
        let server = Server::tls();
        let cacert = server.certificate.as_ref().unwrap().display();
        let text = format!(
            "users = 3\nthreads = 1\nrequests = 60\n\
             connection = {{ http = '{http}', cacert = '{cacert}' }}"
        );
        let report = report(&server.url, &text);
        assert_eq!((report.summary.all.ok, report.protocol.as_str()), (60, protocol));
        let is_two = protocol == "HTTP/2";
        assert_eq!(State::get(&server.state.http2) == 60, is_two);
        assert_eq!(server.connections(), if is_two { 1 } else { 3 });
    }
}

#[test]
fn a_certificate_that_nobody_trusts_is_refused_unless_told() {
    let server = Server::tls();
    let error = run(&scenario(&server.url, "users = 1\nrequests = 1")).unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    assert!(error.to_string().contains("--cacert FILE"), "{error}");
    assert!(matches!(error, RunError::Unreachable { .. }));
    assert_eq!(server.state.requests.load(Ordering::SeqCst), 0);
    let text = "users = 1\nrequests = 5\nconnection.insecure = true";
    assert_eq!(report(&server.url, text).summary.all.ok, 5);
}

/// As `openssl req -x509` makes them.
#[test]
fn a_certificate_that_is_its_own_authority_is_trusted_when_it_is_named() {
    let authority = || rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let named = |server: &Server| {
        let cacert = server.certificate.as_ref().unwrap().display();
        format!("users = 1\nrequests = 5\nconnection.cacert = '{cacert}'")
    };
    let server = Server::tls_as(&["127.0.0.1"], authority());
    assert_eq!(report(&server.url, &named(&server)).summary.all.ok, 5);
    // Neither is another one of the kind, nor this one under another name.
    let other = Server::tls_as(&["127.0.0.1"], authority());
    let error = run(&scenario(&server.url, &named(&other))).unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    let elsewhere = Server::tls_as(&["example.test"], authority());
    let error = run(&scenario(&elsewhere.url, &named(&elsewhere))).unwrap_err().to_string();
    assert!(error.contains("a name that the certificate has"), "{error}");
    assert_eq!(elsewhere.requests(), 0);
}

#[test]
fn a_server_without_tls_is_told_from_one_that_is_not_there() {
    let server = Server::tcp();
    let url = server.url.replace("http://", "https://");
    let error = run(&scenario(&url, "users = 1")).unwrap_err().to_string();
    assert!(error.contains("speaks no TLS; write http://"), "{error}");
    assert!(!error.contains("is the server running"), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    // Bound, but not for connections.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let error = run(&scenario(&format!("http://127.0.0.1:{port}"), "users = 1")).unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("refused"), "{error}");
    let error = run(&scenario("http://nowhere.invalid", "users = 1")).unwrap_err();
    assert!(matches!(error, RunError::LookUp { .. }), "{error}");
}
