use std::collections::{BTreeMap, BTreeSet};

use super::world::{World, from_hcl, job};
use super::*;
use crate::state::Command;
use crate::types::{
    AllocClientStatus, AllocDesiredStatus, Allocation, DeploymentStatus, DesiredTransition,
    EvalTrigger, NodeStatus, SECOND,
};

#[test]
fn a_job_gets_its_count_with_the_lowest_names_on_different_nodes() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    world.settle_healthy();
    assert_eq!(
        world.names(),
        ["whoami.web[0]", "whoami.web[1]", "whoami.web[2]"]
    );
    let nodes: BTreeSet<_> = world.wanted().iter().map(|a| a.node_id.clone()).collect();
    assert_eq!(nodes.len(), 3);
    let first = &world.wanted()[0];
    assert_eq!(first.ports.len(), 1);
    assert!((20_000..=20_100).contains(&first.ports[0].value));
    assert_eq!((first.cpu, first.memory_mb), (100, 100));
    let metrics = first.metrics.as_ref().expect("placements are explained");
    assert_eq!(
        metrics.nodes_available,
        BTreeMap::from([("dc1".to_owned(), 3)])
    );
    assert!(metrics.score_meta_data.is_some());
}

#[test]
fn the_same_evaluation_of_the_same_snapshot_gives_the_same_plan() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    let eval = world.evals(EvalStatus::Pending)[0].clone();
    let (a, b) = (
        process(&world.state, &eval, world.now),
        process(&world.state, &eval, world.now),
    );
    assert_eq!(a.plan, b.plan);
    let later = process(&world.state, &eval, world.now + 1);
    assert_ne!(a.plan, later.plan);
}

#[test]
fn evaluating_again_changes_nothing() {
    let mut world = World::with_nodes(3);
    let job = job(3, "1", "");
    world.register(&job);
    world.settle_healthy();
    let outcome = world.evaluate(&job);
    assert!(outcome.is_noop(), "{:#?}", outcome.plan);
    assert_eq!(outcome.evals.len(), 1);
    assert_eq!(outcome.evals[0].status, EvalStatus::Complete);
}

#[test]
fn never_more_than_max_parallel_are_away_during_an_update() {
    for max_parallel in 1..=3_i64 {
        let mut world = World::with_nodes(4);
        let update = format!("update {{\n max_parallel = {max_parallel}\n }}");
        world.register(&job(5, "1", &update));
        world.settle_healthy();
        world.register(&job(5, "2", &update));
        let mut passes = 0;
        loop {
            world.settle();
            let good = world.wanted().iter().filter(|a| is_healthy(a)).count();
            let away = 5 - i64::try_from(good).expect("small");
            assert!(away <= max_parallel, "{away} of {max_parallel} are away");
            let Some(next) = world.unjudged().into_iter().next() else {
                break;
            };
            world.set_health(&next, true);
            passes += 1;
        }
        assert_eq!(passes, 5, "each is replaced once");
        assert!(world.wanted().iter().all(|a| a.job_version() == 1));
        assert_eq!(world.deployment().status, DeploymentStatus::Successful);
    }
}

fn is_healthy(alloc: &Allocation) -> bool {
    let health = alloc.deployment_status.as_ref().and_then(|s| s.healthy);
    alloc.client_status == AllocClientStatus::Running && health == Some(true)
}

#[test]
fn a_replaced_allocation_keeps_its_name_and_knows_its_predecessor() {
    let mut world = World::with_nodes(3);
    world.register(&job(2, "1", ""));
    world.settle_healthy();
    let before = world.wanted();
    world.register(&job(2, "2", ""));
    world.settle_healthy();
    let after = world.wanted();
    assert_eq!(world.names(), ["whoami.web[0]", "whoami.web[1]"]);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(new.previous_allocation, old.id);
        let old = &world.state.allocs[&old.id];
        assert_eq!(old.next_allocation, new.id);
        assert_eq!(old.desired_description, reconcile::UPDATING);
        assert_eq!(old.client_status, AllocClientStatus::Complete);
    }
}

#[test]
fn a_change_of_count_is_made_in_place() {
    let mut world = World::with_nodes(3);
    world.register(&job(2, "1", ""));
    world.settle_healthy();
    let before: BTreeSet<_> = world.wanted().iter().map(|a| a.id.clone()).collect();
    world.register(&job(4, "1", ""));
    world.settle_healthy();
    let after: BTreeSet<_> = world.wanted().iter().map(|a| a.id.clone()).collect();
    assert_eq!(after.len(), 4);
    assert!(after.is_superset(&before), "running ones stay");
    assert!(world.wanted().iter().all(|a| a.job_version() == 1));

    world.register(&job(1, "1", ""));
    world.settle_healthy();
    assert_eq!(world.names(), ["whoami.web[0]"], "the highest go first");
}

