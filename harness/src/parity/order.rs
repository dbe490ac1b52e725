//! The order in which things happened, without their times and without names that are dice: who
//! leads is another server in every run. Several orders, each of things that wait for one
//! another; between them the order is chance.

use std::collections::BTreeMap;

use super::side::Run;
use crate::report::windows::leaderless;
use crate::timeline::{Kind, Timeline};

/// What is compared, each an order of its own.
pub(super) type Orders = BTreeMap<String, Vec<String>>;

/// Returns the orders of a run; those that take a timeline only where it is there.
pub(super) fn of(run: &Run) -> Orders {
    let mut orders = Orders::new();
    let steps = run.report.steps.iter();
    let steps = steps.map(|step| format!("step {} {}", step.number, step.verdict));
    orders.insert("steps".to_owned(), steps.collect());
    if let Some(timeline) = &run.timeline {
        orders.insert("faults".to_owned(), faults(timeline));
        if !timeline.stretches.is_empty() {
            orders.insert("leaders".to_owned(), leaders(timeline));
        }
    }
    orders
}

/// Faults as they came and went. Those of one moment are sorted: which of several agents is hit
/// first means nothing.
fn faults(timeline: &Timeline) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let mut together: Vec<String> = Vec::new();
    let mut before = None;
    for event in &timeline.events {
        let verb = match event.kind {
            Kind::Injected => "injected",
            Kind::Healed => "healed",
            Kind::AgentDied => "died",
            _ => continue,
        };
        if before != Some(event.kind) {
            together.sort();
            order.append(&mut together);
        }
        before = Some(event.kind);
        let what = if event.kind == Kind::AgentDied {
            "an agent"
        } else {
            &event.detail
        };
        together.push(format!("{what} {verb}"));
    }
    together.sort();
    order.append(&mut together);
    order
}

/// Whether leadership was lost, and whether it came back. How often is a measure: a vote may be
/// split.
fn leaders(timeline: &Timeline) -> Vec<String> {
    let lost = leaderless(timeline);
    let Some(last) = lost.last() else {
        return vec!["never lost".to_owned()];
    };
    let end = if last.end.is_some() {
        "led again"
    } else {
        "nobody leads in the end"
    };
    vec!["lost".to_owned(), end.to_owned()]
}

/// Returns where two orders part, in words for each side; `None` where they do not.
pub(super) fn parting(one: &[String], other: &[String]) -> Option<(String, String)> {
    if one == other {
        return None;
    }
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let at = |order: &[String]| {
        let before = same.checked_sub(1).map(|place| order[place].as_str());
        let here = order.get(same).map_or("nothing more", String::as_str);
        match before {
            Some(before) => format!("{here} (after {before})"),
            None => here.to_owned(),
        }
    };
    Some((at(one), at(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{AgentName, Role};
    use crate::timeline::Event;

    fn timeline(events: &[(Kind, u16)]) -> Timeline {
        let event = |&(kind, number): &(Kind, u16)| Event {
            at_ms: 0.0,
            wall: String::new(),
            agent: Some(AgentName::new(Role::Server, number)),
            kind,
            detail: "kill".into(),
        };
        Timeline {
            events: events.iter().map(event).collect(),
            ..Timeline::default()
        }
    }

    #[test]
    fn whom_the_dice_hit_is_no_difference_and_what_was_done_is() {
        let one = faults(&timeline(&[(Kind::Injected, 1), (Kind::Healed, 1)]));
        let other = faults(&timeline(&[(Kind::Injected, 3), (Kind::Healed, 3)]));
        assert_eq!(parting(&one, &other), None);
        let longer = faults(&timeline(&[(Kind::Injected, 1)]));
        let (here, there) = parting(&one, &longer).expect("they part");
        assert_eq!(here, "kill healed (after kill injected)");
        assert_eq!(there, "nothing more (after kill injected)");
    }
}
