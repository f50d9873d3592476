//! Charts as SVG files, which browsers show in light and in dark.
//!
//! Invariant: a chart needs nothing but itself: no script, no font, no file. Colours follow
//! `prefers-color-scheme`, on a ground that lets the page's own through.

use std::fmt::Write as _;

use super::escape;
use crate::report::{Better, Column, Row, Table, grouped};

const WIDTH: f64 = 720.0;
/// Of the names of lines, behind them.
const LEGEND: f64 = 125.0;
/// Between text and what it stands beside.
const GAP: f64 = 8.0;
/// The least that is left for bars, however long names are.
const BARS: f64 = 120.0;
/// Above the first bar or line: the title, and below it what its colours mean.
const TITLE: f64 = 50.0;
/// The base line of the latter.
const KEY: f64 = 37.0;
const BAR: f64 = 20.0;
/// Of a chart with lines: its plot and what stands around it.
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 40.0;

const STYLE: &str = "<style>\
    text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:13px}\
    .bar{fill:#8c959f}.own{fill:#0969da}.grid{stroke:#8c959f;stroke-opacity:.35}\
    .line{fill:none;stroke-width:2}.c0{stroke:#0969da}.c1{stroke:#bc4c00}.c2{stroke:#1a7f37}\
    .c3{stroke:#8250df}.d0{fill:#0969da}.d1{fill:#bc4c00}.d2{fill:#1a7f37}.d3{fill:#8250df}\
    @media(prefers-color-scheme:dark){text{fill:#d1d7e0}.bar{fill:#768390}.own{fill:#539bf5}\
    .c0{stroke:#539bf5}.c1{stroke:#e0823d}.c2{stroke:#57ab5a}.c3{stroke:#b083f0}\
    .d0{fill:#539bf5}.d1{fill:#e0823d}.d2{fill:#57ab5a}.d3{fill:#b083f0}}</style>";
const COLOURS: usize = 4;

