//! Findings as text, and as SARIF (the format that code hosts show beside the lines).

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

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
                        "artifactLocation": { "uri": uri(&finding.site.file) },
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

/// A file as SARIF names it: relative to where the tool runs, as `main.tf`, without `./` before it. What means
/// something in an address is written as its number.
fn uri(file: &Path) -> String {
    let parts = file.components().filter(|part| *part != Component::CurDir);
    let path: PathBuf = parts.collect();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~@+,=".contains(&byte);
    let text = path.to_string_lossy();
    let written = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    written.collect()
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn sarif_names_a_file_from_where_the_tool_runs() {
        for (file, expected) in [
            ("./main.tf", "main.tf"),
            ("./terraform/./main.tf", "terraform/main.tf"),
            ("../my files/a#1.tf", "../my%20files/a%231.tf"),
            ("/srv/main.tf", "/srv/main.tf"),
        ] {
            assert_eq!(uri(Path::new(file)), expected);
        }
    }
}
