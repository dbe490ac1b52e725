//! What a workload saw over time, in slices: how many of its requests succeeded and failed, and
//! how long they took. Slices and not samples: a run of an hour must fit into a page.

use serde::{Deserialize, Serialize};

use crate::measure::quantile;

/// Widths that a slice may have, in milliseconds: the first that keeps to [`MOST`] is taken.
const WIDTHS: [f64; 10] = [
    100.0, 200.0, 250.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 30_000.0, 60_000.0,
];
/// So many slices are as fine as a page can show.
const MOST: f64 = 240.0;

/// One request of a workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it ended, in milliseconds since the run began.
    pub at_ms: f64,
    /// How long it took; `None` for one that failed.
    pub took_ms: Option<f64>,
}

/// A workload's requests over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Whose they are, as `requests to whoami`.
    pub name: String,
    /// How long a slice is.
    pub slice_ms: f64,
    /// The slices, oldest first, without a gap.
    pub slices: Vec<Slice>,
}

/// The requests that ended in one slice of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// When the slice begins, in milliseconds since the run began.
    pub from_ms: f64,
    /// Those that succeeded.
    pub ok: usize,
    /// Those that failed.
    pub failed: usize,
    /// How long half of those that succeeded took at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p50_ms: Option<f64>,
    /// How long the slowest that succeeded took.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worst_ms: Option<f64>,
}

impl Series {
    /// Cuts samples into slices; the first slice begins at a whole number of slices.
    #[must_use]
    pub fn of(name: impl Into<String>, mut samples: Vec<Sample>) -> Self {
        samples.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
        let first = samples.first().map_or(0.0, |sample| sample.at_ms);
        let last = samples.last().map_or(0.0, |sample| sample.at_ms);
        let fits = |width: &f64| (last - first) / width <= MOST;
        let slice_ms = WIDTHS.into_iter().find(fits).unwrap_or(WIDTHS[9]);
        let mut series = Self {
            name: name.into(),
            slice_ms,
            slices: Vec::new(),
        };
        let mut from_ms = (first / slice_ms).floor() * slice_ms;
        let mut rest = samples.as_slice();
        while !rest.is_empty() {
            let end = rest.partition_point(|sample| sample.at_ms < from_ms + slice_ms);
            series.slices.push(slice(from_ms, &rest[..end]));
            rest = &rest[end..];
            from_ms += slice_ms;
        }
        series
    }
}

fn slice(from_ms: f64, samples: &[Sample]) -> Slice {
    let mut took: Vec<f64> = samples.iter().filter_map(|sample| sample.took_ms).collect();
    took.sort_by(f64::total_cmp);
    Slice {
        from_ms,
        ok: took.len(),
        failed: samples.len() - took.len(),
        p50_ms: quantile(&took, 0.5),
        worst_ms: took.last().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(all: &[(f64, Option<f64>)]) -> Vec<Sample> {
        let sample = |&(at_ms, took_ms)| Sample { at_ms, took_ms };
        all.iter().map(sample).collect()
    }

    #[test]
    fn every_sample_is_in_the_slice_of_its_moment_and_a_gap_is_an_empty_one() {
        let series = Series::of(
            "writes",
            samples(&[
                (350.0, Some(9.0)),
                (120.0, Some(1.0)),
                (130.0, None),
                (199.9, Some(5.0)),
            ]),
        );
        let counts: Vec<_> = series
            .slices
            .iter()
            .map(|slice| (slice.from_ms, slice.ok, slice.failed))
            .collect();
        assert_eq!(counts, [(100.0, 2, 1), (200.0, 0, 0), (300.0, 1, 0)]);
        assert_eq!(series.slices[0].worst_ms, Some(5.0));
        assert_eq!(series.slices[1].p50_ms, None);
    }

    #[test]
    fn a_long_run_has_wider_slices_and_no_sample_less() {
        let all = (0..7200).map(|n| (f64::from(n) * 500.0, Some(1.0)));
        let series = Series::of("writes", samples(&all.collect::<Vec<_>>()));
        assert!(series.slices.len() <= 241, "{}", series.slices.len());
        let count: usize = series.slices.iter().map(|slice| slice.ok).sum();
        assert_eq!(count, 7200);
        assert_eq!(Series::of("none", Vec::new()).slices, []);
    }
}
