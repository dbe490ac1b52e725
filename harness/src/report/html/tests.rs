//! Laws of the pages.

use serde_json::Value;

use super::*;
use crate::report::{Configuration, SCHEMA};
use crate::spec::{AgentName, Role};

/// What a browser would run or load, were it not only text.
const EVIL: &str = "x\"'></style><script src=//evil.example>alert(1)</script>\
                    <img src=x onerror=alert(1)>`<svg onload=alert(1)>";

fn report() -> Report {
    let text = include_str!("fixtures/result.json");
    serde_json::from_str(text).expect("a report of ours")
}

fn timeline() -> Timeline {
    let text = include_str!("fixtures/timeline.json");
    serde_json::from_str(text).expect("a timeline of ours")
}

/// With what agents said of themselves, and one that said nothing.
fn configured() -> Report {
    let server = |number| AgentName::new(Role::Server, number);
    let settings = [
        ("server.heartbeat_grace".to_owned(), "42s".into()),
        ("telemetry.prometheus_metrics".to_owned(), true.into()),
    ];
    let answer = Ok((settings.into(), vec!["telemetry".to_owned()]));
    let silent = Err("no reply within `10s`".to_owned());
    Report {
        configuration: Some(Configuration::of(vec![
            (server(1), Role::Server, answer.clone()),
            (server(2), Role::Server, answer),
            (server(3), Role::Server, silent),
        ])),
        ..report()
    }
}

#[test]
fn what_agents_are_configured_with_is_told() {
    let html = to_html(&configured(), &timeline());
    for part in [
        "Configuration of the agents",
        "<th>server-1..2</th>",
        "<td><code>server.heartbeat_grace</code></td><td>42s</td><td></td>",
        "<td>true</td><td>without effect on the simulator</td>",
        "<code>server-3</code> was not read: no reply within <code>10s</code>",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!to_html(&report(), &timeline()).contains("Configuration of the agents"));
    let json = crate::report::to_json(&configured());
    assert_eq!(
        crate::report::schema::problems(&json, "result"),
        Vec::<String>::new()
    );
}

/// Puts something evil into every text of a JSON value that no type forbids.
fn spoil<T: serde::Serialize + serde::de::DeserializeOwned>(of: &T) -> T {
    let spare = ["verdict", "role", "arch", "kind", "standing"];
    fn walk(value: &mut Value, key: &str, spare: &[&str]) {
        match value {
            Value::String(text) if !spare.contains(&key) => *text = EVIL.to_owned(),
            Value::Array(all) => all.iter_mut().for_each(|one| walk(one, key, spare)),
            Value::Object(all) => all.iter_mut().for_each(|(key, one)| walk(one, key, spare)),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(of).expect("plain data");
    walk(&mut value, "", &spare);
    serde_json::from_value(value).expect("the same form")
}

/// Every tag of a page, as it stands between `<` and `>`.
fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap_or(rest))
        .collect()
}

fn assert_harmless(html: &str) {
    let known = [
        "!doctype", "a", "b", "body", "br", "code", "dd", "details", "div", "dl", "dt", "footer",
        "h1", "h2", "head", "header", "html", "i", "li", "main", "meta", "ol", "p", "path",
        "section", "small", "span", "strong", "style", "summary", "svg", "table", "tbody", "td",
        "th", "thead", "title", "tr", "ul",
    ];
    for tag in tags(html) {
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next();
        assert!(
            known.contains(&name.unwrap_or_default()),
            "a strange tag: <{tag}>"
        );
        let quoted: Vec<&str> = tag.split('"').step_by(2).collect();
        let attributes = quoted.concat();
        for word in ["onload", "onerror", "src", "script"] {
            assert!(!attributes.contains(word), "a strange attribute: <{tag}>");
        }
    }
    // An address in a text is only text; from one in another attribute or in a style something
    // would be fetched.
    let values = tags(html).into_iter().flat_map(|tag| {
        let parts: Vec<&str> = tag.split('"').collect();
        let pairs = parts.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        pairs.collect::<Vec<_>>()
    });
    let values = values.filter(|(name, _)| !name.ends_with(" title="));
    let styles = html.split("<style>").skip(1);
    let styles = styles.filter_map(|rest| rest.split("</style>").next());
    for part in values.map(|(_, value)| value).chain(styles) {
        for word in ["://", "url(", "@import"] {
            assert!(!part.contains(word), "it comes from elsewhere: {part}");
        }
    }
}

#[test]
fn an_evil_name_is_only_text() {
    let (report, timeline) = (spoil(&configured()), spoil(&timeline()));
    assert!(
        report.scenario.contains("<script"),
        "the check checks nothing"
    );
    assert_harmless(&to_html(&report, &timeline));
    let runs = [(&report, Some(EVIL.to_owned()))];
    assert_harmless(&to_index(&runs));
}

#[test]
fn a_page_holds_all_it_shows() {
    let html = to_html(&report(), &timeline());
    assert_harmless(&html);
    assert!(html.contains("default-src 'none'"));
    for part in [
        "Measured",
        "Timeline",
        "Steps",
        "Elections",
        "Deployments",
        "All ",
    ] {
        assert!(html.contains(part), "no {part}");
    }
}

#[test]
fn a_simulated_run_says_so_and_one_of_nomad_does_not() {
    let mut report = report();
    assert!(to_html(&report, &timeline()).contains("<strong>SIMULATED</strong>"));
    assert!(to_index(&[(&report, None)]).contains("<strong>SIMULATED</strong>"));
    report.engine.simulated = false;
    assert!(!to_html(&report, &timeline()).contains("<strong>SIMULATED</strong>"));
}

#[test]
fn an_emulated_run_says_so() {
    let mut report = report();
    assert!(!to_html(&report, &timeline()).contains("EMULATED</strong>"));
    report.agents[0].emulated = true;
    let html = to_html(&report, &timeline());
    assert!(html.contains("<strong>EMULATED</strong>"));
    assert!(html.contains("(emulated)"), "the architecture says it too");
}

#[test]
fn faults_and_reigns_are_shaded_where_they_were() {
    let html = to_html(&report(), &timeline());
    assert!(
        html.contains("class=\"band fault\""),
        "faults run through all lanes"
    );
    assert!(html.contains("class=\"is leader\""));
    assert!(html.contains("class=\"band leaderless\""));
    assert!(
        html.contains("class=\"in\""),
        "the fault stands on its agent"
    );
}

#[test]
fn a_report_without_a_timeline_is_a_page_too() {
    let bare = Report {
        steps: Vec::new(),
        measures: Vec::new(),
        agents: Vec::new(),
        ..report()
    };
    assert_eq!(bare.schema, SCHEMA);
    let html = to_html(&bare, &Timeline::default());
    assert_harmless(&html);
    assert!(!html.contains("<h2>Timeline</h2>"));
}
