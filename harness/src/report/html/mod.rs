//! A run as one page for people: it holds everything it shows, runs nothing, and asks nobody.

mod charts;
mod head;
mod index;
mod lanes;
mod measures;
mod page;
mod scale;
mod tables;

use super::Report;
use crate::timeline::Timeline;

pub use index::to_index;
pub(crate) use page::{page, text, time, words};

/// Returns the page of one run.
#[must_use]
pub fn to_html(report: &Report, timeline: &Timeline) -> String {
    let mut body = head::head(report);
    body.push_str(&measures::measures(&report.measures));
    body.push_str(&lanes::timeline(report, timeline));
    body.push_str(&tables::steps(report));
    body.push_str(&tables::elections(timeline));
    body.push_str(&tables::deployments(timeline));
    body.push_str(&tables::notes(report));
    body.push_str(&tables::configuration(report));
    body.push_str(&tables::events(timeline));
    let title = format!(
        "{}: {} ({})",
        report.scenario, report.verdict, report.engine_label
    );
    page(&title, &body)
}

#[cfg(test)]
mod tests;
