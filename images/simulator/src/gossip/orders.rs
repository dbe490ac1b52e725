//! What the rest of the agent may ask of gossip.

use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::consensus::{KeyOrder, Membership};

/// One thing asked of the engine.
#[derive(Debug)]
pub(super) enum Order {
    Join {
        addresses: Vec<String>,
        reply: oneshot::Sender<Joined>,
    },
    Leave {
        name: String,
        prune: bool,
    },
    Keys {
        order: KeyOrder,
        reply: oneshot::Sender<Result<Vec<String>, String>>,
    },
}

/// How many addresses answered, and what was wrong with the others.
pub(super) type Joined = (usize, Vec<String>);

/// A join that waits for its addresses to answer.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) by: Instant,
    pub(super) waited: Vec<SocketAddr>,
    pub(super) failures: Vec<String>,
    pub(super) reply: Option<oneshot::Sender<Joined>>,
}

/// The way to the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct GossipHandle(pub(super) mpsc::Sender<Order>);

#[async_trait]
impl Membership for GossipHandle {
    async fn join(&self, addresses: Vec<String>) -> (usize, Vec<String>) {
        let (reply, answer) = oneshot::channel();
        let order = Order::Join { addresses, reply };
        let sent = self.0.send(order).await;
        match (sent, answer.await) {
            (Ok(()), Ok(joined)) => joined,
            _ => (0, vec!["the agent ends".to_owned()]),
        }
    }

    async fn leave_for(&self, name: &str, prune: bool) {
        let name = name.to_owned();
        drop(self.0.send(Order::Leave { name, prune }).await);
    }

    async fn keys(&self, order: KeyOrder) -> Result<Vec<String>, String> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(Order::Keys { order, reply }).await;
        match (sent, answer.await) {
            (Ok(()), Ok(keys)) => keys,
            _ => Err("the agent ends".to_owned()),
        }
    }
}
