//! Agents of a configuration for AWS, stood up here: `rehearse up --from`.

use futures::StreamExt as _;
use nomad_harness::docker::{ContainerState, DockerEngine as _};

use super::Stage;

/// Tries connections between the agents' containers.
async fn assert_closed(stage: &Stage) {
    let status = stage
        .run_well(&["status", "adopted", "--format", "json"])
        .await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let address = |name: &str| {
        let mut agents = status["agents"].as_array().unwrap().iter();
        let agent = agents.find(|agent| agent["name"] == name).unwrap();
        agent["address"].as_str().unwrap().to_owned()
    };
    for (from, to, port, outcome) in [
        ("server-1", "server-2", 4647, "open"),
        // Reached; the simulated agent's gossip listens on UDP only.
        ("server-1", "server-2", 4648, "refused"),
        ("server-1", "server-2", 4646, "silent"),
        ("server-2", "server-1", 4646, "silent"),
        ("client-1", "server-2", 4647, "open"),
        ("client-1", "server-2", 4648, "silent"),
        ("server-2", "client-1", 4646, "silent"),
        ("client-1", "client-2", 20000, "silent"),
        // Where replies come in everything is open: nobody listens there.
        ("client-1", "client-2", 40000, "refused"),
    ] {
        let to_port = format!("{}:{port}", address(to));
        let program = "/usr/local/bin/rehearse-agent";
        let out = stage
            .run_well(&[
                "exec", "adopted", from, "--", program, "net", "reach", &to_port,
            ])
            .await;
        assert!(
            out.contains(&format!("{to_port} {outcome}")),
            "{from} to {to}: {out}"
        );
    }
}

/// Compares a cluster with the configuration that it was made of, of which nothing differs but what is declared,
/// and the version, which is the simulator's.
async fn compared(stage: &Stage, name: &str, dir: &str) -> (serde_json::Value, String) {
    let compare = [
        "compare", name, "--with", dir, "-var", VAR, "--format", "json",
    ];
    let (code, out, err) = stage.run(&compare).await;
    assert_eq!(code, 40, "{out}{err}");
    let outcome: serde_json::Value = serde_json::from_str(&out).unwrap();
    let differences = outcome["differences"].as_array().unwrap();
    let drifts: Vec<_> = differences
        .iter()
        .filter(|one| one["declared"].is_null())
        .map(|one| one["key"].as_str().unwrap())
        .collect();
    assert_eq!(drifts, ["Nomad's version"], "{out}");
    (outcome, out)
}

const VAR: &str = "operator_cidrs=[\"198.51.100.7/32\"]";

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_aws_come_up_with_their_own_configuration_but_for_what_is_declared() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let arch = nomad_harness::spec::Arch::host().unwrap();
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../terraform");
    let up = [
        "up",
        "adopted",
        "--from",
        ours,
        "-var",
        VAR,
        "--engine",
        "simulator",
    ];
    let out = stage.run_well(&up).await;
    for declared in [
        "`provider=aws` is used as it stands: EC2 (eu-central-1) and the metadata service are answered by \
         rehearse's responder",
        "3 servers: server.encrypt: a secret there",
        "3 clients: plugin.raw_exec.config.enabled: false there, true here",
        "what its security groups close between agents is closed here, too",
        "closed there, closed here: clients to servers: 4646/tcp, 4648/tcp, 4648/udp",
        &format!("3 servers on {arch}, 3 clients on {arch}, SIMULATED agent"),
    ] {
        assert!(out.contains(declared), "{declared}\n{out}");
    }
    assert!(
        !out.contains("retry_join") && !out.contains("taken for granted"),
        "{out}"
    );
    assert_asked(&stage, "adopted").await;

    // Closed is what they close, before and after a start, and only that.
    assert_closed(&stage).await;
    stage
        .run_well(&["stop", "adopted", "server-2", "client-1"])
        .await;
    stage.run_well(&["start", "adopted"]).await;
    assert_closed(&stage).await;
    // All of it, and what answers for AWS, as after a restart of Docker: it is started before the agents.
    stage.run_well(&["stop", "adopted"]).await;
    let responder = "rehearse-adopted.aws";
    stage.docker.stop_container(responder, 10).await.unwrap();
    stage.run_well(&["start", "adopted"]).await;
    let found = stage.docker.container(responder).await.unwrap();
    assert_eq!(found.state, ContainerState::Running);

    // Nothing but what is declared differs, and the version, which is the simulator's.
    let (outcome, out) = compared(&stage, "adopted", ours).await;
    let differences = outcome["differences"].as_array().unwrap();
    assert!(differences.len() > 5, "{out}");
    assert!(!out.contains("retry_join"), "{out}");
    assert!(!outcome["not_compared"].as_array().unwrap().is_empty());

    stage.run_well(&["down", "adopted"]).await;
    stage.assert_nothing_left("adopted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_whose_security_group_closes_gossip_do_not_come_up_and_the_error_says_so() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    super::copy(&ours, scratch.path());
    // The fault: servers let in RPC alone.
    let rules = scratch.path().join("firewall.tf");
    let text = std::fs::read_to_string(&rules).unwrap();
    let gossip = |line: &&str| line.contains("\"servers-gossip-");
    let left: Vec<&str> = text.lines().filter(|line| !gossip(line)).collect();
    assert_eq!(left.len() + 2, text.lines().count());
    std::fs::write(&rules, left.join("\n") + "\n").unwrap();
    let dir = scratch.path().to_str().unwrap();
    let up = [
        "up",
        "mute",
        "--from",
        dir,
        "-var",
        VAR,
        "--engine",
        "simulator",
        "--timeout",
        "15s",
    ];
    let (code, out, err) = stage.run(&up).await;
    assert_ne!(code, 0, "{out}{err}");
    assert!(
        err.contains("closed by the security groups, there and here: servers to servers: 4646/tcp, 4648/tcp, 4648/udp"),
        "{err}"
    );
    stage.assert_nothing_left("mute").await;
}

