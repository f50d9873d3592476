//! What is told of a run.

use remuda_load::{
    report::{Report, Unanswered, decode, html, text},
    threshold::Outcome,
};

use crate::{report, server::Server};

#[test]
fn a_report_reads_back_what_it_wrote() {
    let server = Server::tcp();
    let told = report(&server.url, "users = 2\nduration = '300ms'\ninterval = '100ms'");
    let json = serde_json::to_string(&told).unwrap();
    let again: Report = serde_json::from_str(&json).unwrap();
    // But for the last digit of fractions.
    assert_eq!((html(&again), text(&again)), (html(&told), text(&told)));
    assert_eq!((&again.scenario, &again.histograms), (&told.scenario, &told.histograms));
    assert_eq!(again.series.len(), told.series.len());
    let latency = decode(&again.histograms.all.latency).unwrap();
    assert_eq!(latency.len(), told.summary.all.ok);
    let p99 = latency.value_at_quantile(0.99) as f64 / 1e3;
    assert_eq!(told.summary.all.latency_ms.unwrap().p99, p99);
    // The notation of HdrHistogram's own logs.
    assert!(told.histograms.all.latency.starts_with("HISTF"));
}

#[test]
fn rows_add_up_to_the_summary() {
    let server = Server::tcp();
    let report =
        report(&server.url, "users = 3\nthreads = 2\nduration = '500ms'\ninterval = '100ms'");
    let rows = &report.series;
    assert!(rows.len() >= 5, "{rows:?}");
    assert_eq!(rows.iter().map(|row| row.requests).sum::<u64>(), report.summary.all.requests);
    assert_eq!(report.summary.all.requests, server.requests());
    let seconds: f64 = rows.iter().map(|row| row.seconds).sum();
    assert!((seconds - report.summary.all.seconds).abs() < 1e-6);
    assert!(rows.iter().all(|row| row.in_flight <= 3 && row.cpu_seconds > 0.0));
    assert!(report.summary.generator.cpu_microseconds_per_request > 0.0);
}

#[test]
fn the_server_says_how_it_is() {
    let server = Server::tcp();
    let metrics = format!("metrics = '{}/metrics'", server.url);
    let text = format!("rate = 20\nduration = '2s'\n{metrics}");
    let report = report(&server.url, &text);
    let sample = report.series.iter().find_map(|row| row.server.as_ref()).unwrap();
    assert_eq!((sample.in_flight, sample.shed_total), (Some(3.0), Some(7.0)));
    assert_eq!((sample.rss_bytes, sample.queue), (Some(1048576.0), None));
    assert_eq!(report.metrics_problem, None);
    let page = html(&report);
    assert!(page.contains("Server: resident memory") && page.contains("1.0 MiB"), "{page}");
    // What is missing is left out.
    assert!(!page.contains("Server: CPU"));
}

#[test]
fn metrics_that_are_not_there_disturb_nobody() {
    let server = Server::tcp();
    let load = format!("rate = 20\nduration = '1s'\nmetrics = '{}/status/500'", server.url);
    let report = report(&server.url, &load);
    assert_eq!(report.summary.all.ok, 20);
    assert!(report.series.iter().all(|row| row.server.is_none()));
    // But who has asked for them hears why.
    let problem = report.metrics_problem.as_ref().unwrap();
    assert!(problem.contains("/status/500: status 500;"), "{problem}");
    assert!(text(&report).contains(problem) && report.warnings().contains(problem));
    // A page that is there and has no metrics is no better.
    let page = format!("rate = 20\nduration = '1s'\nmetrics = '{}/any'", server.url);
    let problem = crate::report(&server.url, &page).metrics_problem.unwrap();
    assert!(problem.contains("no metric in it is known"), "{problem}");
}

#[test]
fn a_page_has_the_data_and_nothing_that_runs() {
    let server = Server::tcp();
    let told = report(
        &server.url,
        "users = 2\nrequests = 300\nfail_if = ['p50>1us', 'error_rate>99%', 'p99.99>1s']\n\
         [[endpoint]]\nname = \"x&y\\\"'\"\npath = '/?q=1'\n\
         [[endpoint]]\nname = 'second'\npath = '/status/503'",
    );
    let page = html(&told);
    for piece in [
        told.summary.all.requests.to_string(),
        "second".to_owned(),
        "x&amp;y&quot;&#39;".to_owned(),
        "error status".to_owned(),
        "fails if p50&gt;1us".to_owned(),
        "<svg".to_owned(),
    ] {
        assert!(page.contains(&piece), "{piece} is not in the page");
    }
    assert!(!page.contains("x&y") && !page.contains("<script") && !page.contains("src="));
    assert!(!page.contains("http-equiv=\"refresh") && !page.contains("url("));
    let outcomes: Vec<_> = told.thresholds.iter().map(|verdict| verdict.outcome).collect();
    assert_eq!(outcomes, [Outcome::Broken, Outcome::Held, Outcome::TooFew]);
}

