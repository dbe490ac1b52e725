//! Reports for a build's summary page, in Markdown.

use super::text::number;
use super::{Report, Verdict};
use crate::measure::Measure;

/// Returns a table of the runs, and one of the numbers of each.
#[must_use]
pub fn to_markdown(reports: &[Report]) -> String {
    let mut text = String::from("| scenario | verdict | engine | took | seed |\n");
    text.push_str("|---|---|---|--:|--:|\n");
    for report in reports {
        text.push_str(&format!(
            "| {} | {} | {} | {:.1} s | {} |\n",
            cell(&report.scenario),
            report.verdict,
            cell(&report.engine_label),
            report.took_ms / 1000.0,
            report.seed
        ));
    }
    for report in reports {
        text.push_str(&details(report));
    }
    text
}

fn details(report: &Report) -> String {
    let mut text = format!("\n### {}\n\n", report.scenario);
    if report.verdict != Verdict::Passed {
        let reason = report.reason.as_deref().unwrap_or_default();
        text.push_str(&format!("**{}**: {}\n\n", report.verdict, cell(reason)));
    }
    if report.measures.is_empty() {
        return text;
    }
    text.push_str("| measure | value | allowed |\n|---|--:|--:|\n");
    for measure in &report.measures {
        text.push_str(&format!(
            "| {} | {} | {} |\n",
            cell(&measure.name),
            number(measure.value),
            limits(measure)
        ));
    }
    text
}

fn limits(measure: &Measure) -> String {
    let mut words = Vec::new();
    words.extend(measure.at_least.map(|limit| format!("≥ {}", number(limit))));
    words.extend(measure.at_most.map(|limit| format!("≤ {}", number(limit))));
    words.join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
