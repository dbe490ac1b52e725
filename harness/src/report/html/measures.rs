//! The numbers of a run, each as a bar beside what it may be.

use super::{text, time};
use crate::measure::Measure;
use crate::report::text::number;

pub(super) fn measures(all: &[Measure]) -> String {
    if all.is_empty() {
        return String::new();
    }
    // What is judged comes first.
    let (judged, free): (Vec<_>, Vec<_>) = all.iter().partition(|one| is_limited(one));
    let mut html = String::from("<section class=\"card\">\n<h2>Measured</h2>\n");
    for group in [judged, free] {
        if !group.is_empty() {
            let rows: String = group.into_iter().map(row).collect();
            html.push_str(&format!("<div class=\"measures\">\n{rows}</div>\n"));
        }
    }
    html.push_str("</section>\n");
    html
}

fn is_limited(measure: &Measure) -> bool {
    measure.at_most.is_some() || measure.at_least.is_some()
}

fn row(measure: &Measure) -> String {
    let limited = is_limited(measure);
    let class = match (limited, measure.is_within()) {
        (false, _) => "free",
        (true, true) => "within",
        (true, false) => "beyond",
    };
    format!(
        "<div class=\"measure {class}\"><span class=\"name\">{}</span>\
         <span class=\"value\">{}</span><span class=\"limit\">{}</span>{}</div>\n",
        text(&measure.name),
        shown(measure, measure.value),
        limits(measure),
        if limited { bar(measure) } else { String::new() },
    )
}

/// A number in its unit, which its name tells.
pub(super) fn shown(measure: &Measure, value: f64) -> String {
    let is_time = measure.name.split('_').any(|word| word == "ms");
    if is_time { time(value) } else { number(value) }
}

fn limits(measure: &Measure) -> String {
    let sign = if measure.is_within() { "✓" } else { "✗" };
    let mut words = Vec::new();
    words.extend(
        measure
            .at_least
            .map(|limit| format!("≥ {}", shown(measure, limit))),
    );
    words.extend(
        measure
            .at_most
            .map(|limit| format!("≤ {}", shown(measure, limit))),
    );
    if words.is_empty() {
        return String::new();
    }
    format!("{sign} {}", words.join(", "))
}

/// The value as a bar from 0, with a mark at each limit.
fn bar(measure: &Measure) -> String {
    let limits = [measure.at_least, measure.at_most];
    let longest = limits
        .into_iter()
        .flatten()
        .chain([measure.value])
        .fold(0.0, f64::max);
    // A limit of 0 that is kept leaves nothing to draw.
    if longest <= 0.0 {
        return "<span class=\"bar none\"></span>".to_owned();
    }
    let percent = |value: f64| (value / longest * 92.0).clamp(0.0, 92.0);
    let marks: String = limits
        .into_iter()
        .flatten()
        .map(|limit| {
            format!(
                "<i class=\"mark\" style=\"left:{:.2}%\"></i>",
                percent(limit)
            )
        })
        .collect();
    format!(
        "<span class=\"bar\"><i class=\"fill\" style=\"width:{:.2}%\"></i>{marks}</span>",
        percent(measure.value)
    )
}
