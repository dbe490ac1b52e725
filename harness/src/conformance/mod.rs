//! The conformance suite: laws of Nomad's API and scheduling, each a case that a real Nomad keeps,
//! put to any cluster. The simulator's score is how much of Nomad it is.
//!
//! A case is an async function named after its law, in the file of the part of Nomad that it
//! belongs to, with its line in that file's table. It works with jobs, tokens and nodes of its
//! own as far as it can, and what it made is undone when it ends, however it ends. Cases that
//! change what all others see (the scheduler's switches, a node's eligibility) run [alone].
//!
//! A case that a real Nomad of its versions breaks is a wrong case. An answer with 501, where the
//! case did not ask for it, is counted apart: not simulated.
//!
//! Missing: federation, quotas and everything else of Enterprise, CSI, Consul and Vault.
//!
//! [alone]: Case::alone

mod answer;
mod case;
mod given;
mod ground;
mod run;
mod score;

mod acl;
mod agent;
mod allocations;
mod blocking;
mod consistency;
mod deployments;
mod drains;
mod encoding;
mod evaluations;
mod events;
mod failures;
mod files;
mod jobs;
mod keyrings;
mod namespaces;
mod nodes;
mod offspring;
mod operator;
mod parsing;
mod placement;
mod plans;
mod roles;
mod scaling;
mod scheduler;
mod search;
mod services;
mod status;
mod system;
mod tls;
mod variables;
mod versions;

pub use case::{Broken, Case, Law};
pub use run::{Options, run};
pub use score::{Counts, Kept, Outcome, Score};

/// Returns all cases, in the order of the parts of Nomad.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        status::CASES,
        agent::CASES,
        operator::CASES,
        encoding::CASES,
        consistency::CASES,
        blocking::CASES,
        tls::CASES,
        acl::CASES,
        roles::CASES,
        namespaces::CASES,
        nodes::CASES,
        parsing::CASES,
        jobs::CASES,
        versions::CASES,
        plans::CASES,
        scaling::CASES,
        offspring::CASES,
        placement::CASES,
        failures::CASES,
        scheduler::CASES,
        deployments::CASES,
        allocations::CASES,
        files::CASES,
        evaluations::CASES,
        system::CASES,
        drains::CASES,
        events::CASES,
        search::CASES,
        services::CASES,
        variables::CASES,
        keyrings::CASES,
    ]
    .concat()
}

#[cfg(test)]
mod tests;
