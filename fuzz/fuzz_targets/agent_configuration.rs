//! The reader `agent_configuration` of harness/tests/parsers.

#![no_main]

#[path = "../../harness/tests/parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|text: &str| parsers::run("agent_configuration", text));
