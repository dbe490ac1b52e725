//! Laws of comparing what agents were configured with.

use serde_json::{Value, json};

use super::super::tests::{compared, left_out, report, side};
use super::super::{Tolerances, compare, to_html, to_markdown, to_text};
use super::*;
use crate::report::{Configured, NotRead};
use crate::spec::AgentName;

/// Three servers and a client, with these settings besides the usual.
fn configuration(server: &[(&str, Value)], client: &[(&str, Value)]) -> Configuration {
    let group = |role, count, usual: &[(&str, Value)], own: &[(&str, Value)]| Configured {
        role,
        names: (1..=count)
            .map(|number| AgentName::new(role, number))
            .collect(),
        settings: usual
            .iter()
            .chain(own)
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
        inert: Vec::new(),
    };
    let usual = [("region", json!("global")), ("tls.http", json!(true))];
    Configuration {
        agents: vec![
            group(Role::Server, 3, &usual, server),
            group(Role::Client, 1, &usual, client),
        ],
        not_read: Vec::new(),
    }
}

fn run(configuration: Configuration) -> Report {
    Report {
        configuration: Some(configuration),
        ..report("a", 2000.0)
    }
}

fn of_servers(settings: &[(&str, Value)]) -> Report {
    run(configuration(settings, &[]))
}

fn drifts(comparison: &Comparison) -> Vec<String> {
    let drifts = comparison.drifts.iter();
    drifts
        .map(|one| format!("{}: {}: {} | {}", one.area, one.of, one.here, one.there))
        .collect()
}

#[test]
fn the_same_configuration_is_no_drift() {
    let one = of_servers(&[("server.heartbeat_grace", json!("30s"))]);
    // Nomad's default is what the other does not say; a time is the same in any unit.
    let other = of_servers(&[
        ("server.heartbeat_grace", json!("0.5m")),
        ("server.raft_multiplier", json!(1)),
        ("server.enable_event_broker", json!(true)),
    ]);
    let comparison = compared(&[one], &[other]);
    assert_eq!(drifts(&comparison), Vec::<String>::new());
    assert_eq!(comparison.exit_code(), 0);
    // Five keys, five timers, the servers and the clients.
    assert_eq!(comparison.settings, 12, "{comparison:#?}");
    assert!(to_text(&comparison).ends_with("things and 12 settings compared"));
    // What it says nothing about is not left to be guessed.
    let left = left_out(&comparison, NEVER_IN_REPORTS);
    assert!(left.contains("compare NAME --with DIR"), "{left}");
}

#[test]
fn a_key_that_differs_is_drift_and_so_are_the_timers_that_follow() {
    let one = of_servers(&[("server.heartbeat_grace", json!("10s"))]);
    let other = of_servers(&[("server.heartbeat_grace", json!("30s"))]);
    let comparison = compared(&[one], &[other]);
    assert_eq!(
        drifts(&comparison),
        [
            "configuration: server.heartbeat_grace of server-1..3: 10s | 30s",
            "timers: a client that falls silent is down after: 20 to 30 s | 40 to 50 s",
        ]
    );
    assert_eq!(comparison.exit_code(), 40);
    let names = comparison.sides.iter().map(|side| side.name.clone());
    let names: Vec<String> = names.collect();
    let told = format!(
        "server.heartbeat_grace of server-1..3: 10s in {}, 30s in {}",
        names[0], names[1]
    );
    for form in [
        to_text(&comparison),
        to_html(&comparison),
        to_markdown(&comparison),
    ] {
        assert!(form.contains(&told), "{form}");
        assert!(form.contains("40 to 50 s"), "{form}");
    }
    let json = crate::report::to_json(&comparison);
    assert_eq!(
        crate::report::schema::problems(&json, "comparison"),
        Vec::<String>::new()
    );
    let back: Comparison = serde_json::from_str(&json).expect("our own words");
    assert_eq!(back, comparison);
}

