use super::*;
use crate::state::Plan;
use crate::types::{
    AclToken, AllocClientStatus, AllocDeploymentStatus, AllocDesiredStatus, Allocation, Deployment,
    DeploymentState, DeploymentStatus, EvalStatus, Evaluation, Job, JobStatus, JobSubmission,
    Nanos, Node, NodeEligibility, NodeStatus, SECOND, TaskGroup,
};

const NOW: Nanos = 1_700_000_000 * SECOND;

/// Applies commands at rising indexes.
#[derive(Default)]
struct Log {
    state: State,
}

impl Log {
    fn write(&mut self, command: Command) -> Result<u64, String> {
        let index = self.state.index + 1;
        let applied = self.state.apply(index, &command);
        assert_eq!(applied.index, index);
        applied.refused.map_or(Ok(index), Err)
    }

    fn register(&mut self, job: &Job) -> u64 {
        self.write(Command::JobRegister {
            job: job.clone(),
            eval: None,
            enforce_index: None,
            submission: None,
            now: NOW,
        })
        .unwrap()
    }

    fn with_node() -> Self {
        let mut log = Self::default();
        log.write(Command::NodeRegister {
            node: node(),
            now: NOW,
        })
        .unwrap();
        log
    }

    fn place(&mut self, alloc: Allocation) -> Result<u64, String> {
        self.write(Command::PlanResult {
            plan: Plan {
                placements: vec![alloc],
                ..Plan::default()
            },
            now: NOW,
        })
    }

    fn report(&mut self, id: &str, healthy: Option<bool>, now: Nanos) {
        let mut alloc = Allocation::clone(&self.state.allocs[id]);
        alloc.client_status = AllocClientStatus::Running;
        alloc.deployment_status = healthy.map(|healthy| AllocDeploymentStatus {
            healthy: Some(healthy),
            ..AllocDeploymentStatus::default()
        });
        self.write(Command::AllocClientUpdate {
            allocs: vec![alloc],
            evals: Vec::new(),
            now,
        })
        .unwrap();
    }

    fn job(&self) -> &Job {
        self.state.job("default", "web").unwrap()
    }

    fn rollout(&self) -> &DeploymentState {
        &self.state.deployments["d1"].task_groups["web"]
    }
}

fn node() -> Node {
    Node {
        id: "n1".to_owned(),
        secret_id: "s1".to_owned(),
        status: NodeStatus::Ready,
        ..Node::default()
    }
}

fn job(count: i64) -> Job {
    Job {
        id: "web".to_owned(),
        namespace: "default".to_owned(),
        task_groups: vec![TaskGroup {
            name: "web".to_owned(),
            count,
            ..TaskGroup::default()
        }],
        ..Job::default()
    }
}

fn alloc(id: &str) -> Allocation {
    Allocation {
        id: id.to_owned(),
        namespace: "default".to_owned(),
        job_id: "web".to_owned(),
        task_group: "web".to_owned(),
        node_id: "n1".to_owned(),
        deployment_id: "d1".to_owned(),
        ..Allocation::default()
    }
}

fn eval(id: &str, status: EvalStatus) -> Evaluation {
    Evaluation {
        id: id.to_owned(),
        namespace: "default".to_owned(),
        job_id: "web".to_owned(),
        status,
        ..Evaluation::default()
    }
}

fn deployment(canaries: i64) -> Deployment {
    let group = DeploymentState {
        progress_deadline: 600 * SECOND,
        desired_canaries: canaries,
        desired_total: 1,
        ..DeploymentState::default()
    };
    Deployment {
        id: "d1".to_owned(),
        namespace: "default".to_owned(),
        job_id: "web".to_owned(),
        task_groups: [("web".to_owned(), group)].into(),
        ..Deployment::default()
    }
}

#[test]
fn the_same_specification_keeps_its_version_and_index() {
    let mut log = Log::default();
    let first = log.register(&job(1));
    log.register(&job(1));
    assert_eq!((log.job().version, log.job().job_modify_index), (0, first));
    let second = log.register(&job(2));
    assert_eq!((log.job().version, log.job().job_modify_index), (1, second));
    assert_eq!(log.job().create_index, first);
}

#[test]
fn six_versions_are_kept_and_the_only_stable_one_among_them() {
    let mut log = Log::default();
    log.register(&job(0));
    log.write(Command::JobStable {
        namespace: "default".to_owned(),
        id: "web".to_owned(),
        version: 0,
        stable: true,
    })
    .unwrap();
    assert!(log.job().stable);
    for count in 1..9 {
        log.register(&job(count));
    }
    let kept = log.state.versions_of("default", "web").iter();
    let kept: Vec<_> = kept.map(|job| (job.version, job.stable)).collect();
    let newest = [8, 7, 6, 5, 4].map(|version| (version, false));
    assert_eq!(kept, [newest.as_slice(), &[(0, true)]].concat());
}

