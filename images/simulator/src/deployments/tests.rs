use super::*;
use crate::scheduler::world::{World, job};
use crate::types::{AllocDesiredStatus, SECOND};

const CANARY: &str = "update {\n max_parallel = 1\n canary = 1\n }";
const AUTO_CANARY: &str = "update {\n max_parallel = 1\n canary = 1\n auto_promote = true\n }";
const REVERT: &str = "update {\n max_parallel = 1\n auto_revert = true\n }";

fn versions(world: &World) -> Vec<u64> {
    world.wanted().iter().map(|a| a.job_version()).collect()
}

#[test]
fn a_first_run_succeeds_when_all_are_healthy_and_is_stable_then() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    world.settle();
    let deployment = world.deployment();
    assert_eq!(deployment.status_description, "Deployment is running");
    let web = &deployment.task_groups["web"];
    assert_eq!((web.desired_total, web.placed_allocs), (3, 3));
    assert_eq!(web.require_progress_by, world.now + 600 * SECOND);
    let ids = world.unjudged();
    for id in &ids[..2] {
        world.set_health(id, true);
    }
    world.settle();
    assert_eq!(world.deployment().status, DeploymentStatus::Running);
    world.set_health(&ids[2], true);
    world.settle();
    let deployment = world.deployment();
    assert_eq!(deployment.status, DeploymentStatus::Successful);
    assert_eq!(
        deployment.status_description,
        "Deployment completed successfully"
    );
    assert!(
        world
            .state
            .job("default", "whoami")
            .expect("it is there")
            .stable
    );
}

#[test]
fn success_and_stability_come_with_one_log_entry() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    world.settle();
    for id in world.unjudged() {
        world.set_health(&id, true);
    }
    // Nothing of the leader's runs between the entry that ends the deployment and a newer version.
    world.settle();
    assert_eq!(world.deployment().status, DeploymentStatus::Successful);
    world.register(&job(3, "2", ""));
    let versions = world.state.versions_of("default", "whoami");
    let stable: Vec<_> = versions.iter().map(|v| (v.version, v.stable)).collect();
    assert_eq!(stable, [(1, false), (0, true)]);
}

#[test]
fn a_newer_version_cancels_the_rollout_of_the_older_one() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    world.settle();
    let first = world.deployment().id.clone();
    world.register(&job(3, "2", ""));
    world.settle_healthy();
    let old = &world.state.deployments[&first];
    assert_eq!(old.status, DeploymentStatus::Cancelled);
    assert_eq!(
        old.status_description,
        "Cancelled due to newer version of job"
    );
    assert_eq!(world.deployment().status, DeploymentStatus::Successful);
    assert_eq!(versions(&world), [1, 1, 1]);
}

#[test]
fn nothing_else_is_replaced_after_an_unhealthy_one() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    world.settle_healthy();
    world.register(&job(3, "2", ""));
    world.settle();
    let new = world.unjudged();
    assert_eq!(new.len(), 1);
    world.set_health(&new[0], false);
    world.settle();
    assert_eq!(versions(&world).iter().filter(|v| **v == 1).count(), 1);
    assert_eq!(world.deployment().status, DeploymentStatus::Running);
}

#[test]
fn a_failed_allocation_of_a_rollout_is_replaced_within_it() {
    let mut world = World::with_nodes(3);
    world.register(&job(1, "1", ""));
    world.settle();
    let id = world.unjudged()[0].clone();
    world.fail(&id);
    world.settle();
    world.now += 31 * SECOND;
    world.settle_healthy();
    let deployment = world.deployment();
    assert_eq!(deployment.status, DeploymentStatus::Successful);
    let web = &deployment.task_groups["web"];
    assert_eq!(
        (web.placed_allocs, web.healthy_allocs, web.unhealthy_allocs),
        (2, 1, 1)
    );
}

#[test]
fn a_rollout_without_progress_fails_at_its_deadline_and_reverts() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", REVERT));
    world.settle_healthy();
    world.register(&job(3, "2", REVERT));
    world.settle();
    let deadline = world.now + 600 * SECOND;
    assert_eq!(advance(&world.state, world.now).wake_at, Some(deadline));
    world.now = deadline - 1;
    world.settle();
    assert_eq!(world.deployment().status, DeploymentStatus::Running);
    let failing = world.deployment().id.clone();
    world.now = deadline;
    world.settle_healthy();
    let failed = &world.state.deployments[&failing];
    assert_eq!(failed.status, DeploymentStatus::Failed);
    assert_eq!(
        failed.status_description,
        "Failed due to progress deadline - rolling back to job version 0"
    );
    assert_eq!(
        world
            .state
            .job("default", "whoami")
            .expect("it is there")
            .version,
        2
    );
    assert_eq!(versions(&world), [2, 2, 2]);
    assert_eq!(world.deployment().status, DeploymentStatus::Successful);
}

#[test]
fn a_first_version_that_fails_has_nothing_to_go_back_to() {
    let mut world = World::with_nodes(3);
    world.register(&job(1, "1", REVERT));
    world.settle();
    world.now += 600 * SECOND;
    world.settle();
    assert_eq!(
        world.deployment().status_description,
        "Failed due to progress deadline - no stable job version to auto revert to"
    );
    assert_eq!(versions(&world), [0]);
}

