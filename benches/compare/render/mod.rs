//! docs/performance.md and its charts, from the figures of a run.
//!
//! Owner: `compare render`. Invariant: only what stands between the markers is replaced, charts of
//! works that were not measured again stay, and what came from outside is escaped.

mod page;
mod svg;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::report::{Chart, Report, Table};

#[derive(Debug, clap::Args)]
pub(crate) struct RenderArgs {
    /// What `run --json` has written
    file: PathBuf,
    /// The page; its charts go into a folder beside it, of the same name
    #[arg(long, default_value = "docs/performance.md")]
    page: PathBuf,
}

pub(crate) fn run(args: &RenderArgs) -> Result<()> {
    let read = |path: &PathBuf| {
        fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
    };
    let report = Report::from_json(&read(&args.file)?)?;
    let folder = args.page.with_extension("");
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    // All of it before any of it is written.
    let rendered = page::render(&report, &name);
    let page = page::replace(&read(&args.page)?, &rendered)
        .with_context(|| format!("failed to render into {}", args.page.display()))?;
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let write = |path: PathBuf, content: &str| {
        fs::write(&path, content).with_context(|| format!("failed to write {}", path.display()))
    };
    for (file, svg) in report.tables.iter().flat_map(charts) {
        write(folder.join(file), &svg)?;
    }
    write(args.page.clone(), &page)?;
    println!("wrote {} and its charts in {}", args.page.display(), folder.display());
    Ok(())
}

/// Names of files and what is in them.
fn charts(table: &Table) -> Vec<(String, String)> {
    let keys = match &table.chart {
        None => return Vec::new(),
        Some(Chart::Bars(keys) | Chart::Lines { columns: keys, .. }) => keys,
    };
    let columns = keys.iter().filter_map(|key| table.columns.iter().find(|it| it.key == *key));
    columns
        .filter_map(|column| {
            let svg = match &table.chart {
                Some(Chart::Lines { over, .. }) => svg::lines(table, column, over),
                _ => svg::bars(table, column),
            };
            Some((file(table, &column.key), svg?))
        })
        .collect()
}

fn file(table: &Table, key: &str) -> String {
    format!("{}-{}.svg", table.work, key.replace('_', "-"))
}

/// Text for HTML and XML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // No control character may be in XML 1.0 (section 2.2).
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn what_came_from_outside_is_no_markup() {
        assert_eq!(escape("<a b=\"c\">&\u{1}\n"), "&lt;a b=&quot;c&quot;&gt;&amp;  ");
        for (_, svg) in sample().tables.iter().flat_map(charts) {
            assert!(!svg.contains("<small>") && !svg.contains("hyper <b>"), "{svg}");
        }
    }

    #[test]
    fn a_page_can_be_rendered_again_and_again() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (file, page) = (folder.path().join("run.json"), folder.path().join("speed.md"));
        fs::write(&file, sample().to_json()?)?;
        fs::write(&page, format!("# By hand\n\n{}\nold\n{}\n\nAhead\n", page::BEGIN, page::END))?;
        let args = RenderArgs { file, page: page.clone() };
        run(&args)?;
        let once = fs::read_to_string(&page)?;
        run(&args)?;
        assert_eq!(once, fs::read_to_string(&page)?);
        assert!(once.starts_with("# By hand\n") && once.ends_with("\nAhead\n"), "{once}");
        assert!(!once.contains("old") && once.contains("speed/text-cpu-us.svg"), "{once}");
        assert!(folder.path().join("speed/knee-cpu-us.svg").exists());
        Ok(())
    }
}
