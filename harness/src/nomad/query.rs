//! What may be asked of a read besides its path, and what comes back besides its value.

use std::time::Duration;

/// How a request is to be answered. `Query::default()` is what Nomad does unasked: the leader
/// answers, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub(super) stale: bool,
    pub(super) blocking: Option<(u64, Duration)>,
    pub(super) timeout: Option<Duration>,
    pub(super) region: Option<String>,
    pub(super) params: Vec<(String, String)>,
}

impl Query {
    /// Lets the asked server answer from its own state, leader or not.
    #[must_use]
    pub fn stale(mut self) -> Self {
        self.stale = true;
        self
    }

    /// Answers when the resource's index exceeds `index`, at the latest after `wait` (at most
    /// 300 s; Nomad adds up to a sixteenth of it). Index 0 answers at once.
    #[must_use]
    pub fn blocking(mut self, index: u64, wait: Duration) -> Self {
        self.blocking = Some((index, wait));
        self
    }

    /// Gives up after this long, connection included.
    #[must_use]
    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }

    /// Adds a parameter as `purge=true`.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((key.into(), value.into()));
        self
    }

    /// Returns the parameters as the server reads them.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = self.params.clone();
        if let Some(region) = &self.region {
            pairs.push(("region".to_owned(), region.clone()));
        }
        if self.stale {
            // Presence enables it; the value is read from 1.8.0 on only.
            pairs.push(("stale".to_owned(), "true".to_owned()));
        }
        if let Some((index, wait)) = self.blocking {
            pairs.push(("index".to_owned(), index.to_string()));
            pairs.push(("wait".to_owned(), format!("{}ms", wait.as_millis())));
        }
        pairs
    }
}

/// A value, and what the headers said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T> {
    /// The body.
    pub value: T,
    /// `X-Nomad-Index`: what a blocking query waits on; absent on `status/*`, `agent/*`.
    pub index: Option<u64>,
    /// `X-Nomad-KnownLeader`: whether the server that answered knew a leader.
    pub known_leader: Option<bool>,
    /// `X-Nomad-LastContact`: how long that server had not heard from the leader; zero on it.
    pub last_contact: Option<Duration>,
    /// HTTP status.
    pub status: u16,
}

impl<T> Reply<T> {
    /// Returns the reply with its value changed.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Reply<U> {
        Reply {
            value: change(self.value),
            index: self.index,
            known_leader: self.known_leader,
            last_contact: self.last_contact,
            status: self.status,
        }
    }
}
