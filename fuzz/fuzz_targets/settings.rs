//! The reader `settings` of harness/tests/parsers.

#![no_main]

#[path = "../../harness/tests/parsers/mod.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|text: &str| parsers::run("settings", text));
