//! Charts over time, as SVG without a script.
//!
//! Purpose: lines with axes, the borders of stages, and what each second was under the
//! pointer. Owner: the page. Invariant: colours are the page's, so that a chart is readable
//! in light, in dark and on paper; every name is escaped.

use std::fmt::Write as _;

use super::page::escape;

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
    /// How values are told.
    pub(super) show: fn(f64) -> String,
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
        let top = ceiling(values.fold(0.0, f64::max));
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
        for step in 0..=4 {
            let value = top * f64::from(step) / 4.0;
            let (at, text) = (y(value), escape(&(self.show)(value)));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"label\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        for (mark, text) in &self.marks {
            let _ = write!(
                svg,
                "<text class=\"label\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x(*mark),
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
                at + 3.0,
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
                    let _ = write!(tip, "\n{}: {}", line.name, (self.show)(*value));
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

/// A round number that is not below `value`.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
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

    proptest! {
        #[test]
        fn the_axis_is_high_enough_and_not_much_higher(value in 1e-6_f64..1e12) {
            let top = ceiling(value);
            prop_assert!(top >= value * 0.999_999 && top <= value * 1.7, "{top} for {value}");
        }
    }
}
