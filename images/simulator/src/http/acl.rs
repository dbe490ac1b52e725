//! `acl/*`: bootstrap, tokens, policies.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{delete, get};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::call::{self, Call};
use super::context::Context;
use super::listing::{Listing, Place};
use super::reply::{self, ApiError, Reply};
use super::{roles, shape, write};
use crate::acl::{Policy, policies_of};
use crate::clock;
use crate::jobspec::duration;
use crate::state::{Command, Table};
use crate::types::{AclPolicy, AclToken, Nanos, RoleLink, SECOND, TokenType};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/acl/bootstrap", write(bootstrap))
        .route("/v1/acl/tokens", get(tokens))
        .route("/v1/acl/token", write(create_token))
        .route("/v1/acl/token/self", get(own_token))
        .route(
            "/v1/acl/token/{accessor}",
            get(token).merge(write(update_token)).delete(delete_token),
        )
        .route("/v1/acl/policies", get(policies))
        .route(
            "/v1/acl/policy/{name}",
            get(policy)
                .merge(write(set_policy))
                .merge(delete(delete_policy)),
        )
}

pub(super) fn enabled(call: &Call) -> Result<(), ApiError> {
    if call.ctx.settings.acl_enabled {
        Ok(())
    } else {
        Err(ApiError::bad("ACL support disabled"))
    }
}