#[test]
fn one_agent_that_differs_is_named() {
    let one = configuration(&[("server.num_schedulers", json!(2))], &[]);
    let mut other = one.clone();
    let odd = other.agents[0].names.remove(1);
    let mut settings = other.agents[0].settings.clone();
    settings.insert("server.num_schedulers".to_owned(), json!(0));
    other.agents.push(Configured {
        role: Role::Server,
        names: vec![odd],
        settings,
        inert: Vec::new(),
    });
    let comparison = compared(&[run(one)], &[run(other)]);
    assert_eq!(
        drifts(&comparison),
        ["configuration: server.num_schedulers of server-2: 2 | 0"]
    );
}

#[test]
fn gossip_that_is_encrypted_on_one_side_alone_is_drift() {
    let one = of_servers(&[("server.encrypt", json!("set"))]);
    let comparison = compared(&[one], &[of_servers(&[])]);
    assert_eq!(
        drifts(&comparison),
        ["configuration: server.encrypt of server-1..3: set | not set"]
    );
}

#[test]
fn an_earlier_report_is_listed_and_compared_in_all_else() {
    let comparison = compared(&[of_servers(&[])], &[report("a", 9000.0)]);
    assert_eq!(comparison.settings, 0);
    assert!(left_out(&comparison, "configuration and timers").contains("report of side 2"));
    assert_eq!(comparison.drifts.len(), 1, "the measure");
    let skipped = Report {
        verdict: Verdict::Skipped,
        ..report("a", 2000.0)
    };
    let comparison = compared(&[of_servers(&[])], &[skipped]);
    assert!(left_out(&comparison, "configuration and timers").contains("skipped on side 2"));
}

#[test]
fn a_key_of_one_side_alone_is_listed_where_no_default_is_known() {
    let one = of_servers(&[
        ("server.num_schedulers", json!(2)),
        ("server.job_max_priority", json!(200)),
    ]);
    let comparison = compared(&[one], &[of_servers(&[])]);
    assert_eq!(
        drifts(&comparison),
        ["configuration: server.job_max_priority of server-1..3: 200 | 100"]
    );
    let why = left_out(&comparison, "server.num_schedulers of server-1..3");
    assert_eq!(
        why,
        "2 on side 1, not set on side 2: what Nomad takes where it is not set is not known"
    );
}

#[test]
fn what_differs_by_version_alone_is_no_drift() {
    let denied = |words: &[&str], version: &str| {
        let key = "client.template.function_denylist";
        let mut report = run(configuration(&[], &[(key, json!(words))]));
        version.clone_into(&mut report.engine.version);
        report
    };
    let one = denied(&["plugin"], "1.1.2");
    let other = denied(&["plugin", "writeToFile"], "1.8.3");
    let comparison = compared(std::slice::from_ref(&one), &[other]);
    assert_eq!(drifts(&comparison), Vec::<String>::new());
    let of = "client.template.function_denylist of client-1";
    assert!(left_out(&comparison, of).contains("a default of one version"));
    // What is no version's default was configured.
    let comparison = compared(std::slice::from_ref(&one), &[denied(&["mine"], "1.8.3")]);
    assert_eq!(comparison.drifts.len(), 1);
    // Nor may one version have two.
    let same = denied(&["plugin", "writeToFile"], "1.1.2");
    assert_eq!(compared(&[one], &[same]).drifts.len(), 1);
}

#[test]
fn what_the_simulator_does_not_act_on_is_listed_and_no_drift() {
    let mut simulated = of_servers(&[
        ("server.job_gc_interval", json!("1m")),
        ("telemetry.prometheus_metrics", json!(true)),
    ]);
    let inert = ["server.job_gc_interval", "telemetry"].map(str::to_owned);
    simulated.configuration.as_mut().unwrap().agents[0].inert = inert.to_vec();
    let comparison = compared(&[simulated], &[of_servers(&[])]);
    assert_eq!(drifts(&comparison), Vec::<String>::new());
    assert_eq!(
        left_out(&comparison, "settings"),
        "set, and without effect on the simulator (side 1): server.job_gc_interval, telemetry.prometheus_metrics"
    );
}