#[test]
fn stopping_raises_the_version_and_purging_forgets_the_job() {
    let mut log = Log::default();
    log.register(&job(1));
    let stop = |purge| Command::JobDeregister {
        namespace: "default".to_owned(),
        id: "web".to_owned(),
        purge,
        eval: Some(eval("e1", EvalStatus::Complete)),
        now: NOW,
    };
    log.write(stop(false)).unwrap();
    assert_eq!((log.job().version, log.job().stop), (1, true));
    assert_eq!(log.job().status, JobStatus::Dead);
    log.write(stop(true)).unwrap();
    assert!(log.state.job("default", "web").is_none());
    assert!(log.state.versions_of("default", "web").is_empty());
}

#[test]
fn an_enforced_index_that_does_not_match_changes_nothing() {
    let mut log = Log::default();
    let enforced = |count, enforce_index| Command::JobRegister {
        job: job(count),
        eval: Some(eval("e1", EvalStatus::Pending)),
        enforce_index: Some(enforce_index),
        submission: None,
        now: NOW,
    };
    let index = log.write(enforced(1, 0)).unwrap();
    assert_eq!(
        log.write(enforced(2, 7)).unwrap_err(),
        "Enforcing job modify index 7: job exists with conflicting job modify index: 1"
    );
    assert_eq!(
        log.write(enforced(2, 0)).unwrap_err(),
        "Enforcing job modify index 0: job already exists"
    );
    assert_eq!(log.job().version, 0);
    log.write(enforced(2, index)).unwrap();
    assert_eq!(log.job().version, 1);
}

#[test]
fn a_source_goes_with_each_version_that_was_made_from_it() {
    let mut log = Log::default();
    let of = |count, version, source: Option<&str>| Command::JobRegister {
        job: Job {
            version,
            ..job(count)
        },
        eval: None,
        enforce_index: None,
        submission: source.map(|source| JobSubmission {
            source: source.to_owned(),
            ..JobSubmission::default()
        }),
        now: NOW,
    };
    let told = |log: &Log, version| {
        let found = log.state.submission_of("default", "web", version);
        found.map(|found| (found.source.clone(), found.version))
    };
    let is = |source: &str, version| Some((source.to_owned(), version));
    log.write(of(1, 0, Some("one"))).unwrap();
    log.write(of(2, 0, Some("two"))).unwrap();
    assert_eq!(told(&log, 0), is("one", 0));
    assert_eq!(told(&log, 1), is("two", 1));
    // Reverted to the first, then scaled.
    log.write(of(1, 0, None)).unwrap();
    log.write(of(3, 2, None)).unwrap();
    assert_eq!(told(&log, 2), is("one", 2));
    assert_eq!(told(&log, 3), is("one", 3));
    for count in 4..8 {
        log.write(of(count, 0, Some("more"))).unwrap();
    }
    assert_eq!(told(&log, 1), None, "six are kept");
    assert_eq!(told(&log, 2), is("one", 2));
    log.write(Command::JobDeregister {
        namespace: "default".to_owned(),
        id: "web".to_owned(),
        purge: true,
        eval: None,
        now: NOW,
    })
    .unwrap();
    assert!(log.state.job_submissions.is_empty());
}

#[test]
fn a_job_is_pending_then_running_then_dead() {
    let mut log = Log::with_node();
    log.register(&job(1));
    assert_eq!(log.job().status, JobStatus::Pending);
    log.place(alloc("a1")).unwrap();
    assert_eq!(log.job().status, JobStatus::Running);
    log.write(Command::AllocServerStatus {
        ids: vec!["a1".to_owned()],
        status: AllocClientStatus::Lost,
        description: String::new(),
        now: NOW,
    })
    .unwrap();
    assert_eq!(log.job().status, JobStatus::Dead);
    let evals = vec![eval("e1", EvalStatus::Blocked)];
    log.write(Command::EvalUpsert { evals }).unwrap();
    assert_eq!(log.job().status, JobStatus::Pending);
}

#[test]
fn only_the_tables_that_changed_get_a_new_index() {
    let mut log = Log::with_node();
    let index = log.register(&job(1));
    assert_eq!(log.state.index_of(Table::Jobs), index);
    assert_eq!(log.state.index_of(Table::Nodes), 1);
    assert_eq!(log.state.index_of(Table::Evals), 1);
}