/// A bar for each row that has the figure; nothing when none has.
pub(super) fn bars(table: &Table, column: &Column) -> Option<String> {
    let value = |row: &Row| Some(row.figures.get(&column.key)?.median);
    let rows: Vec<(&Row, f64)> =
        table.rows.iter().filter_map(|row| Some((row, value(row)?))).collect();
    let most = rows.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if rows.is_empty() {
        return None;
    }
    let name = |row: &Row| match row.case.as_str() {
        "" => row.server.clone(),
        case => format!("{}, {case}", row.server),
    };
    let longest = |texts: &mut dyn Iterator<Item = String>| {
        texts.map(|text| width(&text)).fold(0.0, f64::max) + 2.0 * GAP
    };
    let names = longest(&mut rows.iter().map(|(row, _)| name(row)));
    let figures = longest(&mut rows.iter().map(|(row, _)| column.show(row)));
    let room = (WIDTH - names - figures).max(BARS);
    let mut svg =
        begin(table, column, names + room + figures, TITLE + BAR * rows.len() as f64 + 8.0);
    key(&mut svg, column, &[("own", "Remuda"), ("bar", "others")]);
    for (index, (row, value)) in rows.iter().enumerate() {
        let y = TITLE + BAR * index as f64;
        let width = if most > 0.0 { (room * value / most).max(0.0) } else { 0.0 };
        let class = if row.server.starts_with("remuda") { "own" } else { "bar" };
        let _ = write!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{names:.0}\" y=\"{:.0}\" width=\"{width:.1}\" \
             height=\"{:.0}\" rx=\"2\"/><text x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            names - GAP,
            y + 14.0,
            escape(&name(row)),
            y + 3.0,
            BAR - 6.0,
            names + width + GAP,
            y + 14.0,
            escape(&column.show(row))
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// A line for each server over its cases; nothing when there is no point.
pub(super) fn lines(table: &Table, column: &Column, over: &str) -> Option<String> {
    let mut servers: Vec<&str> = table.rows.iter().map(|row| row.server.as_str()).collect();
    servers.dedup();
    let points = |server: &str| -> Vec<(f64, f64)> {
        let rows = table.rows.iter().filter(|row| row.server == server);
        rows.filter_map(|row| {
            Some((row.case.parse().ok()?, row.figures.get(&column.key)?.median)) //
        })
        .collect()
    };
    let all: Vec<(f64, f64)> = servers.iter().flat_map(|server| points(server)).collect();
    let (end, top) = all.iter().fold((0.0, 0.0), |(x, y): (f64, f64), point| {
        (x.max(point.0), y.max(point.1)) //
    });
    if all.is_empty() || end <= 0.0 {
        return None;
    }
    let top = ceiling(top);
    let x = |at: f64| LEFT + (WIDTH - LEFT - LEGEND) * at / end;
    let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TITLE - BOTTOM - 8.0) * value / top;
    let mut svg = begin(table, column, WIDTH, HEIGHT);
    key(&mut svg, column, &[]);
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let digits = if top < 10.0 { 1 } else { 0 };
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x(end),
            LEFT - 8.0,
            y(value) + 4.0,
            grouped(value, digits),
            at = y(value)
        );
    }
    let mut places: Vec<f64> = all.iter().map(|point| point.0).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for at in &places {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{at}</text>",
            x(*at),
            HEIGHT - BOTTOM + 18.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
        x(end / 2.0),
        HEIGHT - 6.0,
        escape(over)
    );
    for (index, server) in servers.iter().enumerate() {
        line(&mut svg, &points(server), index % COLOURS, &x, &y);
        let at = TITLE + 18.0 * (index + 1) as f64;
        let _ = write!(
            svg,
            "<circle class=\"d{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>\
             <text x=\"{:.1}\" y=\"{at:.1}\">{}</text>",
            index % COLOURS,
            x(end) + 20.0,
            at - 4.0,
            x(end) + 30.0,
            escape(server)
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn line(
    svg: &mut String,
    points: &[(f64, f64)],
    colour: usize,
    x: &impl Fn(f64) -> f64,
    y: &impl Fn(f64) -> f64,
) {
    let path: Vec<String> =
        points.iter().map(|(at, value)| format!("{:.1} {:.1}", x(*at), y(*value))).collect();
    let _ = write!(svg, "<path class=\"line c{colour}\" d=\"M{}\"/>", path.join("L"));
    for (at, value) in points {
        let _ = write!(
            svg,
            "<circle class=\"d{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
            x(*at),
            y(*value)
        );
    }
}

fn begin(table: &Table, column: &Column, width: f64, height: f64) -> String {
    let title = escape(&format!("{}: {}", table.title, column.title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\">{STYLE}\
         <text class=\"title\" x=\"8\" y=\"18\">{title}</text>"
    )
}

/// What colours mean, and which figures are the good ones.
fn key(svg: &mut String, column: &Column, colours: &[(&str, &str)]) {
    let mut x = GAP;
    for (class, name) in colours {
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.0}\" y=\"{:.0}\" width=\"10\" height=\"10\" rx=\"2\"/>\
             <text x=\"{:.0}\" y=\"{KEY}\">{name}</text>",
            KEY - 9.0,
            x + 15.0
        );
        x += 15.0 + width(name) + 2.0 * GAP;
    }
    let better = match column.better {
        Some(Better::Less) => "less is better",
        Some(Better::More) => "more is better",
        None => return,
    };
    let _ = write!(svg, "<text x=\"{x:.0}\" y=\"{KEY}\">{better}</text>");
}

/// Of a text in units of the chart, by the widths of DejaVu Sans at 12 units, which is wider than
/// what most browsers have for `system-ui`.
fn width(text: &str) -> f64 {
    let of = |letter: char| match letter {
        ' ' | 'f' | 'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '/' | '(' | ')' => 0.38,
        'r' | 't' | '-' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' => 0.98,
        'A'..='Z' => 0.76,
        _ => 0.64,
    };
    text.chars().map(of).sum::<f64>() * 12.0
}

/// A round number that is not below a value, so that a quarter of it is one too.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0];
    let step = steps.into_iter().find(|step| step * magnitude >= value);
    step.unwrap_or(10.0) * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    /// Elements are closed and attributes quoted: enough for a browser to show it.
    fn is_well_formed(svg: &str) -> bool {
        let mut open = Vec::new();
        let svg = svg.replace(STYLE, "");
        for tag in svg.split('<').skip(1) {
            let Some((tag, _)) = tag.split_once('>') else { return false };
            let name = tag.split([' ', '/']).next().unwrap_or_default();
            if let Some(closed) = tag.strip_prefix('/') {
                if open.pop() != Some(closed.to_owned()) {
                    return false;
                }
            } else if tag.matches('"').count() % 2 == 1 {
                return false;
            } else if !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
        open.is_empty()
    }

    #[test]
    fn charts_are_well_formed_and_have_what_was_measured() {
        let report = sample();
        let bars = bars(&report.tables[0], &report.tables[0].columns[0]).unwrap_or_default();
        assert!(is_well_formed(&bars), "{bars}");
        assert!(bars.contains(">12,345.7<") && bars.contains(">hyper &lt;b&gt;, x<"), "{bars}");
        // One for each row, and one for each colour.
        assert_eq!(bars.matches("<rect").count(), 2 + 2);
        assert!(bars.contains(">Remuda<") && bars.contains(">less is better<"), "{bars}");
        let lines =
            lines(&report.tables[1], &report.tables[1].columns[0], "workers").unwrap_or_default();
        assert!(is_well_formed(&lines), "{lines}");
        assert!(lines.contains("class=\"line c0\"") && lines.contains(">CPU<"), "{lines}");
        assert!(!lines.contains("NaN") && !bars.contains("NaN"));
    }

    #[test]
    fn the_longest_name_has_room() {
        let mut report = sample();
        let attribute = |svg: &str, text: &str, name: &str| -> f64 {
            let (before, _) = svg.split_once(text).unwrap();
            let (_, element) = before.rsplit_once('<').unwrap();
            let (_, value) = element.split_once(&format!(" {name}=\"")).unwrap();
            value.split_once('"').unwrap().0.parse().unwrap()
        };
        for name in
            ["remuda SDK", "wasmtime serve 0.2 fresh, pooling, empty cache", &"m".repeat(90)]
        {
            report.tables[0].rows[0].server = name.to_owned();
            let svg = bars(&report.tables[0], &report.tables[0].columns[0]).unwrap();
            // It ends there.
            let end = attribute(&svg, &format!(">{name}<"), "x");
            assert!(end >= width(name), "{name}: {end}");
            assert!(attribute(&svg, "<style>", "width") >= end + BARS, "{name}");
        }
        // What DejaVu Sans takes for it.
        assert!(width("wasmtime serve 0.2 fresh, pooling, empty cache") >= 295.0);
    }

    #[test]
    fn nothing_measured_is_no_chart() {
        let mut report = sample();
        let column = report.tables[0].columns[1].clone();
        assert_eq!(bars(&report.tables[0], &column), None);
        report.tables[1].rows.clear();
        assert_eq!(lines(&report.tables[1], &column, "workers"), None);
    }

    #[test]
    fn the_axis_is_high_enough_and_not_much_higher() {
        for value in [0.001, 0.9, 1.0, 1.01, 9.9, 123.0, 45_678.0] {
            let top = ceiling(value);
            assert!(top >= value && top <= value * 1.7, "{top} for {value}");
        }
    }
}
