//! Work that a guest leaves to another instance of itself.

use std::time::Duration;

use remuda_tests::{
    Ask, Server,
    guests::{self, Guest},
    wait,
    wait::timed,
};

/// Both worlds.
const GUESTS: [Guest; 2] = [guests::OFFLOAD, guests::OFFLOAD_P2];

async fn run(server: &Server, job: &str, payload: &str) -> (u16, String) {
    let reply = server.send(Ask::post(&format!("/{job}")).body(payload.to_owned())).await;
    (reply.status.as_u16(), reply.text())
}

async fn wait_for_printed(server: &Server, text: &str) {
    let is_there = || server.printed().iter().any(|line| line.message() == text).then_some(());
    wait::until(text, is_there).await;
}

#[tokio::test]
async fn a_job_has_its_result() {
    for guest in GUESTS {
        let server = Server::of(guest).await;
        assert_eq!(run(&server, "primes", "1000").await, (200, "168".to_owned()));
        let long = "0123456789".repeat(50_000);
        let reversed: String = long.chars().rev().collect();
        assert_eq!(run(&server, "reverse", &long).await, (200, reversed));
    }
}

#[tokio::test]
async fn errors_say_what_became_of_a_job() {
    for guest in GUESTS {
        let builder = Server::builder().guest(guest).flag("--instance-min-idle", "0");
        let server = builder.flag("--cpu-time", "1s").start().await;
        for (job, payload, error) in [
            ("nothing", "", r#"Error::UnknownJob("nothing")"#),
            ("fail", "bad luck", r#"Error::Failed("bad luck")"#),
            ("trap", "", "Error::Trapped("),
            ("burn", "60000", "Error::CpuTime"),
            ("alloc", "200", "Error::Memory"),
        ] {
            let (status, text) = run(&server, job, payload).await;
            assert_eq!(status, 422, "{} {job}: {text}", guest.name);
            assert!(text.starts_with(error), "{} {job}: {text}", guest.name);
        }
        // The instances that asked are none the worse for it; while one burns, another one
        // takes the next request.
        let answer = server.get("/").await.ok();
        let served = answer.split("served=").nth(1).and_then(|text| text.split(' ').next());
        let served: u32 = served.and_then(|served| served.parse().ok()).expect("a number");
        assert!(served > 2, "{}: {answer}", guest.name);

        // Whatever the guest makes of it, the operator knows.
        for outcome in ["unknown_job", "failed", "trapped", "cpu_time", "memory"] {
            wait_for_jobs(&server, outcome, 1.0).await;
        }
        let failed = server.log();
        let failed = failed.iter().filter(|line| line.message().starts_with("job failed: "));
        let jobs: Vec<&str> = failed.map(|line| line.text("job")).collect();
        assert_eq!(jobs, [r#""trap""#, r#""burn""#, r#""alloc""#], "{}", guest.name);
    }
}

#[tokio::test]
async fn one_that_is_done_is_counted() {
    let server = Server::of(guests::OFFLOAD).await;
    assert_eq!(run(&server, "primes", "1000").await.0, 200);
    wait_for_jobs(&server, "ok", 1.0).await;
}

/// So many jobs have ended like this; a worker that is busy is asked again.
async fn wait_for_jobs(server: &Server, outcome: &str, count: f64) {
    wait::until_async(outcome, async || {
        let metrics = server.metrics().await;
        let ended = metrics.sum("remuda_jobs_total", &[("route", "/"), ("outcome", outcome)]);
        assert!(ended <= count, "{ended} jobs: {outcome}");
        (ended == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_has_an_instance_of_its_own_which_has_no_hooks_and_no_jobs() {
    for guest in GUESTS {
        let server = Server::of(guest).await;
        assert!(server.get("/").await.ok().contains("started=true"));
        assert_eq!(run(&server, "started", "").await.1, "false");
        assert_eq!(run(&server, "nested", "").await.1, "Err(Error::Nested)");
    }
}

#[tokio::test]
async fn a_job_ends_with_the_deadline_of_its_request() {
    for guest in GUESTS {
        let server = Server::builder().guest(guest).flag("--request-timeout", "500ms");
        let server = server.start().await;
        for job in ["sleep", "burn"] {
            let (elapsed, (status, text)) = timed(run(&server, job, "60000")).await;
            // Either the guest had the time to say so, or it had not.
            assert!(status == 504 || text == "Error::Deadline", "{}: {text}", guest.name);
            assert!(elapsed < Duration::from_secs(10), "{} {job}: {elapsed:?}", guest.name);
        }
        nothing_is_left(&server).await;
    }
}

#[tokio::test]
async fn a_job_ends_when_its_client_goes_away() {
    for guest in GUESTS {
        let server = Server::of(guest).await;
        let mut client = server.connect_raw().await;
        let head = "POST /sleep HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n3600000";
        client.send(head).await;
        wait_for_printed(&server, "job sleeps").await;
        drop(client);
        nothing_is_left(&server).await;
    }
}

/// No request and no job.
async fn nothing_is_left(server: &Server) {
    wait::until_async("all instances to be idle", async || {
        let metrics = server.metrics().await;
        let busy = metrics.sum("remuda_instances", &[("state", "busy")]);
        let in_flight = metrics.value("remuda_in_flight", &[]);
        (busy == 0.0 && in_flight == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn others_are_answered_while_a_job_burns() {
    for guest in GUESTS {
        let server = Server::of(guest).await;
        let mut client = server.connect_raw().await;
        let head = "POST /burn HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n3000";
        client.send_and_see_it_read(head).await;
        for _ in 0..5 {
            let (elapsed, reply) = timed(server.get("/")).await;
            assert_eq!(reply.status, 200);
            assert!(elapsed < Duration::from_secs(1), "{} waited {elapsed:?}", guest.name);
        }
        assert_eq!(client.received(), "", "the job has not burnt for long enough");
        assert!(client.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn jobs_of_one_instance_run_side_by_side() {
    let server = Server::of(guests::OFFLOAD).await;
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(server.connect().await);
    }
    let asking =
        connections.iter_mut().map(|connection| connection.send(Ask::post("/sleep").body("1000")));
    let (elapsed, replies) = timed(futures_util::future::join_all(asking)).await;
    assert!(replies.into_iter().all(|reply| reply.ok().is_empty()));
    assert!(elapsed < Duration::from_secs(5), "they took {elapsed:?}, one after the other");
}
