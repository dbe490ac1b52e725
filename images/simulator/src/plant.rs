//! Defects to be planted: each makes the simulator wrong in one way, so that a scenario which
//! claims to find such a thing can be seen to find it.
//!
//! `REHEARSE_PLANT=name` plants one, for the whole life of an agent. It is off unless asked for,
//! it is said loudly in the log and in `agent/self`, and nothing but the simulator knows it: an
//! agent program that is not this one cannot be asked.

mod table;

use std::sync::OnceLock;

pub use table::Plant;
use table::{Planted, TABLE};

/// Environment variable that names the defect.
pub const VARIABLE: &str = "REHEARSE_PLANT";

/// There is no such defect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no defect `{name}` to plant (expected one of {known})")]
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
        let known = TABLE.iter().find(|row| row.name == name);
        known.map(|row| row.plant).ok_or_else(|| UnknownPlant {
            name: name.to_owned(),
            known: Self::names().collect::<Vec<_>>().join(", "),
        })
    }

    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|row| row.name)
    }

    fn row(self) -> &'static Planted {
        let row = TABLE.iter().find(|row| row.plant == self);
        row.expect("every defect is planted by its name, which is in the table")
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it does.
    #[must_use]
    pub fn effect(self) -> &'static str {
        self.row().effect
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
        for row in TABLE {
            assert_eq!(Plant::named(row.name), Ok(row.plant));
            assert_eq!(
                (row.plant.name(), row.plant.effect()),
                (row.name, row.effect)
            );
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
