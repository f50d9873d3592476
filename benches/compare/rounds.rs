//! Several rounds, each of which measures every contender in turn, and what is in their middle.

use std::time::Duration;

use anyhow::{Result, bail};

use remuda_comparison::{
    Work,
    report::{Absent, Better, Chart, Column, Figure, Row, Table},
};

use crate::{bench::Bench, contender::Contender};

/// What nothing takes that goes on.
const LONGEST: Duration = Duration::from_secs(60);

/// What is told of a work.
pub(crate) struct Head {
    pub(crate) work: Work,
    pub(crate) title: &'static str,
    /// What is done and how to read the figures, as Markdown.
    pub(crate) about: String,
    /// Key, title, digits after the point.
    pub(crate) columns: &'static [(&'static str, &'static str, usize)],
    pub(crate) chart: Option<Chart>,
    /// Of what is drawn, those of which more is better; of the others it is less.
    pub(crate) more: &'static [&'static str],
}

/// What one measurement found of a case; a figure that there is not is not a number.
pub(crate) struct Sample {
    /// What else tells rows of one server apart; may be empty.
    pub(crate) case: String,
    pub(crate) figures: Vec<f64>,
    /// What no number tells.
    pub(crate) note: String,
}

impl Sample {
    pub(crate) fn new(case: &str, figures: Vec<f64>) -> Self {
        Self { case: case.to_owned(), figures, note: String::new() }
    }
}

/// Measures all contenders, round by round.
pub(crate) async fn table(
    bench: &Bench,
    head: Head,
    contenders: &[Contender],
    measure: impl AsyncFn(&Contender) -> Result<Vec<Sample>>,
) -> Table {
    let (mut chosen, mut absent) = (Vec::new(), Vec::new());
    for contender in contenders.iter().filter(|it| it.is_wanted(&bench.options)) {
        match contender.missing() {
            None => chosen.push((contender, Vec::new())),
            Some(reason) => {
                absent.push(Absent { server: contender.name.clone(), reason, is_installed: false })
            }
        }
    }
    let rounds = bench.options.rounds(head.work);
    bench.progress.borrow_mut().begin(head.work.name(), chosen.len() * rounds as usize);
    for _ in 0..rounds {
        for (contender, samples) in &mut chosen {
            // What has failed once would take as long again, and fail.
            if absent.iter().any(|absent| absent.server == contender.name) {
                continue;
            }
            bench.progress.borrow_mut().next(&contender.name);
            match bounded(measure(contender)).await {
                Ok(sample) => samples.push(sample),
                Err(error) => absent.push(Absent {
                    server: contender.name.clone(),
                    reason: format!("{error:#}"),
                    is_installed: true,
                }),
            }
        }
    }
    bench.progress.borrow().end();
    let columns = head.columns.iter().map(|column| drawn(Column::new(*column), &head)).collect();
    let rows = chosen.iter().flat_map(|(contender, samples)| rows(&contender.name, samples, &head));
    Table {
        rows: rows.collect(),
        work: head.work.name().to_owned(),
        title: head.title.to_owned(),
        about: head.about,
        columns,
        rounds,
        seconds: if head.work.is_timed() { bench.options.duration().as_secs_f64() } else { 0.0 },
        absent,
        chart: head.chart,
    }
}

/// The column, with what is good of it if it is drawn.
fn drawn(mut column: Column, head: &Head) -> Column {
    let keys = match &head.chart {
        Some(Chart::Bars(keys) | Chart::Lines { columns: keys, .. }) => keys.as_slice(),
        None => &[],
    };
    if keys.contains(&column.key) {
        let is_more = head.more.contains(&column.key.as_str());
        column.better = Some(if is_more { Better::More } else { Better::Less });
    }
    column
}

/// A server that answers nobody must not hold up all others.
async fn bounded<T>(measured: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(LONGEST, measured).await {
        Ok(result) => result,
        Err(_) => bail!("it took longer than {LONGEST:?}"),
    }
}

/// A row for each case, in the order of the first round.
fn rows(server: &str, rounds: &[Vec<Sample>], head: &Head) -> Vec<Row> {
    let first = rounds.first().map(Vec::as_slice).unwrap_or_default();
    let row = |sample: &Sample| {
        let same: Vec<&Sample> =
            rounds.iter().flatten().filter(|other| other.case == sample.case).collect();
        let figures = head.columns.iter().enumerate().filter_map(|(index, (key, ..))| {
            let values = same.iter().filter_map(|sample| sample.figures.get(index).copied());
            Some(((*key).to_owned(), Figure::of(values)?))
        });
        Row {
            server: server.to_owned(),
            case: sample.case.clone(),
            figures: figures.collect(),
            note: same.last().map(|sample| sample.note.clone()).unwrap_or_default(),
        }
    };
    first.iter().map(row).collect()
}
