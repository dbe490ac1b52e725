//! Defects to be planted: each makes the simulator wrong in one way, so that a scenario which
//! claims to find such a thing can be seen to find it.
//!
//! `REHEARSE_PLANT=name` plants one, for the whole life of an agent. It is off unless asked for,
//! it is said loudly in the log and in `agent/self`, and nothing but the simulator knows it: an
//! agent program that is not this one cannot be asked.

use std::sync::OnceLock;

/// Environment variable that names the defect.
pub const VARIABLE: &str = "REHEARSE_PLANT";

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A server never stands for election after the first.
    NoFailover,
    /// The fourth and every later registration of a job is acknowledged and not written.
    LostWrite,
    /// Everybody may do everything.
    AclOpen,
    /// Neither HTTPS nor RPC asks for a certificate.
    NoClientCertificate,
    /// Gossip is neither sealed nor are its seals looked at.
    GossipKeyIgnored,
    /// Every read is answered by whoever is asked, as if it were consistent.
    StaleReads,
    /// A lost node's allocations are left where they were.
    LostNodeKept,
    /// A failed deployment never goes back to the stable version.
    NoAutoRevert,
    /// A rollout replaces everything at once.
    MaxParallelIgnored,
    /// An allocation is healthy as soon as it runs.
    MinHealthyTimeIgnored,
}

/// Name, defect, and what it does, in words for the log.
const TABLE: &[(&str, Plant, &str)] = &[
    (
        "no-failover",
        Plant::NoFailover,
        "no server stands for election after the first",
    ),
    (
        "lost-write",
        Plant::LostWrite,
        "the fourth and later registrations of a job are acknowledged and lost",
    ),
    (
        "acl-open",
        Plant::AclOpen,
        "every request is allowed, whatever its token",
    ),
    (
        "no-client-certificate",
        Plant::NoClientCertificate,
        "HTTPS and RPC ask for no certificate",
    ),
    (
        "gossip-key-ignored",
        Plant::GossipKeyIgnored,
        "gossip goes in the clear and from anybody",
    ),
    (
        "stale-reads",
        Plant::StaleReads,
        "reads are answered from local state as if consistent",
    ),
    (
        "lost-node-kept",
        Plant::LostNodeKept,
        "allocations of a lost node are not replaced",
    ),
    (
        "no-auto-revert",
        Plant::NoAutoRevert,
        "failed deployments are not reverted",
    ),
    (
        "max-parallel-ignored",
        Plant::MaxParallelIgnored,
        "rollouts replace everything at once",
    ),
    (
        "min-healthy-time-ignored",
        Plant::MinHealthyTimeIgnored,
        "allocations are healthy as soon as they run",
    ),
];

/// There is no such defect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{VARIABLE}` names the defect `{name}`, which is not known: expected one of {known}")]
pub struct UnknownPlant {
    name: String,
    known: String,
}

static PLANTED: OnceLock<Plant> = OnceLock::new();

impl Plant {
    /// The defect of a name.
    ///
    /// # Errors
    /// Where there is none; the names that there are, are told.
    pub fn named(name: &str) -> Result<Self, UnknownPlant> {
        let known = TABLE.iter().find(|(known, ..)| *known == name);
        known.map(|(_, plant, _)| *plant).ok_or_else(|| {
            let names: Vec<_> = TABLE.iter().map(|(name, ..)| *name).collect();
            UnknownPlant {
                name: name.to_owned(),
                known: names.join(", "),
            }
        })
    }

    fn row(self) -> &'static (&'static str, Self, &'static str) {
        let row = TABLE.iter().find(|(_, plant, _)| *plant == self);
        row.expect("every defect is in the table: a test sees to it")
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What it does.
    #[must_use]
    pub fn effect(self) -> &'static str {
        self.row().2
    }
}

/// Plants a defect for good; once, at start.
pub fn plant(plant: Plant) {
    PLANTED
        .set(plant)
        .expect("a defect is planted once, before anything runs");
}

/// The defect that is planted, if one is.
#[must_use]
pub fn planted() -> Option<Plant> {
    #[cfg(test)]
    if let Some(plant) = trial::PLANTED.get() {
        return Some(plant);
    }
    PLANTED.get().copied()
}

/// Whether this defect is planted.
#[must_use]
pub fn is(plant: Plant) -> bool {
    planted() == Some(plant)
}

/// Defects for the length of a test, on its thread alone.
#[cfg(test)]
pub mod trial {
    use std::cell::Cell;

    use super::Plant;

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    /// The defect goes when this is dropped.
    #[must_use]
    pub struct Planted(());

    /// Plants a defect.
    pub fn plant(plant: Plant) -> Planted {
        PLANTED.set(Some(plant));
        Planted(())
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }
}

#[cfg(test)]
mod deviations;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_a_name_and_a_name_one_defect() {
        for (name, plant, effect) in TABLE {
            assert_eq!(Plant::named(name), Ok(*plant));
            assert_eq!((plant.name(), plant.effect()), (*name, *effect));
        }
        let error = Plant::named("slow-disk").unwrap_err().to_string();
        assert!(
            error.contains("`slow-disk`") && error.contains("acl-open"),
            "{error}"
        );
    }

    #[test]
    fn nothing_is_planted_unless_asked_for() {
        assert_eq!(planted(), None);
        let planted = trial::plant(Plant::AclOpen);
        assert!(is(Plant::AclOpen) && !is(Plant::LostWrite));
        drop(planted);
        assert!(!is(Plant::AclOpen));
    }
}
