//! Tokens and policies.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::{Api, Exchange, Token};
use crate::poll::{Look, eventually};

const SECTION: &str = "ACL";
/// Reads jobs of the default namespace, and nothing more.
pub(super) const READER: &str = "namespace \"default\" { policy = \"read\" }";

pub(super) const CASES: &[Case] = &[
    law!(bootstrapping_works_once),
    law!(the_management_token_sees_itself),
    law!(nobody_may_list_jobs_nodes_or_tokens),
    law!(an_unknown_token_is_refused),
    law!(a_client_token_needs_a_policy),
    law!(a_management_token_has_no_policy),
    law!(a_token_is_client_or_management),
    law!(a_new_token_has_an_accessor_and_a_secret),
    law!(a_list_of_tokens_hides_the_secrets),
    law!(an_unknown_accessor_is_404),
    law!(deleting_an_unknown_token_is_refused),
    law!(a_deleted_token_is_worth_nothing),
    law!(a_tokens_name_can_be_changed),
    law!(writing_a_policy_answers_nothing),
    law!(a_policys_rules_must_be_understood),
    law!(a_policys_name_must_be_the_paths),
    law!(a_policys_name_has_no_blanks),
    law!(an_unknown_policy_is_404),
    law!(a_deleted_policy_is_gone),
    law!(a_token_sees_its_own_policies_only),
    law!(a_reader_reads_jobs_and_submits_none),
    law!(a_reader_of_one_namespace_sees_no_nodes),
    law!(single_capabilities_are_granted),
    law!(node_rights_are_apart_from_namespace_rights),
    law!(a_denied_namespace_is_denied_whatever_else_is_granted),
    law!(only_management_manages_tokens_and_policies),
    law!(a_token_reads_itself_by_its_accessor),
    law!(a_token_expires).since(1, 4, 0),
    law!(an_expired_token_is_worth_nothing).since(1, 4, 0),
];

pub(super) fn get(path: &str) -> Exchange {
    Exchange::new("GET", path)
}

/// The client of the first server, with a token that a reply carries.
pub(super) fn carrying(ground: &Ground, token: &Value) -> Result<Api, Broken> {
    let secret = token["SecretID"].as_str().unwrap_or_default();
    Ok(ground.api()?.with_token(Token::new(secret)))
}

pub(super) async fn denied(api: &Api, asked: Exchange) -> Law {
    api.exchange(&asked)
        .await?
        .refuses(403, "Permission denied")
}

async fn bootstrapping_works_once(ground: &Ground) -> Law {
    ground
        .put("acl/bootstrap", &json!({}))
        .await?
        .refuses(400, "ACL bootstrap already done (reset index: ")
}

async fn the_management_token_sees_itself(ground: &Ground) -> Law {
    let token = ground.read("acl/token/self").await?;
    demand!(token["Type"] == "management", "got {}", token["Type"]);
    demand!(token["Global"] == true, "got {}", token["Global"]);
    let lacking = lacks(
        &token,
        &["AccessorID", "SecretID", "CreateTime", "CreateIndex"],
    );
    demand!(lacking.is_empty(), "it lacks {lacking:?}");
    Ok(())
}

async fn nobody_may_list_jobs_nodes_or_tokens(ground: &Ground) -> Law {
    let nobody = ground.api()?.without_token();
    for path in [
        "jobs",
        "nodes",
        "acl/tokens",
        "allocations",
        "operator/autopilot/health",
    ] {
        denied(&nobody, get(path)).await?;
    }
    Ok(())
}

async fn an_unknown_token_is_refused(ground: &Ground) -> Law {
    let unknown = uuid::Uuid::new_v4().to_string();
    let api = ground.api()?.with_token(Token::new(unknown));
    let words = if ground.at_least(1, 5, 0) {
        "Permission denied"
    } else {
        "ACL token not found"
    };
    api.exchange(&get("jobs")).await?.refuses(403, words)
}

