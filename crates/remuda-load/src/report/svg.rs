//! Charts over time, as SVG without a script.
//!
//! Purpose: lines with axes, the borders of stages, and what each second was under the
//! pointer. Owner: the page. Invariant: colours are the page's, so that a chart is readable
//! in light, in dark and on paper; every name is escaped.

use std::fmt::Write as _;

use super::{number::Unit, page::escape};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 26.0;
/// Colours that the page knows.
const COLOURS: usize = 6;

/// One chart.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// What values are.
    pub(super) unit: Unit,
    pub(super) lines: Vec<Line>,
    /// Where marks stand on the axis below, and what they say.
    pub(super) marks: Vec<(f64, String)>,
    /// The axis below ends here.
    pub(super) end: f64,
    /// Where stages begin, and their names.
    pub(super) stages: Vec<(f64, String)>,
    /// How a place on the axis below is told.
    pub(super) place: fn(f64) -> String,
}

pub(super) struct Line {
    pub(super) name: String,
    /// In order; a value that is missing makes a gap.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

impl Chart<'_> {
    /// The chart as a figure; nothing when no line has a point.
    pub(super) fn render(&self) -> String {
        let values = self.lines.iter().flat_map(|line| &line.points);
        let mut values = values.filter_map(|(_, value)| *value).peekable();
        if values.peek().is_none() {
            return String::new();
        }
        let top = ceiling(values.fold(0.0, f64::max), self.unit);
        let x = |at: f64| LEFT + (WIDTH - LEFT - RIGHT) * at / self.end.max(1e-9);
        let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top;
        let mut svg = format!(
            "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{title}\">",
            title = escape(self.title)
        );
        self.axes(&mut svg, top, x, y);
        for (index, line) in self.lines.iter().enumerate() {
            let path = path(&line.points, x, y);
            let _ = write!(svg, "<path class=\"line c{}\" d=\"{path}\"/>", index % COLOURS);
        }
        self.tips(&mut svg, x);
        svg.push_str("</svg><ul class=\"legend\">");
        for (index, line) in self.lines.iter().enumerate() {
            let (colour, name) = (index % COLOURS, escape(&line.name));
            let _ = write!(svg, "<li><span class=\"b{colour}\"></span>{name}</li>");
        }
        svg.push_str("</ul></figure>\n");
        svg
    }

    fn axes(&self, svg: &mut String, top: f64, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let values = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| top * share);
        for (value, text) in values.into_iter().zip(self.unit.ticks(values)) {
            let (at, text) = (y(value), escape(&text));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"label\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        for (mark, text) in self.marks.iter().filter(|(mark, _)| *mark <= self.end) {
            // Half of the last one would be outside.
            let is_last = x(*mark) + letters(text) / 2.0 > WIDTH;
            let (at, anchor) = if is_last { (WIDTH, "end") } else { (x(*mark), "middle") };
            let _ = write!(
                svg,
                "<text class=\"label\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                HEIGHT - 8.0,
                escape(text)
            );
        }
        for (begin, name) in &self.stages {
            let at = x(*begin);
            let _ = write!(
                svg,
                "<line class=\"stage\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"label\" x=\"{:.1}\" y=\"{}\">{}</text>",
                (at + 3.0).min(WIDTH - letters(name)).max(LEFT),
                TOP - 5.0,
                escape(name)
            );
        }
    }

    /// What the pointer reads: a column for each point of the first line.
    fn tips(&self, svg: &mut String, x: impl Fn(f64) -> f64) {
        let Some(first) = self.lines.first() else { return };
        let mut before = 0.0;
        for (index, (at, _)) in first.points.iter().enumerate() {
            let mut tip = (self.place)(*at);
            for line in &self.lines {
                if let Some((_, Some(value))) = line.points.get(index) {
                    let _ = write!(tip, "\n{}: {}", line.name, self.unit.show(*value));
                }
            }
            let (from, to) = (x(before), x(*at));
            let _ = write!(
                svg,
                "<rect class=\"tip\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{}\">\
                 <title>{}</title></rect>",
                (to - from).max(0.0),
                HEIGHT - TOP - BOTTOM,
                escape(&tip)
            );
            before = *at;
        }
    }
}

/// Of a path: a new stroke after each gap.
fn path(points: &[(f64, Option<f64>)], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let (mut path, mut is_drawing) = (String::new(), false);
    for (index, (at, value)) in points.iter().enumerate() {
        let Some(value) = value else {
            is_drawing = false;
            continue;
        };
        let (x, y) = (x(*at), y(*value));
        let _ = write!(path, "{}{x:.1} {y:.1}", if is_drawing { "L" } else { "M" });
        // A point between two gaps is a short stroke, or nobody would see it.
        let is_alone = !is_drawing && points.get(index + 1).is_none_or(|next| next.1.is_none());
        if is_alone {
            let _ = write!(path, "l2 0");
        }
        is_drawing = true;
    }
    path
}

