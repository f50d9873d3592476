//! The page as Markdown.

use std::fmt::Write as _;

use super::{charts, file};
use crate::report::{Chart, Report, Row, Table};

/// What stands between these is rendered.
pub(super) const BEGIN: &str = "<!-- begin: rendered -->";
pub(super) const END: &str = "<!-- end: rendered -->";

/// The page with something else between the markers.
///
/// # Errors
/// Why not, when it does not have each of them once, in this order.
pub(super) fn replace(page: &str, new: &str) -> Result<String, String> {
    let (before, _, after) = parts(page)?;
    Ok(format!("{before}{BEGIN}\n\n{new}\n{END}{after}"))
}

/// What stands between the markers now.
///
/// # Errors
/// As [`replace`].
pub(super) fn rendered(page: &str) -> Result<&str, String> {
    Ok(parts(page)?.1)
}

/// Before, between and behind the markers.
fn parts(page: &str) -> Result<(&str, &str, &str), String> {
    for marker in [BEGIN, END] {
        if page.matches(marker).count() != 1 {
            return Err(format!("write the line `{marker}` once into it"));
        }
    }
    let (before, rest) = page.split_once(BEGIN).unwrap_or_default();
    let (between, after) =
        rest.split_once(END).ok_or_else(|| format!("`{BEGIN}` has to stand before `{END}`"))?;
    Ok((before, between, after))
}

/// Files of charts that a page shows from `folder`.
pub(super) fn charts_of<'a>(page: &'a str, folder: &str) -> Vec<&'a str> {
    let linked = |line: &'a str| {
        let (_, link) = line.strip_prefix("![")?.split_once("](")?;
        let file = link.strip_suffix(')')?.strip_prefix(folder)?.strip_prefix('/')?;
        (!file.contains('/')).then_some(file)
    };
    page.lines().filter_map(linked).collect()
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
         \n```sh\n",
    );
    // What other versions wrote there was their own business.
    let command = Some(report.command.as_str()).filter(|it| it.starts_with("cargo xtask bench"));
    let _ = write!(
        page,
        "{}\ncargo xtask bench --render target/bench/figures.json\n```\n",
        command.unwrap_or("cargo xtask bench")
    );
    for table in &report.tables {
        page.push('\n');
        section(&mut page, table, folder);
    }
    page
}

fn section(page: &mut String, table: &Table, folder: &str) {
    let _ = write!(
        page,
        "## {}\n\n{} {} (`cargo xtask bench {}`).\n\n",
        cell(&table.title),
        table.about,
        rounds(table),
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

/// How many, and how long each.
fn rounds(table: &Table) -> String {
    let each = if table.seconds > 0.0 {
        format!(" of {} s of load", table.seconds)
    } else {
        String::new()
    };
    match table.rounds {
        1 => format!("One round{each}"),
        rounds => format!("Medians of {rounds} rounds{each}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn a_page_without_markers_is_left_alone_and_told_what_it_lacks() {
        let both = format!("{END}\n{BEGIN}\n");
        for (page, missing) in [("text", BEGIN), (BEGIN, END), (&both, "before")] {
            let error = replace(page, "new").unwrap_err();
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn every_table_says_how_often_and_how_long_it_was_measured() {
        let mut report = sample();
        (report.tables[1].rounds, report.tables[1].seconds) = (1, 0.0);
        let page = render(&report, "speed");
        assert!(page.contains(" Medians of 3 rounds of 1 s of load (`cargo xtask bench text`)."));
        assert!(page.contains(" One round (`cargo xtask bench knee`)."), "{page}");
    }

    #[test]
    fn a_page_tells_the_command_that_it_is_made_of() {
        let mut report = sample();
        report.command = "cargo xtask bench text --rounds 9".to_owned();
        assert!(render(&report, "speed").contains("\ncargo xtask bench text --rounds 9\n"));
    }

    #[test]
    fn charts_are_those_of_the_folder() {
        let page =
            "![a: b](speed/a.svg)\n![c](other/c.svg)\n![d](speed/../e.svg)\n[f](speed/f.svg)";
        assert_eq!(charts_of(page, "speed"), ["a.svg"]);
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
