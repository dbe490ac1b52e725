//! A report for programs: `result.json` and `--format json`.

use super::Report;

/// Returns the report as indented JSON with a line feed at its end.
#[must_use]
pub fn to_json(report: &Report) -> String {
    let mut text =
        serde_json::to_string_pretty(report).expect("a report is plain data with text keys");
    text.push('\n');
    text
}