async fn a_client_token_needs_a_policy(ground: &Ground) -> Law {
    let body = json!({ "Name": "none", "Type": "client" });
    ground
        .put("acl/token", &body)
        .await?
        .refuses(400, "client token missing policies")
}

async fn a_management_token_has_no_policy(ground: &Ground) -> Law {
    let body = json!({ "Type": "management", "Policies": ["any"] });
    ground
        .put("acl/token", &body)
        .await?
        .refuses(400, "management token cannot be associated with policies")
}

async fn a_token_is_client_or_management(ground: &Ground) -> Law {
    let body = json!({ "Type": "owner" });
    ground
        .put("acl/token", &body)
        .await?
        .refuses(400, "token type must be client or management")
}

async fn a_new_token_has_an_accessor_and_a_secret(ground: &Ground) -> Law {
    let name = ground.named("owner");
    let body = json!({ "Name": name, "Type": "management" });
    let token = ground.token(&body).await?;
    demand!(token["Name"] == name, "got {}", token["Name"]);
    for key in ["AccessorID", "SecretID"] {
        let id = token[key].as_str().unwrap_or_default();
        demand!(uuid::Uuid::parse_str(id).is_ok(), "`{key}` is no UUID");
    }
    carrying(ground, &token)?
        .exchange(&get("nodes"))
        .await?
        .good()
}

async fn a_list_of_tokens_hides_the_secrets(ground: &Ground) -> Law {
    let tokens = ground.read("acl/tokens").await?;
    let some = items(&tokens);
    demand!(!some.is_empty(), "there is no token");
    let shown = some.iter().filter(|token| token.get("SecretID").is_some());
    let shown = shown.count();
    demand!(shown == 0, "{shown} tokens show their secret");
    let lacking = lacks(
        &some[0],
        &["AccessorID", "Name", "Type", "Policies", "Global"],
    );
    demand!(lacking.is_empty(), "a token lacks {lacking:?}");
    Ok(())
}

async fn an_unknown_accessor_is_404(ground: &Ground) -> Law {
    let path = format!("acl/token/{}", uuid::Uuid::new_v4());
    ground.get(&path).await?.refuses(404, "ACL token not found")
}

async fn deleting_an_unknown_token_is_refused(ground: &Ground) -> Law {
    let path = format!("acl/token/{}", uuid::Uuid::new_v4());
    ground
        .delete(&path)
        .await?
        .refuses(400, "Cannot delete nonexistent tokens")
}

async fn a_deleted_token_is_worth_nothing(ground: &Ground) -> Law {
    let body = json!({ "Name": ground.named("gone"), "Type": "management" });
    let token = ground.write("acl/token", &body).await?;
    let accessor = token["AccessorID"].as_str().unwrap_or_default();
    let api = carrying(ground, &token)?;
    api.exchange(&get("nodes")).await?.good()?;
    ground
        .delete(&format!("acl/token/{accessor}"))
        .await?
        .empty()?;
    api.exchange(&get("nodes")).await?.status(403).map(drop)
}

async fn a_tokens_name_can_be_changed(ground: &Ground) -> Law {
    let body = json!({ "Name": ground.named("old"), "Type": "management" });
    let mut token = ground.token(&body).await?;
    let path = format!(
        "acl/token/{}",
        token["AccessorID"].as_str().unwrap_or_default()
    );
    token["Name"] = json!(ground.named("new"));
    let changed = ground.write(&path, &token).await?;
    demand!(changed["Name"] == token["Name"], "got {}", changed["Name"]);
    let same = changed["SecretID"] == token["SecretID"];
    demand!(same, "the secret changed as well");
    Ok(())
}

