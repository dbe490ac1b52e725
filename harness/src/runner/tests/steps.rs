//! Laws of the steps that hold others, and of those that look and measure.

use super::*;
use crate::step::{Call, Certificate, TokenSent};
use crate::target::Capability;

#[tokio::test(flavor = "multi_thread")]
async fn each_agent_has_its_turn_one_after_the_other() {
    let target = fake(Defects::default()).await;
    let steps = vec![Step::ForEach {
        agents: Pick::Followers,
        steps: vec![
            Step::Restart { on: Pick::Each },
            expect(Condition::Voters { healthy: None }, 5_000),
        ],
    }];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    assert_eq!(
        target.calls(),
        [
            "stop server-2",
            "start server-2",
            "stop server-3",
            "start server-3",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_names_no_leader_is_no_healthy_voter_whatever_autopilot_says() {
    let target = fake(Defects::default()).await;
    let cluster = target.cluster.clone();
    let options = Options {
        listener: Some(Box::new(move |event| {
            let unaware = match event.kind {
                Kind::StepStarted => Some(AgentName::new(Role::Server, 3)),
                Kind::StepFailed => None,
                _ => return,
            };
            lock(&cluster).unaware = unaware;
        })),
        ..Options::with_seed(1)
    };
    let voters = expect(Condition::Voters { healthy: None }, 300);
    let report = run(&scenario(vec![voters]), &target, options).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    let told = reason(&report);
    assert!(told.contains("but"), "{told}");
    assert!(told.contains("`server-3` knows no leader"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_inside_that_fails_ends_the_turns_and_the_run_is_healed() {
    let target = fake(Defects::default()).await;
    let steps = vec![Step::ForEach {
        agents: Pick::Followers,
        steps: vec![
            Step::Inject {
                fault: Fault::Pause,
                on: Pick::Each,
            },
            impossible(),
        ],
    }];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert_eq!(target.calls(), ["pause server-2", "resume server-2"]);
    assert_eq!(report.steps.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_side_by_side_is_waited_for_and_the_worst_counts() {
    let target = fake(Defects::default()).await;
    let begun = Instant::now();
    let steps = vec![Step::Parallel {
        steps: vec![hold(400), hold(400), impossible()],
    }];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert!(begun.elapsed() >= Duration::from_millis(400));
    let took = report.steps[0].took_ms;
    assert!(took < 800.0, "one after the other takes 1050 ms: {took}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_ends_the_steps_inside_too() {
    let target = fake(Defects::default()).await;
    let (interrupter, interrupt) = Interrupt::new();
    let options = Options {
        interrupt,
        ..at(Kind::Injected, move || interrupter.interrupt())
    };
    let script = scenario(vec![Step::Parallel {
        steps: vec![inject(Fault::Kill, 2), hold(60_000)],
    }]);
    let report = run(&script, &target, options).await;
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert_eq!(reason(&report), "interrupted");
    assert_eq!(target.calls(), ["kill server-2", "start server-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_never_be_so_fails_at_the_first_look_at_which_it_is() {
    let target = fake(Defects::default()).await;
    let never = |that| Step::Never {
        that,
        lasting: Duration::from_millis(300),
    };
    let report = run_on(&target, vec![never(Condition::Nodes { ready: Some(99) })]).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    let report = run_on(&target, vec![never(Condition::Leader)]).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert!(reason(&report).contains("`server-1` leads"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_from_below_is_kept_too() {
    let target = fake(Defects::default()).await;
    let script = |least: f64| {
        vec![
            submit(),
            start(load()),
            hold(300),
            Step::StopAll,
            Step::Measure {
                name: "requests_answered".into(),
                at_most: None,
                at_least: Some(least),
            },
        ]
    };
    let report = run_on(&target, script(1.0)).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    let report = run_on(&target, script(1e9)).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert!(
        reason(&report).contains("allowed is at least"),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_one_picked_is_found_although_a_fault_touches_it() {
    let target = fake(Defects::default()).await;
    let steps = vec![
        Step::Inject {
            fault: Fault::Pause,
            on: Pick::Follower,
        },
        Step::Inject {
            fault: Fault::Isolate,
            on: Pick::Last,
        },
    ];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    let calls = target.calls();
    let whom = |call: &str| call.split(' ').nth(1).unwrap_or_default().to_owned();
    assert_eq!(whom(&calls[0]), whom(&calls[1]), "{calls:?}");
    assert_ne!(whom(&calls[0]), "server-1", "that one leads");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_passes_only_with_the_answer_that_was_expected() {
    let target = fake(Defects::default()).await;
    let call = |status, path: &str, value: serde_json::Value| {
        vec![Step::Call(Call {
            method: "GET".into(),
            path: "/v1/operator/raft/configuration".into(),
            body: None,
            at: Some(Pick::Leader),
            token: TokenSent::None,
            certificate: Certificate::Own,
            status,
            contains: None,
            check: [(path.to_owned(), value)].into(),
            within: None,
        })]
    };
    let verdict_of = async |steps| run_on(&target, steps).await.verdict;
    let voter = "Servers[*].Voter";
    assert_eq!(
        verdict_of(call(Some(200), voter, true.into())).await,
        Verdict::Passed
    );
    for steps in [
        call(Some(403), voter, true.into()),
        call(Some(200), voter, false.into()),
        call(Some(200), "Servers[9].Voter", true.into()),
        call(None, voter, true.into()),
    ] {
        assert_eq!(verdict_of(steps).await, Verdict::Failed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_nomad_that_is_too_old_is_skipped() {
    let target = fake(Defects::default()).await;
    let mut script = scenario(vec![hold(1)]);
    script.nomad = Some(">= 1.7".parse().expect("a range of versions"));
    let report = run(&script, &target, Options::with_seed(1)).await;
    assert_eq!(report.verdict, Verdict::Skipped, "{report:?}");
    assert!(reason(&report).contains("needs Nomad >=1.7"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_timers_are_too_fast_is_skipped_and_one_at_the_limit_is_not() {
    let mut target = fake(Defects::default()).await;
    let mut script = scenario(vec![hold(1)]);
    script.max_time_scale = Some("2".parse().expect("a time scale"));
    target.time_scale("2");
    let report = run(&script, &target, Options::with_seed(1)).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    target.time_scale("3");
    let report = run(&script, &target, Options::with_seed(1)).await;
    assert_eq!(report.verdict, Verdict::Skipped, "{report:?}");
    let said = "runs at time scale 2 at most; cluster `fake` runs at 3";
    assert!(reason(&report).contains(said), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_is_given_to_say_stands_in_its_report() {
    let mut target = fake(Defects::default()).await;
    target.notes = vec!["not what it stands for".to_owned()];
    let options = Options {
        notes: vec!["not as was asked for".to_owned()],
        ..Options::with_seed(1)
    };
    let report = run(&scenario(vec![hold(1)]), &target, options).await;
    assert_eq!(
        report.notes,
        ["not what it stands for", "not as was asked for"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_takes_one_at_a_time_and_leaves_a_cluster_that_no_other_may_use() {
    let mut target = fake(Defects::default()).await;
    let script = scenario(vec![Step::ForEach {
        agents: Pick::Followers,
        steps: vec![Step::Upgrade { on: Pick::Each }],
    }]);
    let report = run(&script, &target, Options::with_seed(1)).await;
    assert_eq!(report.verdict, Verdict::Skipped, "{report:?}");
    assert!(reason(&report).contains("--upgrade-to"), "{report:?}");
    assert_eq!(target.calls(), [] as [&str; 0]);
    target.capabilities.insert(Capability::Upgrade);
    let report = run(&script, &target, Options::with_seed(1)).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    assert_eq!(target.calls(), ["upgrade server-2", "upgrade server-3"]);
    assert!(!report.cluster_fit, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_restarted_once_for_all_and_servers_are_started_first() {
    let mut target = fake(Defects::default()).await;
    let script = scenario(vec![
        Step::Inject {
            fault: Fault::RestartEngine,
            on: Pick::Everyone,
        },
        Step::Heal {
            fault: Fault::RestartEngine,
            of: None,
        },
    ]);
    let report = run(&script, &target, Options::with_seed(1)).await;
    assert_eq!(report.verdict, Verdict::Skipped, "{report:?}");
    let why = reason(&report);
    assert!(why.contains("--restart-engine-with '"), "{why}");
    assert_eq!(target.calls(), [] as [&str; 0]);
    target.capabilities.insert(Capability::RestartEngine);
    let report = run(&script, &target, Options::with_seed(1)).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    assert_eq!(
        target.calls(),
        [
            "restart engine",
            "start server-3",
            "start server-2",
            "start server-1",
            "start client-3",
            "start client-2",
            "start client-1",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_holds_what_agents_are_configured_with_and_who_did_not_tell() {
    let target = fake(Defects::default()).await;
    let report = run_on(&target, vec![hold(300)]).await;
    let told = report.configuration.as_ref().expect("it was read");
    assert_eq!(told.not_read, []);
    let groups: Vec<(Role, usize)> = { told.agents.iter() }
        .map(|group| (group.role, group.names.len()))
        .collect();
    assert_eq!(groups, [(Role::Server, 3), (Role::Client, 3)], "{told:?}");
    assert_eq!(told.agents[0].settings["datacenter"], "dc1");
    assert_eq!(told.agents[1].settings["client.max_kill_timeout"], "30s");
    assert!(!crate::report::to_json(&report).contains("hush"));
    // Who hangs is not waited for.
    lock(&target.cluster).hanging = Some(AgentName::new(Role::Client, 2));
    let (began, report) = (Instant::now(), run_on(&target, vec![hold(1)]).await);
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    let told = report.configuration.expect("the others were read");
    let unread = &told.not_read[0];
    assert_eq!(unread.agent.as_str(), "client-2");
    assert_eq!(unread.why, "no answer until the run was over");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(told.agents[1].names.len(), 2);
    // Who answers a moment after a short run's last step is read all the same.
    let cluster = target.cluster.clone();
    let awake = tokio::spawn(async move {
        crate::poll::rest(Duration::from_millis(500)).await;
        lock(&cluster).hanging = None;
    });
    let report = run_on(&target, vec![hold(1)]).await;
    assert!(report.took_ms < 5000.0, "{report:?}");
    let told = report.configuration.expect("it was read");
    assert_eq!(told.not_read, []);
    awake.await.unwrap();
}
