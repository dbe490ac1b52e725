//! The version that an agent says it is. That is the one whose behaviour is followed, unless the
//! harness wants an upgrade rehearsed: then it is the number alone that is another.

use std::sync::OnceLock;

/// Environment variable that makes an agent say that it is of another version, as `1.8.4`.
pub const ANNOUNCED: &str = "REHEARSE_ANNOUNCED_VERSION";

static SAID: OnceLock<String> = OnceLock::new();

/// Sets what the agent says it is; once, at start.
pub(crate) fn announce(version: String) {
    SAID.set(version)
        .expect("the version is set once, before anything runs");
}

/// Returns what the agent says it is.
pub(crate) fn announced() -> String {
    let said = SAID.get().map(String::as_str);
    said.unwrap_or(crate::FOLLOWS).to_owned()
}