async fn writing_a_policy_answers_nothing(ground: &Ground) -> Law {
    let name = ground.named("reader");
    let path = format!("acl/policy/{name}");
    ground.at_the_end(Exchange::new("DELETE", &path));
    let body = json!({ "Name": name, "Description": "reads", "Rules": READER });
    ground.put(&path, &body).await?.empty()?;
    let policy = ground.read(&path).await?;
    demand!(policy["Rules"] == READER, "got {policy}");
    demand!(policy["Description"] == "reads", "got {policy}");
    Ok(())
}

async fn a_policys_rules_must_be_understood(ground: &Ground) -> Law {
    let name = ground.named("wrong");
    let status = if ground.at_least(1, 4, 0) { 400 } else { 404 };
    for rules in [
        "nonsense",
        "namespace \"default\" { policy = \"everything\" }",
    ] {
        let body = json!({ "Name": name, "Rules": rules });
        ground
            .put(&format!("acl/policy/{name}"), &body)
            .await?
            .refuses(status, "policy 0 invalid")?;
    }
    Ok(())
}

async fn a_policys_name_must_be_the_paths(ground: &Ground) -> Law {
    let body = json!({ "Name": "other", "Rules": READER });
    ground
        .put(&format!("acl/policy/{}", ground.named("one")), &body)
        .await?
        .refuses(400, "ACL policy name does not match request path")
}

async fn a_policys_name_has_no_blanks(ground: &Ground) -> Law {
    let status = if ground.at_least(1, 4, 0) { 400 } else { 404 };
    let body = json!({ "Name": "two words", "Rules": READER });
    ground
        .put("acl/policy/two%20words", &body)
        .await?
        .refuses(status, "invalid name")
}

async fn an_unknown_policy_is_404(ground: &Ground) -> Law {
    ground
        .get(&format!("acl/policy/{}", ground.named("none")))
        .await?
        .refuses(404, "ACL policy not found")
}

async fn a_deleted_policy_is_gone(ground: &Ground) -> Law {
    let name = ground.named("gone");
    let path = format!("acl/policy/{name}");
    let body = json!({ "Name": name, "Rules": READER });
    ground.put(&path, &body).await?.good()?;
    ground.delete(&path).await?.empty()?;
    ground.get(&path).await?.status(404).map(drop)
}

async fn a_token_sees_its_own_policies_only(ground: &Ground) -> Law {
    let one = ground.with_rules("one", READER).await?;
    ground.with_rules("other", READER).await?;
    let seen = one.exchange(&get("acl/policies")).await?.value()?;
    let names = texts(&seen, "Name");
    demand!(names == [ground.named("one")], "it sees {names:?}");
    let other = format!("acl/policy/{}", ground.named("other"));
    denied(&one, get(&other)).await
}

async fn a_reader_reads_jobs_and_submits_none(ground: &Ground) -> Law {
    let reader = ground.with_rules("reader", READER).await?;
    for path in ["jobs", "allocations", "evaluations", "deployments"] {
        reader.exchange(&get(path)).await?.good()?;
    }
    let job = given::waiting(ground, "web");
    ground.forget(given::id(&job));
    let asked = Exchange::new("PUT", "jobs").json(&json!({ "Job": job }));
    denied(&reader, asked).await?;
    let path = format!("job/{}", given::id(&job));
    denied(&reader, Exchange::new("DELETE", &path)).await
}

async fn a_reader_of_one_namespace_sees_no_nodes(ground: &Ground) -> Law {
    let reader = ground.with_rules("reader", READER).await?;
    denied(&reader, get("nodes")).await?;
    denied(&reader, get("agent/members")).await
}

async fn single_capabilities_are_granted(ground: &Ground) -> Law {
    let rules = "namespace \"default\" { capabilities = [\"list-jobs\"] }";
    let lister = ground.with_rules("lister", rules).await?;
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let list = format!("jobs?prefix={}", given::id(&job));
    let seen = lister.exchange(&get(&list)).await?.value()?;
    demand!(items(&seen).len() == 1, "got {seen}");
    denied(&lister, get(&format!("job/{}", given::id(&job)))).await
}

