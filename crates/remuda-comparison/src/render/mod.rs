//! docs/performance.md and its charts, from the figures of a run.
//!
//! Owner: `cargo xtask bench --render`. Invariant: only what stands between the markers is
//! replaced, and nothing of it by nothing unless that is meant; what came from outside is escaped.

mod lacks;
mod page;
mod svg;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    report::{Chart, Report, Table},
};

/// What is rendered, and into what.
#[derive(Clone, Debug)]
pub struct Render {
    /// What `--json` has written.
    pub figures: PathBuf,
    /// Its charts are in a folder beside it, of the same name.
    pub page: PathBuf,
    /// Whether the page may lose works and servers.
    pub is_partial: bool,
}

impl Render {
    /// Writes page and charts, and removes those charts that the page had and has no more.
    /// Returns the folder of the charts.
    ///
    /// # Errors
    /// When the figures are none, the page lacks its markers, would lose something that it is
    /// not meant to lose, or cannot be written.
    pub fn run(&self) -> Result<PathBuf, Error> {
        let report = Report::from_json(&read(&self.figures)?).map_err(|error| Error::Render {
            path: self.figures.clone(),
            source: Box::new(error),
        })?;
        let before = read(&self.page)?;
        let folder = self.page.with_extension("");
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let markers = |reason| Error::Markers { page: self.page.clone(), reason };
        // All of it before any of it is written.
        let rendered = page::render(&report, &name);
        let page = page::replace(&before, &rendered).map_err(markers)?;
        let old = page::rendered(&before).map_err(markers)?;
        let lacks = lacks::of(old, &rendered);
        if !lacks.is_empty() && !self.is_partial {
            return Err(Error::Lacks { file: self.figures.clone(), lacks: lacks.join("; ") });
        }
        let write = |path: PathBuf, content: &str| {
            fs::write(&path, content).map_err(|source| Error::Write { path, source })
        };
        fs::create_dir_all(&folder)
            .map_err(|source| Error::Write { path: folder.clone(), source })?;
        for (file, svg) in report.tables.iter().flat_map(charts) {
            write(folder.join(file), &svg)?;
        }
        write(self.page.clone(), &page)?;
        for file in page::charts_of(old, &name) {
            if !page.contains(&format!("{name}/{file}")) {
                remove(folder.join(file))?;
            }
        }
        Ok(folder)
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn remove(path: PathBuf) -> Result<(), Error> {
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Write { path, source })
        }
        _ => Ok(()),
    }
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

    /// A page by hand, rendered from all of the sample.
    fn rendered(folder: &Path) -> Result<Render, Error> {
        let write = |path: &Path, text: String| {
            fs::write(path, text).map_err(|source| Error::Write { path: path.to_owned(), source })
        };
        let figures = folder.join("run.json");
        let page = folder.join("speed.md");
        write(&figures, sample().to_json()?)?;
        write(&page, format!("# By hand\n\n{}\nold\n{}\n\nAhead\n", page::BEGIN, page::END))?;
        let render = Render { figures, page, is_partial: false };
        render.run()?;
        Ok(render)
    }

    #[test]
    fn a_page_can_be_rendered_again_and_again() -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let render = rendered(folder.path())?;
        let once = read(&render.page)?;
        render.run()?;
        assert_eq!(once, read(&render.page)?);
        assert!(once.starts_with("# By hand\n") && once.ends_with("\nAhead\n"), "{once}");
        assert!(!once.contains("old") && once.contains("speed/text-cpu-us.svg"), "{once}");
        assert!(folder.path().join("speed/knee-cpu-us.svg").exists());
        Ok(())
    }

    #[test]
    fn a_page_loses_nothing_unless_that_is_meant() -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let mut render = rendered(folder.path())?;
        let before = read(&render.page)?;
        let mut part = sample();
        part.tables.remove(1);
        part.tables[0].rows.remove(0);
        fs::write(&render.figures, part.to_json()?).unwrap();
        let error = render.run().unwrap_err().to_string();
        for told in ["knee", "text without remuda | a", "--partial"] {
            assert!(error.contains(told), "{told}: {error}");
        }
        assert!(!error.contains("hyper"), "{error}");
        let chart = folder.path().join("speed/knee-cpu-us.svg");
        assert!(read(&render.page)? == before && chart.exists());
        let other = folder.path().join("speed/drawn-by-hand.svg");
        fs::write(&other, "<svg/>").unwrap();
        render.is_partial = true;
        render.run()?;
        assert!(!read(&render.page)?.contains("knee") && !chart.exists());
        assert!(other.exists() && folder.path().join("speed/text-cpu-us.svg").exists());
        Ok(())
    }

    #[test]
    fn what_is_no_report_leaves_the_page_alone() -> Result<(), Error> {
        let folder = tempfile::tempdir().unwrap();
        let render = rendered(folder.path())?;
        let before = read(&render.page)?;
        fs::write(&render.figures, "{}").unwrap();
        let error = render.run().unwrap_err().to_string();
        assert!(error.contains("run.json: failed to understand"), "{error}");
        assert_eq!(read(&render.page)?, before);
        Ok(())
    }
}
