//! A report for a terminal.
//!
//! Invariant: control characters that came from outside (names, messages) do not reach the
//! terminal as such.

use std::fmt::Write as _;

use super::{
    Report,
    number::{bytes, milliseconds, milliseconds_or_dash, percent, short},
};
use crate::{
    record::{Figures, Spread},
    threshold::Outcome,
};

/// The summary in lines.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let (scenario, summary) = (&report.scenario, &report.summary);
    let all = &summary.all;
    writeln!(out, "{} over {}, {}", clean(&scenario.target), report.protocol, load(report))?;
    let ended = match report.ended.as_str() {
        "interrupted" => ", interrupted",
        _ => "",
    };
    writeln!(out, "{:.1} s measured{ended}", all.seconds)?;
    writeln!(out)?;
    writeln!(
        out,
        "requests   {}  ok {}  errors {} ({})",
        all.requests,
        all.ok,
        all.errors,
        percent(all.error_rate)
    )?;
    let planned = report.planned_rate().map(|rate| format!(" of {}/s planned", short(rate)));
    writeln!(
        out,
        "rate       {}/s as expected{}, {}/s of bodies",
        short(all.rate),
        planned.unwrap_or_default(),
        bytes(all.bytes_per_second)
    )?;
    spread(out, "latency", all.latency_ms.as_ref())?;
    spread(out, "first byte", all.first_byte_ms.as_ref())?;
    spread(out, "failed in", all.failed_ms.as_ref())?;
    spread(out, "connect", summary.connect_ms.as_ref())?;
    spread(out, "sent late", summary.lag_ms.as_ref())?;
    if !all.statuses.is_empty() {
        let statuses: Vec<_> =
            all.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        writeln!(out, "statuses   {}", statuses.join(", "))?;
    }
    for (kind, count) in &all.errors_by_kind {
        let example = summary.examples.get(kind).map(|text| format!("  {}", clean(text)));
        writeln!(out, "error      {kind}: {count}{}", example.unwrap_or_default())?;
    }
    let generator = &summary.generator;
    let cpu = match generator.cpu_microseconds_per_request {
        0.0 => String::new(),
        micros => format!("{micros:.1} µs CPU per request, "),
    };
    writeln!(
        out,
        "generator  {} threads, {cpu}busiest thread {:.0} %",
        report.threads,
        generator.busiest * 100.0
    )?;
    for (title, rows) in [("stage", &summary.stages), ("endpoint", &summary.endpoints)] {
        // One line would say what is above.
        if rows.len() > 1 {
            writeln!(out)?;
            table(out, title, rows.iter().map(|row| (row.name.as_str(), &row.figures)))?;
        }
    }
    if !report.thresholds.is_empty() {
        writeln!(out)?;
    }
    for verdict in &report.thresholds {
        let outcome = match verdict.outcome {
            Outcome::Held => "held   ",
            Outcome::Broken => "BROKEN ",
            Outcome::TooFew => "TOO FEW",
            Outcome::AllFailed => "UNKNOWN",
        };
        writeln!(out, "{outcome}  {}  ({})", clean(&verdict.threshold), verdict.detail)?;
    }
    for warning in report.warnings() {
        writeln!(out, "\nwarning: {}", clean(&warning))?;
    }
    Ok(())
}

/// The load in a few words.
pub(super) fn load(report: &Report) -> String {
    let scenario = &report.scenario;
    let peak = scenario.stages.iter().map(|stage| stage.from.max(stage.to)).fold(0.0, f64::max);
    let mut text = if scenario.model == "closed" {
        let think = scenario.think.as_deref().filter(|think| *think != "0s");
        let think = think.map(|think| format!(", thinking {think}"));
        format!("{peak} users{}", think.unwrap_or_default())
    } else {
        format!("{peak} arrivals/s")
    };
    if !scenario.reuse {
        text.push_str(", a fresh connection each");
    }
    text
}

fn spread(out: &mut String, name: &str, spread: Option<&Spread>) -> std::fmt::Result {
    let Some(spread) = spread else { return Ok(()) };
    let of = [
        ("p50", spread.p50),
        ("p90", spread.p90),
        ("p95", spread.p95),
        ("p99", spread.p99),
        ("p99.9", spread.p999),
        ("max", spread.max),
        ("mean", spread.mean),
    ];
    let of: Vec<_> = of.map(|(name, value)| format!("{name} {}", milliseconds(value))).into();
    writeln!(out, "{name:<11}{}", of.join("  "))
}

fn table<'a>(
    out: &mut String,
    title: &str,
    rows: impl Iterator<Item = (&'a str, &'a Figures)>,
) -> std::fmt::Result {
    let mut lines =
        vec![[title, "requests", "rate/s", "p50", "p95", "p99", "errors"].map(str::to_owned)];
    lines.extend(rows.map(|(name, figures)| {
        let latency = figures.latency_ms.as_ref();
        let of = |get: fn(&Spread) -> f64| milliseconds_or_dash(latency.map(get));
        [
            clean(name),
            figures.requests.to_string(),
            short(figures.rate),
            of(|spread| spread.p50),
            of(|spread| spread.p95),
            of(|spread| spread.p99),
            percent(figures.error_rate),
        ]
    }));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<_> = (0..7).map(|column| width(column).unwrap_or(0)).collect();
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            if column == 0 {
                write!(out, "{cell:<width$}")?;
            } else {
                write!(out, "  {cell:>width$}")?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Without what a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
