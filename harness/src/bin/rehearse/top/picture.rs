//! What there is to see of a cluster at one moment. Data only.

/// A cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The cluster's name.
    pub cluster: String,
    /// Its agents' program: a simulated one says so.
    pub engine: String,
    /// The time of day.
    pub time: String,
    /// Who leads, as the server that was asked says.
    pub leader: Option<String>,
    /// What could not be learnt, and why.
    pub trouble: Option<String>,
    /// Servers first.
    pub agents: Vec<Agent>,
    /// Those that live first, and of each kind the newest.
    pub allocations: Vec<Allocation>,
    /// The newest first.
    pub deployments: Vec<Deployment>,
    /// The newest last.
    pub events: Vec<String>,
}

/// An agent: its process, and what Nomad says of it.
#[derive(Clone, Debug, Default)]
pub struct Agent {
    /// As `server-1`.
    pub name: String,
    /// Its process.
    pub process: String,
    /// As `amd64`.
    pub platform: String,
    /// A server's state in gossip, a client's as a node.
    pub status: String,
    /// A server's part in Raft, a client's eligibility.
    pub part: String,
    /// A server's health by autopilot; how many allocations a client runs.
    pub health: String,
    /// Whether something is not as it should be.
    pub ill: bool,
}

/// An allocation.
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    /// As `whoami.web[0]`.
    pub name: String,
    /// The first figures of its ID.
    pub id: String,
    /// Where it is.
    pub node: String,
    /// The job's version.
    pub version: u64,
    /// What its client says, and whether it should stop.
    pub status: String,
    /// Its health, where a deployment wants to know.
    pub health: String,
    /// Whether it runs, or is about to.
    pub is_live: bool,
    /// Whether it failed, or its client is lost.
    pub ill: bool,
}

/// A deployment.
#[derive(Clone, Debug, Default)]
pub struct Deployment {
    /// The job.
    pub job: String,
    /// The job's version.
    pub version: u64,
    /// As `running`.
    pub status: String,
    /// As `web 2 of 3 healthy`.
    pub groups: String,
    /// Whether it failed.
    pub ill: bool,
}
