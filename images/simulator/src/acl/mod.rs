//! Who may do what: tokens, and the policies that client tokens carry.
//!
//! As in Nomad: without ACLs everybody may do everything; with them nothing is allowed that a
//! token's policies (or the policy named `anonymous`) do not allow, and `deny` beats every
//! other rule. Missing: authentication methods.

mod policy;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use policy::{Level, Policy, PolicyError};

use crate::plant::{self, Plant};
use crate::state::State;
use crate::types::{AclToken, Nanos, TokenType};

/// Name of the policy of requests that carry no token.
const ANONYMOUS: &str = "anonymous";

/// The token that a request carries is not known (403 `Permission denied` in Nomad's API).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ACL token not found")]
pub struct UnknownToken;

/// What a request may do.
#[derive(Clone, Debug)]
pub struct Acl {
    token: Option<Arc<AclToken>>,
    power: Power,
}

#[derive(Clone, Debug)]
enum Power {
    /// ACLs are off, or a management token.
    All,
    /// The union of these.
    Policies(Vec<Policy>),
}

impl Acl {
    /// Rights where ACLs are off.
    #[must_use]
    pub fn disabled() -> Self {
        Self {
            token: None,
            power: Power::All,
        }
    }

    /// Rights of the holder of `secret` (empty: nobody in particular) at a time.
    ///
    /// # Errors
    /// Where the state has no such token, or it has expired.
    pub fn of(state: &State, secret: &str, now: Nanos) -> Result<Self, UnknownToken> {
        if secret.is_empty() {
            return Ok(Self {
                token: None,
                power: Power::Policies(policies(state, [ANONYMOUS])),
            });
        }
        let mut tokens = state.acl_tokens.values();
        let token = tokens.find(|token| token.secret_id == secret);
        let token = Arc::clone(token.ok_or(UnknownToken)?);
        if token.has_expired(now) && !plant::is(Plant::TokenNeverExpires) {
            return Err(UnknownToken);
        }
        let power = match token.token_type {
            TokenType::Management => Power::All,
            TokenType::Client => Power::Policies(policies(state, policies_of(state, &token))),
        };
        Ok(Self {
            token: Some(token),
            power,
        })
    }

    /// The token, where one was given.
    #[must_use]
    pub fn token(&self) -> Option<&Arc<AclToken>> {
        self.token.as_ref()
    }

    /// Whether everything is allowed.
    #[must_use]
    pub fn is_management(&self) -> bool {
        matches!(self.power, Power::All)
    }

    /// Whether a capability (`read-job`, `submit-job`, ...) is held in a namespace.
    #[must_use]
    pub fn allows(&self, namespace: &str, capability: &str) -> bool {
        match &self.power {
            Power::All => true,
            Power::Policies(policies) => {
                let denied = policies.iter().any(|p| p.holds(namespace, "deny"));
                !denied && policies.iter().any(|p| p.holds(namespace, capability))
            }
        }
    }

    /// Whether anything at all is allowed in a namespace.
    #[must_use]
    pub fn sees(&self, namespace: &str) -> bool {
        match &self.power {
            Power::All => true,
            Power::Policies(policies) => {
                let denied = policies.iter().any(|p| p.holds(namespace, "deny"));
                !denied && policies.iter().any(|policy| policy.names(namespace))
            }
        }
    }

    /// Whether a capability (`list`, `read`, `write`, `destroy`) is held on a variable.
    #[must_use]
    pub fn variable(&self, namespace: &str, path: &str, capability: &str) -> bool {
        match &self.power {
            Power::All => true,
            Power::Policies(policies) => {
                let holds = |wanted: &str| {
                    let mut policies = policies.iter();
                    policies.any(|policy| policy.holds_variable(namespace, path, wanted))
                };
                !holds("deny") && holds(capability)
            }
        }
    }

