//! `operator/keyring/*`: the root keyring, as far as it can be told of. Nothing is encrypted or
//! signed with its keys here. (Gossip's keys are at `agent/keyring`, see `gossip.rs`.)

use axum::Router;
use axum::extract::Path;
use axum::routing::{delete, get};
use serde_json::json;

use super::call::Call;
use super::context::Context;
use super::reply::{self, Reply};
use super::write;
use crate::leader::new_root_key;
use crate::state::{Command, Table};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/operator/keyring/keys", get(list))
        .route("/v1/operator/keyring/rotate", write(rotate))
        .route("/v1/operator/keyring/key/{id}", delete(remove))
}

async fn list(call: Call) -> Reply {
    call.demand_management()?;
    let (state, index) = call.block(|state| state.index_of(Table::RootKeys)).await;
    call.query(index, &json!(state.root_keys))
}

/// With `?full` every variable would be encrypted anew: here there is nothing to do for it.
async fn rotate(call: Call) -> Reply {
    call.demand_management()?;
    let key = new_root_key();
    let id = key.key_id.clone();
    let applied = call.propose(Command::RootKeyRotate { key }).await?;
    let state = call.state();
    let stored = state.root_keys.iter().find(|key| key.key_id == id);
    let value = json!({ "Key": stored, "Index": applied.index });
    call.written(applied.index, &value)
}

async fn remove(call: Call, Path(id): Path<String>) -> Reply {
    call.demand_management()?;
    call.propose(Command::RootKeyDelete { id }).await?;
    Ok(reply::empty())
}
