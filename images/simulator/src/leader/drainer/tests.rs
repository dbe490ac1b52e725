//! Laws of a drain, on the scheduler's world: the real state and scheduler, clients that obey.

use super::*;
use crate::scheduler::world::{World, from_hcl, job};
use crate::types::{AllocClientStatus, DrainStatus, NodeEligibility};

const HOUR: Nanos = 3600 * SECOND;

fn drain(world: &mut World, node: &str, deadline: Nanos, ignore_system_jobs: bool) {
    let now = world.now;
    world.write(Command::NodeDrain {
        id: node.to_owned(),
        change: DrainChange::Set {
            strategy: DrainStrategy {
                deadline,
                ignore_system_jobs,
                force_deadline: if deadline > 0 { now + deadline } else { 0 },
                started_at: now,
            },
            accessor_id: "operator".to_owned(),
            meta: None,
        },
        now,
        evals: Vec::new(),
    });
}

/// One look of the drainer; how many it moves.
fn look(world: &mut World) -> usize {
    let wanted = advance(&world.state, world.now);
    if wanted.moves.is_empty() && wanted.complete.is_empty() {
        return 0;
    }
    let command = command(&world.state, &wanted, world.now);
    world.write(command);
    wanted.moves.len()
}

fn live_on(world: &World, node: &str) -> usize {
    let allocs = world.state.allocs_of_node(node);
    allocs.filter(|a| !a.client_status.is_terminal()).count()
}

fn is_draining(world: &World, node: &str) -> bool {
    world.state.nodes[node].drain
}

fn last_event(world: &World, node: &str) -> String {
    let events = &world.state.nodes[node].events;
    events.last().expect("there are events").message.clone()
}

/// A service of three, all on one node, healthy; then a second node.
fn crowded(extra: &str) -> World {
    let mut world = World::with_nodes(1);
    world.register(&job(3, "1", extra));
    world.settle_healthy();
    world.add_node("n2");
    world
}

#[test]
fn a_service_leaves_one_at_a_time_and_each_replacement_is_healthy_before_the_next() {
    let mut world = crowded("");
    drain(&mut world, "n1", HOUR, false);
    for left in [2, 1, 0] {
        assert_eq!(look(&mut world), 1);
        assert_eq!(look(&mut world), 0, "max_parallel is 1");
        world.settle();
        assert_eq!(look(&mut world), 0, "the replacement is not judged yet");
        assert_eq!(live_on(&world, "n1"), left);
        for alloc in world.wanted() {
            world.set_health(&alloc.id, true);
        }
    }
    look(&mut world);
    assert!(!is_draining(&world, "n1"));
    assert_eq!(last_event(&world, "n1"), "Node drain complete");
    let node = &world.state.nodes["n1"];
    assert_eq!(node.scheduling_eligibility, NodeEligibility::Ineligible);
    let last = node.last_drain.as_ref().expect("it is remembered");
    assert_eq!(
        (last.status, last.accessor_id.as_str()),
        (DrainStatus::Complete, "operator")
    );
    assert_eq!(live_on(&world, "n2"), 3);
}

#[test]
fn max_parallel_of_the_migrate_block_is_how_many_move_at_once() {
    let mut world = crowded("migrate {\n max_parallel = 2\n }");
    drain(&mut world, "n1", HOUR, false);
    assert_eq!(look(&mut world), 2);
}

#[test]
fn an_empty_node_is_drained_at_once() {
    let mut world = World::with_nodes(1);
    drain(&mut world, "n1", 0, false);
    assert!(is_draining(&world, "n1"));
    look(&mut world);
    assert!(!is_draining(&world, "n1"));
}

#[test]
fn at_the_deadline_everything_leaves_whatever_is_healthy() {
    let mut world = crowded("");
    drain(&mut world, "n1", HOUR, false);
    look(&mut world);
    let wanted = advance(&world.state, world.now);
    assert_eq!(wanted.wake_at, Some(world.now + HOUR));
    world.now += HOUR;
    assert_eq!(look(&mut world), 2);
    let events = &world.state.nodes["n1"].events;
    let details = events.last().and_then(|e| e.details.clone());
    assert_eq!(details.expect("details")["deadline_reached"], "true");
    world.settle();
    assert_eq!(live_on(&world, "n1"), 0);
}

#[test]
fn a_forced_drain_does_not_wait() {
    let mut world = crowded("");
    drain(&mut world, "n1", -1, false);
    assert_eq!(look(&mut world), 3);
    assert!(!is_draining(&world, "n1"));
}

#[test]
fn without_a_deadline_nothing_is_forced() {
    let mut world = crowded("");
    drain(&mut world, "n1", 0, false);
    look(&mut world);
    world.now += 1000 * HOUR;
    assert_eq!(look(&mut world), 0);
    assert!(is_draining(&world, "n1"));
}

const BATCH_JOB: &str = r#"
job "sums" {
  type = "batch"
  group "sums" {
    task "sum" {
      driver = "raw_exec"
      config { command = "/bin/sum" }
    }
  }
}
"#;

const SYSTEM_JOB: &str = r#"
job "logs" {
  type = "system"
  group "logs" {
    task "log" {
      driver = "raw_exec"
      config { command = "/bin/log" }
    }
  }
}
"#;

#[test]
fn batch_work_stays_until_it_is_done() {
    let mut world = World::with_nodes(1);
    world.register(&from_hcl(BATCH_JOB));
    world.settle();
    drain(&mut world, "n1", HOUR, false);
    assert_eq!(look(&mut world), 0);
    assert!(is_draining(&world, "n1"));
    let mut done = Allocation::clone(&world.wanted()[0]);
    done.client_status = AllocClientStatus::Complete;
    world.report(done);
    look(&mut world);
    assert!(!is_draining(&world, "n1"));
}

#[test]
fn system_jobs_leave_last() {
    let mut world = crowded("");
    world.register(&from_hcl(SYSTEM_JOB));
    world.settle();
    let system = |world: &World| {
        let allocs = world.state.allocs_of_node("n1");
        let mut own = allocs.filter(|a| a.job_id == "logs");
        own.next().map(|a| is_marked(a)).expect("it is placed")
    };
    drain(&mut world, "n1", HOUR, false);
    for _ in 0..3 {
        look(&mut world);
        assert!(!system(&world));
        world.settle_healthy();
        for alloc in world.wanted() {
            world.set_health(&alloc.id, true);
        }
    }
    look(&mut world);
    assert!(system(&world));
    world.settle();
    assert_eq!(live_on(&world, "n1"), 0);
}

#[test]
fn system_jobs_stay_where_they_are_ignored() {
    let mut world = World::with_nodes(1);
    world.register(&from_hcl(SYSTEM_JOB));
    world.settle();
    drain(&mut world, "n1", HOUR, true);
    assert_eq!(look(&mut world), 0);
    assert!(!is_draining(&world, "n1"));
    assert_eq!(live_on(&world, "n1"), 1);
}

#[test]
fn deadlines_close_together_are_one() {
    let mut world = World::with_nodes(2);
    world.register(&from_hcl(
        &BATCH_JOB.replace("group \"sums\" {", "group \"sums\" {\n count = 6"),
    ));
    world.settle();
    for node in ["n1", "n2"] {
        assert!(live_on(&world, node) > 0, "both nodes have work");
    }
    drain(&mut world, "n1", 60 * SECOND, false);
    drain(&mut world, "n2", 64 * SECOND, false);
    world.now += 59 * SECOND;
    assert_eq!(look(&mut world), 0);
    world.now += SECOND;
    look(&mut world);
    assert!(!is_draining(&world, "n1") && !is_draining(&world, "n2"));
}
