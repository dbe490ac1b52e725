//! Laws of the runner and the workloads, on a cluster that is not there.

use std::time::{Duration, Instant};

use super::*;
use crate::fake::{Defects, FakeTarget, lock};
use crate::fault::Fault;
use crate::pick::Pick;
use crate::probe::Condition;
use crate::spec::{AgentName, Role};
use crate::step::Step;
use crate::target::{AgentState, Capability};
use crate::workload::Workload;

mod steps;

const HCL: &str = "job \"whoami\" {}";
const OUTAGE: Duration = Duration::from_millis(700);

fn hold(millis: u64) -> Step {
    Step::Hold {
        that: None,
        lasting: Duration::from_millis(millis),
    }
}

fn expect(that: Condition, millis: u64) -> Step {
    Step::Expect {
        that,
        within: Duration::from_millis(millis),
        measured_as: None,
    }
}

fn impossible() -> Step {
    expect(Condition::Nodes { ready: Some(99) }, 250)
}

fn inject(fault: Fault, server: u16) -> Step {
    Step::Inject {
        fault,
        on: Pick::Named(vec![AgentName::new(Role::Server, server)]),
    }
}

fn start(workload: Workload) -> Step {
    Step::Start { workload }
}

fn load() -> Workload {
    Workload::Load {
        job: "whoami".into(),
        port: "http".into(),
        rate: 100,
        tolerant: false,
    }
}

fn submit() -> Step {
    Step::Submit {
        name: "whoami".into(),
        hcl: HCL.into(),
        to: None,
    }
}

fn scenario(steps: Vec<Step>) -> Scenario {
    steps
        .into_iter()
        .fold(Scenario::new("test", "a law"), Scenario::then)
}

async fn fake(defects: Defects) -> FakeTarget {
    FakeTarget::start(OUTAGE, defects).await
}

async fn run_on(target: &FakeTarget, steps: Vec<Step>) -> Report {
    run(&scenario(steps), target, Options::with_seed(1)).await
}

/// A run's folder, and what holds it until it is dropped.
fn own_folder() -> (tempfile::TempDir, Folder) {
    let parent = tempfile::tempdir().expect("a folder of our own");
    let folder = Folder::create(parent.path(), "test").expect("it can be written");
    (parent, folder)
}

fn measured(report: &Report, name: &str) -> f64 {
    let found = report.measures.iter().find(|one| one.name == name);
    found.expect("it was measured").value
}