/// What the responder of a cluster told, line by line.
async fn told(stage: &Stage, cluster: &str) -> String {
    let responder = format!("rehearse-{cluster}.aws");
    let mut log = stage.docker.logs(&responder, None, false);
    let mut text = String::new();
    while let Some(piece) = log.next().await {
        text.push_str(&String::from_utf8_lossy(piece.unwrap().bytes()));
    }
    text
}

/// Every agent asked EC2 with its role's keys, and found the servers.
async fn assert_asked(stage: &Stage, cluster: &str) {
    let text = told(stage, cluster).await;
    let asked = |line: &&str| line.contains(" POST / 200: found server-1, server-2, server-3");
    assert!(text.lines().filter(asked).count() >= 6, "{text}");
    let tokens = |line: &&str| line.contains(" PUT /latest/api/token 200");
    assert!(text.lines().filter(tokens).count() >= 6, "{text}");
    // Nothing of what it gave out is in its log.
    assert!(
        !text.contains("ASIA") && !text.contains("SecretAccessKey"),
        "{text}"
    );
}

/// Changes a file of a folder: its name, what stands in it, what is to stand there.
fn change(dir: &std::path::Path, (file, from, to): (&str, &str, &str)) {
    let file = dir.join(file);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&file, text.replace(from, to)).unwrap();
}

/// Stands our own configuration up with a file of it changed; returns exit code and what it said.
async fn up_changed(
    stage: &Stage,
    name: &str,
    edit: (&str, &str, &str),
    more: &[&str],
) -> (i32, String) {
    let scratch = tempfile::tempdir().unwrap();
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    super::copy(&ours, scratch.path());
    change(scratch.path(), edit);
    let dir = scratch.path().to_str().unwrap();
    let mut up = vec!["up", name, "--from", dir, "-var", VAR];
    up.extend(["--engine", "simulator", "--timeout", "15s"]);
    up.extend(more);
    let (code, out, err) = stage.run(&up).await;
    (code, out + &err)
}

