//! A report for a browser: one file.
//!
//! Owner: the report. Invariant: see the [page](super::page); a chart without data is left
//! out.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    Report, decode, is_full,
    number::{Unit, bytes, milliseconds, milliseconds_or_dash, percent, short},
    page::{escape, page},
    svg::{Chart, Line, seconds},
    text::load,
};
use crate::{
    record::{Figures, Row, Spread},
    threshold::Outcome,
    watch::Sample,
};

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut body = String::new();
    let title = format!("Load on {}", report.scenario.target);
    // Writing to a string does not fail.
    let _ = head(report, &title, &mut body);
    let _ = thresholds(report, &mut body);
    body.push_str("<h2>Over time</h2>\n<div class=\"charts\">\n");
    for chart in charts(report) {
        body.push_str(&chart.render());
    }
    body.push_str("</div>\n");
    let _ = tables(report, &mut body);
    page(&title, &body)
}

fn head(report: &Report, title: &str, out: &mut String) -> std::fmt::Result {
    let all = &report.summary.all;
    writeln!(out, "<h1>{}</h1>", escape(title))?;
    let Report { started, protocol, threads, environment, tool, .. } = report;
    let facts = [
        format!("{}, {protocol}, {threads} threads", load(report)),
        format!("{started}, {:.1} s measured", all.seconds),
        format!("{tool} on {}, {} CPUs, {}", environment.cpu, environment.cpus, environment.kernel),
    ];
    for fact in facts {
        writeln!(out, "<p>{}</p>", escape(&fact))?;
    }
    for warning in report.warnings() {
        writeln!(out, "<p class=\"warning\">{}</p>", escape(&warning))?;
    }
    let latency = all.latency_ms.as_ref();
    let of = |get: fn(&Spread) -> f64| milliseconds_or_dash(latency.map(get));
    let planned = report.planned_rate().map(|rate| format!(", of {} planned", short(rate)));
    let rate = format!("per second, as expected{}", planned.unwrap_or_default());
    let tiles: [(&str, String); 9] = [
        ("requests", all.requests.to_string()),
        (&rate, short(all.rate)),
        ("p50", of(|spread| spread.p50)),
        ("p95", of(|spread| spread.p95)),
        ("p99", of(|spread| spread.p99)),
        ("p99.9", of(|spread| spread.p999)),
        ("longest", of(|spread| spread.max)),
        ("errors", format!("{} ({})", all.errors, percent(all.error_rate))),
        ("bodies per second", bytes(all.bytes_per_second)),
    ];
    out.push_str("<ul class=\"tiles\">");
    for (name, value) in tiles {
        write!(out, "<li><b>{}</b>{}</li>", escape(&value), escape(name))?;
    }
    out.push_str("</ul>\n");
    Ok(())
}

fn thresholds(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.thresholds.is_empty() {
        return Ok(());
    }
    out.push_str("<h2>Thresholds</h2>\n<ul>\n");
    for verdict in &report.thresholds {
        let (class, outcome) = match verdict.outcome {
            Outcome::Held => ("good", "held"),
            Outcome::Broken => ("bad", "broken"),
            Outcome::TooFew => ("bad", "too few requests"),
            Outcome::AllFailed => ("bad", "unknown"),
        };
        let (threshold, detail) = (escape(&verdict.threshold), escape(&verdict.detail));
        writeln!(
            out,
            "<li><span class=\"{class}\">{outcome}</span>: fails if {threshold} ({detail})</li>"
        )?;
    }
    out.push_str("</ul>\n");
    Ok(())
}

