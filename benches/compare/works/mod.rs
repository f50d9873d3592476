//! What servers are given to do, a file each.
//!
//! A work chooses its contenders, measures one at a time, and says what its figures mean;
//! [rounds](crate::rounds) does the rest.

mod beside;
mod burn;
mod hung;
mod knee;
mod memory;
mod overload;
pub(crate) mod plain;
mod reload;
mod start;

use std::time::Duration;

use anyhow::Result;
use plain::Plain;
use remuda_comparison::{Work, report::Table};

use crate::{bench::Bench, contender::Contender, lineup};

/// Who does a work, in the order in which they are measured.
///
/// # Errors
/// When one of them cannot even be described.
pub(crate) fn contenders(work: Work, bench: &Bench) -> Result<Vec<Contender>> {
    Ok(match work {
        Work::Text | Work::Json | Work::Stream | Work::Echo | Work::Wait => lineup::all(bench),
        Work::Hello => lineup::hellos(bench),
        Work::Beside => beside::contenders(bench)?,
        Work::Hash => beside::hash_contenders(bench)?,
        Work::Hung | Work::Memory => lineup::few(bench),
        Work::Overload => overload::contenders(bench),
        Work::Start => start::contenders(bench),
        Work::Reload => reload::contenders(bench),
        Work::Knee => knee::contenders(bench),
    })
}

/// Measures them; one that fails is told in the table.
pub(crate) async fn run(work: Work, bench: &Bench, contenders: &[Contender]) -> Table {
    match work {
        Work::Text => plain::run(bench, Plain::Text, contenders).await,
        Work::Json => plain::run(bench, Plain::Json, contenders).await,
        Work::Stream => plain::run(bench, Plain::Stream, contenders).await,
        Work::Echo => plain::run(bench, Plain::Echo, contenders).await,
        Work::Wait => plain::run(bench, Plain::Wait, contenders).await,
        Work::Hello => plain::run(bench, Plain::Hello, contenders).await,
        Work::Beside => beside::run(bench, contenders).await,
        Work::Hash => beside::run_hashes(bench, contenders).await,
        Work::Hung => hung::run(bench, contenders).await,
        Work::Overload => overload::run(bench, contenders).await,
        Work::Start => start::run(bench, contenders).await,
        Work::Memory => memory::run(bench, contenders).await,
        Work::Reload => reload::run(bench, contenders).await,
        Work::Knee => knee::run(bench, contenders).await,
    }
}

/// How long all rounds of a work take, if each takes what it is known to take.
pub(crate) fn time(work: Work, bench: &Bench, contenders: &[Contender]) -> Duration {
    let options = &bench.options;
    let there = contenders.iter().filter(|it| it.is_wanted(options) && it.missing().is_none());
    work.time(options.duration().as_secs_f64()) * options.rounds(work) * there.count() as u32
}

#[cfg(test)]
mod tests {
    use clap::{Parser, ValueEnum as _};

    use super::*;
    use crate::bench::Options;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// `cargo xtask bench` refuses names by a list of its own, before anything is built.
    #[tokio::test]
    async fn servers_are_called_what_they_are_said_to_be() -> Result<()> {
        let bench = Bench::new(Line::try_parse_from(["compare"])?.options).await?;
        for work in Work::value_variants() {
            let contenders = contenders(*work, &bench)?;
            let names: Vec<String> = contenders.into_iter().map(|it| it.name).collect();
            assert_eq!(names, work.servers(), "{work:?}");
        }
        Ok(())
    }
}
