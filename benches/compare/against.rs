//! Two builds of Remuda in turn, and whether the second is better, worse or the same.
//!
//! Each slice starts a server anew, for where its memory happens to lie is part of what differs
//! between two runs of the same build; first and second change places every time. What slices
//! say is compared as `remuda load compare` does seconds, and CPU time per request with it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use remuda_load::{
    compare::{self, Judge},
    report::Report,
};

use crate::{
    arrivals,
    bench::{Bench, Options},
    contender::Contender,
    lineup, processes,
    works::plain::Plain,
};

/// Unless another number is wanted.
const SLICES: u32 = 12;

#[derive(Debug, clap::Args)]
pub(crate) struct AgainstArgs {
    /// The executable that the other is compared with
    #[arg(long, value_name = "REMUDA")]
    before: PathBuf,
    /// The executable that is better or worse [default: that of the target folder]
    #[arg(long, value_name = "REMUDA")]
    after: Option<PathBuf>,
    /// Slices of `--seconds` that each is measured for are `--rounds` [default: 12], the work is
    /// text where none is named
    #[command(flatten)]
    options: Options,
}

/// All slices of one build.
struct Side {
    contender: Contender,
    report: Option<Report>,
    /// Of each slice, in microseconds per request.
    cpu: Vec<f64>,
}

pub(crate) async fn run(args: AgainstArgs) -> Result<()> {
    let choice = args.options.choice.clone();
    choice.check_against()?;
    let slices = choice.rounds.unwrap_or(SLICES);
    let mut works: Vec<Plain> = choice.works.iter().filter_map(|work| Plain::of(*work)).collect();
    if works.is_empty() {
        works.push(Plain::Text);
    }
    let after = args.after.clone().unwrap_or_else(|| args.options.binary("remuda"));
    let bench = Bench::new(args.options).await?;
    let servers = lineup::remudas(&bench);
    let servers: Vec<Contender> =
        servers.into_iter().filter(|server| server.is_wanted(&bench.options)).collect();
    for work in works {
        for server in &servers {
            let side = |program: &PathBuf| Side {
                contender: server.of_program(program.clone()),
                report: None,
                cpu: Vec::new(),
            };
            let mut sides = [side(&args.before), side(&after)];
            bench.progress.borrow_mut().begin(work.name(), slices as usize * 2);
            for slice in 0..slices {
                let order = if slice % 2 == 0 { [0, 1] } else { [1, 0] };
                for which in order {
                    bench.progress.borrow_mut().next(&server.name);
                    let measured = sides[which].measure(&bench, work).await;
                    measured.with_context(|| {
                        format!("failed to measure {}", ["the first", "the second"][which])
                    })?;
                }
            }
            bench.progress.borrow().end();
            println!("\n{}, {}\n{}", work.name(), server.name, verdict(&sides)?);
        }
    }
    Ok(())
}

impl Side {
    /// One slice, which is one interval of the report.
    async fn measure(&mut self, bench: &Bench, work: Plain) -> Result<()> {
        let server = self.contender.start(bench).await?;
        let (path, body) = work.request(bench.upstream.address);
        let mut load = arrivals::closed(server.address, &path, work.connections());
        load.endpoints[0].body = body.map(|bytes| "x".repeat(bytes));
        let warm_up = arrivals::lasting(load.clone(), bench.options.warm_up());
        arrivals::send(warm_up).await?;
        let before = processes::cpu_time(server.pid())?;
        let report = arrivals::send(arrivals::lasting(load, bench.options.duration())).await?;
        let spent = processes::cpu_time(server.pid())?.saturating_sub(before);
        self.cpu.push(micros(spent) / report.summary.all.requests.max(1) as f64);
        match &mut self.report {
            None => self.report = Some(report),
            Some(whole) => whole.series.extend(report.series),
        }
        Ok(())
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn verdict([before, after]: &[Side; 2]) -> Result<String> {
    let reports = before.report.as_ref().zip(after.report.as_ref());
    let (one, other) = reports.context("nothing was measured")?;
    let options = compare::Options::default();
    let mut comparison = compare::compare(one, other, options)?;
    // They are those of the first slices alone.
    comparison.warnings.clear();
    let cpu = Judge { figure: "cpu/request", least: options.least, ..Judge::default() };
    comparison.figures.extend(cpu.medians(&before.cpu, &after.cpu));
    Ok(comparison.text())
}
