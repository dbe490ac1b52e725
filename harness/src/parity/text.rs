//! A comparison for people at a terminal.

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

/// A drift with its sides' numbers, where there are more than two.
fn in_words(comparison: &Comparison, drift: &super::Drift) -> String {
    if comparison.sides.len() == 2 {
        return drift.to_string();
    }
    format!(
        "{drift} (sides {} and {})",
        drift.sides.0 + 1,
        drift.sides.1 + 1
    )
}

fn padded(cells: &[String]) -> String {
    let padded: Vec<String> = cells.iter().map(|cell| format!("{cell:<24}")).collect();
    padded.concat().trim_end().to_owned()
}

pub(super) fn tally(comparison: &Comparison) -> String {
    let (drifts, compared) = (comparison.drifts.len(), comparison.compared);
    match (drifts, compared) {
        (_, 0) => "nothing could be compared".to_owned(),
        (0, _) => format!("no drift in {compared} things compared"),
        (drifts, _) => format!("{drifts} of {compared} things compared drift"),
    }
}
