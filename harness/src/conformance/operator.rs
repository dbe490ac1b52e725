//! The operator's view: Raft, autopilot, licence, snapshots.

use serde_json::{Value, json};

use super::answer::{Expect as _, items, lacks};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

const SECTION: &str = "Operator";
const AUTOPILOT: &str = "operator/autopilot/configuration";

pub(super) const CASES: &[Case] = &[
    law!(every_server_votes_and_one_leads),
    law!(the_raft_configuration_wants_a_management_token),
    law!(removing_a_peer_wants_one_name),
    law!(removing_an_unknown_peer_is_refused),
    law!(a_whole_cluster_is_healthy_in_autopilots_eyes),
    law!(autopilot_tells_of_each_server_since_when_it_is_stable),
    law!(autopilots_health_is_the_leaders_also_for_those_who_take_a_stale_answer),
    law!(autopilots_health_wants_the_right_to_read_operators),
    law!(autopilots_durations_are_texts),
    law!(autopilots_configuration_is_changed_only_at_its_index).alone(),
    law!(autopilots_configuration_must_be_understood),
    law!(a_community_edition_has_no_licence),
    law!(a_snapshot_is_an_archive_with_its_digest),
    law!(a_snapshot_wants_a_management_token),
    law!(a_restored_snapshot_brings_back_what_was_there).alone(),
    law!(leadership_is_transferred_to_exactly_one_named_peer).since(1, 7, 0),
    law!(an_unknown_operators_path_is_404).since(1, 7, 0),
];

async fn every_server_votes_and_one_leads(ground: &Ground) -> Law {
    let raft = ground.read("operator/raft/configuration").await?;
    let servers = items(&raft["Servers"]);
    let count = |key: &str| servers.iter().filter(|s| s[key] == true).count();
    let expected = ground.directory.servers().count();
    demand!(servers.len() == expected, "got {raft}");
    demand!(count("Voter") == expected, "got {raft}");
    demand!(count("Leader") == 1, "got {raft}");
    for server in servers {
        demand!(server["RaftProtocol"] == "3", "got {server}");
        let node = server["Node"].as_str().unwrap_or_default();
        let suffix = format!(".{}", ground.region);
        demand!(node.ends_with(&suffix), "got {server}");
        let address = server["Address"].as_str().unwrap_or_default();
        let known = ground.directory.at(address).is_some();
        demand!(known, "{address} is none of the servers");
    }
    Ok(())
}

async fn the_raft_configuration_wants_a_management_token(ground: &Ground) -> Law {
    let reader = ground
        .with_rules("operator", "operator { policy = \"deny\" }")
        .await?;
    let asked = Exchange::new("GET", "operator/raft/configuration");
    reader
        .exchange(&asked)
        .await?
        .refuses(403, "Permission denied")
}

async fn removing_a_peer_wants_one_name(ground: &Ground) -> Law {
    ground
        .delete("operator/raft/peer")
        .await?
        .refuses(400, "Must specify either ?id")?;
    ground
        .delete("operator/raft/peer?id=a&address=b")
        .await?
        .refuses(400, "Must specify only one of ?id or ?address")
}

async fn removing_an_unknown_peer_is_refused(ground: &Ground) -> Law {
    let id = uuid::Uuid::new_v4();
    ground
        .delete(&format!("operator/raft/peer?id={id}"))
        .await?
        .refuses(500, "was not found in the Raft configuration")
}

async fn a_whole_cluster_is_healthy_in_autopilots_eyes(ground: &Ground) -> Law {
    let health = ground
        .until("a healthy cluster", "operator/autopilot/health", |health| {
            health["Healthy"] == true
        })
        .await?;
    let servers = ground.directory.servers().count();
    let tolerance = (servers - 1) / 2;
    demand!(health["FailureTolerance"] == tolerance, "got {health}");
    demand!(items(&health["Servers"]).len() == servers, "got {health}");
    Ok(())
}

async fn autopilot_tells_of_each_server_since_when_it_is_stable(ground: &Ground) -> Law {
    let health = ground.read("operator/autopilot/health").await?;
    let keys = [
        "ID",
        "Name",
        "Address",
        "SerfStatus",
        "Version",
        "Leader",
        "LastContact",
        "LastTerm",
        "LastIndex",
        "Healthy",
        "Voter",
        "StableSince",
    ];
    for server in items(&health["Servers"]) {
        let lacking = lacks(server, &keys);
        demand!(lacking.is_empty(), "it lacks {lacking:?}: {server}");
        demand!(server["SerfStatus"] == "alive", "got {server}");
        let contact = server["LastContact"].as_str().unwrap_or_default();
        demand!(contact.ends_with('s'), "got {server}");
        let since = server["StableSince"].as_str().unwrap_or_default();
        demand!(since.starts_with("20"), "got {server}");
    }
    Ok(())
}

/// `nomad/operator_endpoint.go` sets `AllowStale` back: a follower knows nothing of the others' contact.
async fn autopilots_health_is_the_leaders_also_for_those_who_take_a_stale_answer(
    ground: &Ground,
) -> Law {
    let asked = Exchange::new("GET", "operator/autopilot/health?stale");
    for server in ground.directory.servers() {
        // 429 where it is not healthy.
        server.api.exchange(&asked).await?.status(200)?;
    }
    Ok(())
}

