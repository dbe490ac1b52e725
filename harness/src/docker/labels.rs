//! The labels that every object of ours carries: they are the whole database. What is left by a
//! `rehearse` that was killed is found by them, and only what carries them is ever touched.

use super::Labels;
use crate::owner::Owner;

/// The cluster's name.
pub const CLUSTER: &str = "rehearse.cluster";
/// The run that made the object: one `up`, unique.
pub const RUN: &str = "rehearse.run";
/// `server`, `client`, [`TOOL`], [`RESPONDER`] or [`KEEPER`].
pub const ROLE: &str = "rehearse.role";
/// The role of helpers.
pub const TOOL: &str = "tool";
/// The role of what answers in AWS's place.
pub const RESPONDER: &str = "responder";
/// The role of what keeps data that are in memory, and lives as long as the cluster.
pub const KEEPER: &str = "keeper";
/// The agent's name.
pub const AGENT: &str = "rehearse.agent";
/// Who made it: machine, boot, process and its start, as [`crate::owner::Owner`] writes them.
pub const OWNER: &str = "rehearse.owner";
/// Seconds since 1970 from which on a half-made cluster is garbage, whoever made it.
pub const EXPIRES: &str = "rehearse.expires";
/// The cluster's folder on the machine of the owner.
pub const FOLDER: &str = "rehearse.folder";
/// The agents' program, as `simulator 1.8.3`.
pub const ENGINE: &str = "rehearse.engine";
/// On images: what they were made from, so that a newer one can take the place.
pub const ORIGIN: &str = "rehearse.origin";

/// Returns the label's value.
#[must_use]
pub fn get<'a>(labels: &'a Labels, key: &str) -> Option<&'a str> {
    labels.get(key).map(String::as_str)
}

/// Whether an object is a helper's: it lives for a moment, also where it names the agent that it helps.
#[must_use]
pub fn is_tool(labels: &Labels) -> bool {
    get(labels, ROLE) == Some(TOOL)
}

/// Whether an object is an agent's own container.
#[must_use]
pub fn is_agent(labels: &Labels) -> bool {
    get(labels, AGENT).is_some() && !is_tool(labels)
}

/// Returns the labels of a container of no cluster that lives for a moment: what a killed process
/// leaves is swept by them.
#[must_use]
pub fn of_tool(run: &str) -> Labels {
    let owner = Owner::this();
    [
        (RUN, run.to_owned()),
        (ROLE, TOOL.to_owned()),
        (OWNER, owner.to_string()),
        (EXPIRES, owner.expiry_soon().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Hash of what was asked for.
pub const SPEC: &str = "rehearse.spec";
/// On clusters that live no longer than the process that made them (tests): `true`.
pub const EPHEMERAL: &str = "rehearse.ephemeral";
/// On the volume that says: the cluster came up whole. Labels cannot be changed later, so that
/// an object of its own has to say it.
pub const READY: &str = "rehearse.ready";
