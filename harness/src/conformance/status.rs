//! Status, regions, health: what needs no token.

use serde_json::{Value, json};

use super::answer::{Expect as _, items};
use super::case::{Case, Law, demand, law};
use super::ground::Ground;
use crate::nomad::Exchange;
use crate::spec::Role;

const SECTION: &str = "Status, regions, health";

pub(super) const CASES: &[Case] = &[
    law!(the_leader_is_told_as_its_rpc_address),
    law!(every_agent_names_the_same_leader),
    law!(the_peers_are_the_servers_rpc_addresses),
    law!(the_regions_are_listed),
    law!(status_needs_no_token),
    law!(status_carries_no_index),
    law!(a_wrong_method_is_405_and_says_so),
    law!(a_server_says_that_it_is_healthy_and_nothing_of_a_client),
    law!(a_client_says_that_it_is_healthy_and_nothing_of_a_server),
    law!(health_of_a_role_that_an_agent_has_not_is_500_in_json),
    law!(another_region_has_no_path),
];

async fn the_leader_is_told_as_its_rpc_address(ground: &Ground) -> Law {
    let leader = ground.read("status/leader").await?;
    let address = leader.as_str().unwrap_or_default();
    demand!(address.ends_with(":4647"), "expected IP:4647, got {leader}");
    demand!(
        ground.directory.at(address).is_some(),
        "{leader} is none of the cluster's servers"
    );
    Ok(())
}

async fn every_agent_names_the_same_leader(ground: &Ground) -> Law {
    let asked = Exchange::new("GET", "status/leader");
    let mut seen: Vec<Value> = Vec::new();
    for entry in ground.directory.all() {
        seen.push(entry.api.exchange(&asked).await?.value()?);
    }
    let first = &seen[0];
    demand!(
        seen.iter().all(|one| one == first),
        "the agents name {seen:?}"
    );
    Ok(())
}

async fn the_peers_are_the_servers_rpc_addresses(ground: &Ground) -> Law {
    let peers = ground.read("status/peers").await?;
    let servers = ground.directory.servers();
    let mut expected: Vec<Value> = servers
        .map(|server| json!(format!("{}:4647", server.info.address)))
        .collect();
    let mut seen = items(&peers).to_vec();
    for list in [&mut expected, &mut seen] {
        list.sort_by_key(ToString::to_string);
    }
    demand!(seen == expected, "expected {expected:?}, got {seen:?}");
    Ok(())
}

async fn the_regions_are_listed(ground: &Ground) -> Law {
    let regions = ground.read("regions").await?;
    demand!(regions == json!([ground.region]), "got {regions}");
    Ok(())
}

async fn status_needs_no_token(ground: &Ground) -> Law {
    let nobody = ground.api()?.without_token();
    for path in ["status/leader", "status/peers", "regions", "agent/health"] {
        nobody.exchange(&Exchange::new("GET", path)).await?.good()?;
    }
    Ok(())
}

async fn status_carries_no_index(ground: &Ground) -> Law {
    for path in ["status/leader", "status/peers", "regions"] {
        let answer = ground.get(path).await?.status(200)?;
        let index = answer.header("x-nomad-index");
        demand!(index.is_none(), "{path} carries the index {index:?}");
    }
    Ok(())
}

async fn a_wrong_method_is_405_and_says_so(ground: &Ground) -> Law {
    for path in ["status/leader", "status/peers", "nodes", "evaluations"] {
        ground.delete(path).await?.refuses(405, "Invalid method")?;
    }
    Ok(())
}

async fn health_of(
    ground: &Ground,
    role: Role,
    query: &str,
) -> Result<crate::nomad::Answer, super::case::Broken> {
    let path = format!("agent/health{query}");
    Ok(ground
        .first(role)?
        .api
        .exchange(&Exchange::new("GET", &path))
        .await?)
}

async fn a_server_says_that_it_is_healthy_and_nothing_of_a_client(ground: &Ground) -> Law {
    let health = health_of(ground, Role::Server, "").await?.value()?;
    let expected = json!({ "server": { "ok": true, "message": "ok" } });
    demand!(health == expected, "got {health}");
    Ok(())
}

async fn a_client_says_that_it_is_healthy_and_nothing_of_a_server(ground: &Ground) -> Law {
    let health = health_of(ground, Role::Client, "").await?.value()?;
    let expected = json!({ "client": { "ok": true, "message": "ok" } });
    demand!(health == expected, "got {health}");
    Ok(())
}

async fn health_of_a_role_that_an_agent_has_not_is_500_in_json(ground: &Ground) -> Law {
    for (asked, other) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
        let answer = health_of(ground, asked, &format!("?type={other}")).await?;
        let words = format!("{other} not enabled");
        answer.refuses(500, &words)?;
    }
    Ok(())
}

async fn another_region_has_no_path(ground: &Ground) -> Law {
    ground
        .get("jobs?region=nowhere")
        .await?
        .refuses(500, "No path to region")
}