#[test]
fn a_lost_allocation_is_replaced() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    world.settle_healthy();
    let lost = world.wanted()[1].clone();
    world.set_node(&lost.node_id, NodeStatus::Down);
    world.settle_healthy();
    assert_eq!(world.names().len(), 3);
    assert!(world.wanted().iter().all(|a| a.node_id != lost.node_id));
    let old = &world.state.allocs[&lost.id];
    assert_eq!(old.client_status, AllocClientStatus::Lost);
    assert_eq!(old.desired_status, AllocDesiredStatus::Stop);
    assert_eq!(old.desired_description, reconcile::LOST);
    let new = world.wanted().into_iter().find(|a| a.name == lost.name);
    assert_eq!(
        new.expect("it has a successor").previous_allocation,
        lost.id
    );
    // Node loss within a version opens no deployment.
    assert_eq!(world.state.deployments.len(), 1);
}

#[test]
fn a_full_cluster_blocks_the_evaluation_until_there_is_room() {
    let mut world = World::with_nodes(1);
    world.register(&job(12, "1", ""));
    world.settle_healthy();
    assert_eq!(world.names().len(), 10, "1000 MiB hold ten of 100");
    let blocked = world.evals(EvalStatus::Blocked);
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0].triggered_by, EvalTrigger::QueuedAllocs);
    let complete = world.evals(EvalStatus::Complete);
    let asked = complete
        .iter()
        .find(|e| e.blocked_eval == blocked[0].id)
        .expect("one evaluation made the blocked one");
    assert_eq!(asked.queued_allocations["web"], 2);
    let failed = &asked.failed_tg_allocs["web"];
    assert_eq!((failed.nodes_exhausted, failed.coalesced_failures), (1, 1));
    let dimensions = failed
        .dimension_exhausted
        .as_ref()
        .expect("what was missing");
    assert_eq!(dimensions["cpu"], 1);

    // Nothing changed: it stays blocked, under its own ID.
    world.unblock();
    assert_eq!(world.evals(EvalStatus::Blocked)[0].id, blocked[0].id);
    world.add_node("n2");
    world.unblock();
    world.settle_healthy();
    assert_eq!(world.names().len(), 12);
    assert!(world.evals(EvalStatus::Blocked).is_empty());
}

#[test]
fn a_stopping_allocation_holds_its_resources_until_its_client_says_so() {
    let mut world = World::with_nodes(1);
    let first = job(10, "1", "");
    world.register(&first);
    world.settle_healthy();
    world.stop(&first);
    world.schedule();
    let mut other = job(1, "1", "");
    other.id = "other".to_owned();
    world.register(&other);
    world.schedule();
    assert_eq!(world.evals(EvalStatus::Blocked).len(), 1);
    world.clients();
    world.unblock();
    assert!(world.evals(EvalStatus::Blocked).is_empty());
}

#[test]
fn where_a_replacement_has_no_place_the_old_one_runs_on() {
    let mut world = World::with_nodes(1);
    world.register(&job(2, "1", ""));
    world.settle_healthy();
    let mut bigger = job(2, "2", "");
    let task = &mut bigger.task_groups[0].tasks[0];
    task.resources.as_mut().expect("it has resources").memory_mb = 2000;
    world.register(&bigger);
    world.settle_healthy();
    assert_eq!(world.names().len(), 2);
    assert!(world.wanted().iter().all(|a| a.job_version() == 0));
    assert_eq!(world.evals(EvalStatus::Blocked).len(), 1);
}

#[test]
fn a_stopped_job_stops_everything_and_cancels_its_deployment() {
    let mut world = World::with_nodes(2);
    let job = job(2, "1", "");
    world.register(&job);
    world.settle();
    world.stop(&job);
    world.settle();
    assert!(world.wanted().is_empty());
    let deployment = world.deployment();
    assert_eq!(deployment.status, DeploymentStatus::Cancelled);
    assert_eq!(
        deployment.status_description,
        "Cancelled because job is stopped"
    );
    assert!(
        world
            .state
            .allocs
            .values()
            .all(|a| a.desired_description == reconcile::NOT_NEEDED)
    );
}

