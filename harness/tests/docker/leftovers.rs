//! Nothing is left behind, however an `up` ends.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nomad_harness::docker::{DockerEngine as _, labels};
use nomad_harness::poll::{Look, eventually};

use super::Stage;

const SOON: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(5);

impl Stage {
    /// Starts an `up`, and returns once it has made at least `containers` containers.
    async fn up_until(&self, name: &str, containers: usize) -> tokio::process::Child {
        let child = self
            .rehearse()
            .args(["up", name, "--engine", "simulator"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        let look = || async {
            let filter = [(labels::CLUSTER, Some(name))];
            let found = self.docker.containers(&filter).await.expect("a list");
            if found.len() >= containers {
                Look::Done(())
            } else {
                Look::NotYet(format!("{} containers", found.len()))
            }
        };
        eventually(SOON, TICK, "containers", look)
            .await
            .expect("they appear");
        child
    }

    /// Sweeps for a test on `cluster`, and returns what was said of it. On an engine that others use, too,
    /// a network of theirs may stay (Docker can miscount): that is told, and is not this test's.
    async fn sweep(&self, cluster: &str) -> String {
        let (code, out, err) = self.run(&["sweep"]).await;
        let of_others = code == 10
            && err.contains("Docker holds a network")
            && !err.contains(&format!("`{cluster}`"));
        assert!(code == 0 || of_others, "exit code {code}\n{out}\n{err}");
        let of_this = |line: &&str| line.contains(&format!("`{cluster}`"));
        out.lines().filter(of_this).collect()
    }
}

fn signal(child: &tokio::process::Child, signal: Signal) {
    let pid = child.id().expect("it was not waited for");
    kill(Pid::from_raw(pid.try_into().expect("it is small")), signal).expect("it runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_up_removes_what_it_made() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    for (number, which) in [(1, Signal::SIGINT), (4, Signal::SIGTERM)] {
        let child = stage.up_until("broken", number).await;
        signal(&child, which);
        let output = child.wait_with_output().await.unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{which}: {err}");
        assert!(
            err.contains("interrupted while cluster `broken` came up"),
            "{err}"
        );
        stage.assert_nothing_left("broken").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_up_left_is_swept() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    for number in [1, 3, 6] {
        let mut child = stage.up_until("killed", number).await;
        child.kill().await.unwrap();
        let out = stage.sweep("killed").await;
        assert!(out.contains("removed what was left of `killed`"), "{out}");
        stage.assert_nothing_left("killed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_up_takes_the_place_of_a_killed_one() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let mut child = stage.up_until("again", 2).await;
    child.kill().await.unwrap();
    let (code, out, err) = stage.run(&["up", "again", "--engine", "simulator"]).await;
    assert_eq!(code, 0, "{out}\n{err}");
    assert!(
        err.contains("note: removed what was left of `again`"),
        "{err}"
    );
    let (code, _, err) = stage.run(&["up", "again", "--engine", "simulator"]).await;
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("there is a cluster `again` already (running)"),
        "{err}"
    );
    let swept = stage.sweep("again").await;
    assert_eq!(swept, "", "a cluster that came up is no garbage");
    stage.run_well(&["down", "again"]).await;
    stage.assert_nothing_left("again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_killed_from_outside_while_up_waits_is_named() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let child = stage.up_until("hurt", 6).await;
    let filter = [
        (labels::CLUSTER, Some("hurt")),
        (labels::AGENT, Some("server-2")),
    ];
    let victim = || async {
        let found = stage.docker.containers(&filter).await.expect("a list");
        match found.first() {
            Some(container) => match stage.docker.kill_container(&container.id).await {
                Ok(()) => Look::Done(()),
                Err(error) => Look::NotYet(error.to_string()),
            },
            None => Look::NotYet("no container".to_owned()),
        }
    };
    eventually(SOON, TICK, "a running server-2", victim)
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(20), "{err}");
    assert!(
        err.contains("`server-2` of cluster `hurt` ended with exit code 137"),
        "{err}"
    );
    stage.assert_nothing_left("hurt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_half_gone_can_be_removed() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let up = [
        "up",
        "half",
        "--engine",
        "simulator",
        "--servers",
        "1",
        "--clients",
        "2",
    ];
    stage.run_well(&up).await;
    let filter = [
        (labels::CLUSTER, Some("half")),
        (labels::AGENT, Some("client-1")),
    ];
    for container in stage.docker.containers(&filter).await.unwrap() {
        stage.docker.remove_container(&container.id).await.unwrap();
    }
    let status = stage.run_well(&["status", "half"]).await;
    assert!(status.contains("gone"), "{status}");
    let (code, _, err) = stage.run(&["start", "half"]).await;
    assert_eq!(code, 10, "{err}");
    assert!(err.contains("cannot start `client-1`"), "{err}");
    stage.run_well(&["down", "half"]).await;
    stage.assert_nothing_left("half").await;

    // The folder alone, too: somebody removed all of Docker's objects.
    stage.run_well(&up).await;
    let filter = [(labels::CLUSTER, Some("half"))];
    for container in stage.docker.containers(&filter).await.unwrap() {
        stage.docker.remove_container(&container.id).await.unwrap();
    }
    for network in stage.docker.networks().await.unwrap() {
        if labels::get(&network.labels, labels::CLUSTER) == Some("half") {
            stage.docker.remove_network(&network.id).await.unwrap();
        }
    }
    for volume in stage.docker.volumes(&filter).await.unwrap() {
        stage.docker.remove_volume(&volume.name).await.unwrap();
    }
    assert!(stage.environment.state_root.join("half").exists());
    stage.sweep("half").await;
    stage.assert_nothing_left("half").await;
}
