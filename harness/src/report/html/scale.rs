//! From moments to places on the page: percents of the run's length, and the marks of its axis.

/// Steps that an axis may have, in seconds.
const STEPS: [f64; 14] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
];
/// More marks than this crowd a phone.
const MOST: f64 = 7.0;

/// The length of a run as the width of a chart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) end_ms: f64,
}

impl Scale {
    /// For a run that lasted so long. (One without a length has some, for nothing to divide by.)
    pub(super) fn new(end_ms: f64) -> Self {
        Self {
            end_ms: end_ms.max(1.0),
        }
    }

    /// Where a moment is, in percent.
    pub(super) fn place(self, at_ms: f64) -> f64 {
        (at_ms / self.end_ms * 100.0).clamp(0.0, 100.0)
    }

    /// The CSS that puts something from one moment to another; never too thin to be seen.
    pub(super) fn span(self, from_ms: f64, to_ms: f64) -> String {
        let from = self.place(from_ms);
        let width = (self.place(to_ms) - from).max(0.15);
        format!("left:{from:.3}%;width:{width:.3}%")
    }

    /// The moments that the axis names, in seconds.
    pub(super) fn marks(self) -> Vec<f64> {
        let length = self.end_ms / 1_000.0;
        let fits = |step: &f64| length / step <= MOST;
        let step = STEPS.into_iter().find(fits).unwrap_or(length / MOST);
        let mut marks = Vec::new();
        let mut mark = 0.0;
        // The last one needs room for its words.
        while mark <= length * 0.97 {
            marks.push(mark);
            mark += step;
        }
        marks
    }
}

/// How the axis writes a mark.
pub(super) fn mark(seconds: f64) -> String {
    if seconds >= 120.0 {
        return format!("{:.0}:{:02.0}", (seconds / 60.0).floor(), seconds % 60.0);
    }
    let rounded = (seconds * 10.0).round() / 10.0;
    format!("{rounded} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_few_and_round_marks() {
        assert_eq!(
            Scale::new(12_000.0).marks(),
            [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        );
        assert_eq!(Scale::new(0.0).marks().len(), 1);
        for length in [300.0, 5_000.0, 61_000.0, 3_600_000.0, 90_000_000.0] {
            assert!(Scale::new(length).marks().len() <= 8, "{length}");
        }
        assert_eq!((mark(0.2), mark(150.0)), ("0.2 s".into(), "2:30".into()));
    }

    #[test]
    fn what_lies_outside_the_run_is_put_at_its_edge() {
        let scale = Scale::new(1_000.0);
        assert_eq!(scale.place(2_000.0), 100.0);
        assert_eq!(scale.span(500.0, 500.0), "left:50.000%;width:0.150%");
    }
}