/// Our own configuration with an agent's file that is finished by commands, as many a script does it, and with
/// `more` after them.
fn finished_by_commands(dir: &std::path::Path, more: &str) {
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    super::copy(&ours, dir);
    let edit = |file, from, to| change(dir, (file, from, to));
    edit(
        "templates/server.hcl.tpl",
        "  raft_protocol    = 3\n",
        "  raft_protocol    = 3\n  heartbeat_grace  = \"GRACE\"\n",
    );
    edit("templates/server.hcl.tpl", "\"0.0.0.0\"", "\"HERE\"");
    edit("templates/client.hcl.tpl", "\"0.0.0.0\"", "\"HERE\"");
    let unit = "place /etc/systemd/system/nomad.service";
    let commands = format!(
        "ADDRESS=$(curl -s http://169.254.169.254/latest/meta-data/local-ipv4)\n\
         sed -i -e 's/GRACE/42s/' -e \"s/HERE/$ADDRESS/\" /etc/nomad.d/nomad.hcl\n\
         if [ \"$(hostname)\" = rehearse-server-2 ]; then\n\
           printf 'server {{\\n  num_schedulers = 1\\n}}\\n' > /etc/nomad.d/zz-more.hcl\n\
         fi\n{more}\n"
    );
    edit("templates/boot.sh.tpl", unit, &(commands + unit));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_first_boot_makes_of_a_configuration_is_what_stands_here() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    finished_by_commands(scratch.path(), "");
    let dir = scratch.path().to_str().unwrap();
    let up = |name| {
        [
            "up",
            name,
            "--from",
            dir,
            "-var",
            VAR,
            "--engine",
            "simulator",
        ]
    };
    let out = stage.run_well(&up("booted")).await;
    for told in [
        "the configuration of every agent is what its machine's first boot leaves, which was executed here \
         without network",
        "3 servers: bind_addr: \"192.0.2.10\" there, ",
        ": the machine's own address  /etc/nomad.d/nomad.hcl:5",
    ] {
        assert!(out.contains(told), "{told}\n{out}");
    }
    for (agent, more) in [("server-1", false), ("server-2", true)] {
        let container = format!("rehearse-booted-{agent}");
        let file = stage
            .docker
            .download(&container, "/etc/nomad.d/nomad.hcl")
            .await;
        let text = String::from_utf8_lossy(&file.unwrap()).into_owned();
        assert!(text.contains("heartbeat_grace = \"42s\""), "{text}");
        assert!(
            !text.contains("192.0.2.10") && !text.contains("HERE"),
            "{text}"
        );
        assert_eq!(text.contains("num_schedulers = 1"), more, "{text}");
    }
    let (outcome, out) = compared(&stage, "booted", dir).await;
    assert!(
        outcome["alike"].as_u64().unwrap() > 50 && !out.contains("shows no agent"),
        "{out}"
    );
    stage.run_well(&["down", "booted"]).await;
    stage.assert_nothing_left("booted").await;

    // The fault: a script that fails. Its configuration cannot be read off, either.
    finished_by_commands(scratch.path(), "false\n");
    let (code, out, err) = stage.run(&up("unbooted")).await;
    assert_eq!(code, 2, "{out}{err}");
    for told in [
        "`/etc/nomad.d/nomad.hcl` is edited later by line ",
        "its configuration is read off the user data: executed here, it failed with exit code 1",
    ] {
        assert!(err.contains(told), "{told}\n{err}");
    }
    stage.assert_nothing_left("unbooted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_join_tag_is_a_cluster_that_finds_nobody() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    // The fault: agents look for another value than the servers carry.
    let edit = (
        "locals.tf",
        "tag_value=${local.join_tag.value}",
        "tag_value=other",
    );
    let (code, said) = up_changed(&stage, "lost", edit, &[]).await;
    assert_eq!(code, 20, "{said}");
    let told = "EC2, answered here, told `server-1`: no machine of eu-central-1 has tag:rehearse-join=other and \
                instance-state-name=running";
    assert!(said.contains(told), "{said}");
    stage.assert_nothing_left("lost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_look_is_refused_as_on_aws() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    // The fault: the role lacks the one permission that discovery needs.
    let edit = ("iam.tf", "ec2:DescribeInstances", "ec2:DescribeTags");
    let (code, said) = up_changed(&stage, "denied", edit, &[]).await;
    assert_eq!(code, 20, "{said}");
    let told = "told `server-1`: UnauthorizedOperation";
    assert!(said.contains(told), "{said}");
    stage.assert_nothing_left("denied").await;
    // By addresses the same agents find each other, and that is declared.
    let (code, said) = up_changed(&stage, "denied", edit, &["--static-join"]).await;
    assert_eq!(code, 0, "{said}");
    for declared in [
        "the servers' addresses take the place of `provider=aws`: so `--static-join` says",
        "3 servers: server.server_join.retry_join: [\"provider=aws ",
    ] {
        assert!(said.contains(declared), "{said}");
    }
    stage.run_well(&["down", "denied"]).await;
    stage.assert_nothing_left("denied").await;
}
