//! What an agent says of itself and of the others.

use serde_json::{Value, json};

use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Case, Law, demand, law};
use super::ground::Ground;
use crate::nomad::Exchange;
use crate::spec::Role;

const SECTION: &str = "Agent";

pub(super) const CASES: &[Case] = &[
    law!(the_members_are_the_servers_and_all_alive),
    law!(a_members_tags_are_texts_that_say_where_and_what_it_is),
    law!(a_client_asks_a_server_for_the_members),
    law!(an_agent_tells_its_version),
    law!(an_agent_tells_its_configuration_and_no_gossip_key),
    law!(an_agents_figures_are_texts),
    law!(exactly_one_server_says_that_it_leads),
    law!(a_client_tells_its_node_and_its_servers),
    law!(only_who_may_read_agents_reads_them),
    law!(only_clients_list_their_servers),
    law!(joining_wants_an_address),
    law!(joining_a_member_again_joins_one),
    law!(leaving_by_force_wants_a_name),
    law!(metrics_are_gauges_counters_and_samples),
    law!(prometheus_metrics_are_refused_unless_configured),
    law!(the_monitor_refuses_an_unknown_level),
    law!(a_host_tells_its_system_to_who_may_read_agents),
    law!(the_schedulers_are_told).since(1, 2, 4),
];

async fn the_members_are_the_servers_and_all_alive(ground: &Ground) -> Law {
    let members = ground.read("agent/members").await?;
    let names = texts(&members["Members"], "Name");
    let servers = ground.directory.servers();
    let expected: Vec<String> = servers
        .map(|server| format!("{}.{}", server.info.name, ground.region))
        .collect();
    for name in &expected {
        demand!(names.contains(&name.as_str()), "{name} is not in {names:?}");
    }
    demand!(names.len() == expected.len(), "got {names:?}");
    let states = texts(&members["Members"], "Status");
    demand!(states.iter().all(|s| *s == "alive"), "got {states:?}");
    demand!(members["ServerRegion"] == ground.region, "got {members}");
    Ok(())
}

async fn a_members_tags_are_texts_that_say_where_and_what_it_is(ground: &Ground) -> Law {
    let members = ground.read("agent/members").await?;
    for member in items(&members["Members"]) {
        let tags = &member["Tags"];
        let keys = [
            "role", "region", "dc", "build", "raft_vsn", "id", "port", "rpc_addr",
        ];
        let lacking = lacks(tags, &keys);
        demand!(lacking.is_empty(), "the tags lack {lacking:?}: {tags}");
        let all = tags.as_object().into_iter().flatten();
        demand!(all.clone().all(|(_, tag)| tag.is_string()), "got {tags}");
        demand!(tags["role"] == "nomad", "got {tags}");
        demand!(tags["port"] == "4647", "got {tags}");
        demand!(tags["raft_vsn"] == "3", "got {tags}");
        let build = tags["build"].as_str().unwrap_or_default();
        demand!(
            build.starts_with(&ground.version.to_string()),
            "expected build {}, got {tags}",
            ground.version
        );
    }
    Ok(())
}

async fn a_client_asks_a_server_for_the_members(ground: &Ground) -> Law {
    let client = ground.first(Role::Client)?;
    let asked = Exchange::new("GET", "agent/members");
    let seen = client.api.exchange(&asked).await?.value()?;
    let count = items(&seen["Members"]).len();
    demand!(count == ground.directory.servers().count(), "got {seen}");
    let own = client.info.name.as_str();
    demand!(seen["ServerName"] != own, "a client answered by itself");
    Ok(())
}

async fn of_role(ground: &Ground, role: Role) -> Result<Value, super::case::Broken> {
    let asked = Exchange::new("GET", "agent/self");
    ground.first(role)?.api.exchange(&asked).await?.value()
}

async fn an_agent_tells_its_version(ground: &Ground) -> Law {
    for role in [Role::Server, Role::Client] {
        let own = of_role(ground, role).await?;
        let version = &own["config"]["Version"]["Version"];
        demand!(
            *version == json!(ground.version.to_string()),
            "a {role} tells {version}"
        );
        demand!(own["config"]["Region"] == ground.region, "got {own}");
        demand!(
            own["config"]["Datacenter"] == ground.datacenter,
            "got {own}"
        );
    }
    Ok(())
}

