//! For tests: a network that loses what goes to some addresses.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tokio::sync::watch;

/// The addresses to which nothing goes, and from which no answer comes.
#[derive(Debug, Default)]
pub(crate) struct Cuts(watch::Sender<BTreeSet<SocketAddr>>);

impl Cuts {
    pub(crate) fn set(&self, address: SocketAddr, cut: bool) {
        self.0.send_modify(|all| {
            if cut {
                all.insert(address);
            } else {
                all.remove(&address);
            }
        });
    }

    /// Returns once the way to an address is free.
    pub(super) async fn pass(&self, address: SocketAddr) {
        let mut all = self.0.subscribe();
        // The sender is here, so it is not closed.
        drop(all.wait_for(|all| !all.contains(&address)).await);
    }
}