#[test]
fn a_failed_allocation_is_replaced_after_its_delay_elsewhere() {
    let mut world = World::with_nodes(3);
    world.register(&job(1, "1", ""));
    world.settle_healthy();
    let failed = world.wanted()[0].clone();
    world.fail(&failed.id);
    world.settle();
    assert!(world.wanted().is_empty(), "it waits for 30 s");
    let follow = world.evals(EvalStatus::Pending);
    assert_eq!(follow.len(), 1);
    assert_eq!(follow[0].triggered_by, EvalTrigger::AllocFailure);
    assert_eq!(follow[0].wait_until, world.now + 30 * SECOND);
    assert_eq!(
        world.state.allocs[&failed.id].followup_eval_id,
        follow[0].id
    );
    // Asking again makes no second follow-up.
    world.evaluate(&job(1, "1", ""));
    assert_eq!(world.evals(EvalStatus::Pending).len(), 1);

    world.now += 30 * SECOND;
    world.settle();
    let new = world.wanted()[0].clone();
    assert_eq!(new.previous_allocation, failed.id);
    let [event] = new.reschedules.as_slice() else {
        panic!("{:?}", new.reschedules);
    };
    assert_eq!(event.reschedule_time, world.now);
    assert_eq!(event.prev_alloc_id, new.previous_allocation);
    assert_ne!(new.node_id, failed.node_id, "its old node is penalised");
    assert_eq!(
        world.state.allocs[&failed.id].desired_description,
        reconcile::RESCHEDULED
    );
    assert_eq!(world.state.deployments.len(), 1);
}

#[test]
fn an_allocation_that_is_to_migrate_moves() {
    let mut world = World::with_nodes(3);
    let job = job(2, "1", "");
    world.register(&job);
    world.settle_healthy();
    let moved = world.wanted()[0].clone();
    let eval = world.eval(&job, EvalTrigger::NodeDrain);
    world.write(Command::AllocTransition {
        ids: vec![moved.id.clone()],
        transition: DesiredTransition {
            migrate: Some(true),
            ..DesiredTransition::default()
        },
        evals: vec![eval],
        now: world.now,
    });
    world.settle();
    assert_eq!(world.names(), ["whoami.web[0]", "whoami.web[1]"]);
    let old = &world.state.allocs[&moved.id];
    assert_eq!(old.desired_description, reconcile::MIGRATING);
    assert_eq!(old.client_status, AllocClientStatus::Complete);
}

#[test]
fn a_batch_allocation_that_succeeded_is_never_replaced() {
    let text = r#"
job "whoami" {
  type = "batch"
  group "web" {
    count = 2
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
    }
  }
}
"#;
    let mut world = World::with_nodes(1);
    let job = from_hcl(text);
    world.register(&job);
    world.settle();
    assert!(world.state.deployments.is_empty(), "batch jobs have none");
    for alloc in world.wanted() {
        let mut report = Allocation::clone(&alloc);
        report.client_status = AllocClientStatus::Complete;
        world.report(report);
    }
    assert!(world.evaluate(&job).is_noop());
    assert_eq!(world.state.allocs.len(), 2);
}

#[test]
fn constraints_and_drivers_decide_where_a_job_may_run() {
    let mut world = World::with_nodes(2);
    let on_n2 = "constraint {\n attribute = \"${attr.rack}\"\n value = \"r-n2\"\n }";
    world.register(&job(2, "1", on_n2));
    world.settle_healthy();
    assert!(world.wanted().iter().all(|a| a.node_id == "n2"));

    let mut world = World::with_nodes(2);
    let nowhere = "constraint {\n attribute = \"${attr.rack}\"\n value = \"r9\"\n }";
    world.register(&job(1, "1", nowhere));
    world.settle();
    let failed = world.evals(EvalStatus::Complete)[0].failed_tg_allocs["web"].clone();
    assert_eq!((failed.nodes_evaluated, failed.nodes_filtered), (2, 2));
    let filtered = failed.constraint_filtered.expect("by a constraint");
    assert_eq!(filtered["${attr.rack} = r9"], 2);
}

#[test]
fn distinct_hosts_never_share_a_node() {
    let mut world = World::with_nodes(2);
    world.register(&job(3, "1", "constraint {\n distinct_hosts = true\n }"));
    world.settle_healthy();
    let nodes: BTreeSet<_> = world.wanted().iter().map(|a| a.node_id.clone()).collect();
    assert_eq!((world.names().len(), nodes.len()), (2, 2));
    assert_eq!(world.evals(EvalStatus::Blocked).len(), 1);
}

