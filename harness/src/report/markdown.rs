//! Reports for a build's summary page, in Markdown as GitHub shows it.

use super::text::number;
use super::{Report, Verdict};
use crate::measure::Measure;

/// Returns a table of the runs, and one of the numbers of each.
#[must_use]
pub fn to_markdown(reports: &[Report]) -> String {
    let mut text = String::new();
    if reports.iter().any(|report| report.engine.simulated) {
        text.push_str(
            "> **SIMULATED**: what is marked so did not run on Nomad itself, but on the built-in \
             simulator.\n\n",
        );
    }
    text.push_str("| scenario | verdict | engine | on | took | seed |\n");
    text.push_str("|---|---|---|---|--:|--:|\n");
    for report in reports {
        text.push_str(&format!(
            "| {} | {} {} | {} | {} | {:.1} s | {} |\n",
            cell(&report.scenario),
            mark(report.verdict),
            report.verdict,
            cell(&report.engine_label),
            cell(&report.arch_label()),
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
    let mut text = format!("\n### {}\n\n", cell(&report.scenario));
    if report.verdict != Verdict::Passed {
        let reason = report.reason.as_deref().unwrap_or_default();
        text.push_str(&format!("**{}**: {}\n\n", report.verdict, cell(reason)));
    }
    if report.measures.is_empty() {
        return text;
    }
    // Those that keep to their limits are for whoever asks.
    let passed = report.verdict == Verdict::Passed;
    if passed {
        let count = report.measures.len();
        text.push_str(&format!("<details><summary>{count} measures</summary>\n\n"));
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
    if passed {
        text.push_str("\n</details>\n");
    }
    text
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✅",
        Verdict::Skipped => "⏭️",
        Verdict::Inconclusive => "❔",
        Verdict::Failed => "❌",
    }
}

fn limits(measure: &Measure) -> String {
    let mut words = Vec::new();
    words.extend(measure.at_least.map(|limit| format!("≥ {}", number(limit))));
    words.extend(measure.at_most.map(|limit| format!("≤ {}", number(limit))));
    words.join(", ")
}

/// Text that is only text: no cell's end, no line's end, no tag.
pub(crate) fn cell(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
