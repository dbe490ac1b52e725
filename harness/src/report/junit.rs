//! Reports for build servers, in JUnit's XML: one test case a scenario, the engine as class name.

use super::{Report, Verdict};

/// Returns one test suite with a case for each report.
#[must_use]
pub fn to_junit(reports: &[Report]) -> String {
    let count = |verdict| reports.iter().filter(|r| r.verdict == verdict).count();
    let seconds: f64 = reports.iter().map(|report| report.took_ms / 1000.0).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str(&format!(
        "<testsuite name=\"rehearse\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" \
         time=\"{seconds:.3}\">\n",
        reports.len(),
        count(Verdict::Failed),
        count(Verdict::Inconclusive),
        count(Verdict::Skipped),
    ));
    for report in reports {
        xml.push_str(&case(report));
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn case(report: &Report) -> String {
    let head = format!(
        "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
        escape(&report.engine_label),
        escape(&report.scenario),
        report.took_ms / 1000.0
    );
    let reason = escape(report.reason.as_deref().unwrap_or_default());
    let body = match report.verdict {
        Verdict::Passed => String::new(),
        Verdict::Failed => format!("<failure message=\"{reason}\"/>"),
        Verdict::Inconclusive => format!("<error message=\"{reason}\"/>"),
        Verdict::Skipped => format!("<skipped message=\"{reason}\"/>"),
    };
    format!("{head}{body}</testcase>\n")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            // XML 1.0 has no way to write the other control characters.
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
