//! The head of a run's page: what was proved, on what, and how to do it again.

use super::{text, time, words};
use crate::report::{Report, Verdict};
use crate::spec::Role;

pub(super) fn head(report: &Report) -> String {
    let mut html = format!(
        "<header class=\"hero {verdict}\">\n<p class=\"verdict\">{verdict}</p>\n<h1>{}</h1>\n\
         <p class=\"lead\">{}</p>\n",
        text(&report.scenario),
        words(&report.description),
        verdict = report.verdict,
    );
    html.push_str(&banners(report));
    if let Some(reason) = &report.reason {
        let broken = report
            .steps
            .iter()
            .find(|step| step.verdict != Verdict::Passed);
        let place = broken.map_or_else(String::new, |step| {
            format!("Step {} of {}: ", step.number, report.steps_total)
        });
        html.push_str(&format!("<p class=\"why\">{place}{}</p>\n", words(reason)));
    }
    html.push_str("<dl class=\"facts\">\n");
    for (name, value) in facts(report) {
        html.push_str(&format!(
            "<div><dt>{name}</dt><dd>{}</dd></div>\n",
            text(&value)
        ));
    }
    let again = format!("rehearse run {} --seed {}", report.scenario, report.seed);
    html.push_str(&format!(
        "<div class=\"wide\"><dt>Again</dt><dd><code>{}</code></dd></div>\n",
        text(&again)
    ));
    html.push_str("</dl>\n</header>\n");
    html
}

/// What nobody may overlook.
pub(super) fn banners(report: &Report) -> String {
    let mut html = String::new();
    if report.engine.simulated {
        html.push_str(
            "<p class=\"banner simulated\"><strong>SIMULATED</strong> Nothing here ran on Nomad \
             itself: the agents are the built-in simulator.</p>\n",
        );
    }
    if report.is_emulated() {
        html.push_str(
            "<p class=\"banner emulated\"><strong>EMULATED</strong> Another architecture's \
             emulator ran the agents: the times are its own, none of Nomad's.</p>\n",
        );
    }
    if !report.cluster_fit {
        html.push_str(
            "<p class=\"banner unfit\"><strong>NOT AS BEFORE</strong> The cluster was left less \
             healthy than it was: see the notes.</p>\n",
        );
    }
    html
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let count = |role| report.agents.iter().filter(|one| one.role == role).count();
    let mut facts = vec![("Engine", report.engine_label.clone())];
    if !report.agents.is_empty() {
        facts.push(("Architecture", report.arch_label()));
    }
    let size = format!(
        "{} ({} servers, {} clients)",
        report.cluster,
        count(Role::Server),
        count(Role::Client)
    );
    facts.push(("Cluster", size));
    facts.push((
        "Began",
        report.started_at.chars().take(19).collect::<String>() + "Z",
    ));
    facts.push(("Took", time(report.took_ms)));
    facts
}
