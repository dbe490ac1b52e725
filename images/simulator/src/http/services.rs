//! `services`, `service/:name`: what allocations registered with `provider = "nomad"`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{delete, get};
use serde_json::json;

use super::call::Call;
use super::context::Context;
use super::listing::{Listing, Place};
use super::reply::{ApiError, Reply};
use crate::state::{Command, Table};
use crate::types::ServiceInstance;

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/services", get(list))
        .route("/v1/service/{name}", get(read))
        .route("/v1/service/{name}/{id}", delete(remove))
}

async fn list(call: Call) -> Reply {
    call.demand_listing("read-job")?;
    let (state, index) = call.block(|state| state.index_of(Table::Services)).await;
    let mut namespaces = BTreeMap::<&str, BTreeMap<&str, BTreeSet<&str>>>::new();
    let seen = state.services.values();
    for service in seen.filter(|service| call.lists(&service.namespace, "read-job")) {
        let named = namespaces.entry(&service.namespace).or_default();
        let tags = named.entry(&service.service_name).or_default();
        tags.extend(service.tags.iter().flatten().map(String::as_str));
    }
    let shown: Vec<_> = namespaces
        .into_iter()
        .map(|(namespace, services)| {
            let services: Vec<_> = services
                .into_iter()
                .map(|(name, tags)| json!({ "ServiceName": name, "Tags": tags }))
                .collect();
            json!({ "Namespace": namespace, "Services": services })
        })
        .collect();
    call.query(index, &json!(shown))
}

async fn read(call: Call, Path(name): Path<String>) -> Reply {
    call.demand(&call.namespace, "read-job")?;
    let (state, index) = call.block(|state| state.index_of(Table::Services)).await;
    let services = state.services.values();
    let found = services.filter(|s| s.service_name == name && s.namespace == call.namespace);
    let listing = Listing {
        place: |s: &Arc<ServiceInstance>| Place::Named(s.id.clone()),
        fields: |s: &Arc<ServiceInstance>| json!(s),
        stub: |s: &Arc<ServiceInstance>| json!(s),
    };
    listing.reply(&call, index, found.cloned().collect())
}

async fn remove(call: Call, Path((name, id)): Path<(String, String)>) -> Reply {
    call.demand(&call.namespace, "submit-job")?;
    let state = call.state();
    let known = state.services.get(&id);
    if known.is_none_or(|s| s.service_name != name || s.namespace != call.namespace) {
        return Err(ApiError::missing("service registration not found"));
    }
    let ids = vec![id];
    let applied = call.propose(Command::ServiceDelete { ids }).await?;
    Ok(call.nothing_written(applied.index))
}
