//! What is told in rows: steps, elections, deployments, notes, and every event.

use super::{text, time, words};
use crate::report::windows::leaderless;
use crate::report::{Report, ranges};
use crate::spec::AgentName;
use crate::timeline::{Event, Kind, Timeline};

/// More events than this make a page slow; `timeline.json` has them all.
const MOST_EVENTS: usize = 2_000;

pub(super) fn steps(report: &Report) -> String {
    if report.steps.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section class=\"card\">\n<h2>Steps</h2>\n<ol class=\"steps\">\n");
    for step in &report.steps {
        html.push_str(&format!(
            "<li class=\"{}\" value=\"{}\"><span class=\"what\">{}</span>\
             <span class=\"took\">{}</span><span class=\"seen\">{}</span></li>\n",
            step.verdict,
            step.number,
            words(&step.step),
            time(step.took_ms),
            words(&step.seen),
        ));
    }
    let out = report.steps_left_out;
    if out > 0 {
        html.push_str(&format!(
            "<li class=\"left\">{out} were left out: the time was over</li>\n"
        ));
    }
    let left = report.steps_total.saturating_sub(report.steps.len() + out);
    if left > 0 {
        html.push_str(&format!(
            "<li class=\"left\">{left} more were not reached</li>\n"
        ));
    }
    html.push_str("</ol>\n</section>\n");
    html
}

pub(super) fn elections(timeline: &Timeline) -> String {
    let found = leaderless(timeline);
    if found.is_empty() {
        return String::new();
    }
    let rows: String = found
        .iter()
        .map(|one| {
            let (then, took) = match &one.end {
                Some((at, new)) => (
                    format!("<code>{}</code>", text(new.as_str())),
                    format!("about {}", time(at - one.from_ms)),
                ),
                None => ("nobody".to_owned(), "to the end".to_owned()),
            };
            format!(
                "<tr><td>{}</td><td><code>{}</code></td><td>{then}</td><td>{took}</td></tr>\n",
                time(one.from_ms),
                text(one.old.as_str()),
            )
        })
        .collect();
    section(
        "Elections",
        &table(&["at", "had led", "then led", "without a leader"], &rows),
    )
}

pub(super) fn deployments(timeline: &Timeline) -> String {
    let rows: String = timeline
        .of(Kind::Deployment)
        .map(|event| {
            let (at, detail) = (time(event.at_ms), words(&event.detail));
            format!("<tr><td>{at}</td><td>{detail}</td></tr>\n")
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    section("Deployments", &table(&["at", "deployment"], &rows))
}

pub(super) fn notes(report: &Report) -> String {
    let mut items: Vec<String> = report.notes.iter().map(|note| words(note)).collect();
    if let Some(evidence) = &report.evidence {
        items.push(format!("evidence: <code>{}</code>", text(evidence)));
    }
    if items.is_empty() {
        return String::new();
    }
    let items: String = items
        .iter()
        .map(|one| format!("<li>{one}</li>\n"))
        .collect();
    section("Notes", &format!("<ul>\n{items}</ul>\n"))
}

/// What the agents said that they are configured with.
pub(super) fn configuration(report: &Report) -> String {
    let Some(told) = &report.configuration else {
        return String::new();
    };
    let mut inside = String::new();
    for unread in &told.not_read {
        let (agent, why) = (text(unread.agent.as_str()), words(&unread.why));
        inside.push_str(&format!(
            "<p><code>{agent}</code> was not read: {why}</p>\n"
        ));
    }
    for group in &told.agents {
        let names = text(&ranges(group.names.iter().map(AgentName::as_str)));
        let rows = group.settings.iter().map(|(key, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let effect = match group.has_effect(key) {
                true => "",
                false => "without effect on the simulator",
            };
            let (key, value) = (text(key), text(&value));
            format!("<tr><td><code>{key}</code></td><td>{value}</td><td>{effect}</td></tr>\n")
        });
        let rows: String = rows.collect();
        inside.push_str(&table(&[&names, "set, or Nomad's default", ""], &rows));
    }
    if inside.is_empty() {
        return String::new();
    }
    format!(
        "<details class=\"card\">\n<summary>Configuration of the agents</summary>\n{inside}</details>\n"
    )
}

pub(super) fn events(timeline: &Timeline) -> String {
    let count = timeline.events.len();
    if count == 0 {
        return String::new();
    }
    let rows: String = timeline.events.iter().take(MOST_EVENTS).map(row).collect();
    let more = match count.saturating_sub(MOST_EVENTS) {
        0 => String::new(),
        more => format!("<p>{more} more stand in <code>timeline.json</code>.</p>\n"),
    };
    format!(
        "<details class=\"card\">\n<summary>All {count} events</summary>\n{}{more}</details>\n",
        table(&["at", "agent", "what", "detail"], &rows)
    )
}

fn row(event: &Event) -> String {
    let agent = event.agent.as_ref().map_or("", |agent| agent.as_str());
    format!(
        "<tr class=\"{kind}\"><td>{}</td><td>{}</td><td>{kind}</td><td>{}</td></tr>\n",
        time(event.at_ms),
        text(agent),
        words(&event.detail),
        kind = kind(event.kind),
    )
}

/// A kind's word, as the JSON has it.
pub(super) fn kind(kind: Kind) -> String {
    let word = serde_json::to_value(kind).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

fn section(title: &str, inside: &str) -> String {
    format!("<section class=\"card\">\n<h2>{title}</h2>\n{inside}</section>\n")
}

fn table(head: &[&str], rows: &str) -> String {
    let head: String = head.iter().map(|cell| format!("<th>{cell}</th>")).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n"
    )
}
