//! A table on the terminal.

use remuda_comparison::report::Table;

pub(crate) fn table(table: &Table) {
    println!("\n{}, rounds: {}", table.title, table.rounds);
    let has_cases = table.rows.iter().any(|row| !row.case.is_empty());
    let mut lines = vec![vec!["server".to_owned()]];
    if has_cases {
        lines[0].push(String::new());
    }
    lines[0].extend(table.columns.iter().map(|column| column.title.clone()));
    for row in &table.rows {
        let mut line = vec![row.server.clone()];
        if has_cases {
            line.push(row.case.clone());
        }
        line.extend(table.columns.iter().map(|column| column.show(row)));
        line.push(row.note.clone());
        lines.push(line);
    }
    for line in aligned(&lines, if has_cases { 2 } else { 1 }) {
        println!("{line}");
    }
    for absent in &table.absent {
        let what = if absent.is_installed { "failed" } else { "skipped" };
        println!("{what} {}: {}", absent.server, absent.reason);
    }
}

/// The first columns to the left, the others to the right.
fn aligned(lines: &[Vec<String>], left: usize) -> Vec<String> {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_each_other_whatever_their_letters() {
        let lines = [vec!["µs", "1"], vec!["a", "1,000"]];
        let lines = lines.map(|line| line.into_iter().map(str::to_owned).collect());
        assert_eq!(aligned(&lines, 1), ["µs      1", "a   1,000"]);
    }
}
