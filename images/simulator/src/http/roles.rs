//! `acl/roles`, `acl/role/*`: named sets of policies.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::acl::{enabled, management, new_id};
use super::call::{self, Call};
use super::context::Context;
use super::listing::{Listing, Place};
use super::reply::{ApiError, Reply};
use super::write;
use crate::state::{Command, State, Table, multierror};
use crate::types::{AclRole, PolicyLink, RoleLink};

/// Longest description.
const LONGEST: usize = 256;

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/acl/roles", get(list))
        .route("/v1/acl/role", write(create))
        .route(
            "/v1/acl/role/{id}",
            get(read).merge(write(update)).delete(remove),
        )
        .route("/v1/acl/role/name/{name}", get(by_name))
}

/// Whether a token may see a role: management all, a client its own.
fn may_see(call: &Call, id: &str) -> bool {
    let own = call.acl.token().and_then(|token| token.roles.as_ref());
    call.acl.is_management() || own.is_some_and(|own| own.iter().any(|link| link.id == id))
}

async fn list(call: Call) -> Reply {
    enabled(&call)?;
    call.acl.token().ok_or_else(ApiError::denied)?;
    let (state, index) = call.block(|state| state.index_of(Table::AclRoles)).await;
    let stored = state.acl_roles.values();
    let seen = stored.filter(|role| role.id.starts_with(&call.prefix) && may_see(&call, &role.id));
    let listing = Listing {
        place: |role: &Arc<AclRole>| Place::Named(role.id.clone()),
        fields: |role: &Arc<AclRole>| json!(role),
        stub: |role: &Arc<AclRole>| json!(role),
    };
    listing.reply(&call, index, seen.cloned().collect())
}

async fn read(call: Call, Path(id): Path<String>) -> Reply {
    enabled(&call)?;
    if !may_see(&call, &id) {
        return Err(ApiError::denied());
    }
    one(&call, |role| role.id == id).await
}

async fn by_name(call: Call, Path(name): Path<String>) -> Reply {
    enabled(&call)?;
    let state = call.state();
    let known = named(&state, &name);
    if !call.acl.is_management() && !known.is_some_and(|role| may_see(&call, &role.id)) {
        return Err(ApiError::denied());
    }
    one(&call, |role| role.name == name).await
}

fn named<'s>(state: &'s State, name: &str) -> Option<&'s Arc<AclRole>> {
    state.acl_roles.values().find(|role| role.name == name)
}

async fn one(call: &Call, is_it: impl Fn(&AclRole) -> bool) -> Reply {
    let found = |state: &State| {
        let mut stored = state.acl_roles.values();
        stored.find(|role| is_it(role)).cloned()
    };
    let (state, index) = call
        .block(|state| match found(state) {
            Some(role) => role.modify_index,
            None => state.index_of(Table::AclRoles),
        })
        .await;
    match found(&state) {
        Some(role) => call.query(index, &json!(role)),
        None => call.not_found(index, "ACL role not found"),
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Given {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    description: String,
    policies: Option<Vec<PolicyLink>>,
}

impl Given {
    fn checked(self, state: &State) -> Result<AclRole, ApiError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let mut wrong = Vec::new();
        let (name, length) = (&self.name, self.name.len());
        if !(1..=128).contains(&length) || !name.chars().all(legal) {
            wrong.push(format!("invalid name '{name}'"));
        }
        if self.description.len() > LONGEST {
            wrong.push(format!("description longer than {LONGEST}"));
        }
        let mut policies = self.policies.unwrap_or_default();
        if policies.is_empty() {
            wrong.push("at least one policy should be specified".to_owned());
        }
        if !wrong.is_empty() {
            let text = format!("role 0 invalid: {}", multierror(&wrong));
            return Err(ApiError::bad(text));
        }
        if self.id.is_empty() && named(state, name).is_some() {
            let text = format!("role with name {name} already exists");
            return Err(ApiError::bad(text));
        }
        if !self.id.is_empty() && !state.acl_roles.contains_key(&self.id) {
            return Err(ApiError::bad(format!("cannot find role {}", self.id)));
        }
        let known = |link: &&PolicyLink| state.acl_policies.contains_key(&link.name);
        if let Some(link) = policies.iter().find(|link| !known(link)) {
            return Err(ApiError::bad(format!("cannot find policy {}", link.name)));
        }
        let mut seen = std::collections::BTreeSet::new();
        policies.retain(|link| seen.insert(link.name.clone()));
        Ok(AclRole {
            id: if self.id.is_empty() {
                new_id()
            } else {
                self.id
            },
            name: self.name,
            description: self.description,
            policies: Some(policies),
            ..AclRole::default()
        })
    }
}

async fn create(call: Call, body: Bytes) -> Reply {
    management(&call)?;
    store(&call, call::body(&body)?).await
}

async fn update(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    management(&call)?;
    let given: Given = call::body(&body)?;
    if given.id != id {
        return Err(ApiError::bad("ACL role ID does not match request path"));
    }
    store(&call, given).await
}

async fn store(call: &Call, given: Given) -> Reply {
    let role = given.checked(&call.state())?;
    let id = role.id.clone();
    let roles = vec![role];
    let index = call.propose(Command::AclRoleUpsert { roles }).await?.index;
    call.written(index, &json!(call.state().acl_roles.get(&id)))
}

async fn remove(call: Call, Path(id): Path<String>) -> Result<Response, ApiError> {
    management(&call)?;
    let ids = vec![id];
    let index = call.propose(Command::AclRoleDelete { ids }).await?.index;
    Ok(call.nothing_written(index))
}

/// The roles that a token asks for, by ID or by name, each once.
pub(super) fn linked(state: &State, links: &[RoleLink]) -> Result<Vec<RoleLink>, ApiError> {
    let mut found: Vec<RoleLink> = Vec::new();
    for link in links {
        let (role, by) = match link.id.as_str() {
            "" => (named(state, &link.name), &link.name),
            id => (state.acl_roles.get(id), &link.id),
        };
        let role = role.ok_or_else(|| ApiError::bad(format!("cannot find role {by}")))?;
        let link = RoleLink {
            id: role.id.clone(),
            name: String::new(),
        };
        if !found.contains(&link) {
            found.push(link);
        }
    }
    Ok(found)
}