fn charts(report: &Report) -> Vec<Chart<'static>> {
    let over_time = |title, unit, lines| Chart {
        title,
        unit,
        lines,
        marks: seconds(end(report)),
        end: end(report),
        stages: stages(report),
        place: |at| format!("{at:.0} s"),
    };
    let line = |name: &str, get: &dyn Fn(&Row) -> Option<f64>| Line {
        name: name.to_owned(),
        points: rows(report).map(|row| (row.at, get(row))).collect(),
    };
    let server = |name: &str, get: &dyn Fn(&Sample) -> Option<f64>| {
        line(name, &|row| row.server.as_ref().and_then(get))
    };
    let is_closed = report.scenario.model == "closed";
    let level = if is_closed { "users" } else { "planned arrivals/s" };
    let mut rate = vec![line("as expected", &|row| Some(row.ok as f64 / row.seconds))];
    let mut in_flight = vec![
        line("in flight", &|row| Some(row.in_flight as f64)),
        line("most in flight", &|row| Some(row.most_in_flight as f64)),
    ];
    // Where it has the same unit.
    if is_closed { &mut in_flight } else { &mut rate }.push(line(level, &|row| Some(row.level)));
    let kinds: BTreeSet<&String> = rows(report).flat_map(|row| row.errors.keys()).collect();
    let errors = kinds.into_iter().map(|kind| {
        line(kind, &|row| {
            Some(row.errors.get(kind).copied().unwrap_or_default() as f64 / row.seconds)
        })
    });
    let mut charts = vec![
        over_time("Requests per second", Unit::Number, rate),
        over_time(
            "Latency",
            Unit::Time,
            vec![
                line("p50", &|row| row.p50_ms),
                line("p95", &|row| row.p95_ms),
                line("p99", &|row| row.p99_ms),
            ],
        ),
        over_time("Errors per second, by kind", Unit::Number, errors.collect()),
        over_time("In flight, as the client sees it", Unit::Number, in_flight),
        distribution(report),
        over_time(
            "Server: in flight and queued",
            Unit::Number,
            vec![
                server("in flight", &|sample| sample.in_flight),
                server("queued", &|sample| sample.queue),
            ],
        ),
        over_time(
            "Server: shed per second",
            Unit::Number,
            vec![per_second(report, "shed", |sample| sample.shed_total)],
        ),
        over_time(
            "Server: resident memory",
            Unit::Bytes,
            vec![server("RSS of all workers", &|sample| sample.rss_bytes)],
        ),
        over_time(
            "Server: CPU seconds per second",
            Unit::Number,
            vec![per_second(report, "CPU", |sample| sample.cpu_seconds_total)],
        ),
        over_time(
            "Load generator: CPU seconds per second",
            Unit::Number,
            vec![
                line("all threads", &|row| Some(row.cpu_seconds / row.seconds)),
                line("busiest thread", &|row| Some(row.busiest)),
            ],
        ),
    ];
    if report.scenario.endpoints.len() > 1 {
        let endpoints =
            report.scenario.endpoints.iter().enumerate().map(|(index, endpoint)| {
                line(&endpoint.name, &|row| row.endpoints.get(index)?.p99_ms)
            });
        charts.insert(2, over_time("p99 by endpoint", Unit::Time, endpoints.collect()));
    }
    charts
}

/// What share of requests was quicker: each mark below has a tenth of what is right of the
/// one before.
fn distribution(report: &Report) -> Chart<'static> {
    let line = |name: &str, encoded: &str| {
        let histogram = decode(encoded).ok().filter(|histogram| !histogram.is_empty());
        let points = histogram.iter().flat_map(|histogram| {
            let nines = (histogram.len() as f64).log10().clamp(0.0, 5.0);
            let steps = (nines * 12.0) as u32;
            (0..=steps).map(move |step| {
                let at = f64::from(step) / 12.0;
                let quantile = 1.0 - 10_f64.powf(-at);
                (at, Some(crate::record::milliseconds(histogram, quantile)))
            })
        });
        Line { name: name.to_owned(), points: points.collect() }
    };
    let of = &report.histograms.all;
    let lines = [
        ("until the last byte", &of.latency),
        ("until the first byte", &of.first_byte),
        ("failed", &of.failed),
    ];
    let mut lines: Vec<_> = lines.map(|(name, encoded)| line(name, encoded)).into();
    lines.retain(|line| !line.points.is_empty());
    let furthest = lines.iter().filter_map(|line| line.points.last());
    let marks = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
    Chart {
        title: "Latency by share of requests",
        unit: Unit::Time,
        end: furthest.map(|(at, _)| *at).fold(1.0, f64::max),
        lines,
        marks: (0..6).map(f64::from).zip(marks.map(str::to_owned)).collect(),
        stages: Vec::new(),
        place: |at| format!("{:.3} %", 100.0 * (1.0 - 10_f64.powf(-at))),
    }
}

/// How fast a counter of the server grows.
fn per_second(report: &Report, name: &str, get: fn(&Sample) -> Option<f64>) -> Line {
    let mut before: Option<(f64, f64)> = None;
    let points = rows(report).map(|row| {
        let now = row.server.as_ref().and_then(get).map(|total| (row.at, total));
        let growth = now.zip(before).map(|((at, total), (before_at, before))| {
            // A server that was started again counts from zero.
            (total - before).max(0.0) / (at - before_at).max(1e-9)
        });
        before = now.or(before);
        (row.at, growth)
    });
    Line { name: name.to_owned(), points: points.collect() }
}

/// Those that a rate can be told of.
fn rows(report: &Report) -> impl Iterator<Item = &Row> {
    report.series.iter().filter(|row| is_full(row, report.scenario.interval_seconds))
}

fn end(report: &Report) -> f64 {
    report.series.last().map_or(1.0, |row| row.at)
}

fn stages(report: &Report) -> Vec<(f64, String)> {
    let mut begin = 0.0;
    let mut stages = Vec::new();
    for stage in &report.scenario.stages {
        if begin < end(report) {
            stages.push((begin, stage.name.clone()));
        }
        begin += stage.seconds;
    }
    stages
}

