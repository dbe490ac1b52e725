//! The page over several runs: a row each, leading to the run's own page.

use super::{page, text, time, words};
use crate::report::{Report, Verdict};

/// Returns a page over runs, each with the address of its own page where it has one.
#[must_use]
pub fn to_index(runs: &[(&Report, Option<String>)]) -> String {
    let verdict = Verdict::of_all(runs.iter().map(|(report, _)| report.verdict));
    let count = |wanted| runs.iter().filter(|(one, _)| one.verdict == wanted).count();
    let tally: Vec<String> = [
        Verdict::Passed,
        Verdict::Failed,
        Verdict::Inconclusive,
        Verdict::Skipped,
    ]
    .into_iter()
    .filter(|verdict| count(*verdict) > 0)
    .map(|verdict| format!("{} {verdict}", count(verdict)))
    .collect();
    let simulated = runs.iter().any(|(report, _)| report.engine.simulated);
    let mut body = format!(
        "<header class=\"hero {verdict}\">\n<p class=\"verdict\">{verdict}</p>\n\
         <h1>Rehearsal</h1>\n<p class=\"lead\">{}</p>\n{}</header>\n",
        tally.join(", "),
        if simulated {
            "<p class=\"banner simulated\"><strong>SIMULATED</strong> What is marked so did not \
             run on Nomad itself, but on the built-in simulator.</p>\n"
        } else {
            ""
        },
    );
    body.push_str("<section class=\"runs\">\n");
    for (report, address) in runs {
        body.push_str(&card(report, address.as_deref()));
    }
    body.push_str("</section>\n");
    page(&format!("Rehearsal: {}", tally.join(", ")), &body)
}

fn card(report: &Report, address: Option<&str>) -> String {
    let (tag, link) = match address {
        Some(address) => ("a", format!(" href=\"{}\"", text(address))),
        None => ("div", String::new()),
    };
    let why = report.reason.as_ref().map_or_else(String::new, |reason| {
        format!("<span class=\"reason\">{}</span>", words(reason))
    });
    let arch = match report.arch_label() {
        none if none.is_empty() => none,
        arch => format!(" · {arch}"),
    };
    format!(
        "<{tag} class=\"card run {verdict}\"{link}><span class=\"pill\">{verdict}</span>\
         <b>{}</b><span class=\"took\">{}</span><span class=\"on\">{}{} · seed {}</span>{why}\
         </{tag}>\n",
        text(&report.scenario),
        time(report.took_ms),
        text(&report.engine_label),
        text(&arch),
        report.seed,
        verdict = report.verdict,
    )
}