#[test]
fn a_node_keeps_its_ten_newest_events_and_what_the_servers_decided() {
    let mut log = Log::with_node();
    for _ in 0..6 {
        for eligibility in [NodeEligibility::Eligible, NodeEligibility::Ineligible] {
            log.write(Command::NodeEligibility {
                id: "n1".to_owned(),
                eligibility,
                now: NOW,
                evals: Vec::new(),
            })
            .unwrap();
        }
    }
    log.write(Command::NodeRegister {
        node: node(),
        now: NOW,
    })
    .unwrap();
    let node = &log.state.nodes["n1"];
    assert_eq!(node.scheduling_eligibility, NodeEligibility::Ineligible);
    assert_eq!(node.events.len(), 10);
    assert_eq!(
        node.events[9].message,
        "Node marked as ineligible for scheduling"
    );
    assert_eq!(node.create_index, 1);
}

#[test]
fn a_node_with_another_secret_is_refused() {
    let mut log = Log::with_node();
    let mut impostor = node();
    impostor.secret_id = "s2".to_owned();
    let register = Command::NodeRegister {
        node: impostor,
        now: NOW,
    };
    assert!(log.write(register).unwrap_err().contains("secret ID"));
}

#[test]
fn a_plan_for_a_node_that_went_down_is_refused() {
    let mut log = Log::with_node();
    log.write(Command::NodeStatus {
        id: "n1".to_owned(),
        status: NodeStatus::Down,
        message: "Node heartbeat missed".to_owned(),
        now: NOW,
        evals: Vec::new(),
    })
    .unwrap();
    let refusal = log.place(alloc("a1")).unwrap_err();
    assert_eq!(refusal, "plan for nodes that are not ready: n1");
    assert!(log.state.allocs.is_empty());
}

#[test]
fn a_replacement_is_linked_both_ways() {
    let mut log = Log::with_node();
    log.place(alloc("a1")).unwrap();
    let mut second = alloc("a2");
    second.previous_allocation = "a1".to_owned();
    log.place(second).unwrap();
    assert_eq!(log.state.allocs["a1"].next_allocation, "a2");
}

#[test]
fn a_stop_keeps_what_the_client_said_unless_it_is_lost() {
    let mut log = Log::with_node();
    log.place(alloc("a1")).unwrap();
    log.report("a1", None, NOW);
    let mut stop = alloc("a1");
    stop.desired_status = AllocDesiredStatus::Stop;
    let mut write = |stop: &Allocation| {
        let plan = Plan {
            stops: vec![stop.clone()],
            ..Plan::default()
        };
        log.write(Command::PlanResult { plan, now: NOW }).unwrap();
        log.state.allocs["a1"].clone()
    };
    let stopped = write(&stop);
    assert_eq!(stopped.client_status, AllocClientStatus::Running);
    assert_eq!(stopped.desired_status, AllocDesiredStatus::Stop);
    stop.client_status = AllocClientStatus::Lost;
    assert_eq!(write(&stop).client_status, AllocClientStatus::Lost);
}

#[test]
fn a_client_report_does_not_move_the_index_of_the_servers() {
    let mut log = Log::with_node();
    let placed = log.place(alloc("a1")).unwrap();
    log.report("a1", None, NOW);
    let alloc = &log.state.allocs["a1"];
    assert_eq!(alloc.alloc_modify_index, placed);
    assert_eq!(alloc.modify_index, placed + 1);
}

#[test]
fn each_healthy_allocation_counts_once_and_pushes_the_deadline_on() {
    let mut log = Log::with_node();
    let plan = Plan {
        deployment: Some(deployment(0)),
        placements: vec![alloc("a1")],
        ..Plan::default()
    };
    log.write(Command::PlanResult { plan, now: NOW }).unwrap();
    assert_eq!(log.rollout().placed_allocs, 1);
    assert_eq!(log.rollout().require_progress_by, NOW + 600 * SECOND);
    let later = NOW + 5 * SECOND;
    log.report("a1", Some(true), later);
    log.report("a1", Some(true), later + SECOND);
    assert_eq!(log.rollout().healthy_allocs, 1);
    assert_eq!(log.rollout().require_progress_by, later + 600 * SECOND);
    log.report("a1", Some(false), later);
    let state = log.rollout();
    assert_eq!((state.healthy_allocs, state.unhealthy_allocs), (0, 1));
}