/// What another version has written can be read as long as its schema is this one's.
#[test]
fn a_report_is_read_from_its_file_or_refused_with_the_reason() {
    let server = Server::tcp();
    let told = report(&server.url, "users = 1\nrequests = 20");
    let folder = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        let path = folder.path().join("run.json");
        std::fs::write(&path, text).unwrap();
        Report::from_file(&path).map_err(|error| error.to_string())
    };
    let mut json = serde_json::to_value(&told).unwrap();
    json.as_object_mut().unwrap().remove("metrics_problem").unwrap();
    let whole = json.to_string();
    assert_eq!(read(&whole).unwrap().summary.all.ok, 20);
    let refused = |text: &str, why: &str| {
        let error = read(text).unwrap_err();
        assert!(error.contains("run.json: failed to") && error.contains(why), "{error}");
    };
    refused(&whole[..whole.len() / 2], "as --json has written it");
    refused(&whole.replace("\"schema\":1", "\"schema\":2"), "it has schema 2, this is 1");
    refused("{\"schema\":1}", "missing field");
    refused("<html>", "as --json has written it");
}

#[test]
fn a_run_without_an_answer_is_told_from_one_with_bad_ones() {
    let server = Server::tcp();
    let bad = report(&format!("{}/status/503", server.url), "users = 1\nrequests = 5");
    assert_eq!(bad.unanswered(), None);
    let none = report(&format!("{}/hang-up", server.url), "users = 1\nrequests = 5");
    let told = "not one of 5 requests was answered (closed 5): look at the server";
    assert_eq!(none.unanswered().map(|why| why.to_string()).as_deref(), Some(told));
    assert!(none.warnings().contains(&told.to_owned()));
    let idle = report(&server.url, "rate = 0.001\nduration = '100ms'");
    assert_eq!(idle.unanswered(), Some(Unanswered::NothingSent));
    assert!(!text(&idle).contains("per request") && !html(&idle).contains("per request"));
    assert!(text(&bad).contains("µs CPU per request"));
}

#[test]
fn a_server_that_may_speak_tls_is_told() {
    let hint = |report: &Report| report.warnings().iter().any(|told| told.contains("https://"));
    let plain = Server::tcp();
    let refused = report(&format!("{}/status/400", plain.url), "users = 1\nrequests = 5");
    assert!(hint(&refused), "{:?}", refused.warnings());
    let other = report(&format!("{}/status/503", plain.url), "users = 1\nrequests = 5");
    let expected = "users = 1\nrequests = 5\n[[endpoint]]\nexpect = 400";
    let expected = report(&format!("{}/status/400", plain.url), expected);
    assert!(!hint(&other) && !hint(&expected));
    // One that answers with an alert.
    let secure = Server::tls();
    let told = report(&secure.url.replace("https://", "http://"), "users = 1\nrequests = 5");
    assert!(told.unanswered().is_some() && hint(&told), "{:?}", told.warnings());
}

#[test]
fn threads_that_are_not_used_are_told() {
    let server = Server::tcp();
    let told = |threads: usize| {
        let load = format!("users = 2\nrequests = 10\nthreads = {threads}");
        let report = report(&server.url, &load);
        (report.threads, report.warnings())
    };
    let (threads, warnings) = told(1000);
    assert_eq!(threads, 2);
    assert!(warnings.iter().any(|text| text.starts_with("of 1000 threads 2 sent")), "{warnings:?}");
    assert!(!told(2).1.iter().any(|text| text.contains("threads")));
}

#[test]
fn names_are_no_markup_and_no_orders_to_terminals() {
    let server = Server::tcp();
    let mut told = report(&server.url, "users = 1\nrequests = 10");
    let wicked = "<script>alert(1)</script>\u{1b}[2J";
    told.scenario.target = wicked.to_owned();
    told.scenario.endpoints[0].name = wicked.to_owned();
    told.scenario.stages[0].name = wicked.to_owned();
    told.environment.cpu = wicked.to_owned();
    told.summary.endpoints[0].name = wicked.to_owned();
    told.summary.endpoints.push(told.summary.endpoints[0].clone());
    told.summary.examples.insert("status".to_owned(), wicked.to_owned());
    told.summary.all.errors_by_kind.insert("status".to_owned(), 1);
    told.metrics_problem = Some(wicked.to_owned());
    let page = html(&told);
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
    let text = text(&told);
    assert!(!text.contains('\u{1b}') && !page.contains('\u{1b}'));
}