#[test]
fn affinity_draws_and_spread_divides() {
    let mut world = World::with_nodes(4);
    let near = "affinity {\n attribute = \"${attr.rack}\"\n value = \"r-n3\"\n weight = 100\n }";
    world.register(&job(1, "1", near));
    world.settle_healthy();
    assert_eq!(world.wanted()[0].node_id, "n3");

    let mut world = World::with_nodes(4);
    let even = "spread {\n attribute = \"${attr.rack}\"\n }";
    world.register(&job(8, "1", even));
    world.settle_healthy();
    let mut counts = BTreeMap::new();
    for alloc in world.wanted() {
        *counts.entry(alloc.node_id.clone()).or_insert(0) += 1;
    }
    assert!(counts.values().all(|n| *n == 2), "{counts:?}");
}

#[test]
fn a_static_port_is_given_once_a_node() {
    let mut fixed = job(3, "1", "");
    let network = &mut fixed.task_groups[0].networks.as_mut().expect("a network")[0];
    let mut port = network.dynamic_ports.take().expect("a port").remove(0);
    port.value = 8080;
    network.reserved_ports = Some(vec![port]);
    let mut world = World::with_nodes(2);
    world.register(&fixed);
    world.settle_healthy();
    assert_eq!(world.names().len(), 2);
    let complete = world.evals(EvalStatus::Complete);
    let failed = complete.iter().find_map(|e| e.failed_tg_allocs.get("web"));
    let dimensions = failed.and_then(|f| f.dimension_exhausted.clone());
    let dimensions = dimensions.expect("ports are exhausted");
    assert_eq!(dimensions["network: reserved port collision http=8080"], 2);
}

const SYSTEM: &str = r#"
job "whoami" {
  type = "system"
  group "web" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/agent"
      }
    }
  }
}
"#;

#[test]
fn a_system_job_runs_once_on_every_node() {
    let mut world = World::with_nodes(3);
    let job = from_hcl(SYSTEM);
    world.register(&job);
    world.settle();
    let nodes: BTreeSet<_> = world.wanted().iter().map(|a| a.node_id.clone()).collect();
    assert_eq!((world.names().len(), nodes.len()), (3, 3));
    assert!(world.names().iter().all(|n| n == "whoami.web[0]"));

    world.add_node("n4");
    world.evaluate(&job);
    assert_eq!(world.names().len(), 4);

    world.set_node("n1", NodeStatus::Down);
    world.settle();
    assert_eq!(world.names().len(), 3, "a lost one has no replacement");
    let lost = world
        .state
        .allocs_of_node("n1")
        .next()
        .expect("it was there");
    assert_eq!(lost.client_status, AllocClientStatus::Lost);

    world.stop(&job);
    world.settle();
    assert!(world.wanted().is_empty());
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    world.settle_healthy();
    let before = world.state.index;
    let outcome = dry_run(&world.state, &job(4, "2", ""), world.now);
    let web = outcome.desired["web"];
    assert_eq!((web.place, web.destructive_update, web.ignore), (1, 0, 3));
    assert_eq!(world.state.index, before);
    let outcome = dry_run(&world.state, &job(3, "2", ""), world.now);
    assert_eq!(outcome.desired["web"].destructive_update, 1);
}

/// What a real Nomad 1.1.2 with one node answered to `PUT /v1/job/pl/plan`, for changes of a
/// job that it ran; the first entry is that job.
const REAL_PLANS: &str = include_str!("plans-of-nomad-1.1.2.json");

#[derive(serde::Deserialize)]
struct RealPlan {
    case: String,
    job: serde_json::Value,
    desired: BTreeMap<String, BTreeMap<String, usize>>,
    failed: Vec<String>,
}

/// Later versions, which the simulator follows, replace allocations whose datacenter the job
/// leaves, demand a Consul where a service needs one, and take `host` for no network mode.
const CHANGED_SINCE: &[&str] = &["dcs", "network mode", "service"];