#[test]
fn a_plan_that_replaces_a_deployment_does_not_set_its_counters_back() {
    let mut log = Log::with_node();
    let plan = |placements| Command::PlanResult {
        plan: Plan {
            deployment: Some(deployment(0)),
            placements,
            ..Plan::default()
        },
        now: NOW,
    };
    log.write(plan(vec![alloc("a1")])).unwrap();
    log.write(plan(vec![alloc("a2")])).unwrap();
    assert_eq!(log.rollout().placed_allocs, 2);
}

#[test]
fn canaries_are_promoted_only_when_healthy() {
    let mut log = Log::with_node();
    let mut canary = alloc("a1");
    canary.deployment_status = Some(AllocDeploymentStatus {
        canary: true,
        ..AllocDeploymentStatus::default()
    });
    let plan = Plan {
        deployment: Some(deployment(1)),
        placements: vec![canary],
        ..Plan::default()
    };
    log.write(Command::PlanResult { plan, now: NOW }).unwrap();
    assert_eq!(log.rollout().placed_canaries, ["a1"]);
    let promote = Command::DeploymentPromote {
        id: "d1".to_owned(),
        groups: None,
        eval: None,
        now: NOW,
    };
    assert_eq!(
        log.write(promote.clone()).unwrap_err(),
        "1 error occurred:\n\t* Task group \"web\" has 0/1 healthy allocations\n\n"
    );
    log.report("a1", Some(true), NOW);
    log.write(promote).unwrap();
    assert!(log.rollout().promoted);
    let status = log.state.allocs["a1"].deployment_status.clone().unwrap();
    assert!(!status.canary);
    assert_eq!(status.healthy, Some(true));
}

#[test]
fn a_deployment_that_ended_cannot_be_changed() {
    let mut log = Log::with_node();
    let plan = Plan {
        deployment: Some(deployment(0)),
        ..Plan::default()
    };
    log.write(Command::PlanResult { plan, now: NOW }).unwrap();
    let end = Command::DeploymentStatus {
        id: "d1".to_owned(),
        status: DeploymentStatus::Failed,
        description: "Deployment marked as failed".to_owned(),
        job: None,
        eval: None,
        now: NOW,
    };
    log.write(end.clone()).unwrap();
    assert!(log.write(end).unwrap_err().contains("terminal status"));
}

#[test]
fn a_job_has_one_blocked_evaluation_and_none_after_a_full_placement() {
    let mut log = Log::default();
    for id in ["e1", "e2"] {
        let evals = vec![eval(id, EvalStatus::Blocked)];
        log.write(Command::EvalUpsert { evals }).unwrap();
    }
    assert_eq!(log.state.evals["e1"].status, EvalStatus::Canceled);
    assert_eq!(log.state.evals["e2"].status, EvalStatus::Blocked);
    let evals = vec![eval("e3", EvalStatus::Complete)];
    log.write(Command::EvalUpsert { evals }).unwrap();
    assert_eq!(log.state.evals["e2"].status, EvalStatus::Canceled);
}

#[test]
fn acls_are_bootstrapped_once() {
    let mut log = Log::default();
    let bootstrap = |accessor: &str| Command::AclBootstrap {
        token: AclToken {
            accessor_id: accessor.to_owned(),
            ..AclToken::default()
        },
    };
    log.write(bootstrap("a")).unwrap();
    assert_eq!(
        log.write(bootstrap("b")).unwrap_err(),
        "ACL bootstrap already done (reset index: 1)"
    );
    assert_eq!(log.state.acl_tokens.len(), 1);
}

#[test]
fn check_and_set_refuses_whoever_comes_second() {
    let mut log = Log::default();
    let set = |cas| Command::Autopilot {
        config: serde_json::json!({ "MinQuorum": 3 }),
        cas,
    };
    log.write(set(Some(0))).unwrap();
    log.write(set(Some(1))).unwrap();
    log.write(set(Some(1))).unwrap_err();
    let stored = log.state.autopilot.unwrap();
    assert_eq!(stored["CreateIndex"], 1);
    assert_eq!(stored["ModifyIndex"], 2);
}

#[test]
fn a_state_survives_its_serialisation() {
    let mut log = Log::with_node();
    log.register(&job(1));
    log.place(alloc("a1")).unwrap();
    let text = serde_json::to_string(&log.state).unwrap();
    let back: State = serde_json::from_str(&text).unwrap();
    assert_eq!(back.index, log.state.index);
    assert_eq!(back.table_index, log.state.table_index);
    assert_eq!(back.jobs, log.state.jobs);
    assert_eq!(back.allocs, log.state.allocs);
}