async fn an_agent_tells_its_configuration_and_no_gossip_key(ground: &Ground) -> Law {
    for role in [Role::Server, Role::Client] {
        let own = of_role(ground, role).await?;
        let config = &own["config"];
        demand!(
            config["NodeName"] == ground.first(role)?.info.name.as_str(),
            "a {role} is named {}",
            config["NodeName"]
        );
        for (place, is) in [
            ("/Server/Enabled", role == Role::Server),
            ("/Client/Enabled", role == Role::Client),
        ] {
            let told = config.pointer(place);
            demand!(told == Some(&json!(is)), "{place} of a {role} is {told:?}");
        }
        // Durations are nanoseconds, or texts: each as its field has it.
        for place in [
            "/Server/HeartbeatGrace",
            "/Server/MinHeartbeatTTL",
            "/ACL/TokenTTL",
            "/Client/GCInterval",
            "/Autopilot/LastContactThreshold",
            "/Autopilot/MinQuorum",
            "/Limits/HTTPMaxConnsPerClient",
            "/Ports/Serf",
        ] {
            let told = config.pointer(place);
            let is = told.is_some_and(serde_json::Value::is_u64);
            demand!(is, "{place} of a {role} is {told:?}");
        }
        for place in [
            "/Server/EvalGCThreshold",
            "/Client/MaxKillTimeout",
            "/Limits/RPCHandshakeTimeout",
        ] {
            let told = config.pointer(place);
            let is = told.is_some_and(serde_json::Value::is_string);
            demand!(is, "{place} of a {role} is {told:?}");
        }
        let key = &config["Server"]["EncryptKey"];
        demand!(key.is_null(), "a {role} tells a gossip key");
    }
    let own = of_role(ground, Role::Server).await?;
    let encrypted = own["stats"]["serf"]["encrypted"].as_str();
    let is = matches!(encrypted, Some("true" | "false"));
    demand!(is, "whether gossip is encrypted is {encrypted:?}");
    Ok(())
}

async fn an_agents_figures_are_texts(ground: &Ground) -> Law {
    let own = of_role(ground, Role::Server).await?;
    let stats = &own["stats"];
    for (part, keys) in [
        (
            "nomad",
            ["leader", "leader_addr", "bootstrap", "known_regions"],
        ),
        ("raft", ["state", "term", "commit_index", "applied_index"]),
    ] {
        let lacking = lacks(&stats[part], &keys);
        demand!(lacking.is_empty(), "`{part}` lacks {lacking:?}: {stats}");
    }
    let parts = stats.as_object().into_iter().flatten();
    for (part, figures) in parts {
        let figures = figures.as_object().into_iter().flatten();
        let texts = figures.clone().all(|(_, figure)| figure.is_string());
        demand!(texts, "`{part}` has figures that are no texts");
    }
    Ok(())
}

async fn exactly_one_server_says_that_it_leads(ground: &Ground) -> Law {
    let asked = Exchange::new("GET", "agent/self");
    let (mut leading, mut states) = (0, Vec::new());
    for server in ground.directory.servers() {
        let own = server.api.exchange(&asked).await?.value()?;
        let stats = &own["stats"];
        leading += usize::from(stats["nomad"]["leader"] == "true");
        let state = stats["raft"]["state"].as_str().unwrap_or_default();
        states.push(state.to_owned());
    }
    let leaders = states.iter().filter(|state| *state == "Leader").count();
    let followers = states.iter().filter(|state| *state == "Follower").count();
    demand!(leading == 1 && leaders == 1, "{leading} lead: {states:?}");
    demand!(followers + 1 == states.len(), "got {states:?}");
    Ok(())
}

