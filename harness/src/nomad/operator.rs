//! Calls that operators make: leadership, snapshots, gossip keys, signals, all allocations.

use serde_json::{Value, json};

use super::api::{Api, ApiError};
use super::calls::segment;
use super::exchange::{Answer, Exchange};
use super::query::Query;
use super::types::{AclToken, AllocStub, GossipKeys};

impl Api {
    /// Hands the leadership to a peer, by its ID in Raft. From 1.7 on.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn transfer_leadership(&self, peer: &str) -> Result<(), ApiError> {
        let query = Query::default().param("id", peer);
        let path = "operator/raft/transfer-leadership";
        self.put::<Value>(path, &query, &json!({})).await.map(drop)
    }

    /// Returns a snapshot of the servers' state: a gzipped tar. Needs a management token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn snapshot(&self) -> Result<Vec<u8>, ApiError> {
        let asked = Exchange::new("GET", "operator/snapshot");
        Ok(good(self.exchange(&asked).await?)?.body)
    }

    /// Brings a snapshot back. Needs a management token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn restore(&self, snapshot: &[u8]) -> Result<(), ApiError> {
        let asked = Exchange::new("PUT", "operator/snapshot").raw(snapshot);
        good(self.exchange(&asked).await?).map(drop)
    }

    /// Returns the keys that the servers seal their gossip with, and how many hold each.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn gossip_keys(&self) -> Result<GossipKeys, ApiError> {
        Ok(self
            .get("agent/keyring/list", &Query::default())
            .await?
            .value)
    }

    /// Changes the gossip keys of all servers: `verb` is `install`, `use` or `remove`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn change_gossip_keys(&self, verb: &str, key: &str) -> Result<GossipKeys, ApiError> {
        let path = format!("agent/keyring/{verb}");
        let body = json!({ "Key": key });
        Ok(self.put(&path, &Query::default(), &body).await?.value)
    }

    /// Makes a management token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn make_management_token(
        &self,
        name: &str,
        global: bool,
    ) -> Result<AclToken, ApiError> {
        let body = json!({ "Name": name, "Type": "management", "Global": global });
        let made = self.put("acl/token", &Query::default(), &body).await?;
        Ok(made.value)
    }

    /// Deletes a token, by its accessor.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_token(&self, accessor: &str) -> Result<(), ApiError> {
        let path = format!("acl/token/{}", segment(accessor));
        let gone = self.delete::<Value>(&path, &Query::default()).await;
        gone.map(drop)
    }

    /// Sends a signal to every task of an allocation, as `SIGKILL`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn signal_allocation(&self, id: &str, signal: &str) -> Result<(), ApiError> {
        let path = format!("client/allocation/{}/signal", segment(id));
        let body = json!({ "Task": "", "Signal": signal });
        self.put::<Value>(&path, &Query::default(), &body)
            .await
            .map(drop)
    }

    /// Returns the allocations of all jobs in the default namespace.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn all_allocations(&self) -> Result<Vec<AllocStub>, ApiError> {
        let query = Query::default();
        let all = self.get::<Option<_>>("allocations", &query).await?;
        Ok(all.value.unwrap_or_default())
    }
}

/// Makes an error of every answer that is no success.
fn good(answer: Answer) -> Result<Answer, ApiError> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    Err(ApiError::Status {
        status: answer.status,
        body: answer.text().trim().to_owned(),
        call: answer.call,
    })
}