pub(super) fn management(call: &Call) -> Result<(), ApiError> {
    enabled(call)?;
    call.demand_management()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Bootstrap {
    bootstrap_secret: String,
}

/// The first management token; needs none, and works once.
async fn bootstrap(call: Call, body: Bytes) -> Reply {
    enabled(&call)?;
    let given: Bootstrap = call::body(&body)?;
    let secret = match given.bootstrap_secret.as_str() {
        "" => new_id(),
        secret => Uuid::parse_str(secret)
            .map_err(|_| ApiError::bad("invalid acl token"))?
            .to_string(),
    };
    let token = AclToken {
        accessor_id: new_id(),
        secret_id: secret,
        name: "Bootstrap Token".to_owned(),
        token_type: TokenType::Management,
        global: true,
        create_time: clock::rfc3339(clock::now()),
        ..AclToken::default()
    };
    let accessor = token.accessor_id.clone();
    let command = Command::AclBootstrap { token };
    let applied = call.ctx.consensus.propose(command).await?;
    if let Some(text) = applied.refused {
        return Err(ApiError::bad(text));
    }
    reply_token(&call, applied.index, &accessor)
}

async fn tokens(call: Call) -> Reply {
    management(&call)?;
    let (state, index) = call.block(|state| state.index_of(Table::AclTokens)).await;
    let tokens = state.acl_tokens.values();
    let listed = tokens.filter(|token| token.accessor_id.starts_with(&call.prefix));
    let listing = Listing {
        place: |token: &Arc<AclToken>| Place::by_age(&call, token.create_index, &token.accessor_id),
        fields: |token: &Arc<AclToken>| shape::token_stub(&state, token),
        stub: |token: &Arc<AclToken>| shape::token_stub(&state, token),
    };
    listing.reply(&call, index, listed.cloned().collect())
}

async fn own_token(call: Call) -> Reply {
    enabled(&call)?;
    let token = call.acl.token().ok_or_else(ApiError::denied)?;
    call.query(token.modify_index, &shape::token(&call.state(), token))
}

async fn token(call: Call, Path(accessor): Path<String>) -> Reply {
    enabled(&call)?;
    let own = call.acl.token().is_some_and(|t| t.accessor_id == accessor);
    if !own {
        call.demand_management()?;
    }
    let (state, index) = call.block(|state| state.index_of(Table::AclTokens)).await;
    match state.acl_tokens.get(&accessor) {
        Some(token) => call.query(token.modify_index, &shape::token(&state, token)),
        None => call.not_found(index, "ACL token not found"),
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GivenToken {
    #[serde(rename = "AccessorID")]
    accessor_id: String,
    name: String,
    #[serde(rename = "Type")]
    token_type: String,
    policies: Option<Vec<String>>,
    roles: Option<Vec<RoleLink>>,
    global: bool,
    #[serde(rename = "ExpirationTTL")]
    expiration_ttl: Value,
    expiration_time: Value,
}

impl GivenToken {
    fn checked(self, call: &Call) -> Result<AclToken, ApiError> {
        let now = clock::now();
        let ttl = ttl(&self.expiration_ttl)?;
        let expires = expiration(ttl, &self.expiration_time, now)?;
        let policies = self.policies.unwrap_or_default();
        let links = self.roles.unwrap_or_default();
        let nothing = policies.is_empty() && links.is_empty();
        let token_type = match (self.token_type.as_str(), nothing) {
            ("client", false) => TokenType::Client,
            ("client", true) => {
                return Err(invalid("client token missing policies or roles"));
            }
            ("management", true) => TokenType::Management,
            ("management", false) => {
                let text = "management token cannot be associated with policies or roles";
                return Err(invalid(text));
            }
            _ => return Err(invalid("token type must be client or management")),
        };
        let state = call.state();
        if let Some(unknown) = policies
            .iter()
            .find(|p| !state.acl_policies.contains_key(*p))
        {
            return Err(ApiError::bad(format!("cannot find policy {unknown}")));
        }
        let roles = roles::linked(&state, &links)?;
        Ok(AclToken {
            accessor_id: new_id(),
            secret_id: new_id(),
            name: self.name,
            token_type,
            policies: (!policies.is_empty()).then_some(policies),
            roles: (!roles.is_empty()).then_some(roles),
            global: self.global,
            create_time: clock::rfc3339(now),
            expiration_ttl: ttl,
            expiration_time: expires,
            ..AclToken::default()
        })
    }
}

/// Shortest and longest life of a token (`token_min_expiration_ttl`, `..._max_...`).
const LIFE: [Nanos; 2] = [60 * SECOND, 24 * 3600 * SECOND];

/// `ExpirationTTL`: Go's text, or nanoseconds.
fn ttl(given: &Value) -> Result<Nanos, ApiError> {
    if is_unset(given) {
        return Ok(0);
    }
    let nanos = match given {
        Value::String(text) => duration::parse(text).ok(),
        other => other.as_i64(),
    };
    nanos.ok_or_else(|| ApiError::bad(format!("time: invalid duration {given}")))
}

/// When a token is worth nothing any more; 0 is never.
fn expiration(ttl: Nanos, time: &Value, now: Nanos) -> Result<Nanos, ApiError> {
    if ttl < 0 {
        return Err(invalid(&format!(
            "token expiration TTL '{}' should not be negative",
            duration::format(ttl)
        )));
    }
    // A time to live is one of Nomad's timers, a time of day is not.
    let (life, expires) = match (ttl, is_unset(time)) {
        (0, true) => return Ok(0),
        (ttl, true) => (ttl, now + clock::scaled_time(ttl)),
        (0, false) => {
            let at = clock::from_rfc3339(time.as_str().unwrap_or_default())
                .ok_or_else(|| ApiError::bad(format!("parsing time {time}: not RFC 3339")))?;
            (at - now, at)
        }
        _ => {
            let text = "token expiration TTL and time are both set, only one may be";
            return Err(invalid(text));
        }
    };
    let [least, most] = LIFE;
    let refused = |word: &str, bound: Nanos| {
        let (bound, was) = (duration::format(bound), duration::format(life));
        let text =
            format!("expiration time cannot be {word} than {bound} in the future (was {was})");
        Err(invalid(&text))
    };
    match life {
        life if life < 0 => Err(invalid("expiration time cannot be before create time")),
        life if life < least => refused("less", least),
        life if life > most => refused("more", most),
        _ => Ok(expires),
    }
}

fn is_unset(value: &Value) -> bool {
    matches!(value, Value::Null) || value == &json!("") || value == &json!(0)
}

fn invalid(text: &str) -> ApiError {
    ApiError::bad(format!("token 0 invalid: {text}"))
}

async fn create_token(call: Call, body: Bytes) -> Reply {
    management(&call)?;
    let given: GivenToken = call::body(&body)?;
    if !given.accessor_id.is_empty() {
        return upsert(&call, given.accessor_id.clone(), given).await;
    }
    let token = given.checked(&call)?;
    store_token(&call, token).await
}

async fn update_token(call: Call, Path(accessor): Path<String>, body: Bytes) -> Reply {
    management(&call)?;
    let given: GivenToken = call::body(&body)?;
    if given.accessor_id != accessor {
        return Err(ApiError::bad(
            "Token accessor ID does not match request path",
        ));
    }
    upsert(&call, accessor, given).await
}

async fn upsert(call: &Call, accessor: String, given: GivenToken) -> Reply {
    if !call.state().acl_tokens.contains_key(&accessor) {
        return Err(ApiError::bad(format!("cannot find token {accessor}")));
    }
    let old = Arc::clone(&call.state().acl_tokens[&accessor]);
    let changes = |given: &Value| !is_unset(given);
    if changes(&given.expiration_ttl) || changes(&given.expiration_time) {
        // A token that is sent back as it was read says the same.
        let same = clock::from_rfc3339(given.expiration_time.as_str().unwrap_or_default());
        if same != Some(old.expiration_time) {
            return Err(invalid("cannot update expiration time"));
        }
    }
    let given = GivenToken {
        expiration_ttl: Value::Null,
        expiration_time: Value::Null,
        ..given
    };
    let mut token = given.checked(call)?;
    token.accessor_id = accessor;
    token.expiration_time = old.expiration_time;
    token.expiration_ttl = old.expiration_ttl;
    store_token(call, token).await
}

async fn store_token(call: &Call, token: AclToken) -> Reply {
    let accessor = token.accessor_id.clone();
    let tokens = vec![token];
    let applied = call.propose(Command::AclTokenUpsert { tokens }).await?;
    reply_token(call, applied.index, &accessor)
}

fn reply_token(call: &Call, index: u64, accessor: &str) -> Reply {
    let state = call.state();
    let token = state.acl_tokens.get(accessor);
    let token = token.ok_or_else(|| ApiError::missing("ACL token not found"))?;
    call.written(index, &shape::token(&state, token))
}

async fn delete_token(call: Call, Path(accessor): Path<String>) -> Reply {
    management(&call)?;
    if !call.state().acl_tokens.contains_key(&accessor) {
        let text = format!("Cannot delete nonexistent tokens: {accessor}");
        return Err(ApiError::bad(text));
    }
    let accessors = vec![accessor];
    call.propose(Command::AclTokenDelete { accessors }).await?;
    Ok(reply::empty())
}

/// Whether a token may see a policy: management all, a client its own.
fn may_see(call: &Call, name: &str) -> bool {
    let own = |token: &Arc<AclToken>| policies_of(&call.state(), token).contains(name);
    call.acl.is_management() || call.acl.token().is_some_and(own)
}

async fn policies(call: Call) -> Reply {
    enabled(&call)?;
    call.acl.token().ok_or_else(ApiError::denied)?;
    let (state, index) = call.block(|state| state.index_of(Table::AclPolicies)).await;
    let stored = state.acl_policies.values();
    let seen = stored.filter(|p| p.name.starts_with(&call.prefix) && may_see(&call, &p.name));
    let stub = |policy: &Arc<AclPolicy>| {
        json!({
            "Name": policy.name,
            "Description": policy.description,
            "CreateIndex": policy.create_index,
            "ModifyIndex": policy.modify_index,
        })
    };
    let listing = Listing {
        place: |policy: &Arc<AclPolicy>| Place::Named(policy.name.clone()),
        fields: |policy: &Arc<AclPolicy>| json!(policy),
        stub,
    };
    listing.reply(&call, index, seen.cloned().collect())
}

async fn policy(call: Call, Path(name): Path<String>) -> Reply {
    enabled(&call)?;
    if !may_see(&call, &name) {
        return Err(ApiError::denied());
    }
    let (state, index) = call.block(|state| state.index_of(Table::AclPolicies)).await;
    match state.acl_policies.get(&name) {
        Some(policy) => call.query(policy.modify_index, &json!(policy)),
        None => call.not_found(index, "ACL policy not found"),
    }
}

async fn set_policy(call: Call, Path(name): Path<String>, body: Bytes) -> Reply {
    management(&call)?;
    let mut policy: AclPolicy = call::body(&body)?;
    if policy.name.is_empty() {
        policy.name.clone_from(&name);
    }
    if policy.name != name {
        return Err(ApiError::bad("ACL policy name does not match request path"));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > 128 || !name.chars().all(legal) {
        let text = format!("policy 0 invalid: invalid name '{name}'");
        return Err(ApiError::bad(text));
    }
    if let Err(error) = Policy::parse(&policy.rules) {
        return Err(ApiError::bad(format!("policy 0 invalid: {error}")));
    }
    let policies = vec![policy];
    call.propose(Command::AclPolicyUpsert { policies }).await?;
    Ok(reply::empty())
}

async fn delete_policy(call: Call, Path(name): Path<String>) -> Reply {
    management(&call)?;
    let names = vec![name];
    call.propose(Command::AclPolicyDelete { names }).await?;
    Ok(reply::empty())
}

pub(super) fn new_id() -> String {
    Uuid::new_v4().to_string()
}
