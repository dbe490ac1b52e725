//! A workload's two lanes: how many requests succeeded and failed, and how long they took.

use super::lanes::lane;
use super::scale::Scale;
use super::{time, words};
use crate::timeline::{Series, Slice};

pub(super) fn lanes(scale: Scale, series: &Series) -> String {
    let mut html = counts(scale, series);
    html.push_str(&latencies(scale, series));
    html
}

fn svg(inside: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         {inside}</svg>"
    )
}

/// Where a slice begins and ends, of 1000.
fn edges(scale: Scale, series: &Series, slice: &Slice) -> (f64, f64) {
    let place = |ms| scale.place(ms) * 10.0;
    (place(slice.from_ms), place(slice.from_ms + series.slice_ms))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "requests of one slice stay far below 2^53"
)]
fn counts(scale: Scale, series: &Series) -> String {
    let most = series.slices.iter().map(|one| one.ok + one.failed).max();
    let most = most.unwrap_or(0).max(1) as f64;
    let (mut ok, mut failed) = (String::new(), String::new());
    for slice in &series.slices {
        let (left, right) = edges(scale, series, slice);
        let good = 96.0 * slice.ok as f64 / most;
        let bad = 96.0 * slice.failed as f64 / most;
        if slice.ok > 0 {
            ok.push_str(&block(left, right, 0.0, good));
        }
        if slice.failed > 0 {
            // A single failure among thousands is still to be seen.
            failed.push_str(&block(left, right, good, good + bad.max(4.0)));
        }
    }
    let inside = format!("<path class=\"ok\" d=\"{ok}\"/><path class=\"failed\" d=\"{failed}\"/>");
    let done: usize = series.slices.iter().map(|slice| slice.ok).sum();
    let lost: usize = series.slices.iter().map(|slice| slice.failed).sum();
    let lost = match lost {
        0 => String::new(),
        _ => format!(", <b>{lost} failed</b>"),
    };
    let label = format!(
        "{}<small>{done} ok{lost}, at most {:.0}/s</small>",
        words(&series.name),
        most * 1_000.0 / series.slice_ms
    );
    lane(&label, "counts", &svg(&inside))
}

fn block(left: f64, right: f64, from: f64, to: f64) -> String {
    let (low, high) = (100.0 - from, (100.0 - to).max(0.0));
    format!("M{left:.1} {low:.1}V{high:.1}H{right:.1}V{low:.1}Z")
}

fn latencies(scale: Scale, series: &Series) -> String {
    let slices = || series.slices.iter();
    let lowest = slices()
        .filter_map(|one| one.p50_ms)
        .fold(f64::MAX, f64::min);
    let highest = slices().filter_map(|one| one.worst_ms).fold(0.0, f64::max);
    if highest <= 0.0 {
        return String::new();
    }
    let (low, high) = (
        (lowest / 1.3).max(0.01).ln(),
        (highest * 1.3).max(0.02).ln(),
    );
    let height = |ms: f64| 100.0 - 100.0 * (ms.max(0.01).ln() - low) / (high - low).max(0.1);
    let line = |value: fn(&Slice) -> Option<f64>| {
        let mut path = String::new();
        let mut before: Option<f64> = None;
        for slice in slices() {
            let (left, right) = edges(scale, series, slice);
            let at = value(slice).map(height);
            match (before, at) {
                (None, Some(y)) => path.push_str(&format!("M{left:.1} {y:.1}H{right:.1}")),
                (Some(_), Some(y)) => path.push_str(&format!("V{y:.1}H{right:.1}")),
                (_, None) => {}
            }
            before = at;
        }
        path
    };
    let inside = format!(
        "<path class=\"worst\" d=\"{}\"/><path class=\"half\" d=\"{}\"/>",
        line(|slice| slice.worst_ms),
        line(|slice| slice.p50_ms)
    );
    let label = format!(
        "<small>half of them from <b class=\"half\">{}</b>, the slowest up to \
         <b class=\"worst\">{}</b></small>",
        time(lowest),
        time(highest)
    );
    lane(&label, "latency", &svg(&inside))
}