    /// Whether a capability is held on any variable of a namespace.
    #[must_use]
    pub fn any_variable(&self, namespace: &str, capability: &str) -> bool {
        match &self.power {
            Power::All => true,
            Power::Policies(policies) => policies
                .iter()
                .any(|policy| policy.holds_some_variable(namespace, capability)),
        }
    }

    /// Whether nodes may be read or changed.
    #[must_use]
    pub fn node(&self, wanted: Level) -> bool {
        self.coarse(wanted, |policy| policy.node)
    }

    /// Whether agents may be read or changed.
    #[must_use]
    pub fn agent(&self, wanted: Level) -> bool {
        self.coarse(wanted, |policy| policy.agent)
    }

    /// Whether the operator's endpoints may be read or used.
    #[must_use]
    pub fn operator(&self, wanted: Level) -> bool {
        self.coarse(wanted, |policy| policy.operator)
    }

    fn coarse(&self, wanted: Level, of: impl Fn(&Policy) -> Level) -> bool {
        match &self.power {
            Power::All => true,
            Power::Policies(policies) => {
                let levels = || policies.iter().map(&of);
                !levels().any(|level| level == Level::Deny) && levels().any(|level| level >= wanted)
            }
        }
    }
}

/// Names of a token's policies: its own, and those of its roles that are there.
pub fn policies_of<'a>(state: &'a State, token: &'a AclToken) -> BTreeSet<&'a str> {
    let links = token.roles.iter().flatten();
    let roles = links.filter_map(|link| state.acl_roles.get(&link.id));
    let own = token.policies.iter().flatten().map(String::as_str);
    own.chain(roles.flat_map(|role| role.policy_names()))
        .collect()
}

/// The policies of these names that exist; their rules were checked when they were stored.
fn policies<'a>(state: &State, names: impl IntoIterator<Item = &'a str>) -> Vec<Policy> {
    let stored = names
        .into_iter()
        .filter_map(|name| state.acl_policies.get(name));
    stored
        .filter_map(|policy| Policy::parse(&policy.rules).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::AclPolicy;

    fn state(rules: &[(&str, &str)]) -> State {
        let mut state = State::default();
        for (name, rules) in rules {
            let policy = AclPolicy {
                name: (*name).to_owned(),
                rules: (*rules).to_owned(),
                ..AclPolicy::default()
            };
            state
                .acl_policies
                .insert((*name).to_owned(), Arc::new(policy));
        }
        let token = AclToken {
            accessor_id: "a".to_owned(),
            secret_id: "s".to_owned(),
            policies: Some(rules.iter().map(|(name, _)| (*name).to_owned()).collect()),
            ..AclToken::default()
        };
        state.acl_tokens.insert("a".to_owned(), Arc::new(token));
        state
    }

    #[test]
    fn nobody_may_do_anything_without_an_anonymous_policy() {
        let acl = Acl::of(&State::default(), "", 0).unwrap();
        assert!(!acl.allows("default", "read-job"));
        assert!(!acl.node(Level::Read));
    }

    #[test]
    fn the_anonymous_policy_is_for_requests_without_token() {
        let state = state(&[("anonymous", "node { policy = \"read\" }")]);
        let acl = Acl::of(&state, "", 0).unwrap();
        assert!(acl.node(Level::Read));
        assert!(!acl.node(Level::Write));
    }

    #[test]
    fn an_unknown_token_is_refused_even_where_anonymous_may() {
        let state = state(&[("anonymous", "node { policy = \"read\" }")]);
        assert_eq!(Acl::of(&state, "x", 0).unwrap_err(), UnknownToken);
    }

    #[test]
    fn deny_beats_every_other_policy() {
        let state = state(&[
            (
                "rw",
                "namespace \"default\" { policy = \"write\" }\noperator { policy = \"write\" }",
            ),
            (
                "no",
                "namespace \"default\" { policy = \"deny\" }\noperator { policy = \"deny\" }",
            ),
        ]);
        let acl = Acl::of(&state, "s", 0).unwrap();
        assert!(!acl.allows("default", "read-job"));
        assert!(!acl.operator(Level::Read));
    }
}