async fn autopilots_health_wants_the_right_to_read_operators(ground: &Ground) -> Law {
    let asked = Exchange::new("GET", "operator/autopilot/health");
    let nobody = ground.api()?.without_token();
    nobody
        .exchange(&asked)
        .await?
        .refuses(403, "Permission denied")?;
    let reader = ground
        .with_rules("operator", "operator { policy = \"read\" }")
        .await?;
    reader.exchange(&asked).await?.good()
}

async fn autopilots_durations_are_texts(ground: &Ground) -> Law {
    let config = ground.read(AUTOPILOT).await?;
    demand!(config["LastContactThreshold"] == "200ms", "got {config}");
    demand!(config["ServerStabilizationTime"] == "10s", "got {config}");
    demand!(config["MaxTrailingLogs"] == 250, "got {config}");
    demand!(config["CleanupDeadServers"].is_boolean(), "got {config}");
    Ok(())
}

async fn autopilots_configuration_is_changed_only_at_its_index(ground: &Ground) -> Law {
    let before = ground.read(AUTOPILOT).await?;
    let index = before["ModifyIndex"].as_u64().unwrap_or_default();
    ground.at_the_end(Exchange::new("PUT", AUTOPILOT).json(&before));
    let mut other = before.clone();
    other["MaxTrailingLogs"] = json!(300);
    let wrong = format!("{AUTOPILOT}?cas={}", index + 1_000_000);
    let refused = ground.write(&wrong, &other).await?;
    demand!(refused == false, "expected false, got {refused}");
    let right = format!("{AUTOPILOT}?cas={index}");
    let taken = ground.write(&right, &other).await?;
    demand!(taken == true, "expected true, got {taken}");
    let after = ground.read(AUTOPILOT).await?;
    demand!(after["MaxTrailingLogs"] == 300, "got {after}");
    demand!(after["ModifyIndex"].as_u64() > Some(index), "got {after}");
    Ok(())
}

async fn autopilots_configuration_must_be_understood(ground: &Ground) -> Law {
    let body = json!({ "LastContactThreshold": "soon" });
    ground
        .put(AUTOPILOT, &body)
        .await?
        .refuses(400, "Error parsing autopilot config")
}

async fn a_community_edition_has_no_licence(ground: &Ground) -> Law {
    let answer = ground.get("operator/license").await?.status(204)?;
    demand!(answer.body.is_empty(), "got {}", answer.text());
    Ok(())
}

async fn a_snapshot_is_an_archive_with_its_digest(ground: &Ground) -> Law {
    let answer = ground.get("operator/snapshot").await?.status(200)?;
    let digest = answer.header("digest").unwrap_or_default();
    demand!(digest.starts_with("sha-256="), "the digest is `{digest}`");
    let gzip = answer.body.starts_with(&[0x1f, 0x8b]);
    demand!(gzip, "{} bytes that are no gzip", answer.body.len());
    Ok(())
}

async fn a_snapshot_wants_a_management_token(ground: &Ground) -> Law {
    let nobody = ground.api()?.without_token();
    let asked = Exchange::new("GET", "operator/snapshot");
    nobody
        .exchange(&asked)
        .await?
        .refuses(403, "Permission denied")
}

async fn a_restored_snapshot_brings_back_what_was_there(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.evaluate(&job).await?;
    let path = format!("job/{}", given::id(&job));
    at_rest(ground).await?;
    // What the other cases left need not go there and back.
    ground.put("system/gc", &json!({})).await?.empty()?;
    let snapshot = ground.get("operator/snapshot").await?.status(200)?.body;
    ground.delete(&format!("{path}?purge=true")).await?.good()?;
    ground.get(&path).await?.refuses(404, "job not found")?;
    let restore = Exchange::new("PUT", "operator/snapshot").raw(snapshot);
    ground.ask(restore).await?.status(200)?;
    ground.read(&path).await.map(drop)
}

/// Waits until nothing that other cases left is still coming to its end. What a client reports
/// between a snapshot and its restore is forgotten, and no client says it twice: an allocation that
/// ended just then would run for ever in the servers' eyes, and no drain of its node would end.
async fn at_rest(ground: &Ground) -> Result<(), Broken> {
    let decided = |evals: &Value| items(evals).iter().all(|eval| eval["Status"] != "pending");
    let evals = "evaluations?namespace=*";
    ground
        .until("no pending evaluation", evals, decided)
        .await?;
    let ended = |alloc: &Value| {
        let status = alloc["ClientStatus"].as_str();
        alloc["DesiredStatus"] == "run" || !matches!(status, Some("pending" | "running"))
    };
    let over = |allocs: &Value| items(allocs).iter().all(ended);
    let allocs = "allocations?namespace=*";
    ground
        .until("no allocation that is being stopped", allocs, over)
        .await
        .map(drop)
}

async fn leadership_is_transferred_to_exactly_one_named_peer(ground: &Ground) -> Law {
    let path = "operator/raft/transfer-leadership";
    ground
        .put(path, &json!({}))
        .await?
        .refuses(400, "must specify id or address")?;
    let id = uuid::Uuid::new_v4();
    let both = format!("{path}?id={id}&address=10.0.0.1:4647");
    ground
        .put(&both, &json!({}))
        .await?
        .refuses(400, "must specify either id or address")
}

async fn an_unknown_operators_path_is_404(ground: &Ground) -> Law {
    ground
        .get("operator/raft/nothing")
        .await?
        .refuses(404, "Invalid method")
}