/// How wide a label is, about.
fn letters(text: &str) -> f64 {
    text.chars().count() as f64 * 6.5
}

/// A round number that is not below `value`, and whose quarters are round.
fn ceiling(value: f64, unit: Unit) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    if unit == Unit::Bytes {
        // Quarters of whole KiB, MiB and so on.
        let mut of = 1.0;
        while value > 1024.0 * of {
            of *= 1024.0;
        }
        let steps = [4.0, 8.0, 12.0, 16.0, 20.0, 40.0, 80.0, 120.0, 160.0, 200.0, 400.0, 800.0];
        let step = steps.into_iter().find(|step| step * of >= value);
        return step.unwrap_or(1024.0) * of;
    }
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * magnitude >= value * (1.0 - 1e-9));
    step.unwrap_or(10.0) * magnitude
}

/// Some round seconds up to the end.
pub(super) fn seconds(end: f64) -> Vec<(f64, String)> {
    let steps = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
    let step = steps.into_iter().find(|step| end / step <= 10.0).unwrap_or(end / 8.0);
    let mut marks = Vec::new();
    let mut at = 0.0;
    while at <= end {
        let text =
            if step >= 120.0 { format!("{:.0} min", at / 60.0) } else { format!("{at:.0} s") };
        marks.push((at, text));
        at += step;
    }
    marks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gaps_break_the_line() {
        let points = [(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(1.0))];
        assert_eq!(path(&points, |x| x, |y| y), "M0.0 1.0L1.0 2.0M3.0 1.0l2 0");
    }

    fn chart(unit: Unit, values: &[Option<f64>], end: f64) -> String {
        let at = |(index, value): (usize, &Option<f64>)| (index as f64 + 1.0, *value);
        let points = values.iter().enumerate().map(at).collect();
        let chart = Chart {
            title: "title",
            unit,
            lines: vec![Line { name: "line".to_owned(), points }],
            marks: vec![
                (0.0, "0 s".to_owned()),
                (end, "1000 s".to_owned()),
                (end + 9.0, "never".into()),
            ],
            end,
            stages: vec![(end * 0.99, "a long name".to_owned())],
            place: |at| format!("{at}"),
        };
        chart.render()
    }

    #[test]
    fn axes_are_marked_at_round_values() {
        let mib = |values: &[f64]| {
            let values: Vec<_> = values.iter().map(|mib| Some(mib * 1048576.0)).collect();
            chart(Unit::Bytes, &values, 2.0)
        };
        for label in [">5 MiB<", ">10 MiB<", ">15 MiB<", ">20 MiB<"] {
            assert!(mib(&[17.3, 3.0]).contains(label), "{label}: {}", mib(&[17.3]));
        }
        let small = chart(Unit::Number, &[Some(0.0118)], 1.0);
        for label in [">0.003<", ">0.006<", ">0.009<", ">0.012<"] {
            assert!(small.contains(label), "{label}: {small}");
        }
    }

    #[test]
    fn nothing_is_written_beside_the_chart() {
        let chart = chart(Unit::Number, &[Some(1.0), None, Some(2.0)], 3.0);
        assert!(chart.contains("x=\"720.0\" y=\"212\" text-anchor=\"end\">1000 s<"), "{chart}");
        assert!(!chart.contains("never"), "{chart}");
        assert!(chart.contains("x=\"648.5\" y=\"13\">a long name<"), "{chart}");
    }

    proptest! {
        #[test]
        fn the_axis_is_high_enough_and_not_much_higher(value in 1e-6_f64..1e12) {
            let top = ceiling(value, Unit::Number);
            prop_assert!(top >= value * 0.999_999 && top <= value * 1.7, "{top} for {value}");
            let value = value.max(4.0);
            let top = ceiling(value, Unit::Bytes);
            prop_assert!(top >= value && top <= value.max(2.0) * 4.0, "{top} for {value}");
        }

        #[test]
        fn marks_of_an_axis_differ(value in 1e-6_f64..1e12) {
            for unit in [Unit::Number, Unit::Time, Unit::Bytes] {
                let top = ceiling(value, unit);
                let ticks = unit.ticks([0.0, 0.25, 0.5, 0.75, 1.0].map(|share| top * share));
                let all: std::collections::HashSet<_> = ticks.iter().collect();
                prop_assert_eq!(all.len(), 5, "{:?}", ticks);
            }
        }
    }
}