fn tables(report: &Report, out: &mut String) -> std::fmt::Result {
    let summary = &report.summary;
    let named = |rows: &[super::Named]| -> Vec<(String, Figures)> {
        rows.iter().map(|row| (row.name.clone(), row.figures.clone())).collect()
    };
    figures(out, "Stages", &named(&summary.stages))?;
    figures(out, "Endpoints", &named(&summary.endpoints))?;
    out.push_str("<h2>Answers and errors</h2>\n");
    let statuses = summary.all.statuses.iter();
    let statuses = statuses
        .map(|(status, count)| vec![format!("status {status}"), count.to_string(), String::new()]);
    let errors = summary.all.errors_by_kind.iter().map(|(kind, count)| {
        let example = summary.examples.get(kind).cloned().unwrap_or_default();
        vec![format!("error {kind}"), count.to_string(), example]
    });
    table(out, &["what", "count", "such as"], statuses.chain(errors))?;
    out.push_str("<h2>Connections and load generator</h2>\n");
    let mut spreads = Vec::new();
    for (name, spread) in [
        ("connecting", &summary.connect_ms),
        ("arrivals sent late", &summary.lag_ms),
        ("until the first byte", &summary.all.first_byte_ms),
        ("until failure", &summary.all.failed_ms),
    ] {
        if let Some(spread) = spread {
            let of = [spread.p50, spread.p95, spread.p99, spread.p999, spread.max];
            let mut row = vec![name.to_owned()];
            row.extend(of.map(milliseconds));
            spreads.push(row);
        }
    }
    table(out, &["time", "p50", "p95", "p99", "p99.9", "max"], spreads.into_iter())?;
    let cpu = match summary.generator.cpu_microseconds_per_request {
        0.0 => String::new(),
        micros => format!("; the load generator used {micros:.1} µs of CPU per request"),
    };
    writeln!(out, "<p>{} connections were made{cpu}.</p>", summary.connections)?;
    endpoints(report, out)?;
    out.push_str("<h2>Every interval</h2>\n<details><summary>Show the table</summary>\n");
    let rows = report.series.iter().map(|row| {
        let stage = report.scenario.stages.get(row.stage).map(|stage| stage.name.clone());
        vec![
            format!("{:.1} s", row.at),
            stage.unwrap_or_default(),
            row.requests.to_string(),
            row.ok.to_string(),
            row.errors.values().sum::<u64>().to_string(),
            milliseconds_or_dash(row.p50_ms),
            milliseconds_or_dash(row.p95_ms),
            milliseconds_or_dash(row.p99_ms),
            row.in_flight.to_string(),
        ]
    });
    let names = ["until", "stage", "requests", "ok", "errors", "p50", "p95", "p99", "in flight"];
    table(out, &names, rows)?;
    out.push_str("</details>\n");
    Ok(())
}

/// What was sent.
fn endpoints(report: &Report, out: &mut String) -> std::fmt::Result {
    out.push_str("<h2>Requests</h2>\n");
    let rows = report.scenario.endpoints.iter().map(|endpoint| {
        vec![
            endpoint.name.clone(),
            endpoint.weight.to_string(),
            format!("{} {}", endpoint.method, endpoint.path),
            endpoint.headers.join(", "),
            bytes(endpoint.body_bytes as f64),
            endpoint.expect.clone(),
        ]
    });
    table(out, &["endpoint", "weight", "request", "headers", "body", "expected"], rows)
}

fn figures(out: &mut String, title: &str, rows: &[(String, Figures)]) -> std::fmt::Result {
    writeln!(out, "<h2>{}</h2>", escape(title))?;
    let rows = rows.iter().map(|(name, figures)| {
        let latency = figures.latency_ms.as_ref();
        let of = |get: fn(&Spread) -> f64| milliseconds_or_dash(latency.map(get));
        vec![
            name.clone(),
            figures.requests.to_string(),
            short(figures.rate),
            of(|spread| spread.p50),
            of(|spread| spread.p90),
            of(|spread| spread.p95),
            of(|spread| spread.p99),
            of(|spread| spread.p999),
            of(|spread| spread.max),
            figures.errors.to_string(),
            percent(figures.error_rate),
        ]
    });
    let names = [
        "name",
        "requests",
        "per second",
        "p50",
        "p90",
        "p95",
        "p99",
        "p99.9",
        "max",
        "errors",
        "share",
    ];
    table(out, &names, rows)
}

fn table(
    out: &mut String,
    names: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> std::fmt::Result {
    out.push_str("<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>");
    for name in names {
        write!(out, "<th scope=\"col\">{}</th>", escape(name))?;
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            write!(out, "<td>{}</td>", escape(&cell))?;
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}
