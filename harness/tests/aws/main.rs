//! `--target aws` from end to end against moto's server on loopback, which stands for EC2 and STS.
//! What moto does not have (Systems Manager, refusals) is answered by a stand-in of our own.
//!
//! `ci/moto.sh` brings moto. Without it these tests say so and prove nothing; with
//! `REHEARSE_REQUIRE_MOTO=1` that is a failure. With `REHEARSE_TERRAFORM_PLUGINS=DIR`, a mirror of
//! providers, our own Terraform is applied there, too.

mod discovery;
mod ground;
mod slow_ec2;
mod stand_in;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use nomad_harness::poll::{self, Look};

use ground::Ground;
use slow_ec2::SlowEc2;
use stand_in::StandIn;

const SOON: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn without_yes_what_would_be_done_is_shown_and_nothing_is_changed() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    let (code, out, err) = ground.attached(&["run", "leader-failover"]).await;
    assert_eq!(code, 0, "{out}{err}");
    for shown in [
        "cluster  `demo`, Nomad 1.8.3, in us-east-2",
        "account  123456789012",
        "may be touched",
        "absent   kill, pause, isolate: Systems Manager does not say whom it reaches",
        "would    run `leader-failover` (",
        "skipped, a lever is absent)",
        "dry run: nothing was changed",
    ] {
        assert!(out.contains(shown), "{shown}\n{out}");
    }
    let (code, out, _) = ground.attached(&["lever", "terminate", "server-1"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("would    terminate `server-1`"), "{out}");
    assert!(ground.states().await.iter().all(|state| state == "running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_cluster_is_applied_at_motos_and_attached_to_by_its_outputs() {
    let Some(plugins) = std::env::var_os("REHEARSE_TERRAFORM_PLUGINS") else {
        eprintln!(
            "\n*** SKIPPED, nothing was tested: REHEARSE_TERRAFORM_PLUGINS names no folder with AWS's provider ***\n"
        );
        return;
    };
    let Some(ground) = Ground::set().await else {
        return;
    };
    ground.apply_ours(std::path::Path::new(&plugins)).await;
    let (code, out, err) = ground.attached(&["run", "leader-failover"]).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("in eu-central-1"), "{out}");
    assert_eq!(out.matches("may be touched").count(), 6, "{out}");
    ground.well(&["lever", "stop", "server-2", "--yes"]).await;
    let out = ground.well(&["heal", "--yes"]).await;
    assert!(out.contains("healed   `server-2`"), "{out}");
    // The machines of the other cluster in the account are as they were.
    assert!(ground.states().await.iter().all(|state| state == "running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_stopped_and_started_and_the_journal_knows_it_in_between() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    let before = ground.public_ip(1).await;
    ground.well(&["lever", "stop", "server-2", "--yes"]).await;
    assert_eq!(ground.states().await[1], "stopped");
    let journal = ground.journal();
    let text = std::fs::read_to_string(&journal).unwrap();
    assert!(
        text.contains("\"do\":\"stop\"") && text.contains(&ground.ids[1]),
        "{text}"
    );
    let mode = std::fs::metadata(&journal).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // A run does not begin on it.
    let (code, _, err) = ground.attached(&["run", "leader-failover", "--yes"]).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("rehearse heal --target aws"), "{err}");

    let out = ground.well(&["lever", "start", "server-2", "--yes"]).await;
    let after = ground.public_ip(1).await;
    assert_ne!(before, after, "moto gives a new address, as AWS does");
    assert!(out.contains(&after), "{out}");
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), "");

    ground.well(&["lever", "reboot", "server-2", "--yes"]).await;
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_between_two_states_is_waited_for_and_started_once() {
    let Some(mut ground) = Ground::set().await else {
        return;
    };
    for (said, expected) in [("pending", &[][..]), ("stopping", &["StartInstances"])] {
        if said == "stopping" {
            let id = ground.ids[1].clone();
            ground.ec2("StopInstances", &[("InstanceId.1", &id)]).await;
        }
        // One look finds the machine, one is made while it is waited for.
        let ec2 = SlowEc2::saying(&ground, 1, said, 2).await;
        ground = ground.with_ec2(&ec2);
        ground.well(&["lever", "start", "server-2", "--yes"]).await;
        assert_eq!(ec2.looks_left(), 0, "{said}: it did not wait");
        assert_eq!(ec2.actions(), expected, "{said}");
        assert_eq!(ground.states().await[1], "running");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crashed_process_left_is_healed_and_healing_twice_does_no_harm() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    // Stopped, and the process died; about to be stopped, and the process died before it was.
    ground.well(&["lever", "stop", "client-1", "--yes"]).await;
    ground.note(1, "server-2", "\"do\":\"stop\"");
    ground.tear_journal();
    let (code, out, err) = ground.attached(&["heal"]).await;
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(out.matches("would    ").count(), 2, "{out}");
    assert_eq!(ground.states().await[3], "stopped", "a dry run");

    let out = ground.well(&["heal", "--yes"]).await;
    assert_eq!(out.matches("healed   ").count(), 2, "{out}");
    assert!(ground.states().await.iter().all(|state| state == "running"));
    let out = ground.well(&["heal", "--yes"]).await;
    assert!(out.contains("nothing to heal"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_gone_is_told_and_the_rest_is_healed() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    for agent in ["server-1", "server-2"] {
        ground.well(&["lever", "stop", agent, "--yes"]).await;
    }
    ground
        .ec2("TerminateInstances", &[("InstanceId.1", &ground.ids[1])])
        .await;
    let (code, out, _) = ground.attached(&["heal", "--yes"]).await;
    assert_eq!(code, 31, "{out}");
    assert!(out.contains("healed   `server-1`"), "{out}");
    assert!(
        out.contains("left     `server-2`") && out.contains("is terminated"),
        "{out}"
    );
    let (code, _, err) = ground
        .attached(&["lever", "stop", "server-2", "--yes"])
        .await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("is terminated"), "{err}");
    // The others may still be healed by hand, but no scenario begins.
    let out = ground.well(&["heal", "--yes", "--forget"]).await;
    assert!(out.contains("forget: `server-2`"), "{out}");
    let (code, _, err) = ground.attached(&["run", "leader-failover", "--yes"]).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("nothing is done to cluster `demo`"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_machines_of_the_state_with_the_clusters_tag_that_are_not_production_are_touched() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    ground.tag(0, "Environment", "production").await;
    ground.tag(1, "rehearse-cluster", "another").await;
    for (agent, why) in [
        (
            "server-1",
            "looks like production (`Environment=production`)",
        ),
        ("server-2", "is gone, or lost the cluster's tag"),
        ("server-9", "there is no agent `server-9`"),
    ] {
        let (code, out, err) = ground.attached(&["lever", "stop", agent, "--yes"]).await;
        assert_eq!(code, 2, "{out}{err}");
        assert!(err.contains(why), "{err}");
    }
    let (_, out, _) = ground.attached(&["run", "leader-failover"]).await;
    assert!(
        out.contains("has the tag `rehearse-cluster=another`, expected `demo`"),
        "{out}"
    );
    assert!(ground.states().await.iter().all(|state| state == "running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fault_of_a_machine_that_may_no_more_be_touched_is_not_forgotten() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    ground.well(&["lever", "stop", "server-1", "--yes"]).await;
    ground.tag(0, "Environment", "production").await;
    let (code, out, err) = ground.attached(&["heal", "--yes", "--forget"]).await;
    assert_eq!(code, 31, "{out}{err}");
    assert!(out.contains("looks like production"), "{out}");
    let journal = std::fs::read_to_string(ground.journal()).unwrap();
    assert!(journal.contains("\"do\":\"stop\""), "{journal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_is_told_as_such() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    ground.write_outputs("eu-west-3");
    let (code, out, err) = ground
        .attached(&["lever", "stop", "server-1", "--yes"])
        .await;
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("is gone, or lost the cluster's tag"), "{err}");
    assert!(err.contains("hint: terraform plan"), "{err}");
    assert!(
        err.contains("AWS_REGION is `us-east-2`; the cluster is in `eu-west-3`"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_run_only_after_the_journal_knows_and_a_refused_one_stays_in_it() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    let ssm = StandIn::systems_manager(&ground.ids, Some(ground.journal())).await;
    let ground = ground.with_ssm(&ssm);
    ground
        .well(&["lever", "isolate", "server-3", "--yes"])
        .await;
    let (script, journal) = ssm.scripts().remove(0);
    assert!(
        script.contains("table inet rehearse") && script.contains("10."),
        "{script}"
    );
    assert!(
        journal.contains("\"do\":\"isolate\""),
        "it was written first: {journal}"
    );
    ground.well(&["lever", "kill", "client-2", "--yes"]).await;
    assert!(ssm.scripts()[1].0.contains("Restart=no"));
    let out = ground.well(&["heal", "--yes"]).await;
    assert!(
        out.contains("`client-2`") && out.contains("`server-3`"),
        "{out}"
    );
    let scripts = ssm.scripts();
    assert!(
        scripts[2].0.contains("systemctl start nomad"),
        "the newest first: {scripts:?}"
    );
    assert!(
        scripts[3].0.contains("delete table inet rehearse"),
        "{scripts:?}"
    );

    ssm.refuse(
        "AccessDeniedException",
        "User is not authorized to perform: ssm:SendCommand",
    );
    let (code, _, err) = ground
        .attached(&["lever", "pause", "server-1", "--yes"])
        .await;
    assert_eq!(code, 10, "{err}");
    assert!(
        err.contains("needs the permission `ssm:SendCommand`"),
        "{err}"
    );
    let (code, out, _) = ground.attached(&["heal", "--yes"]).await;
    assert_eq!(code, 31, "{out}");
    assert!(out.contains("left     `server-1`"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lever_that_the_dry_run_calls_absent_is_not_pulled() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    // It would take a script for any machine, and says that it reaches all but one.
    let ssm = StandIn::systems_manager(&ground.ids[1..], None).await;
    let ground = ground.with_ssm(&ssm);
    let absent = "Systems Manager does not reach `server-1`";
    for lever in ["isolate", "pause", "kill"] {
        let (code, out, err) = ground.attached(&["lever", lever, "server-1"]).await;
        assert_eq!(code, 0, "{out}{err}");
        assert!(
            out.contains(&format!("absent   kill, pause, isolate: {absent}")),
            "{out}"
        );
        let refuses = format!("would    refuse to {lever} `server-1`");
        assert!(out.contains(&refuses), "{out}");
        let (code, out, err) = ground
            .attached(&["lever", lever, "server-1", "--yes"])
            .await;
        assert_eq!(code, 2, "{out}{err}");
        assert!(
            err.contains(&format!("`{lever}` is absent: {absent}")),
            "{err}"
        );
    }
    assert_eq!(ssm.scripts(), []);
    // What EC2 does, and what heals, is as it was.
    ground.well(&["lever", "stop", "server-1", "--yes"]).await;
    ground.well(&["lever", "start", "server-1", "--yes"]).await;
    ground.well(&["lever", "rejoin", "server-1", "--yes"]).await;
    assert_eq!(ssm.scripts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_in_the_middle_of_a_fault_leaves_it_to_healing() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    let ssm = StandIn::systems_manager(&ground.ids, None).await;
    let ground = ground.with_ssm(&ssm);
    ssm.hang(true);
    let mut process = ground
        .command(&["lever", "isolate", "server-1", "--yes"])
        .spawn()
        .unwrap();
    poll::eventually(SOON, TICK, "the script is sent", || async {
        match ssm.scripts().len() {
            0 => Look::NotYet("none".to_owned()),
            _ => Look::Done(()),
        }
    })
    .await
    .unwrap();
    // Nobody else acts meanwhile.
    let (code, _, err) = ground.attached(&["heal", "--yes"]).await;
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("another process acts on this cluster"),
        "{err}"
    );
    process.kill().await.unwrap();
    ssm.hang(false);
    let out = ground.well(&["heal", "--yes"]).await;
    assert!(out.contains("healed   `server-1`"), "{out}");
    let last = ssm.scripts().pop().unwrap().0;
    assert!(last.contains("delete table inet rehearse"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_fails_on_the_machine_is_told_with_what_it_said() {
    let Some(ground) = Ground::set().await else {
        return;
    };
    let ssm = StandIn::systems_manager(&ground.ids, None).await;
    let ground = ground.with_ssm(&ssm);
    ssm.fail(5, "Unit nomad.service not loaded.");
    let (code, _, err) = ground
        .attached(&["lever", "pause", "server-1", "--yes"])
        .await;
    assert_eq!(code, 10, "{err}");
    assert!(
        err.contains("exit code 5: Unit nomad.service not loaded."),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_ended_or_are_absent_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = ground::outputs(&["i-1".to_owned(), "i-2".to_owned()], &[], "us-east-2");
    let file = folder.path().join("cluster.json");
    std::fs::write(&file, outputs.to_string()).unwrap();
    let fake = StandIn::refusing(
        "ExpiredToken",
        "The security token included in the request is expired",
    )
    .await;
    let run = |keys: bool| {
        let mut command = ground::rehearse(folder.path());
        command
            .args(["heal", "--target", "aws", "--attach"])
            .arg(&file);
        command.env("AWS_ENDPOINT_URL", fake.address());
        if !keys {
            command.env_remove("AWS_ACCESS_KEY_ID");
        }
        command
    };
    let output = run(true).output().await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{err}");
    assert!(
        err.contains("ExpiredToken") && err.contains("hint: the credentials have ended"),
        "{err}"
    );
    let output = run(false).output().await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{err}");
    assert!(
        err.contains("no AWS credentials: AWS_ACCESS_KEY_ID is not set"),
        "{err}"
    );
    assert!(err.contains("hint: export AWS_PROFILE=NAME"), "{err}");
}
