//! Numbers as people read them.

/// A time given in milliseconds, with three digits.
pub(crate) fn milliseconds(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{:.1} s", value / 1e3),
        _ if value >= 1000.0 => format!("{:.2} s", value / 1e3),
        _ if value >= 100.0 => format!("{value:.0} ms"),
        _ if value >= 10.0 => format!("{value:.1} ms"),
        _ if value >= 1.0 => format!("{value:.2} ms"),
        _ => format!("{:.0} µs", value * 1e3),
    }
}

/// Or a dash.
pub(super) fn milliseconds_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), milliseconds)
}

/// A number with what makes it short.
pub(crate) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        magnitude if magnitude >= 1e9 => (value / 1e9, " G"),
        magnitude if magnitude >= 1e6 => (value / 1e6, " M"),
        magnitude if magnitude >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        magnitude if value.fract() == 0.0 || magnitude >= 100.0 => 0,
        magnitude if magnitude >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

/// What a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Number,
    /// Milliseconds.
    Time,
    Bytes,
}

impl Unit {
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Number => short(value),
            Self::Time => milliseconds(value),
            Self::Bytes => bytes(value),
        }
    }

    /// What stands at the marks of an axis: as short as can be, but no two the same.
    pub(super) fn ticks(self, values: [f64; 5]) -> [String; 5] {
        let usual = match self {
            Self::Bytes => values.map(|value| bytes(value).replace(".0 ", " ")),
            _ => values.map(|value| self.show(value)),
        };
        let differ = |ticks: &[String; 5]| ticks.windows(2).all(|pair| pair[0] != pair[1]);
        // Two digits are too few for quarters of most small numbers.
        let is_small = self == Self::Number && values[4] < 10.0;
        if !is_small && differ(&usual) {
            return usual;
        }
        let with = |digits: usize| match self {
            Self::Time => values.map(|value| format!("{:.digits$} µs", value * 1e3)),
            Self::Number => values.map(|value| format!("{value:.digits$}")),
            Self::Bytes => values.map(|value| format!("{value:.digits$} B")),
        };
        // As many digits as it takes for all to be equally far apart.
        let is_exact = |digits: usize| {
            let read = |text: &String| text.trim_end_matches([' ', 'µ', 's', 'B']).parse::<f64>();
            let step = (values[1] - values[0]) * if self == Self::Time { 1e3 } else { 1.0 };
            let of = with(digits);
            (0..5).all(|at| {
                read(&of[at]).is_ok_and(|got| (got - step * at as f64).abs() < step / 50.0)
            })
        };
        let digits = (0..12).find(|digits| is_exact(*digits)).unwrap_or(12);
        with(digits)
    }
}

pub(super) fn bytes(value: f64) -> String {
    let (value, unit) = match value {
        _ if value >= 1024.0 * 1024.0 * 1024.0 => (value / (1024.0 * 1024.0 * 1024.0), "GiB"),
        _ if value >= 1024.0 * 1024.0 => (value / (1024.0 * 1024.0), "MiB"),
        _ if value >= 1024.0 => (value / 1024.0, "KiB"),
        _ => (value, "B"),
    };
    format!("{value:.1} {unit}")
}

/// A share from 0 to 1; what is not zero does not read as zero.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.01 => "<0.01 %".to_owned(),
        percent => format!("{percent:.2} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_true() {
        let times = [0.25, 1.5, 15.25, 150.4, 1500.0, 15_000.0].map(milliseconds);
        assert_eq!(times, ["250 µs", "1.50 ms", "15.2 ms", "150 ms", "1.50 s", "15.0 s"]);
        let numbers = [0.5, 12.0, 123.4, 12_345.0, 1_500_000.0].map(short);
        assert_eq!(numbers, ["0.50", "12", "123", "12.3 k", "1.50 M"]);
        assert_eq!([0.0, 0.000_01, 0.5].map(percent), ["0 %", "<0.01 %", "50.00 %"]);
        assert_eq!([10.0, 2048.0].map(bytes), ["10.0 B", "2.0 KiB"]);
    }
}