async fn node_rights_are_apart_from_namespace_rights(ground: &Ground) -> Law {
    let reader = ground
        .with_rules("nodes", "node { policy = \"read\" }")
        .await?;
    reader.exchange(&get("nodes")).await?.good()?;
    let node = ground.a_node().await?;
    reader
        .exchange(&get(&format!("node/{node}")))
        .await?
        .good()?;
    denied(&reader, get("jobs")).await?;
    let path = format!("node/{node}/eligibility");
    let body = json!({ "Eligibility": "eligible" });
    denied(&reader, Exchange::new("PUT", &path).json(&body)).await
}

async fn a_denied_namespace_is_denied_whatever_else_is_granted(ground: &Ground) -> Law {
    let name = ground.named("no");
    let path = format!("acl/policy/{name}");
    ground.at_the_end(Exchange::new("DELETE", &path));
    let rules = "namespace \"default\" { policy = \"deny\" }";
    let body = json!({ "Name": name, "Rules": rules });
    ground.put(&path, &body).await?.good()?;
    ground.with_rules("yes", READER).await?;
    let both = json!({ "Type": "client", "Policies": [name, ground.named("yes")] });
    let token = ground.token(&both).await?;
    denied(&carrying(ground, &token)?, get("jobs")).await
}

async fn only_management_manages_tokens_and_policies(ground: &Ground) -> Law {
    let reader = ground.with_rules("reader", READER).await?;
    denied(&reader, get("acl/tokens")).await?;
    let body = json!({ "Type": "management" });
    denied(&reader, Exchange::new("PUT", "acl/token").json(&body)).await?;
    let name = ground.named("mine");
    let body = json!({ "Name": name, "Rules": READER });
    let asked = Exchange::new("PUT", &format!("acl/policy/{name}")).json(&body);
    denied(&reader, asked).await
}

async fn a_token_reads_itself_by_its_accessor(ground: &Ground) -> Law {
    ground.with_rules("reader", READER).await?;
    let body = json!({ "Type": "client", "Policies": [ground.named("reader")] });
    let token = ground.token(&body).await?;
    let own = carrying(ground, &token)?;
    let path = format!(
        "acl/token/{}",
        token["AccessorID"].as_str().unwrap_or_default()
    );
    let seen = own.exchange(&get(&path)).await?.value()?;
    demand!(seen["SecretID"] == token["SecretID"], "another secret");
    let other = ground.read("acl/token/self").await?;
    let path = format!(
        "acl/token/{}",
        other["AccessorID"].as_str().unwrap_or_default()
    );
    denied(&own, get(&path)).await
}

async fn a_token_expires(ground: &Ground) -> Law {
    let body = json!({ "Type": "management", "ExpirationTTL": "1h" });
    let token = ground.token(&body).await?;
    let time = token["ExpirationTime"].as_str().unwrap_or_default();
    demand!(time.starts_with("20"), "it expires at `{time}`");
    let body = json!({ "Type": "management", "ExpirationTTL": "1s" });
    ground.put("acl/token", &body).await?.status(400).map(drop)
}

async fn an_expired_token_is_worth_nothing(ground: &Ground) -> Law {
    // No token may live shorter.
    let body = json!({ "Type": "management", "ExpirationTTL": "1m" });
    let token = ground.token(&body).await?;
    let secret = Token::new(token["SecretID"].as_str().unwrap_or_default());
    let holder = ground.api()?.with_token(secret);
    let asked = Exchange::new("GET", "jobs");
    holder.exchange(&asked).await?.good()?;
    let look = || async {
        match holder.exchange(&asked).await {
            Ok(answer) if answer.status == 403 => Look::Done(Ok(())),
            Ok(answer) => Look::NotYet(format!("HTTP {}", answer.status)),
            Err(error) => Look::Done(Err(error.into())),
        }
    };
    let (life, tick) = (Duration::from_secs(70), Duration::from_millis(200));
    eventually(life, tick, "a token that is refused", look).await?
}
