//! Reports for programs: `result.json`, and `results.json` over several runs. Their form is
//! `docs/report-schema.json`.

use serde::Serialize;

/// Returns a report, or several, as indented JSON with a line feed at its end.
#[must_use]
pub fn to_json<T: Serialize + ?Sized>(report: &T) -> String {
    let mut text =
        serde_json::to_string_pretty(report).expect("a report is plain data with text keys");
    text.push('\n');
    text
}
