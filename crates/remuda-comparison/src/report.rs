//! Everything that is told of a run, which explains itself: whoever shows it needs no work's name.
//!
//! Owner: the run that measured it, or the file it was written to. Invariant: what was written
//! reads back as it was; a figure that could not be measured is not there.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{Error, machine::Machine};

/// Another number when a reader of this one would be wrong.
const SCHEMA: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    schema: u32,
    pub machine: Machine,
    /// What repeats it.
    pub command: String,
    pub tables: Vec<Table>,
}

/// One work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub work: String,
    pub title: String,
    pub about: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    pub chart: Option<Chart>,
    pub rounds: u32,
    /// Of load per measurement; 0 where it takes as long as it takes.
    pub seconds: f64,
    pub absent: Vec<Absent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub key: String,
    /// With its unit.
    pub title: String,
    /// After the point.
    pub digits: usize,
    /// Of what is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<Better>,
}

/// Which figures are the good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Less,
    More,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub server: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub case: String,
    pub figures: BTreeMap<String, Figure>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Over all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// Which columns are drawn, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chart {
    /// A bar for each row.
    Bars(Vec<String>),
    /// A line for each server over its cases, which are numbers.
    Lines { over: String, columns: Vec<String> },
}

/// A server without a figure, or one that failed in a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    pub server: String,
    pub reason: String,
    /// Then it has failed; otherwise it was skipped.
    pub is_installed: bool,
}

impl Report {
    /// An empty one of this machine and command.
    pub fn new(machine: Machine, command: String) -> Self {
        Self { schema: SCHEMA, machine, command, tables: Vec::new() }
    }

    /// # Errors
    /// When a figure is not a number.
    pub fn to_json(&self) -> Result<String, Error> {
        Ok(serde_json::to_string_pretty(self).map_err(Error::Encode)? + "\n")
    }

    /// # Errors
    /// When it was not written by [`Report::to_json`] of this version.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let report: Self = serde_json::from_str(json).map_err(Error::Figures)?;
        if report.schema == SCHEMA {
            return Ok(report);
        }
        Err(Error::Schema { found: report.schema, known: SCHEMA })
    }
}

/// Makes sure that figures can be written to a file: better now than when all is measured.
///
/// # Errors
/// When they cannot.
pub fn prepare(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let open = || OpenOptions::new().create(true).append(true).open(path).map(|_| ());
    folder
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| open())
        .map_err(|source| Error::Write { path: path.to_owned(), source })
}

impl Column {
    pub fn new((key, title, digits): (&str, &str, usize)) -> Self {
        Self { key: key.to_owned(), title: title.to_owned(), digits, better: None }
    }

    /// The row's figure as text, or a dash.
    pub fn show(&self, row: &Row) -> String {
        let Some(figure) = row.figures.get(&self.key) else { return "-".to_owned() };
        grouped(figure.median, self.digits)
    }
}

impl Figure {
    /// `None` when there is no value.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        // Of two rounds that differ, neither is more true than the other.
        let middle = &values[(values.len() - 1) / 2..=values.len() / 2];
        let median = middle.iter().sum::<f64>() / middle.len() as f64;
        // Short enough to be read back as it was, and no less than anybody measures.
        let [median, least, most] = [median, least, most].map(|it| (it * 1e4).round() / 1e4);
        Some(Self { median, least, most })
    }
}

/// With commas between thousands.
pub fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    if value < 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        grouped.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !part.is_empty() {
        grouped.push('.');
        grouped.push_str(part);
    }
    grouped
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report with all that one can have.
    pub(crate) fn sample() -> Report {
        let figures = |median| {
            let figure = Figure { median, least: median / 2.0, most: median * 1.1 };
            BTreeMap::from([("cpu_us".to_owned(), figure)])
        };
        let row = |server: &str, case: &str, note: &str, median| Row {
            server: server.to_owned(),
            case: case.to_owned(),
            figures: figures(median),
            note: note.to_owned(),
        };
        let table = |work: &str, rows, chart| Table {
            work: work.to_owned(),
            title: "A <small> text & more".to_owned(),
            about: "What it is.".to_owned(),
            columns: vec![
                Column { better: Some(Better::Less), ..Column::new(("cpu_us", "CPU, µs", 1)) },
                Column::new(("p99_ms", "p99, ms", 2)),
            ],
            rows,
            chart: Some(chart),
            rounds: 3,
            seconds: 1.0,
            absent: vec![Absent {
                server: "granian".to_owned(),
                reason: "there is no granian".to_owned(),
                is_installed: false,
            }],
        };
        Report {
            schema: SCHEMA,
            machine: Machine::for_tests(),
            command: "cargo xtask bench".to_owned(),
            tables: vec![
                table(
                    "text",
                    vec![row("remuda | a", "", "503", 12_345.678), row("hyper <b>", "x", "", 0.25)],
                    Chart::Bars(vec!["cpu_us".to_owned()]),
                ),
                table(
                    "knee",
                    vec![row("CPU", "1", "", 1.0), row("CPU", "2", "", 2.0)],
                    Chart::Lines { over: "workers".to_owned(), columns: vec!["cpu_us".to_owned()] },
                ),
            ],
        }
    }

    #[test]
    fn what_is_written_reads_back() -> Result<(), Error> {
        let report = sample();
        assert_eq!(Report::from_json(&report.to_json()?)?, report);
        Ok(())
    }

    #[test]
    fn other_files_are_refused_with_a_remedy() -> Result<(), Error> {
        let error = Report::from_json("{}").unwrap_err();
        assert!(error.to_string().contains("xtask bench --json"), "{error}");
        let later = sample().to_json()?.replacen("\"schema\": 1", "\"schema\": 2", 1);
        let error = Report::from_json(&later).unwrap_err();
        assert!(error.to_string().contains("schema 2"), "{error}");
        Ok(())
    }

    #[test]
    fn the_median_is_in_the_middle_and_no_value_is_no_figure() {
        let figure = Figure::of([3.0, f64::NAN, 1.0, 2.5].into_iter());
        assert_eq!(figure, Some(Figure { median: 2.5, least: 1.0, most: 3.0 }));
        let figure = Figure::of([3.0, 1.0].into_iter());
        assert_eq!(figure, Some(Figure { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Figure::of([f64::NAN].into_iter()), None);
    }

    #[test]
    fn thousands_are_grouped() {
        let shown = [0.0, 999.0, 1000.0, 1_234_567.0].map(|value| grouped(value, 0));
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((grouped(-1234.56, 1), grouped(-0.01, 1)), ("-1,234.6".into(), "0.0".into()));
    }
}
