//! The timeline: a lane for the steps, one for each agent, one for deployments and two for each
//! workload, all on one axis, with the faults shaded through all of them.

use super::charts;
use super::scale::{Scale, mark};
use super::{text, time};
use crate::report::Report;
use crate::report::windows::{FaultWindow, fault_windows, leaderless};
use crate::spec::AgentName;
use crate::timeline::{Event, Kind, Standing, Stretch, Timeline};

pub(super) fn timeline(report: &Report, timeline: &Timeline) -> String {
    if timeline.events.is_empty() && timeline.stretches.is_empty() {
        return String::new();
    }
    let last = timeline.events.last().map_or(0.0, |event| event.at_ms);
    let scale = Scale::new(report.took_ms.max(last));
    let faults = fault_windows(timeline, scale.end_ms);
    let mut html = String::from("<section class=\"card\">\n<h2>Timeline</h2>\n");
    html.push_str(LEGEND);
    html.push_str("<div class=\"chart\">\n");
    html.push_str(&overlay(scale, &faults, timeline));
    html.push_str(&axis(scale));
    html.push_str(&lane("steps", "acts", &steps(scale, report)));
    for agent in agents(report, timeline) {
        html.push_str(&agent_lane(scale, &agent, timeline, &faults));
    }
    let deployments: Vec<&Event> = timeline.of(Kind::Deployment).collect();
    if !deployments.is_empty() {
        let marks = deployments
            .iter()
            .map(|event| dot(scale, event))
            .collect::<String>();
        html.push_str(&lane("deployments", "marks", &marks));
    }
    for series in &timeline.series {
        html.push_str(&charts::lanes(scale, series));
    }
    html.push_str("</div>\n</section>\n");
    html
}

const LEGEND: &str = "<p class=\"legend\"><span><i class=\"leader\"></i>leads</span>\
    <span><i class=\"follower\"></i>follows</span>\
    <span><i class=\"ready\"></i>ready</span>\
    <span><i class=\"ineligible\"></i>takes no work</span>\
    <span><i class=\"no-leader\"></i>knows no leader</span>\
    <span><i class=\"silent\"></i>silent or down</span>\
    <span><i class=\"fault\"></i>fault</span>\
    <span><i class=\"leaderless\"></i>nobody leads</span></p>\n";

/// What runs through all lanes: the axis's lines, the faults, the times without a leader.
fn overlay(scale: Scale, faults: &[FaultWindow], timeline: &Timeline) -> String {
    let mut html = String::from("<div class=\"overlay\">\n");
    for seconds in scale.marks() {
        let left = scale.place(seconds * 1_000.0);
        html.push_str(&format!("<i class=\"line\" style=\"left:{left:.3}%\"></i>"));
    }
    for fault in faults {
        let span = scale.span(fault.from_ms, fault.to_ms);
        html.push_str(&format!("<i class=\"band fault\" style=\"{span}\"></i>"));
    }
    for gap in leaderless(timeline) {
        let to_ms = gap.end.map_or(scale.end_ms, |(at, _)| at);
        let span = scale.span(gap.from_ms, to_ms);
        html.push_str(&format!(
            "<i class=\"band leaderless\" style=\"{span}\"></i>"
        ));
    }
    html.push_str("\n</div>\n");
    html
}

fn axis(scale: Scale) -> String {
    let marks: String = scale
        .marks()
        .into_iter()
        .map(|seconds| {
            let left = scale.place(seconds * 1_000.0);
            format!("<span style=\"left:{left:.3}%\">{}</span>", mark(seconds))
        })
        .collect();
    format!(
        "<div class=\"row axis\"><div class=\"label\"></div><div class=\"track\">{marks}</div></div>\n"
    )
}

/// A lane with its name.
pub(super) fn lane(label: &str, class: &str, inside: &str) -> String {
    format!(
        "<div class=\"row {class}\"><div class=\"label\">{label}</div>\
         <div class=\"track\">{inside}</div></div>\n"
    )
}

fn steps(scale: Scale, report: &Report) -> String {
    report
        .steps
        .iter()
        .map(|step| {
            let to_ms = step.started_ms + step.took_ms;
            let wide = scale.place(to_ms) - scale.place(step.started_ms) > 2.5;
            format!(
                "<i class=\"step {}\" style=\"{}\" title=\"{}. {} ({})\">{}</i>",
                step.verdict,
                scale.span(step.started_ms, to_ms),
                step.number,
                text(&step.step),
                time(step.took_ms),
                if wide {
                    step.number.to_string()
                } else {
                    String::new()
                },
            )
        })
        .collect()
}

/// The agents in the report's order; where it has none, those that the timeline names.
fn agents(report: &Report, timeline: &Timeline) -> Vec<AgentName> {
    if !report.agents.is_empty() {
        return report
            .agents
            .iter()
            .map(|agent| agent.name.clone())
            .collect();
    }
    let mut names: Vec<AgentName> = timeline
        .events
        .iter()
        .filter_map(|event| event.agent.clone())
        .chain(timeline.stretches.iter().map(|one| one.agent.clone()))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn agent_lane(
    scale: Scale,
    agent: &AgentName,
    timeline: &Timeline,
    faults: &[FaultWindow],
) -> String {
    let mut inside = String::new();
    for stretch in timeline.stretches.iter().filter(|one| one.agent == *agent) {
        inside.push_str(&standing(scale, stretch));
    }
    for fault in faults.iter().filter(|fault| fault.agent == *agent) {
        inside.push_str(&format!(
            "<i class=\"in\" style=\"{}\" title=\"{} from {} to {}\">{}</i>",
            scale.span(fault.from_ms, fault.to_ms),
            text(&fault.fault),
            time(fault.from_ms),
            time(fault.to_ms),
            text(&fault.fault),
        ));
    }
    let worth_a_dot = |event: &&Event| {
        event.agent.as_ref() == Some(agent)
            && matches!(
                event.kind,
                Kind::LeaderSeen | Kind::Reachability | Kind::Allocation | Kind::AgentDied
            )
    };
    for event in timeline.events.iter().filter(worth_a_dot) {
        inside.push_str(&dot(scale, event));
    }
    lane(&text(agent.as_str()), "agent", &inside)
}

fn standing(scale: Scale, stretch: &Stretch) -> String {
    let (class, words) = match stretch.standing {
        Standing::Leader => ("leader", "leads"),
        Standing::Follower => ("follower", "follows"),
        Standing::NoLeader => ("no-leader", "knows no leader"),
        Standing::Silent => ("silent", "does not answer"),
        Standing::Ready => ("ready", "ready"),
        Standing::Ineligible => ("ineligible", "takes no work"),
        Standing::Down => ("silent", "down"),
    };
    let wide = scale.place(stretch.to_ms) - scale.place(stretch.from_ms) > 9.0;
    let label = if wide && stretch.standing == Standing::Leader {
        "leader"
    } else {
        ""
    };
    format!(
        "<i class=\"is {class}\" style=\"{}\" title=\"{words}, {} to {}\">{label}</i>",
        scale.span(stretch.from_ms, stretch.to_ms),
        time(stretch.from_ms),
        time(stretch.to_ms),
    )
}

fn dot(scale: Scale, event: &Event) -> String {
    let class = match event.kind {
        Kind::AgentDied => "dot died",
        Kind::Reachability => "dot reach",
        Kind::Deployment => "dot deployment",
        _ => "dot",
    };
    format!(
        "<i class=\"{class}\" style=\"left:{:.3}%\" title=\"{}: {}\"></i>",
        scale.place(event.at_ms),
        time(event.at_ms),
        text(&event.detail),
    )
}
