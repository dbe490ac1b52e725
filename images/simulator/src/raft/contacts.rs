//! When each server was last heard of: openraft keeps no such times for its users.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use uuid::Uuid;

/// Times of the last answer of each follower, as this server (leading) saw them.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    last: Mutex<HashMap<Uuid, Instant>>,
}

impl Contacts {
    /// An answer came from `id` now.
    pub(super) fn heard(&self, id: Uuid) {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, Instant::now());
    }

    /// Milliseconds since the last answer of `id`.
    pub(super) fn millis_since(&self, id: Uuid) -> Option<u64> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = last.get(&id)?.elapsed();
        Some(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}
