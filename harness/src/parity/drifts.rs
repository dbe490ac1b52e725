//! A comparison of configurations, as it is read: at a terminal, as a page, in a build's summary.

use super::config::{Configurations, Difference, Said};
use super::windows::{Span, Window};
use crate::report::html::{page, text as escaped, words};
use crate::report::markdown::cell;

/// Returns the comparison as text for people.
#[must_use]
pub fn to_text(outcome: &Configurations) -> String {
    let mut text = String::new();
    for one in &outcome.differences {
        let why = match &one.declared {
            None => String::new(),
            Some(why) => format!(": {why}"),
        };
        let (word, of) = (word(one), of(one));
        let (here, there) = (said(&one.here), said(&one.there));
        text.push_str(&format!("{word}: {of}: {here} here, {there} there{why}\n"));
    }
    for window in &outcome.windows {
        text.push_str(&format!("predicted: {}\n", predicted(window)));
    }
    for reason in &outcome.not_compared {
        text.push_str(&format!("not compared: {reason}\n"));
    }
    text.push_str(&format!("{}\n", tally(outcome)));
    text
}

/// Returns the comparison as a page; `sides` says what is here and what is there.
#[must_use]
pub fn to_html(outcome: &Configurations, sides: &str) -> String {
    let (class, verdict) = match outcome.drifts().next() {
        None => ("passed", "no drift"),
        Some(_) => ("failed", "drift"),
    };
    let rows = |rows: String, head: &str| {
        format!(
            "<section class=\"card\">\n<h2>{head}</h2>\n<div class=\"wide\"><table>\n<thead><tr><th></th>\
             <th>here</th><th>there</th><th></th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n</section>\n"
        )
    };
    let difference = |one: &Difference| {
        let class = one.declared.as_ref().map_or(" class=\"beyond\"", |_| "");
        format!(
            "<tr><td>{}</td><td{class}>{}</td><td{class}>{}</td><td>{}</td></tr>\n",
            escaped(&of(one)),
            escaped(&said(&one.here)),
            escaped(&said(&one.there)),
            escaped(one.declared.as_deref().unwrap_or("drift")),
        )
    };
    let window = |one: &Window| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td></td></tr>\n",
            escaped(&one.what),
            span(one.here),
            span(one.there),
        )
    };
    let left_out: String = outcome
        .not_compared
        .iter()
        .map(|reason| format!("<li>{}</li>\n", words(reason)))
        .collect();
    let body = format!(
        "<header class=\"hero {class}\">\n<p class=\"verdict\">{verdict}</p>\n<h1>Configurations</h1>\n\
         <p class=\"lead\">{}</p>\n<p>{}</p>\n</header>\n{}{}<details class=\"card\" open>\n<summary>Not compared</summary>\n\
         <ul>\n{left_out}</ul>\n</details>\n",
        escaped(&tally(outcome)),
        escaped(sides),
        rows(
            outcome.differences.iter().map(difference).collect(),
            "Differences"
        ),
        rows(
            outcome.windows.iter().map(window).collect(),
            "What the timers predict"
        ),
    );
    page("Comparison of configurations", &body)
}

/// Returns the comparison as a build's summary; `sides` says what is here and what is there.
#[must_use]
pub fn to_markdown(outcome: &Configurations, sides: &str) -> String {
    let mut text = format!(
        "### {}\n\n{}\n\n| | here | there | |\n|---|---|---|---|\n",
        tally(outcome),
        cell(sides)
    );
    for one in &outcome.differences {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            cell(&of(one)),
            cell(&said(&one.here)),
            cell(&said(&one.there)),
            cell(one.declared.as_deref().unwrap_or("**drift**")),
        ));
    }
    for one in &outcome.windows {
        let (here, there) = (span(one.here), span(one.there));
        text.push_str(&format!(
            "| {} | {here} | {there} | predicted |\n",
            one.what
        ));
    }
    for reason in &outcome.not_compared {
        text.push_str(&format!("\n- not compared: {}", cell(reason)));
    }
    text + "\n"
}

fn word(one: &Difference) -> &'static str {
    match one.declared {
        None => "drift",
        Some(_) => "declared",
    }
}

fn of(one: &Difference) -> String {
    match one.agents.len() {
        0 => one.key.clone(),
        _ => format!("{} of {}", one.key, one.agents.join(", ")),
    }
}

fn said(said: &Said) -> String {
    let value = said.value.as_deref().unwrap_or("not set");
    match &said.place {
        Some(place) => format!("{value} ({place})"),
        None => value.to_owned(),
    }
}

fn span(span: Option<Span>) -> String {
    span.map_or_else(|| "not known".to_owned(), |span| span.to_string())
}

fn predicted(window: &Window) -> String {
    let (what, here, there) = (&window.what, span(window.here), span(window.there));
    match here == there {
        true => format!("{what} {here} on both sides"),
        false => format!("{what} {here} here, {there} there"),
    }
}

fn tally(outcome: &Configurations) -> String {
    let drifts = outcome.drifts().count();
    format!(
        "{} keys alike, {drifts} drifts, {} declared differences",
        outcome.alike,
        outcome.differences.len() - drifts
    )
}
