//! Findings as text, and as SARIF (the format that code hosts show beside the lines).

use std::fmt::Write as _;

use serde_json::json;

use super::{Finding, Severity, rules};

/// Returns the findings for people: place, what, why, how to mend it.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = word(finding.severity);
        let Finding {
            site,
            message,
            rule,
            why,
            mend,
            ..
        } = finding;
        writeln!(
            text,
            "{word}: {site}: {message} [{rule}]\n  why: {why}\n  mend: {mend}"
        )
        .expect("writing to memory does not fail");
    }
    let count = |severity: Severity| {
        let same = |finding: &&Finding| finding.severity == severity;
        let word = word(severity);
        match findings.iter().filter(same).count() {
            1 => format!("1 {word}"),
            number => format!("{number} {word}s"),
        }
    };
    writeln!(
        text,
        "{}, {}, {}; {} rules",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note),
        rules().count()
    )
    .expect("writing to memory does not fail");
    text
}

/// The word of a severity, SARIF's as well.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Returns the findings as SARIF 2.1.0.
#[must_use]
pub fn sarif(findings: &[Finding]) -> serde_json::Value {
    let known: Vec<_> = rules()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.id.replace('-', " ") },
                "fullDescription": { "text": rule.why },
                "help": { "text": rule.mend },
                "defaultConfiguration": { "level": word(rule.severity) },
            })
        })
        .collect();
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "ruleId": finding.rule,
                "level": word(finding.severity),
                "message": { "text": format!("{}. Why: {}. Mend: {}.", finding.message, finding.why, finding.mend) },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": finding.site.file.to_string_lossy() },
                        "region": { "startLine": finding.site.line, "startColumn": finding.site.column },
                    },
                }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "rehearse", "version": env!("CARGO_PKG_VERSION"), "rules": known } },
            "results": results,
        }],
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::terraform::source::Site;

    #[test]
    fn one_finding_is_counted_as_one() {
        let finding = Finding {
            rule: "rule",
            severity: Severity::Warning,
            site: Site::start_of(Path::new("main.tf")),
            message: "what".to_owned(),
            why: "why",
            mend: "mend",
        };
        let text = text(&[finding]);
        assert!(text.contains("\n0 errors, 1 warning, 0 notes; "), "{text}");
    }
}
