//! Findings as text, and as SARIF (the format that code hosts show beside the lines).

use std::fmt::Write as _;

use serde_json::json;

use super::{Finding, Severity, rules};

/// Returns the findings for people: place, what, why, how to mend it.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
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
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let (errors, warnings, notes) = (
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note),
    );
    writeln!(
        text,
        "{errors} errors, {warnings} warnings, {notes} notes; {} rules",
        rules().count()
    )
    .expect("writing to memory does not fail");
    text
}

/// Returns the findings as SARIF 2.1.0.
#[must_use]
pub fn sarif(findings: &[Finding]) -> serde_json::Value {
    let level = |severity: Severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let known: Vec<_> = rules()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.id.replace('-', " ") },
                "fullDescription": { "text": rule.why },
                "help": { "text": rule.mend },
                "defaultConfiguration": { "level": level(rule.severity) },
            })
        })
        .collect();
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "ruleId": finding.rule,
                "level": level(finding.severity),
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
