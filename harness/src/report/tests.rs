//! Laws of the reports.

use super::*;
use crate::spec::{AgentName, Arch, Role};
use crate::target::AgentInfo;
use crate::timeline::{Event, Kind};

fn engine(simulated: bool) -> EngineInfo {
    EngineInfo {
        kind: "simulator".into(),
        version: "1.8.3".into(),
        simulated,
        ..EngineInfo::default()
    }
}

fn report(verdict: Verdict) -> Report {
    let engine = engine(true);
    Report {
        schema: SCHEMA,
        scenario: "leader-failover".into(),
        description: "the leader crashes".into(),
        verdict,
        reason: (verdict != Verdict::Passed).then(|| "no leader <within> 15 s & more".to_owned()),
        cluster: "demo".into(),
        agents: Vec::new(),
        configuration: None,
        engine_label: engine.label(),
        engine,
        seed: 7,
        started_at: "2026-01-02T03:04:05Z".into(),
        took_ms: 20_500.0,
        spent: Some(Spent {
            nomad_ms: 16_000.0,
            held_ms: 3_500.0,
            harness_ms: 1_000.0,
        }),
        steps_total: 5,
        steps: vec![StepReport {
            number: 3,
            step: "expect a leader".into(),
            verdict,
            seen: "nobody".into(),
            started_ms: 1.0,
            took_ms: 2.0,
        }],
        steps_left_out: 0,
        measures: vec![
            Measure {
                at_most: Some(15_000.0),
                ..Measure::new("leaderless_ms", 16_000.25)
            },
            Measure::count("requests_lost", 0),
        ],
        notes: vec!["a note".into()],
        cluster_fit: true,
        evidence: Some("target/rehearsals/leader-failover-7f3a/".into()),
    }
}

#[test]
fn the_worst_verdict_wins() {
    use Verdict::{Failed, Inconclusive, Passed, Skipped};
    assert_eq!(Verdict::of_all([Passed, Failed, Inconclusive]), Failed);
    assert_eq!(Verdict::of_all([Passed, Inconclusive]), Inconclusive);
    assert_eq!(Verdict::of_all([Passed, Skipped]), Passed);
    assert_eq!(Verdict::of_all([Skipped]), Skipped);
    assert_eq!(Verdict::of_all([]), Inconclusive);
}

#[test]
fn only_what_proved_something_exits_with_zero() {
    assert_eq!(Verdict::Passed.exit_code(), 0);
    assert_eq!(Verdict::Failed.exit_code(), 30);
    assert_eq!(Verdict::Inconclusive.exit_code(), 31);
    assert_eq!(Verdict::Skipped.exit_code(), 31);
}

#[test]
fn the_summary_says_what_broke_where_and_with_what_evidence() {
    let text = summary(&[report(Verdict::Failed)]);
    insta::assert_snapshot!(text, @r"
    failed       leader-failover      20.5s  SIMULATED agent (follows Nomad 1.8.3)  seed 7
        leaderless_ms               16000.2 >! 15000
        requests_lost                     0
    failed: `leader-failover`, step 3 of 5: no leader <within> 15 s & more
        note: a note
        evidence: target/rehearsals/leader-failover-7f3a/
    time: 16.0 s waiting for the agents, 3.5 s held by scripts, 1.0 s our own (6.2 % of the waits)
    1 failed (SIMULATED: nothing here ran on Nomad itself)
    ");
}

#[test]
fn every_live_line_names_the_engine() {
    let event = Event {
        at_ms: 1234.5,
        wall: String::new(),
        agent: Some(AgentName::new(Role::Server, 2)),
        kind: Kind::Injected,
        detail: "kill".into(),
    };
    assert_eq!(
        live_line(&engine(true), &[], &event).expect("it is worth a line"),
        "SIMULATED 1.8.3     1.23s      ! `server-2` injected: kill"
    );
    let line = live_line(&engine(false), &[], &event).expect("it is worth a line");
    assert!(line.starts_with("nomad 1.8.3 "), "{line}");
}

#[test]
fn a_live_line_of_a_mixed_cluster_says_what_the_agent_runs_on() {
    let agent = |number, arch, emulated| AgentInfo {
        name: AgentName::new(Role::Server, number),
        role: Role::Server,
        region: None,
        address: std::net::Ipv4Addr::LOCALHOST,
        arch,
        emulated,
        api_addr: String::new(),
    };
    let agents = [agent(1, Arch::Amd64, false), agent(2, Arch::S390x, true)];
    let line = |number, agents: &[AgentInfo]| {
        let event = Event {
            at_ms: 0.0,
            wall: String::new(),
            agent: Some(AgentName::new(Role::Server, number)),
            kind: Kind::Injected,
            detail: "kill".into(),
        };
        live_line(&engine(true), agents, &event).expect("it is worth a line")
    };
    assert!(line(1, &agents).ends_with("`server-1` on amd64 injected: kill"));
    assert!(line(2, &agents).ends_with("`server-2` on s390x (emulated) injected: kill"));
    assert!(line(1, &agents[..1]).ends_with("`server-1` injected: kill"));
}

#[test]
fn an_emulated_engine_is_named_so() {
    let mut engine = engine(false);
    engine.slowness = crate::slowness::Slowness::of_ratio(5.2);
    assert_eq!(engine.tag(), "nomad 1.8.3, EMULATED");
    assert!(
        engine.label().ends_with(", EMULATED: time limits x6"),
        "{}",
        engine.label()
    );
}

#[test]
fn xml_says_what_a_build_server_reads() {
    let xml = to_junit(&[report(Verdict::Failed), report(Verdict::Inconclusive)]);
    assert!(
        xml.contains("tests=\"2\" failures=\"1\" errors=\"1\" skipped=\"0\""),
        "{xml}"
    );
    assert!(xml.contains("<failure message=\"no leader &lt;within&gt; 15 s &amp; more\"/>"));
    assert!(xml.contains("classname=\"SIMULATED agent (follows Nomad 1.8.3)\""));
}

#[test]
fn markdown_tables_hold_what_a_cell_may_not() {
    let mut odd = report(Verdict::Failed);
    odd.reason = Some("a | b\nc".into());
    let text = to_markdown(&[odd]);
    assert!(text.contains("**failed**: a \\| b c"), "{text}");
    assert!(
        text.contains("| leaderless_ms | 16000.2 | ≤ 15000 |"),
        "{text}"
    );
}

#[test]
fn a_report_survives_its_json() {
    let report = report(Verdict::Inconclusive);
    let back: Report = serde_json::from_str(&to_json(&report)).expect("our own words");
    assert_eq!(back, report);
}