async fn a_client_tells_its_node_and_its_servers(ground: &Ground) -> Law {
    let own = of_role(ground, Role::Client).await?;
    let client = &own["stats"]["client"];
    let keys = [
        "node_id",
        "known_servers",
        "num_allocations",
        "last_heartbeat",
        "heartbeat_ttl",
    ];
    let lacking = lacks(client, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {own}");
    let node = ground.a_node().await?;
    demand!(client["node_id"] == node, "expected {node}, got {client}");
    Ok(())
}

async fn only_who_may_read_agents_reads_them(ground: &Ground) -> Law {
    let nobody = ground.api()?.without_token();
    let asked = Exchange::new("GET", "agent/self");
    nobody
        .exchange(&asked)
        .await?
        .refuses(403, "Permission denied")?;
    let reader = ground
        .with_rules("reader", "agent { policy = \"read\" }")
        .await?;
    reader.exchange(&asked).await?.good()
}

async fn only_clients_list_their_servers(ground: &Ground) -> Law {
    let asked = Exchange::new("GET", "agent/servers");
    ground
        .ask(asked.clone())
        .await?
        .refuses(501, "Invalid method")?;
    let client = ground.first(Role::Client)?;
    let known = client.api.exchange(&asked).await?.value()?;
    let expected = ground.directory.servers().count();
    demand!(items(&known).len() == expected, "got {known}");
    for server in items(&known) {
        let address = server.as_str().unwrap_or_default();
        let is = ground.directory.at(address).is_some();
        demand!(is, "{address} is none of the servers");
    }
    Ok(())
}

async fn joining_wants_an_address(ground: &Ground) -> Law {
    ground
        .put("agent/join", &json!({}))
        .await?
        .refuses(400, "missing address to join")
}

async fn joining_a_member_again_joins_one(ground: &Ground) -> Law {
    let servers: Vec<_> = ground.directory.servers().collect();
    let Some(other) = servers.get(1) else {
        return Ok(());
    };
    let path = format!("agent/join?address={}", other.info.address);
    let joined = ground.write(&path, &json!({})).await?;
    demand!(joined["num_joined"] == 1, "got {joined}");
    demand!(joined["error"] == "", "got {joined}");
    Ok(())
}

async fn leaving_by_force_wants_a_name(ground: &Ground) -> Law {
    ground
        .put("agent/force-leave", &json!({}))
        .await?
        .refuses(400, "missing node to force leave")
}

async fn metrics_are_gauges_counters_and_samples(ground: &Ground) -> Law {
    let metrics = ground.read("metrics").await?;
    let keys = ["Timestamp", "Gauges", "Points", "Counters", "Samples"];
    let lacking = lacks(&metrics, &keys);
    demand!(lacking.is_empty(), "the metrics lack {lacking:?}");
    let gauges = items(&metrics["Gauges"]);
    demand!(!gauges.is_empty(), "there is no gauge");
    let named = gauges.iter().all(|gauge| {
        let name = gauge["Name"].as_str().unwrap_or_default();
        name.starts_with("nomad.") && gauge["Value"].is_number()
    });
    demand!(named, "not every gauge is `nomad.…` with a number");
    Ok(())
}

async fn prometheus_metrics_are_refused_unless_configured(ground: &Ground) -> Law {
    ground
        .get("metrics?format=prometheus")
        .await?
        .refuses(415, "Prometheus is not enabled")
}

async fn the_monitor_refuses_an_unknown_level(ground: &Ground) -> Law {
    ground
        .get("agent/monitor?log_level=loud")
        .await?
        .refuses(400, "Unknown log level: loud")
}

async fn a_host_tells_its_system_to_who_may_read_agents(ground: &Ground) -> Law {
    let asked = Exchange::new("GET", "agent/host");
    let nobody = ground.api()?.without_token();
    nobody
        .exchange(&asked)
        .await?
        .refuses(403, "Permission denied")?;
    let host = ground.ask(asked).await?.value()?;
    let lacking = lacks(&host, &["OS", "Network", "Environment", "Disk"]);
    demand!(lacking.is_empty(), "it lacks {lacking:?}");
    Ok(())
}

async fn the_schedulers_are_told(ground: &Ground) -> Law {
    let own = ground.read("agent/schedulers").await?;
    for kind in ["service", "batch", "system", "sysbatch"] {
        let has = items(&own["schedulers"]).iter().any(|one| one == kind);
        demand!(has, "`{kind}` is not in {own}");
    }
    demand!(own["num_schedulers"].as_u64() >= Some(1), "got {own}");
    Ok(())
}
