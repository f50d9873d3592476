//! Whether the tools work: every row is there, with figures and without errors. Nothing here
//! looks at a speed.

use crate::{
    Error,
    report::{Report, Table},
};

/// # Errors
/// When something is missing, with all of it.
pub fn check(report: &Report) -> Result<(), Error> {
    let mut problems: Vec<String> = report.tables.iter().flat_map(problems).collect();
    // What is written must be readable to whoever renders it.
    if Report::from_json(&report.to_json()?)? != *report {
        problems.push("figures do not read back".to_owned());
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Missing(problems.join("\n"))) }
}

fn problems(table: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    if table.rows.is_empty() {
        problems.push(format!("{}: no server was measured", table.work));
    }
    for absent in table.absent.iter().filter(|absent| absent.is_installed) {
        problems.push(format!("{}: {} failed: {}", table.work, absent.server, absent.reason));
    }
    for row in &table.rows {
        let is_missing = |key: &&str| !row.figures.contains_key(*key);
        // What a work cannot do without; others depend on the server.
        let keys = table.columns.iter().map(|column| column.key.as_str());
        if let Some(key) = keys.take(1).find(is_missing) {
            problems.push(format!("{}: {} has no {key}", table.work, row.server));
        }
        if row.figures.get("errors").is_some_and(|errors| errors.most > 0.0) {
            problems.push(format!("{}: {} had errors {}", table.work, row.server, row.note));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Absent, Figure, tests::sample};

    #[test]
    fn whatever_is_missing_is_told() {
        assert!(check(&sample()).is_ok());
        let mut report = sample();
        report.tables[0].rows[0].figures.clear();
        report.tables[0].absent.push(Absent {
            server: "remuda".to_owned(),
            reason: "it ended".to_owned(),
            is_installed: true,
        });
        report.tables[1].rows[1]
            .figures
            .insert("errors".to_owned(), Figure { median: 0.0, least: 0.0, most: 1.0 });
        let error = check(&report).unwrap_err().to_string();
        for problem in ["remuda | a has no cpu_us", "remuda failed: it ended", "had errors"] {
            assert!(error.contains(problem), "{error}");
        }
        report.tables[1].rows.clear();
        assert!(check(&report).unwrap_err().to_string().contains("knee: no server was measured"));
    }
}
