//! Roles: named sets of policies.

use serde_json::{Value, json};

use super::acl::{READER, carrying, denied, get};
use super::answer::{Expect as _, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::ground::Ground;
use crate::nomad::{Api, Exchange};

const SECTION: &str = "ACL";

pub(super) const CASES: &[Case] = &[
    law!(a_role_grants_its_policies).since(1, 4, 0),
    law!(a_role_is_read_by_id_and_by_name).since(1, 4, 0),
    law!(a_role_needs_a_policy_that_is_there).since(1, 4, 0),
    law!(a_roles_name_is_its_own).since(1, 4, 0),
    law!(an_unknown_role_is_404).since(1, 4, 0),
    law!(a_token_needs_a_role_that_is_there).since(1, 4, 0),
    law!(a_token_follows_its_roles_name).since(1, 4, 0),
    law!(a_deleted_role_grants_nothing).since(1, 4, 0),
    law!(a_token_sees_its_own_roles_only).since(1, 4, 0),
];

/// Makes a role for readers, which is gone when the case ends.
async fn made(ground: &Ground, what: &str) -> Result<Value, Broken> {
    let policy = ground.named("reader");
    let path = format!("acl/policy/{policy}");
    ground.at_the_end(Exchange::new("DELETE", &path));
    let body = json!({ "Name": policy, "Rules": READER });
    ground.put(&path, &body).await?.good()?;
    let body = json!({
        "Name": ground.named(what), "Description": "reads", "Policies": [{ "Name": policy }],
    });
    let role = ground.write("acl/role", &body).await?;
    ground.at_the_end(Exchange::new("DELETE", &path_of(&role)));
    Ok(role)
}

fn path_of(role: &Value) -> String {
    format!("acl/role/{}", role["ID"].as_str().unwrap_or_default())
}

/// A token of this role, and the client that carries it.
async fn held(ground: &Ground, role: &Value) -> Result<(Value, Api), Broken> {
    let body = json!({ "Type": "client", "Roles": [{ "Name": role["Name"] }] });
    let token = ground.token(&body).await?;
    let api = carrying(ground, &token)?;
    Ok((token, api))
}

async fn a_role_grants_its_policies(ground: &Ground) -> Law {
    let role = made(ground, "role").await?;
    let (token, api) = held(ground, &role).await?;
    let link = json!([{ "ID": role["ID"], "Name": role["Name"] }]);
    demand!(token["Roles"] == link, "got {}", token["Roles"]);
    api.exchange(&get("jobs")).await?.good()?;
    denied(&api, get("nodes")).await
}

async fn a_role_is_read_by_id_and_by_name(ground: &Ground) -> Law {
    let role = made(ground, "role").await?;
    let keys = [
        "ID",
        "Name",
        "Description",
        "Policies",
        "CreateIndex",
        "ModifyIndex",
    ];
    let lacking = lacks(&role, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {role}");
    let by_id = ground.read(&path_of(&role)).await?;
    let path = format!("acl/role/name/{}", ground.named("role"));
    let by_name = ground.read(&path).await?;
    demand!(by_id["Name"] == role["Name"], "got {by_id}");
    demand!(by_name["ID"] == role["ID"], "got {by_name}");
    let all = ground.read("acl/roles").await?;
    let name = ground.named("role");
    demand!(texts(&all, "Name").contains(&name.as_str()), "got {all}");
    Ok(())
}

async fn a_role_needs_a_policy_that_is_there(ground: &Ground) -> Law {
    let body = json!({ "Name": ground.named("none") });
    ground
        .put("acl/role", &body)
        .await?
        .refuses(400, "at least one policy should be specified")?;
    let body = json!({ "Name": ground.named("none"), "Policies": [{ "Name": "nowhere" }] });
    ground
        .put("acl/role", &body)
        .await?
        .refuses(400, "cannot find policy nowhere")
}

async fn a_roles_name_is_its_own(ground: &Ground) -> Law {
    let role = made(ground, "role").await?;
    let body = json!({ "Name": role["Name"], "Policies": role["Policies"] });
    ground
        .put("acl/role", &body)
        .await?
        .refuses(400, "already exists")?;
    let body = json!({ "Name": "two words", "Policies": role["Policies"] });
    ground
        .put("acl/role", &body)
        .await?
        .refuses(400, "invalid name 'two words'")
}

async fn an_unknown_role_is_404(ground: &Ground) -> Law {
    let path = format!("acl/role/{}", uuid::Uuid::new_v4());
    ground
        .get(&path)
        .await?
        .refuses(404, "ACL role not found")?;
    ground
        .get("acl/role/name/nowhere")
        .await?
        .refuses(404, "ACL role not found")
}

async fn a_token_needs_a_role_that_is_there(ground: &Ground) -> Law {
    let body = json!({ "Type": "client", "Roles": [{ "Name": "nowhere" }] });
    ground
        .put("acl/token", &body)
        .await?
        .refuses(400, "cannot find role nowhere")
}

async fn a_token_follows_its_roles_name(ground: &Ground) -> Law {
    let mut role = made(ground, "old").await?;
    let (token, _) = held(ground, &role).await?;
    role["Name"] = json!(ground.named("new"));
    ground.write(&path_of(&role), &role).await?;
    let accessor = token["AccessorID"].as_str().unwrap_or_default();
    let seen = ground.read(&format!("acl/token/{accessor}")).await?;
    demand!(
        seen["Roles"][0]["Name"] == role["Name"],
        "got {}",
        seen["Roles"]
    );
    Ok(())
}

async fn a_deleted_role_grants_nothing(ground: &Ground) -> Law {
    let role = made(ground, "role").await?;
    let (_, api) = held(ground, &role).await?;
    api.exchange(&get("jobs")).await?.good()?;
    ground.delete(&path_of(&role)).await?.empty()?;
    denied(&api, get("jobs")).await
}

async fn a_token_sees_its_own_roles_only(ground: &Ground) -> Law {
    let own = made(ground, "own").await?;
    let other = made(ground, "other").await?;
    let (_, api) = held(ground, &own).await?;
    let seen = api.exchange(&get("acl/roles")).await?.value()?;
    demand!(
        texts(&seen, "ID") == [own["ID"].as_str().unwrap_or_default()],
        "got {seen}"
    );
    api.exchange(&get(&path_of(&own))).await?.good()?;
    denied(&api, get(&path_of(&other))).await?;
    let body = json!({ "Name": "any", "Policies": own["Policies"] });
    denied(&api, Exchange::new("PUT", "acl/role").json(&body)).await
}
