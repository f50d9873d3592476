//! The page as Markdown.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::{charts, file};
use crate::report::{Chart, Report, Row, Table};

/// What stands between these is rendered.
pub(super) const BEGIN: &str = "<!-- begin: rendered -->";
pub(super) const END: &str = "<!-- end: rendered -->";

/// The page with something else between the markers.
///
/// # Errors
/// When it does not have each of them once, in this order.
pub(super) fn replace(page: &str, rendered: &str) -> Result<String> {
    let once = |marker| {
        let mut parts = page.split(marker);
        let is_once = parts.next().is_some() && parts.next().is_some() && parts.next().is_none();
        is_once.then_some(()).with_context(|| format!("write the line `{marker}` once into it"))
    };
    once(BEGIN)?;
    once(END)?;
    let (before, rest) = page.split_once(BEGIN).unwrap_or_default();
    let (_, after) =
        rest.split_once(END).with_context(|| format!("`{BEGIN}` has to stand before `{END}`"))?;
    Ok(format!("{before}{BEGIN}\n\n{rendered}\n{END}{after}"))
}

/// What stands between the markers; charts are in `folder`.
pub(super) fn render(report: &Report, folder: &str) -> String {
    let machine = &report.machine;
    let mut page = format!("Measured on: {}", cell(&machine.sentence()));
    if !machine.commit.is_empty() {
        let _ = write!(page, "; commit {}", cell(&machine.commit));
    }
    let versions = machine.versions.iter();
    let versions: Vec<String> =
        versions.map(|(of, version)| cell(&format!("{of} {version}"))).collect();
    let _ = write!(page, ".\nVersions: {}.\n", versions.join(", "));
    page.push_str(
        "\nTo repeat it (`--help` tells the rest; peers that are not installed are skipped by name):\n\
         \n```sh\ncargo xtask bench\ncargo xtask bench --render target/bench/figures.json\n```\n",
    );
    for table in &report.tables {
        page.push('\n');
        section(&mut page, table, folder);
    }
    page
}

fn section(page: &mut String, table: &Table, folder: &str) {
    let rounds = match table.rounds {
        1 => "one round".to_owned(),
        rounds => format!("medians of {rounds} rounds"),
    };
    let _ = write!(
        page,
        "## {}\n\n{} {} of {} s of load (`cargo xtask bench {}`).\n\n",
        cell(&table.title),
        table.about,
        capital(&rounds),
        table.seconds,
        table.work
    );
    for (file_name, _) in charts(table) {
        let key = table.columns.iter().find(|column| file(table, &column.key) == file_name);
        let title = key.map(|column| column.title.as_str()).unwrap_or_default();
        let _ = writeln!(page, "![{}: {}]({folder}/{file_name})", cell(&table.title), cell(title));
    }
    page.push('\n');
    rows(page, table);
    let absent: Vec<String> = table
        .absent
        .iter()
        .map(|absent| {
            let what = if absent.is_installed { "failed" } else { "skipped" };
            format!("{what} {}: {}", cell(&absent.server), cell(&absent.reason))
        })
        .collect();
    if !absent.is_empty() {
        let _ = write!(page, "\nNot measured: {}.\n", absent.join("; "));
    }
}

fn rows(page: &mut String, table: &Table) {
    let over = match &table.chart {
        Some(Chart::Lines { over, .. }) => over.as_str(),
        _ => "",
    };
    let has_cases = table.rows.iter().any(|row| !row.case.is_empty());
    let has_notes = table.rows.iter().any(|row| !row.note.is_empty());
    let mut head = vec![if over.is_empty() { "server" } else { "work" }.to_owned()];
    if has_cases {
        head.push(over.to_owned());
    }
    head.extend(table.columns.iter().map(|column| cell(&column.title)));
    if has_notes {
        head.push(String::new());
    }
    let _ = write!(page, "| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    let mut before: Option<&Row> = None;
    for row in &table.rows {
        let is_same = before.is_some_and(|before| before.server == row.server);
        let mut cells = vec![if is_same { String::new() } else { cell(&row.server) }];
        if has_cases {
            cells.push(cell(&row.case));
        }
        cells.extend(table.columns.iter().map(|column| column.show(row)));
        if has_notes {
            cells.push(cell(&row.note));
        }
        let _ = writeln!(page, "| {} |", cells.join(" | "));
        before = Some(row);
    }
}

/// Text that ends no cell and begins no markup.
fn cell(text: &str) -> String {
    super::escape(text).replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn a_page_without_markers_is_left_alone_and_told_what_it_lacks() {
        let both = format!("{END}\n{BEGIN}\n");
        for (page, missing) in [("text", BEGIN), (BEGIN, END), (&both, "before")] {
            let error = replace(page, "new").unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn tables_have_as_many_cells_in_every_row() {
        let page = render(&sample(), "speed");
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        for table in page.split("## ").skip(1) {
            let lines: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
            assert!(lines.len() >= 3, "{table}");
            assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{table}");
        }
        assert!(page.contains("| remuda \\| a |  | 12,345.7 | - | 503 |"), "{page}");
        assert!(page.contains("skipped granian: there is no granian"), "{page}");
    }
}
