//! Task drivers. The simulator has one that starts processes: `raw_exec`.

mod logs;
pub mod raw_exec;