#[test]
fn without_a_progress_deadline_the_first_unhealthy_one_fails_the_rollout() {
    let mut world = World::with_nodes(3);
    let update = "update {\n progress_deadline = \"0s\"\n }";
    world.register(&job(2, "1", update));
    world.settle();
    let id = world.unjudged()[0].clone();
    world.set_health(&id, false);
    world.settle();
    let deployment = world.deployment();
    assert_eq!(deployment.status, DeploymentStatus::Failed);
    assert_eq!(
        deployment.status_description,
        "Failed due to unhealthy allocations"
    );
}

#[test]
fn a_rollout_fails_early_only_when_rescheduling_is_exhausted() {
    let mut world = World::with_nodes(3);
    let once = "reschedule {\n attempts = 1\n interval = \"1h\"\n delay = \"5s\"\n delay_function = \"constant\"\n unlimited = false\n }";
    world.register(&job(1, "1", once));
    world.settle();
    world.fail(&world.unjudged()[0].clone());
    world.settle();
    assert_eq!(world.deployment().status, DeploymentStatus::Running);
    world.now += 6 * SECOND;
    world.settle();
    world.fail(&world.unjudged()[0].clone());
    world.settle();
    assert_eq!(
        world.deployment().status_description,
        "Failed due to unhealthy allocations"
    );
}

#[test]
fn canaries_run_beside_the_old_ones_until_they_are_promoted() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", CANARY));
    world.settle_healthy();
    assert_eq!(world.deployment().task_groups["web"].desired_canaries, 0);
    world.register(&job(3, "2", CANARY));
    world.settle_healthy();
    assert_eq!(versions(&world).len(), 4);
    let deployment = world.deployment();
    assert_eq!(
        deployment.status_description,
        "Deployment is running but requires manual promotion"
    );
    let web = &deployment.task_groups["web"];
    assert_eq!((web.desired_canaries, web.placed_canaries.len()), (1, 1));
    assert_eq!(
        advance(&world.state, world.now).wake_at,
        None,
        "it waits for a human"
    );

    let eval = watcher_eval(&world.state, &deployment, world.now);
    world.write(Command::DeploymentPromote {
        id: deployment.id.clone(),
        groups: None,
        eval,
        now: world.now,
    });
    world.settle_healthy();
    assert_eq!(versions(&world), [1, 1, 1]);
    assert_eq!(
        world.names(),
        ["whoami.web[0]", "whoami.web[1]", "whoami.web[2]"]
    );
    assert_eq!(world.deployment().status, DeploymentStatus::Successful);
}

#[test]
fn healthy_canaries_promote_themselves_where_the_job_says_so() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", AUTO_CANARY));
    world.settle_healthy();
    world.register(&job(3, "2", AUTO_CANARY));
    world.settle();
    assert_eq!(
        world.deployment().status_description,
        "Deployment is running pending automatic promotion"
    );
    world.settle_healthy();
    assert_eq!(versions(&world), [1, 1, 1]);
    assert_eq!(world.deployment().status, DeploymentStatus::Successful);
}

#[test]
fn a_failed_rollout_takes_its_canaries_away() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", CANARY));
    world.settle_healthy();
    world.register(&job(3, "2", CANARY));
    world.settle();
    let deployment = world.deployment();
    let command = failure(
        &world.state,
        &deployment,
        "Deployment marked as failed",
        false,
        world.now,
    );
    world.write(command);
    world.settle();
    assert_eq!(versions(&world), [0, 0, 0]);
    let canary = &deployment.task_groups["web"].placed_canaries[0];
    assert_eq!(
        world.state.allocs[canary].desired_status,
        AllocDesiredStatus::Stop
    );
}

#[test]
fn while_canaries_wait_a_lost_one_is_replaced_by_its_own_version() {
    let mut world = World::with_nodes(4);
    world.register(&job(3, "1", CANARY));
    world.settle_healthy();
    world.register(&job(3, "2", CANARY));
    world.settle_healthy();
    let old = world.wanted().into_iter().find(|a| a.job_version() == 0);
    let old = old.expect("three old ones are there");
    world.fail(&old.id);
    world.now += 31 * SECOND;
    world.settle();
    let found = versions(&world);
    assert_eq!(found.iter().filter(|v| **v == 0).count(), 3, "{found:?}");
    assert_eq!(found.iter().filter(|v| **v == 1).count(), 1, "{found:?}");
}

#[test]
fn a_paused_rollout_moves_nothing_and_has_no_deadline() {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ""));
    world.settle_healthy();
    world.register(&job(3, "2", ""));
    world.settle();
    let id = world.deployment().id.clone();
    let set = |world: &mut World, status, text: &str| {
        let deployment = world.deployment();
        let eval = watcher_eval(&world.state, &deployment, world.now);
        let now = world.now;
        world.write(Command::DeploymentStatus {
            id: id.clone(),
            status,
            description: text.to_owned(),
            job: None,
            eval,
            now,
        });
    };
    set(&mut world, DeploymentStatus::Paused, "Deployment is paused");
    world.settle_healthy();
    assert_eq!(versions(&world).iter().filter(|v| **v == 1).count(), 1);
    assert_eq!(
        advance(&world.state, world.now + 3600 * SECOND)
            .commands
            .len(),
        0
    );
    set(
        &mut world,
        DeploymentStatus::Running,
        "Deployment is running",
    );
    world.settle_healthy();
    assert_eq!(versions(&world), [1, 1, 1]);
}
