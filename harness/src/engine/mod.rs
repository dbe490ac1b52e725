//! Where the agent program comes from.

pub mod release;
