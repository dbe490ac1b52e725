//! Keys: of gossip, and of what is kept encrypted.

use serde_json::json;

use super::answer::{Expect as _, items, lacks};
use super::case::{Case, Law, demand, law};
use super::ground::Ground;
use crate::nomad::Exchange;
use crate::spec::Role;

const SECTION: &str = "Keyrings";
/// 32 bytes, in base64: a key that no cluster uses.
const SPARE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(super) const CASES: &[Case] = &[
    law!(every_server_has_the_gossip_key),
    law!(a_gossip_key_is_installed_and_removed).alone(),
    law!(the_gossip_key_in_use_is_not_removed),
    law!(an_unknown_verb_of_the_keyring_is_404),
    law!(clients_have_no_gossip_key),
    law!(gossip_keys_want_the_right_to_change_agents),
    law!(a_root_key_is_there_and_active).since(1, 4, 0),
    law!(a_rotated_root_key_is_the_active_one)
        .since(1, 4, 0)
        .alone(),
];

async fn every_server_has_the_gossip_key(ground: &Ground) -> Law {
    let ring = ground.read("agent/keyring/list").await?;
    let lacking = lacks(&ring, &["Messages", "Keys", "NumNodes"]);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {ring}");
    let servers = ground.directory.servers().count();
    demand!(ring["NumNodes"] == servers, "got {}", ring["NumNodes"]);
    let keys = ring["Keys"].as_object().into_iter().flatten();
    let everywhere = keys.clone().any(|(_, count)| *count == servers);
    demand!(everywhere, "no key is on all {servers} servers");
    Ok(())
}

async fn a_gossip_key_is_installed_and_removed(ground: &Ground) -> Law {
    let body = json!({ "Key": SPARE });
    let remove = Exchange::new("PUT", "agent/keyring/remove").json(&body);
    ground.write("agent/keyring/install", &body).await?;
    ground.at_the_end(remove.clone());
    let servers = ground.directory.servers().count();
    let ring = ground.read("agent/keyring/list").await?;
    demand!(ring["Keys"][SPARE] == servers, "it is not on all servers");
    ground.ask(remove).await?.good()?;
    let ring = ground.read("agent/keyring/list").await?;
    demand!(ring["Keys"].get(SPARE).is_none(), "it is still there");
    Ok(())
}

async fn the_gossip_key_in_use_is_not_removed(ground: &Ground) -> Law {
    let ring = ground.read("agent/keyring/list").await?;
    let keys = ring["Keys"].as_object();
    demand!(
        keys.is_some_and(|keys| keys.len() == 1),
        "more than one key"
    );
    let key = keys.and_then(|keys| keys.keys().next());
    let body = json!({ "Key": key });
    let answer = ground.put("agent/keyring/remove", &body).await?;
    answer.status(500).map(drop)
}

async fn an_unknown_verb_of_the_keyring_is_404(ground: &Ground) -> Law {
    ground
        .get("agent/keyring/nothing")
        .await?
        .refuses(404, "resource not found")
}

async fn clients_have_no_gossip_key(ground: &Ground) -> Law {
    let asked = Exchange::new("GET", "agent/keyring/list");
    let client = ground.first(Role::Client)?;
    client
        .api
        .exchange(&asked)
        .await?
        .refuses(501, "Invalid method")
}

async fn gossip_keys_want_the_right_to_change_agents(ground: &Ground) -> Law {
    let reader = ground
        .with_rules("reader", "agent { policy = \"read\" }")
        .await?;
    reader
        .exchange(&Exchange::new("GET", "agent/keyring/list"))
        .await?
        .refuses(403, "Permission denied")
}

async fn a_root_key_is_there_and_active(ground: &Ground) -> Law {
    let keys = ground.read("operator/keyring/keys").await?;
    let active = items(&keys).iter().filter(|key| key["State"] == "active");
    demand!(active.count() == 1, "got {keys}");
    Ok(())
}

async fn a_rotated_root_key_is_the_active_one(ground: &Ground) -> Law {
    let reply = ground.write("operator/keyring/rotate", &json!({})).await?;
    let id = reply["Key"]["KeyID"].as_str().unwrap_or_default();
    let path = "operator/keyring/keys";
    let active = |keys: &serde_json::Value| {
        let mut keys = items(keys).iter();
        keys.any(|key| key["KeyID"] == id && key["State"] == "active")
    };
    ground.until("the new key", path, active).await.map(drop)
}
