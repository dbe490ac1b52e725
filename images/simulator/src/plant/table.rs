//! Every defect that can be planted: its name on command lines, and what it does, for the log.

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// No server stands for election after the first.
    NoFailover,
    /// The fourth and later registrations of a job are acknowledged and lost.
    LostWrite,
    /// Every request is allowed, whatever its token.
    AclOpen,
    /// Tokens are good beyond their expiration.
    TokenNeverExpires,
    /// HTTPS and RPC ask for no certificate.
    NoClientCertificate,
    /// Gossip goes in the clear and from anybody.
    GossipKeyIgnored,
    /// Reads are answered from local state as if consistent.
    StaleReads,
    /// Blocking queries are answered at once.
    WaitIgnored,
    /// A listener hears nothing of what was before it.
    EventsLost,
    /// Jobs are registered whatever index is to be enforced.
    EnforceIndexIgnored,
    /// Variables are written whatever index is to be checked.
    CasIgnored,
    /// A restored snapshot brings no jobs back.
    RestoreDropsJobs,
    /// Allocations of a lost node are not replaced.
    LostNodeKept,
    /// System jobs are not put on nodes that come.
    NewNodeMissed,
    /// A drain leaves the first allocation of each group.
    DrainLeavesOne,
    /// Evaluations that wait for capacity are never looked at again.
    BlockedForEver,
    /// No constraint keeps anything off a node.
    ConstraintsIgnored,
    /// Static ports are given to several allocations of a node.
    PortGivenTwice,
    /// Failed deployments are not reverted.
    NoAutoRevert,
    /// Healthy canaries wait for ever.
    NoAutoPromote,
    /// Rollouts replace everything at once.
    MaxParallelIgnored,
    /// Allocations are healthy as soon as they run.
    MinHealthyTimeIgnored,
    /// Deployments without progress go on for ever.
    ProgressDeadlineIgnored,
    /// Scaling is acknowledged and changes no count.
    ScaleCountIgnored,
    /// A revert is acknowledged and registers the current version.
    RevertIgnored,
    /// Failed tasks are not restarted where they are.
    RestartsIgnored,
    /// Failed allocations are not replaced.
    NotRescheduled,
    /// Tasks are killed without being asked to end.
    KillTimeoutIgnored,
    /// Services of stopped allocations stay registered.
    ServiceKept,
    /// A write is acknowledged only once every server has it.
    WriteWaitsForAll,
    /// Entries are acknowledged before they are on disk.
    WritesNotSynced,
}

/// A row of the table.
pub(super) struct Planted {
    pub(super) plant: Plant,
    pub(super) name: &'static str,
    pub(super) effect: &'static str,
}

impl Planted {
    const fn new(plant: Plant, name: &'static str, effect: &'static str) -> Self {
        Self {
            plant,
            name,
            effect,
        }
    }
}

pub(super) const TABLE: &[Planted] = &[
    Planted::new(
        Plant::NoFailover,
        "no-failover",
        "no server stands for election after the first",
    ),
    Planted::new(
        Plant::LostWrite,
        "lost-write",
        "the fourth and later registrations of a job are acknowledged and lost",
    ),
    Planted::new(
        Plant::AclOpen,
        "acl-open",
        "every request is allowed, whatever its token",
    ),
    Planted::new(
        Plant::TokenNeverExpires,
        "token-never-expires",
        "tokens are good beyond their expiration",
    ),
    Planted::new(
        Plant::NoClientCertificate,
        "no-client-certificate",
        "HTTPS and RPC ask for no certificate",
    ),
    Planted::new(
        Plant::GossipKeyIgnored,
        "gossip-key-ignored",
        "gossip goes in the clear and from anybody",
    ),
    Planted::new(
        Plant::StaleReads,
        "stale-reads",
        "reads are answered from local state as if consistent",
    ),
    Planted::new(
        Plant::WaitIgnored,
        "wait-ignored",
        "blocking queries are answered at once",
    ),
    Planted::new(
        Plant::EventsLost,
        "events-lost",
        "a listener hears nothing of what was before it",
    ),
    Planted::new(
        Plant::EnforceIndexIgnored,
        "enforce-index-ignored",
        "jobs are registered whatever index is to be enforced",
    ),
    Planted::new(
        Plant::CasIgnored,
        "cas-ignored",
        "variables are written whatever index is to be checked",
    ),
    Planted::new(
        Plant::RestoreDropsJobs,
        "restore-drops-jobs",
        "a restored snapshot brings no jobs back",
    ),
    Planted::new(
        Plant::LostNodeKept,
        "lost-node-kept",
        "allocations of a lost node are not replaced",
    ),
    Planted::new(
        Plant::NewNodeMissed,
        "new-node-missed",
        "system jobs are not put on nodes that come",
    ),
    Planted::new(
        Plant::DrainLeavesOne,
        "drain-leaves-one",
        "a drain leaves the first allocation of each group",
    ),
    Planted::new(
        Plant::BlockedForEver,
        "blocked-for-ever",
        "evaluations that wait for capacity are never looked at again",
    ),
    Planted::new(
        Plant::ConstraintsIgnored,
        "constraints-ignored",
        "no constraint keeps anything off a node",
    ),
    Planted::new(
        Plant::PortGivenTwice,
        "port-given-twice",
        "static ports are given to several allocations of a node",
    ),
    Planted::new(
        Plant::NoAutoRevert,
        "no-auto-revert",
        "failed deployments are not reverted",
    ),
    Planted::new(
        Plant::NoAutoPromote,
        "no-auto-promote",
        "healthy canaries wait for ever",
    ),
    Planted::new(
        Plant::MaxParallelIgnored,
        "max-parallel-ignored",
        "rollouts replace everything at once",
    ),
    Planted::new(
        Plant::MinHealthyTimeIgnored,
        "min-healthy-time-ignored",
        "allocations are healthy as soon as they run",
    ),
    Planted::new(
        Plant::ProgressDeadlineIgnored,
        "progress-deadline-ignored",
        "deployments without progress go on for ever",
    ),
    Planted::new(
        Plant::ScaleCountIgnored,
        "scale-count-ignored",
        "scaling is acknowledged and changes no count",
    ),
    Planted::new(
        Plant::RevertIgnored,
        "revert-ignored",
        "a revert is acknowledged and registers the current version",
    ),
    Planted::new(
        Plant::RestartsIgnored,
        "restarts-ignored",
        "failed tasks are not restarted where they are",
    ),
    Planted::new(
        Plant::NotRescheduled,
        "not-rescheduled",
        "failed allocations are not replaced",
    ),
    Planted::new(
        Plant::KillTimeoutIgnored,
        "kill-timeout-ignored",
        "tasks are killed without being asked to end",
    ),
    Planted::new(
        Plant::ServiceKept,
        "service-kept",
        "services of stopped allocations stay registered",
    ),
    Planted::new(
        Plant::WriteWaitsForAll,
        "write-waits-for-all",
        "a write is acknowledged only once every server has it",
    ),
    Planted::new(
        Plant::WritesNotSynced,
        "writes-not-synced",
        "entries are acknowledged before they are on disk",
    ),
];
