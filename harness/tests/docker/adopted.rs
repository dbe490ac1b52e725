//! Agents of a configuration for AWS, stood up here: `rehearse up --from`.

use super::Stage;

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
        "3 servers: server.server_join.retry_join: [\"provider=aws ",
        "3 servers: server.encrypt: a secret there",
        "3 clients: plugin.raw_exec.config.enabled: false there, true here",
        "security groups are not enforced",
        "closed there, open here: clients to servers: 4646/tcp, 4648/tcp, 4648/udp",
        &format!("3 servers on {arch}, 3 clients on {arch}, SIMULATED agent"),
    ] {
        assert!(out.contains(declared), "{declared}\n{out}");
    }

    // Nothing but what is declared differs, and the version, which is the simulator's.
    let compare = [
        "compare", "adopted", "--with", ours, "-var", VAR, "--format", "json",
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
    assert!(differences.len() > 5, "{out}");
    assert!(!outcome["not_compared"].as_array().unwrap().is_empty());

    stage.run_well(&["down", "adopted"]).await;
    stage.assert_nothing_left("adopted").await;
}
