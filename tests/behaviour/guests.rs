//! Every guest is answered by every worker.

use std::{collections::BTreeSet, fs, path::Path};

use remuda_tests::{
    Ask, Cli, Server, Upstream,
    guests::{self, Guest},
};

#[test]
fn every_folder_of_guests_is_a_constant() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
    let entries = fs::read_dir(folder).expect("the guests").flatten();
    let manifests = ["Cargo.toml", "package.json", "app.py", "app.c"];
    let folders: BTreeSet<String> = entries
        .filter(|entry| manifests.iter().any(|manifest| entry.path().join(manifest).exists()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let constants: BTreeSet<String> = guests::ALL.iter().map(|guest| guest.name.into()).collect();
    assert_eq!(folders, constants, "guests/ and guests::ALL differ");
}

#[tokio::test]
async fn every_guest_is_answered_by_every_worker_or_refused() {
    let upstream = Upstream::start().await;
    for guest in guests::ALL {
        match *guest {
            guests::C_HELLO
            | guests::HELLO
            | guests::HELLO_P2
            | guests::JS_HELLO
            | guests::PYTHON_HELLO
            | guests::SDK_HELLO => {
                answers(*guest, Ask::get("/"), "Hello, world!\n", &upstream).await;
            }
            guests::ECHO => answers(*guest, Ask::post("/").body("ping"), "ping", &upstream).await,
            guests::LEAK => answers(*guest, Ask::get("/?1"), "kept\n", &upstream).await,
            guests::BIG_TABLES | guests::MISBEHAVE => {
                answers(*guest, Ask::get("/"), "ok\n", &upstream).await;
            }
            guests::API => answers(*guest, Ask::get("/"), "0 of 1000 items\n", &upstream).await,
            guests::GATEWAY => answers(*guest, Ask::get("/"), "/gather", &upstream).await,
            guests::THUMBNAIL => answers(*guest, Ask::get("/"), "POST /?width", &upstream).await,
            guests::CPU => answers(*guest, Ask::get("/"), "POST /hash", &upstream).await,
            guests::OFFLOAD | guests::OFFLOAD_P2 => {
                let ask = Ask::post("/primes").body("100");
                answers(*guest, ask, "25", &upstream).await;
            }
            guests::WITNESS => answers(*guest, Ask::get("/"), "instance=", &upstream).await,
            guests::FETCH => {
                let ask = Ask::fetch(&upstream.url("/"));
                answers(*guest, ask, "upstream\n", &upstream).await;
            }
            guests::NOT_HTTP => {
                let serve = Cli::remuda("serve --admin off --bind 127.0.0.1:0").arg(guest.path());
                assert_eq!(serve.shared_cache().run().await.code, Some(65));
            }
            Guest { name } => panic!("say here what becomes of the guest {name}"),
        }
    }
}

async fn answers(guest: Guest, ask: Ask, expected: &str, upstream: &Upstream) {
    let allow = upstream.origin();
    let server = Server::builder().guest(guest).workers(2).flag("--outbound-allow", allow);
    let server = server.start().await;
    let connections = server.connect_to_each_worker(&ask).await;
    assert_eq!(connections.len(), 2, "{}", guest.name);
    for (worker, mut connection) in connections {
        assert_ne!(worker, server.supervisor().as_raw_pid());
        let answer = connection.send(ask.clone()).await.ok();
        assert!(answer.starts_with(expected), "{}: {answer}", guest.name);
    }
}