#[test]
fn changes_of_a_job_are_classified_as_by_nomad() {
    let plans: Vec<RealPlan> = serde_json::from_str(REAL_PLANS).expect("JSON");
    let read = |plan: &RealPlan| {
        let mut job: Job = serde_json::from_value(plan.job.clone()).expect(&plan.case);
        crate::jobspec::canonicalize(&mut job);
        job
    };
    let mut world = World::with_nodes(1);
    world.add_attribute("n1", "kernel.name", "linux");
    world.register(&read(&plans[0]));
    world.settle_healthy();
    let mut wrong = Vec::new();
    for plan in plans.iter().skip(1) {
        if CHANGED_SINCE.contains(&plan.case.as_str()) {
            continue;
        }
        let outcome = if plan.case == "nothing" {
            world.evaluate(&read(plan))
        } else {
            dry_run(&world.state, &read(plan), world.now)
        };
        let found: BTreeMap<String, BTreeMap<String, usize>> = outcome
            .desired
            .iter()
            .map(|(group, updates)| {
                let counts = serde_json::to_value(updates).expect("it is JSON");
                let counts: BTreeMap<String, usize> =
                    serde_json::from_value(counts).expect("they are numbers");
                let counted = counts.into_iter().filter(|(_, n)| *n > 0);
                (group.clone(), counted.collect())
            })
            .collect();
        let failed: Vec<String> = outcome.evals[0].failed_tg_allocs.keys().cloned().collect();
        if (&found, &failed) != (&plan.desired, &plan.failed) {
            wrong.push(format!(
                "{}: expected {:?} {:?}, found {found:?} {failed:?}",
                plan.case, plan.desired, plan.failed
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A service of `count` whose allocations may be unknown for a minute.
fn patient(count: i64, extra: &str) -> Job {
    job(
        count,
        "1",
        &format!("disconnect {{\n lost_after = \"60s\"\n {extra}\n }}"),
    )
}

/// One allocation, healthy, on the node that is handed back; then a second node.
fn disconnected(job: &Job) -> (World, String) {
    let mut world = World::with_nodes(1);
    world.register(job);
    world.settle_healthy();
    world.add_node("n2");
    world.set_node("n1", NodeStatus::Disconnected);
    world.settle();
    let original = world
        .state
        .allocs_of_node("n1")
        .next()
        .expect("it is placed");
    let id = original.id.clone();
    (world, id)
}

/// The node returns, and its client says that the allocation runs.
fn reconnect(world: &mut World, id: &str) {
    world.set_node("n1", NodeStatus::Ready);
    world.settle();
    let mut report = Allocation::clone(&world.state.allocs[id]);
    report.client_status = AllocClientStatus::Running;
    world.report(report);
    let job = world
        .state
        .job("default", "whoami")
        .expect("it is there")
        .clone();
    world.evaluate(&job);
    world.settle();
}

#[test]
fn an_allocation_on_a_disconnected_node_is_unknown_and_replaced() {
    let (world, id) = disconnected(&patient(1, ""));
    let original = &world.state.allocs[&id];
    assert_eq!(original.client_status, AllocClientStatus::Unknown);
    assert_eq!(original.desired_status, AllocDesiredStatus::Run);
    let follow = &world.state.evals[&original.followup_eval_id];
    assert_eq!(follow.triggered_by, EvalTrigger::MaxDisconnectTimeout);
    assert_eq!(follow.wait_until, world.now + 60 * SECOND);
    let replacement = world
        .state
        .allocs_of_node("n2")
        .next()
        .expect("it is replaced");
    assert_eq!(replacement.previous_allocation, id);
    assert_eq!(replacement.name, original.name);
}

#[test]
fn when_its_time_is_over_it_is_lost() {
    let (mut world, id) = disconnected(&patient(1, ""));
    world.now += 60 * SECOND;
    world.settle();
    let original = &world.state.allocs[&id];
    assert_eq!(original.client_status, AllocClientStatus::Lost);
    assert_eq!(original.desired_status, AllocDesiredStatus::Stop);
    assert_eq!(world.wanted().len(), 1);
}

#[test]
fn without_a_disconnect_block_it_is_lost_at_once() {
    let (world, id) = disconnected(&job(1, "1", ""));
    assert_eq!(
        world.state.allocs[&id].client_status,
        AllocClientStatus::Lost
    );
    assert_eq!(world.wanted().len(), 1);
}

#[test]
fn of_both_sides_one_stays_as_the_group_says() {
    for (rule, stays) in [
        ("", true),
        ("reconcile = \"keep_original\"", true),
        ("reconcile = \"keep_replacement\"", false),
        ("reconcile = \"best_score\"", true),
    ] {
        let (mut world, id) = disconnected(&patient(1, rule));
        reconnect(&mut world, &id);
        let wanted = world.wanted();
        assert_eq!(wanted.len(), 1, "{rule}");
        assert_eq!(wanted[0].id == id, stays, "{rule}");
        assert_eq!(wanted[0].unknown_since, 0, "{rule}");
    }
}

#[test]
fn one_that_must_not_be_replaced_is_waited_for() {
    let (mut world, id) = disconnected(&patient(1, "replace = false"));
    assert_eq!(
        world.state.allocs[&id].client_status,
        AllocClientStatus::Unknown
    );
    assert_eq!(world.state.allocs_of_node("n2").count(), 0);
    reconnect(&mut world, &id);
    assert_eq!(world.wanted().len(), 1);
    assert_eq!(world.wanted()[0].id, id);
}