fn reason(report: &Report) -> &str {
    report.reason.as_deref().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_is_never_success() {
    let target = fake(Defects::default()).await;
    let report = run_on(&target, vec![impossible()]).await;
    assert_eq!(report.verdict, Verdict::Failed);
    assert!(reason(&report).contains("not within 250ms"), "{report:?}");
    assert!(
        reason(&report).contains("`client-1` ready eligible"),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn healing_happens_in_reverse_order_on_failure() {
    let target = fake(Defects::default()).await;
    let steps = vec![
        inject(Fault::Pause, 2),
        inject(Fault::Isolate, 3),
        inject(Fault::Kill, 1),
        impossible(),
    ];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Failed);
    assert_eq!(
        target.calls(),
        [
            "pause server-2",
            "isolate server-3",
            "kill server-1",
            "start server-1",
            "heal server-3",
            "resume server-2",
        ]
    );
    assert!(report.cluster_fit, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unexpectedly_dead_agent_is_inconclusive() {
    let target = fake(Defects::default()).await;
    let oom = AgentState::Exited {
        code: 137,
        oom_killed: true,
    };
    let options = client_2_becomes(&target, oom);
    let report = run(&scenario(vec![hold(60_000)]), &target, options).await;
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert!(
        reason(&report).contains("`client-2` was killed by the kernel (out of memory)"),
        "{report:?}"
    );
    assert!(!report.cluster_fit);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_just_before_a_failure_excuses_it() {
    let target = fake(Defects::default()).await;
    let options = client_2_becomes(&target, AgentState::Gone);
    let report = run(&scenario(vec![impossible()]), &target, options).await;
    assert_eq!(report.verdict, Verdict::Inconclusive, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulated_agent_that_hangs_excuses_a_failure_and_a_native_one_does_not() {
    for emulated in [true, false] {
        let mut target = fake(Defects::default()).await;
        if emulated {
            target.emulate();
        }
        let cluster = target.cluster.clone();
        let options = at(Kind::StepStarted, move || {
            lock(&cluster).hanging = Some(AgentName::new(Role::Client, 2));
        });
        let report = run(&scenario(vec![impossible()]), &target, options).await;
        if emulated {
            assert_eq!(report.verdict, Verdict::Inconclusive, "{report:?}");
            let hangs = "emulated `client-2` (s390x) runs and does not answer";
            assert!(reason(&report).starts_with(hangs), "{report:?}");
        } else {
            assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_dead_emulated_agent_it_is_told_that_its_emulation_is_gone() {
    for emulated in [true, false] {
        let mut target = fake(Defects::default()).await;
        target.log = Some("exec /usr/local/bin/nomad: exec format error\n".to_owned());
        if emulated {
            target.emulate();
        }
        let ended = AgentState::Exited {
            code: 255,
            oom_killed: false,
        };
        let options = client_2_becomes(&target, ended);
        let report = run(&scenario(vec![impossible()]), &target, options).await;
        assert_eq!(report.verdict, Verdict::Inconclusive, "{report:?}");
        let told = match emulated {
            true => {
                "`client-2` on s390x (emulated) ended by itself with exit code 255 (its emulator did \
                 not start it: rehearse doctor), so nothing is proved about Nomad"
            }
            false => {
                "`client-2` ended by itself with exit code 255, so nothing is proved about Nomad"
            }
        };
        assert!(reason(&report).starts_with(told), "{report:?}");
    }
}

/// Lets a client change its state while the first step is on.
fn client_2_becomes(target: &FakeTarget, state: AgentState) -> Options {
    let cluster = target.cluster.clone();
    at(Kind::StepStarted, move || {
        let client = AgentName::new(Role::Client, 2);
        lock(&cluster).states.insert(client, state.clone());
    })
}

/// Does something whenever an event of a kind comes.
fn at(kind: Kind, what: impl Fn() + Send + Sync + 'static) -> Options {
    Options {
        listener: Some(Box::new(move |event| {
            if event.kind == kind {
                what();
            }
        })),
        ..Options::with_seed(1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_is_healed_and_inconclusive() {
    let target = fake(Defects::default()).await;
    let (interrupter, interrupt) = Interrupt::new();
    let options = Options {
        interrupt,
        ..at(Kind::Injected, move || interrupter.interrupt())
    };
    let script = scenario(vec![inject(Fault::Kill, 2), hold(60_000)]);
    let report = run(&script, &target, options).await;
    assert_eq!(report.verdict, Verdict::Inconclusive);
    assert_eq!(reason(&report), "interrupted");
    assert_eq!(target.calls(), ["kill server-2", "start server-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_lacks_is_skipped_and_nothing_is_touched() {
    let mut target = fake(Defects::default()).await;
    target.capabilities.remove(&Capability::Pause);
    let report = run_on(&target, vec![inject(Fault::Pause, 1)]).await;
    assert_eq!(report.verdict, Verdict::Skipped);
    assert!(reason(&report).contains("needs `pause`"), "{report:?}");
    assert_eq!(target.calls(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_residue_makes_the_cluster_unfit() {
    for residue in [false, true] {
        let defects = Defects {
            residue,
            ..Defects::default()
        };
        let target = fake(defects).await;
        let report = run_on(&target, vec![inject(Fault::Isolate, 2)]).await;
        assert_eq!(report.cluster_fit, !residue);
        let told = report
            .notes
            .iter()
            .any(|n| n.contains("`blackhole 10.0.0.0/24` is new"));
        assert_eq!(told, residue, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaderless_window_is_measured_within_20_ms() {
    let target = fake(Defects::default()).await;
    let lateness = Lateness::start();
    let steps = vec![
        start(Workload::LeaderWatch),
        hold(300),
        Step::Inject {
            fault: Fault::Kill,
            on: Pick::Leader,
        },
        expect(Condition::Leader, 5_000),
        Step::StopAll,
        Step::Measure {
            name: "leaderless_ms".into(),
            at_most: Some(5_000.0),
            at_least: None,
        },
    ];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    let (lost, won) = lock(&target.cluster).truth.expect("the leader was killed");
    let truth = millis(won - lost);
    let taken = measured(&report, "leaderless_ms");
    // A machine that lets this test wait adds what it let it wait.
    let allowed = 20.0 + lateness.worst();
    assert!(
        (taken - truth).abs() <= allowed,
        "measured {taken} ms, the truth is {truth} ms, allowed are {allowed} ms"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_elects_nobody_fails() {
    let defects = Defects {
        no_election: true,
        ..Defects::default()
    };
    let target = fake(defects).await;
    let steps = vec![
        start(Workload::LeaderWatch),
        hold(100),
        inject(Fault::Kill, 1),
        hold(300),
        Step::StopAll,
    ];
    // The gate at the end wants a leader, and would wait for its whole minute.
    let cluster = target.cluster.clone();
    let options = at(Kind::StepFailed, move || {
        lock(&cluster).leader = Some(AgentName::new(Role::Server, 2));
    });
    let report = run(&scenario(steps), &target, options).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert!(reason(&report).contains("no server led again after `server-1`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_healed_before_its_workloads_read_back() {
    let defects = Defects {
        no_election: true,
        ..Defects::default()
    };
    let target = fake(defects).await;
    let steps = vec![
        start(Workload::Writer { rate: 60 }),
        hold(300),
        inject(Fault::Kill, 1),
        expect(Condition::Leader, 300),
        Step::StopAll,
    ];
    let cluster = target.cluster.clone();
    let options = at(Kind::Healed, move || {
        lock(&cluster).leader = Some(AgentName::new(Role::Server, 2));
    });
    let report = run(&scenario(steps), &target, options).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    // Without a leader every reading takes its whole 15 s, and finds nothing.
    let unread = |note: &String| note.contains("reading back");
    assert!(!report.notes.iter().any(unread), "{report:?}");
    assert!(report.took_ms < 15_000.0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_that_survive_a_failover_pass() {
    let target = fake(Defects::default()).await;
    let report = run_on(&target, writes_over_a_failover()).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    assert!(measured(&report, "writes_acknowledged") > 10.0);
    let gap = measured(&report, "write_gap_ms");
    assert!(gap >= millis(OUTAGE) - 60.0, "the gap is the outage: {gap}");
    assert!(
        lock(&target.cluster).jobs.is_empty(),
        "the writer tidies up"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_acknowledged_write_fails_the_verdict() {
    let defects = Defects {
        lose_write: Some(17),
        ..Defects::default()
    };
    let target = fake(defects).await;
    let report = run_on(&target, writes_over_a_failover()).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert!(
        reason(&report).contains("came back with counter"),
        "{report:?}"
    );
}

fn writes_over_a_failover() -> Vec<Step> {
    vec![
        start(Workload::Writer { rate: 60 }),
        hold(500),
        inject(Fault::Kill, 1),
        expect(Condition::Leader, 5_000),
        hold(500),
        Step::Heal {
            fault: Fault::Kill,
            of: None,
        },
        Step::StopAll,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_answers_throughout_passes() {
    let target = fake(Defects::default()).await;
    let steps = vec![submit(), start(load()), hold(500), Step::StopAll];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    assert!(measured(&report, "requests_answered") > 10.0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_lost_at_a_running_instance_fails() {
    let defects = Defects {
        service_fails_after: Some(10),
        ..Defects::default()
    };
    let target = fake(defects).await;
    let steps = vec![submit(), start(load()), hold(500), Step::StopAll];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:?}");
    assert!(reason(&report).contains("not told to stop"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_lost_at_an_instance_told_to_stop_is_counted_apart() {
    let defects = Defects {
        service_fails_after: Some(10),
        failing_instances_are_stopping: true,
        ..Defects::default()
    };
    let target = fake(defects).await;
    let steps = vec![submit(), start(load()), hold(500), Step::StopAll];
    let report = run_on(&target, steps).await;
    assert!(
        measured(&report, "requests_lost_to_stops") >= 1.0,
        "{report:?}"
    );
    // Nobody is left to ask: that is what fails here, and no request at a stopping instance.
    assert!(
        reason(&report).contains("had no healthy instance"),
        "{report:?}"
    );
    assert!(!reason(&report).contains("not told to stop"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_folder_holds_timeline_and_result_and_no_token() {
    let target = fake(Defects::default()).await;
    let (_parent, folder) = own_folder();
    let path = folder.path().to_owned();
    let options = Options {
        folder: Some(folder),
        ..Options::with_seed(7)
    };
    let report = run(&scenario(vec![impossible()]), &target, options).await;
    let read = |name: &str| std::fs::read_to_string(path.join(name)).expect("it was written");
    let back: Report = serde_json::from_str(&read("result.json")).expect("our own words");
    assert_eq!(back, report);
    assert!(read("timeline.json").contains("step-failed"));
    assert!(read("report.html").contains("<h2>Timeline</h2>"));
    for (file, of) in [("result.json", "result"), ("timeline.json", "timeline")] {
        assert_eq!(
            crate::report::schema::problems(&read(file), of),
            Vec::<String>::new()
        );
    }
    assert_eq!(read("server-1.log"), "the log of server-1\n");
    for entry in std::fs::read_dir(&path).expect("it is there") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
        assert!(!text.contains("secret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_writing_is_measured_within_20_ms() {
    let target = fake(Defects::default()).await;
    let lateness = Lateness::start();
    let steps = vec![
        // A write each 5 ms: by so much the last one may come before the outage.
        start(Workload::Writer { rate: 200 }),
        hold(500),
        inject(Fault::Kill, 1),
        expect(Condition::Leader, 5_000),
        hold(500),
        Step::Heal {
            fault: Fault::Kill,
            of: None,
        },
        Step::StopAll,
    ];
    let report = run_on(&target, steps).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    let (lost, won) = lock(&target.cluster).truth.expect("the leader was killed");
    let truth = millis(won - lost);
    let taken = measured(&report, "write_gap_ms");
    // A machine that lets this test wait adds what it let it wait, once at either end.
    let allowed = 20.0 + 5.0 + 2.0 * lateness.worst();
    assert!(
        (taken - truth).abs() <= allowed,
        "measured {taken} ms, the truth is {truth} ms, allowed are {allowed} ms"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_knows_who_led_and_what_the_workloads_saw() {
    let target = fake(Defects::default()).await;
    let (_parent, folder) = own_folder();
    let path = folder.path().join("timeline.json");
    let options = Options {
        folder: Some(folder),
        ..Options::with_seed(1)
    };
    run(&scenario(writes_over_a_failover()), &target, options).await;
    let text = std::fs::read_to_string(path).expect("it was written");
    let timeline: crate::timeline::Timeline = serde_json::from_str(&text).expect("our own words");
    let lost = crate::report::windows::leaderless(&timeline);
    assert_eq!(lost.len(), 1, "{:?}", timeline.stretches);
    assert_eq!(lost[0].old, AgentName::new(Role::Server, 1));
    assert!(lost[0].end.is_some());
    let [writes] = timeline.series.as_slice() else {
        panic!("one workload: {:?}", timeline.series);
    };
    assert!(
        writes.slices.iter().any(|slice| slice.failed > 0),
        "the outage is seen"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_its_folder_does_not_take_is_written_elsewhere() {
    let target = fake(Defects::default()).await;
    let (_parent, folder) = own_folder();
    let path = folder.path().to_owned();
    // As a disk that is full: nothing can be written where the folder was.
    let gone = path.clone();
    let block = move || {
        std::fs::remove_dir_all(&gone).expect("it is there");
        std::fs::write(&gone, "").expect("the place is free");
    };
    let options = Options {
        folder: Some(folder),
        ..at(Kind::StepPassed, block)
    };
    let report = run(&scenario(vec![hold(10)]), &target, options).await;
    let place = report.evidence.clone().expect("another place took it");
    assert!(!place.starts_with(&path.display().to_string()), "{place}");
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("cannot write")),
        "{report:?}"
    );
    let kept = std::path::Path::new(&place);
    let text = std::fs::read_to_string(kept.join("result.json")).expect("it was written");
    let back: Report = serde_json::from_str(&text).expect("our own words");
    assert_eq!(back, report);
    std::fs::remove_dir_all(kept).expect("it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_time_is_over_what_is_left_up_to_the_last_stop_is_left_out() {
    let target = fake(Defects::default()).await;
    let steps = vec![
        inject(Fault::Pause, 2),
        hold(3_500),
        Step::Heal {
            fault: Fault::Pause,
            of: None,
        },
        // What waits for the cluster after the healing is no fault.
        hold(1),
        inject(Fault::Pause, 3),
        hold(60_000),
        Step::StopAll,
        hold(1),
    ];
    let options = Options {
        until: Some(Duration::from_secs(3)),
        ..Options::with_seed(1)
    };
    let report = run(&scenario(steps), &target, options).await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:?}");
    // The fault is healed as the schedule has it; only then the time counts.
    let ran: Vec<_> = report.steps.iter().map(|step| step.number).collect();
    assert_eq!((ran, report.steps_left_out), (vec![1, 2, 3, 4, 7, 8], 2));
}

/// By how much this machine let a timer wait at worst.
struct Lateness(
    tokio::task::JoinHandle<()>,
    std::sync::Arc<std::sync::Mutex<Duration>>,
);

impl Lateness {
    fn start() -> Self {
        let worst = std::sync::Arc::new(std::sync::Mutex::new(Duration::ZERO));
        let seen = worst.clone();
        let task = tokio::spawn(async move {
            loop {
                let start = Instant::now();
                crate::poll::rest(Duration::from_millis(5)).await;
                let late = start.elapsed().saturating_sub(Duration::from_millis(5));
                let mut worst = seen.lock().unwrap();
                *worst = (*worst).max(late);
            }
        });
        Self(task, worst)
    }

    fn worst(&self) -> f64 {
        self.0.abort();
        millis(*self.1.lock().unwrap())
    }
}
