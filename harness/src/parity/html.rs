//! A comparison as a page: the sides as columns.

use super::runs::{Comparison, MeasureRow, number};
use super::text::{in_words, spans, tally};
use crate::report::html::{page, text, words};

/// Returns the page.
#[must_use]
pub fn to_html(comparison: &Comparison) -> String {
    let verdict = match comparison.exit_code() {
        0 => ("passed", "no drift"),
        31 => ("inconclusive", "nothing compared"),
        _ => ("failed", "drift"),
    };
    let mut body = format!(
        "<header class=\"hero {}\">\n<p class=\"verdict\">{}</p>\n<h1>Comparison</h1>\n\
         <p class=\"lead\">{}</p>\n",
        verdict.0,
        verdict.1,
        text(&tally(comparison)),
    );
    for warning in &comparison.warnings {
        let (word, rest) = warning.split_once(": ").unwrap_or(("", warning));
        body.push_str(&format!(
            "<p class=\"banner\"><strong>{}</strong> {}</p>\n",
            text(word),
            words(rest)
        ));
    }
    body.push_str("</header>\n");
    body.push_str(&drifts(comparison));
    body.push_str(&columns(comparison));
    body.push_str(&left_out(comparison));
    page("Comparison of runs", &body)
}

fn drifts(comparison: &Comparison) -> String {
    if comparison.drifts.is_empty() {
        return String::new();
    }
    let items: String = comparison
        .drifts
        .iter()
        .map(|drift| format!("<li>{}</li>\n", words(&in_words(comparison, drift))))
        .collect();
    format!("<section class=\"card failed\">\n<h2>Drift</h2>\n<ul>\n{items}</ul>\n</section>\n")
}

fn columns(comparison: &Comparison) -> String {
    let head: String = comparison
        .sides
        .iter()
        .enumerate()
        .map(|(place, side)| {
            format!(
                "<th><b>{}. {}</b><br>{}</th>",
                place + 1,
                text(&side.name),
                text(&side.ground)
            )
        })
        .collect();
    let mut rows = String::new();
    for row in &comparison.scenarios {
        let cells: String = row
            .verdicts
            .iter()
            .map(|verdict| match verdict {
                Some(verdict) => {
                    format!("<td><span class=\"pill {verdict}\">{verdict}</span></td>")
                }
                None => "<td>-</td>".to_owned(),
            })
            .collect();
        let name = text(&row.scenario);
        rows.push_str(&format!(
            "<tr class=\"scenario\"><td>{name}</td>{cells}</tr>\n"
        ));
        for measure in &row.measures {
            rows.push_str(&measured(comparison, &row.scenario, measure));
        }
    }
    rows.push_str(&timers(comparison));
    format!(
        "<section class=\"card\">\n<h2>Side by side</h2>\n<div class=\"wide\"><table>\n\
         <thead><tr><th></th>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n\
         </section>\n"
    )
}

/// What the timers predict, below the runs.
fn timers(comparison: &Comparison) -> String {
    if comparison.timers.is_empty() {
        return String::new();
    }
    let empty = "<td></td>".repeat(comparison.sides.len());
    let mut rows = format!("<tr class=\"scenario\"><td>what the timers predict</td>{empty}</tr>\n");
    for row in &comparison.timers {
        let spans = spans(row);
        let cells: String = spans
            .iter()
            .map(|span| match *span == spans[0] {
                true => format!("<td>{}</td>", text(span)),
                false => format!("<td class=\"beyond\">{}</td>", text(span)),
            })
            .collect();
        rows.push_str(&format!("<tr><td>{}</td>{cells}</tr>\n", text(&row.what)));
    }
    rows
}

fn measured(comparison: &Comparison, scenario: &str, row: &MeasureRow) -> String {
    let of = format!("{scenario}: {}", row.name);
    let cells: String = (0..comparison.sides.len())
        .map(|side| {
            let drifts = |drift: &super::Drift| drift.of == of && drift.sides.1 == side;
            let class = match comparison.drifts.iter().any(drifts) {
                true => " class=\"beyond\"",
                false => "",
            };
            let value = row.values[side].map_or("-".to_owned(), number);
            let ratio = match (side, row.ratios[side]) {
                (1.., Some(ratio)) => format!(" <small>× {ratio:.2}</small>"),
                _ => String::new(),
            };
            format!("<td{class}>{value}{ratio}</td>")
        })
        .collect();
    format!("<tr><td>{}</td>{cells}</tr>\n", text(&row.name))
}

fn left_out(comparison: &Comparison) -> String {
    if comparison.not_compared.is_empty() {
        return String::new();
    }
    let items: String = comparison
        .not_compared
        .iter()
        .map(|one| format!("<li>{}: {}</li>\n", words(&one.of), words(&one.why)))
        .collect();
    let count = comparison.not_compared.len();
    format!(
        "<details class=\"card\">\n<summary>{count} things not compared</summary>\n<ul>\n{items}\
         </ul>\n</details>\n"
    )
}