#[test]
fn timers_of_two_time_scales_are_told_and_not_compared() {
    let one = of_servers(&[("server.raft_multiplier", json!(2))]);
    let mut other = one.clone();
    other.engine.time_scale = "10".parse().expect("a scale");
    let comparison = compared(&[one], &[other.clone()]);
    assert_eq!(drifts(&comparison), Vec::<String>::new());
    assert!(left_out(&comparison, "timers").contains("(1 and 10)"));
    let text = to_text(&comparison);
    assert!(
        text.contains(
            "predicted: a leader that falls silent is missed after 2 to 4 s, 0.2 to 0.4 s"
        ),
        "{text}"
    );
    let comparison = compared(&[other.clone()], &[other]);
    assert!(to_text(&comparison).contains("is missed after 0.2 to 0.4 s on all sides"));
}

#[test]
fn an_agent_that_was_not_read_is_listed_and_no_other_number_of_agents() {
    let mut unread = configuration(&[], &[]);
    let agent = unread.agents[0].names.remove(0);
    unread.not_read.push(NotRead {
        agent,
        why: "no reply within 10s".to_owned(),
    });
    let comparison = compared(&[of_servers(&[])], &[run(unread)]);
    assert_eq!(drifts(&comparison), Vec::<String>::new());
    assert_eq!(
        left_out(&comparison, "configuration of `server-1`"),
        "side 2 did not read it: no reply within 10s"
    );
}

#[test]
fn another_number_of_servers_is_drift() {
    let mut larger = of_servers(&[]);
    let mut fellow = larger.agents[0].clone();
    fellow.name = AgentName::new(Role::Server, 2);
    larger.agents.push(fellow);
    let comparison = compared(&[of_servers(&[])], &[larger]);
    assert_eq!(drifts(&comparison), ["configuration: servers: 1 | 2"]);
}

#[test]
fn what_is_so_in_some_scenarios_alone_says_in_which() {
    let slow = [("server.raft_multiplier", json!(5))];
    let named = |scenario: &str, settings: &[(&str, Value)]| Report {
        scenario: scenario.to_owned(),
        ..of_servers(settings)
    };
    let one = [named("a", &[]), named("b", &[])];
    let comparison = compared(&one, &[named("a", &slow), named("b", &slow)]);
    assert_eq!(
        drifts(&comparison)[0],
        "configuration: server.raft_multiplier of server-1..3: 1 | 5"
    );
    let comparison = compared(&one, &[named("a", &[]), named("b", &slow)]);
    assert_eq!(
        drifts(&comparison)[0],
        "configuration: server.raft_multiplier of server-1..3 (b): 1 | 5"
    );
}

#[test]
fn every_side_is_compared_with_the_first() {
    let of = |grace: &str| side(&[of_servers(&[("server.heartbeat_grace", json!(grace))])]);
    let comparison = compare(&[of("10s"), of("10s"), of("20s")], &Tolerances::default());
    let sides: Vec<_> = comparison.drifts.iter().map(|one| one.sides).collect();
    assert_eq!(sides, [(0, 2), (0, 2)]);
    assert_eq!(comparison.timers[2].spans.len(), 3);
}

#[test]
fn a_configuration_that_differs_is_drift_where_no_run_proved_anything() {
    let of = |settings: &[(&str, Value)]| Report {
        verdict: Verdict::Inconclusive,
        ..of_servers(settings)
    };
    let same = compared(&[of(&[])], &[of(&[])]);
    assert_eq!(same.exit_code(), 31);
    assert!(to_text(&same).contains("no run could be compared; no drift in"));
    let slow = [("server.raft_multiplier", json!(5))];
    assert_eq!(compared(&[of(&[])], &[of(&slow)]).exit_code(), 40);
}
