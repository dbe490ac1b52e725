//! Nomad's objects, as the API shows them and as the Raft log carries them.
//!
//! Field names follow Nomad's JSON (`PascalCase`, `ID` in capitals, durations in
//! nanoseconds), so that one set of types serves the HTTP API, the log and the snapshots.
//! Data only: behaviour lives with the part that decides it (`scheduler`, `deployments`, ...).

mod acl;
mod alloc;
mod deployment;
mod eval;
mod job;
mod namespace;
mod node;
mod root_key;
mod service;
mod submission;
mod variable;

pub use acl::{AclPolicy, AclRole, AclToken, PolicyLink, RoleLink, TokenType};
pub use alloc::{
    AllocClientStatus, AllocDeploymentStatus, AllocDesiredStatus, AllocMetrics, AllocatedPort,
    Allocation, DesiredTransition, NodeScoreMeta, RescheduleEvent, TaskEvent, TaskState,
    TaskStateKind,
};
pub use deployment::{Deployment, DeploymentState, DeploymentStatus};
pub use eval::{EvalStatus, EvalTrigger, Evaluation};
pub use job::{
    Affinity, Constraint, Disconnect, DispatchPayload, Hook, Job, JobStatus, JobType, Lifecycle,
    LogConfig, MigrateStrategy, Network, Parameterized, Periodic, Port, ReschedulePolicy,
    Resources, RestartPolicy, Scaling, ScalingEvent, Spread, SpreadTarget, Task, TaskGroup,
    Template, UpdateStrategy,
};
pub use namespace::{Namespace, NamespaceCapabilities};
pub use node::{
    DrainStatus, DrainStrategy, DriverInfo, LastDrain, Node, NodeEligibility, NodeEvent,
    NodeResources, NodeStatus,
};
pub use root_key::RootKey;
pub use service::{Service, ServiceCheck, ServiceInstance};
pub use submission::JobSubmission;
pub use variable::Variable;

/// Nanoseconds, as Nomad's JSON carries durations and most timestamps.
pub type Nanos = i64;

/// One second in [`Nanos`].
pub const SECOND: Nanos = 1_000_000_000;
