//! A comparison for people at a terminal.

use super::Drift;
use super::configured::TimerRow;
use super::runs::{Comparison, cell};
use crate::report::markdown;

/// Returns the sides, every measure beside the other side's, the drifts, and what was left out.
#[must_use]
pub fn to_text(comparison: &Comparison) -> String {
    let mut lines = Vec::new();
    for (number, side) in comparison.sides.iter().enumerate() {
        lines.push(format!(
            "side {}: {} ({})",
            number + 1,
            side.name,
            side.ground
        ));
    }
    for warning in &comparison.warnings {
        lines.push(format!("note: {warning}"));
    }
    for row in &comparison.scenarios {
        let verdicts: Vec<String> = row
            .verdicts
            .iter()
            .map(|one| one.map_or("-".to_owned(), |verdict| verdict.to_string()))
            .collect();
        lines.push(format!("{:<26} {}", row.scenario, padded(&verdicts)));
        for measure in &row.measures {
            let cells: Vec<String> = (0..comparison.sides.len())
                .map(|side| cell(measure, side))
                .collect();
            lines.push(format!("  {:<24} {}", measure.name, padded(&cells)));
        }
    }
    for row in &comparison.timers {
        let spans = spans(row);
        let told = match spans.iter().all(|span| *span == spans[0]) {
            true => format!("{} on all sides", spans[0]),
            false => spans.join(", "),
        };
        lines.push(format!("predicted: {} {told}", row.what));
    }
    for left_out in &comparison.not_compared {
        lines.push(format!("not compared: {}: {}", left_out.of, left_out.why));
    }
    for drift in &comparison.drifts {
        lines.push(format!("drift: {}", in_words(comparison, drift)));
    }
    lines.push(tally(comparison));
    lines.join("\n")
}

/// Returns the comparison as a build's summary.
#[must_use]
pub fn to_markdown(comparison: &Comparison) -> String {
    let mut text = format!("### {}\n\n", tally(comparison));
    for warning in &comparison.warnings {
        text.push_str(&format!("> {}\n\n", markdown::cell(warning)));
    }
    let heads: Vec<String> = comparison
        .sides
        .iter()
        .map(|side| {
            format!(
                "{} ({})",
                markdown::cell(&side.name),
                markdown::cell(&side.ground)
            )
        })
        .collect();
    let rule = "|---".repeat(heads.len() + 1);
    text.push_str(&format!("| | {} |\n{rule}|\n", heads.join(" | ")));
    for row in &comparison.scenarios {
        let verdicts = row.verdicts.iter();
        let verdicts: Vec<String> = verdicts
            .map(|one| one.map_or("-".to_owned(), |verdict| format!("**{verdict}**")))
            .collect();
        text.push_str(&format!(
            "| **{}** | {} |\n",
            markdown::cell(&row.scenario),
            verdicts.join(" | ")
        ));
        for measure in &row.measures {
            let cells: Vec<String> = (0..heads.len()).map(|side| cell(measure, side)).collect();
            text.push_str(&format!(
                "| {} | {} |\n",
                markdown::cell(&measure.name),
                cells.join(" | ")
            ));
        }
    }
    for row in &comparison.timers {
        let cells = spans(row).join(" | ");
        text.push_str(&format!("| {} | {cells} |\n", markdown::cell(&row.what)));
    }
    for drift in &comparison.drifts {
        text.push_str(&format!(
            "\n- **drift**: {}",
            markdown::cell(&in_words(comparison, drift))
        ));
    }
    for left_out in &comparison.not_compared {
        let (of, why) = (markdown::cell(&left_out.of), markdown::cell(&left_out.why));
        text.push_str(&format!("\n- not compared: {of}: {why}"));
    }
    text + "\n"
}

/// What the timers of each side predict.
pub(super) fn spans(row: &TimerRow) -> Vec<String> {
    let spans = row.spans.iter();
    spans
        .map(|span| span.map_or_else(|| "not known".to_owned(), |span| span.to_string()))
        .collect()
}

/// A drift with its sides' numbers, where there are more than two; one of what was configured, with their names.
pub(super) fn in_words(comparison: &Comparison, drift: &Drift) -> String {
    let (here, there) = drift.sides;
    if matches!(drift.area.as_str(), "configuration" | "timers") {
        let name = |side: usize| &comparison.sides[side].name;
        let told = format!("{}: {} in {}", drift.of, drift.here, name(here));
        return format!("{told}, {} in {}", drift.there, name(there));
    }
    if comparison.sides.len() == 2 {
        return drift.to_string();
    }
    format!("{drift} (sides {} and {})", here + 1, there + 1)
}

fn padded(cells: &[String]) -> String {
    let padded: Vec<String> = cells.iter().map(|cell| format!("{cell:<24}")).collect();
    padded.concat().trim_end().to_owned()
}

pub(super) fn tally(comparison: &Comparison) -> String {
    let (drifts, compared) = (comparison.drifts.len(), comparison.compared);
    let things = match comparison.settings {
        0 => format!("{compared} things"),
        settings => format!("{compared} things and {settings} settings"),
    };
    match (drifts, compared, comparison.settings) {
        (_, 0, 0) => "nothing could be compared".to_owned(),
        (0, 0, settings) => format!("no run could be compared; no drift in {settings} settings"),
        (drifts, 0, settings) => {
            format!("no run could be compared; {drifts} of {settings} settings drift")
        }
        (0, ..) => format!("no drift in {things} compared"),
        (drifts, ..) => format!("{drifts} of {things} compared drift"),
    }
}
