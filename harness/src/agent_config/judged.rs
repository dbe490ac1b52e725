//! What a Nomad makes of a key of its configuration.

use semver::Version;

use super::keys::{FURTHER, KEYS, Key};
use crate::grammar::nearest;

/// The newest Nomad that the tables of keys were read from: what a later one knows is not known here.
const NEWEST: Version = Version::new(2, 0, 5);

/// Blocks in which a Nomad takes what it does not know without a word: their types in
/// `command/agent/config.go` and `nomad/structs/config` have no `unusedKeys`, or are not looked into for them.
const LENIENT: &[&str] = &[
    "audit.filter",
    "audit.sink",
    "client.artifact",
    "client.drain_on_shutdown",
    "client.fingerprint",
    "client.host_network",
    "client.host_volume",
    "client.template",
    "client.users",
    "consul",
    "eventlog",
    "limits",
    "plugin",
    "reporting",
    "rpc",
    "sentinel",
    "server.default_scheduler_config",
    "server.raft_boltdb",
    "server.raft_logstore",
    "server.search",
    "ui",
    "vault",
];

/// From here on a Nomad takes what it does not know in `consul`.
const CONSUL_LENIENT: Version = Version::new(1, 7, 0);

/// What is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    /// Why it is not read.
    pub kind: KeyFaultKind,
    /// Whether the agent ends by it at its start; else it goes on as if the key were not there.
    pub fatal: bool,
    /// A sentence about it.
    pub message: String,
}

/// Why a key is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFaultKind {
    /// No Nomad knows it.
    Unknown,
    /// Another version knows it.
    OtherVersion,
}

/// Returns what is wrong with a key of an agent's file, as `server.encrypt`, for a version, or for any if
/// that is not known. Labels of blocks are parts of the path.
#[must_use]
pub fn fault(path: &str, version: Option<&Version>) -> Option<KeyFault> {
    let lowercase = path.to_lowercase();
    let parts: Vec<&str> = lowercase.split('.').collect();
    let Some(unknown) =
        (1..=parts.len()).find(|length| !all().any(|key| begins(key, &parts[..*length])))
    else {
        return of_version(path, &parts, version?);
    };
    if version.is_some_and(|version| *version > NEWEST) {
        return None;
    }
    let block = parts[..unknown - 1].join(".");
    let name = parts[unknown - 1];
    let shown = path.split('.').take(unknown).collect::<Vec<_>>().join(".");
    let what = if unknown == parts.len() {
        "key"
    } else {
        "block"
    };
    Some(KeyFault {
        kind: KeyFaultKind::Unknown,
        fatal: !is_lenient(&block, version),
        message: format!(
            "no Nomad knows the {what} `{shown}`{}",
            hint(&parts[..unknown - 1], name)
        ),
    })
}

fn of_version(path: &str, parts: &[&str], version: &Version) -> Option<KeyFault> {
    let named: Vec<&Key> = all().filter(|key| begins(key, parts)).collect();
    if named.iter().any(|key| key.is_known_to(version)) {
        return None;
    }
    let key = named.first()?;
    let when = match (key.first, key.last) {
        (Some((major, minor, patch)), _) => format!("came with Nomad {major}.{minor}.{patch}"),
        (None, Some((major, minor, _))) => format!("is gone after Nomad {major}.{minor}"),
        (None, None) => return None,
    };
    let block = parts[..parts.len() - 1].join(".");
    Some(KeyFault {
        kind: KeyFaultKind::OtherVersion,
        fatal: !is_lenient(&block, Some(version)),
        message: format!("`{path}` {when}, this is {version}"),
    })
}

fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(FURTHER)
}

/// Whether a key's path begins with these parts.
fn begins(key: &Key, parts: &[&str]) -> bool {
    let mut known = key.path.split('.').peekable();
    for part in parts {
        match known.next() {
            Some("*") if known.peek().is_none() => return true,
            Some(word) if word == "*" || word == *part => {}
            _ => return false,
        }
    }
    true
}

fn is_lenient(block: &str, version: Option<&Version>) -> bool {
    let within = |lenient: &&&str| {
        let rest = block.strip_prefix(**lenient);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let strict_consul = version.is_some_and(|version| *version < CONSUL_LENIENT);
    LENIENT
        .iter()
        .find(within)
        .is_some_and(|lenient| *lenient != "consul" || !strict_consul)
}

/// The name that was meant: one of the same block, else the same name in another one.
fn hint(block: &[&str], name: &str) -> String {
    let siblings = all()
        .filter(|key| begins(key, block))
        .filter_map(|key| key.path.split('.').nth(block.len()))
        .filter(|sibling| *sibling != "*");
    let elsewhere = || {
        let last = |key: &&Key| key.path.rsplit('.').next() == Some(name);
        all().find(last).map(|key| key.path)
    };
    nearest(name, siblings)
        .or_else(elsewhere)
        .map(|near| format!(" (did you mean `{near}`?)"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, version: &str) -> Option<(bool, String)> {
        let version: Option<Version> = version.parse().ok();
        fault(path, version.as_ref()).map(|fault| (fault.fatal, fault.message))
    }

    #[test]
    fn an_unknown_key_is_told_with_the_one_that_was_meant() {
        for (path, message) in [
            ("bogus_key", "no Nomad knows the key `bogus_key`"),
            (
                "acl.enabeld",
                "no Nomad knows the key `acl.enabeld` (did you mean `enabled`?)",
            ),
            (
                "sever.enabled",
                "no Nomad knows the block `sever` (did you mean `server`?)",
            ),
            (
                "bootstrap_expect",
                "no Nomad knows the key `bootstrap_expect` (did you mean `server.bootstrap_expect`?)",
            ),
        ] {
            assert_eq!(told(path, ""), Some((true, message.to_owned())));
        }
        let (fatal, _) = told("limits.http_max_cons", "1.9.0").unwrap();
        assert!(!fatal, "Nomad does not look there");
        assert!(
            told("consul.adress", "1.6.0").unwrap().0,
            "a Nomad looked there"
        );
        assert!(
            !told("consul.adress", "1.7.0").unwrap().0,
            "a Nomad looks there no longer"
        );
    }

    #[test]
    fn what_a_nomad_reads_is_left_alone() {
        for path in [
            "server.encrypt",
            "SERVER.Enabled",
            "server.server_join",
            "client.host_volume.data.path",
            "client.options.driver.allowlist",
            "client.meta.a.b.c",
            "plugin.docker.config.auth.config",
            "keyring.awskms.kms_key_id",
            "vault.default_identity.aud",
            "consul.token",
            "telemetry.statsd_address",
        ] {
            assert_eq!(told(path, ""), None, "{path}");
            assert_eq!(told(path, "2.0.5"), None, "{path}");
        }
        assert_eq!(told("new_key", "2.0.6"), None, "a later one may know it");
    }

    #[test]
    fn a_key_of_another_version_is_told_for_that_version_alone() {
        let (fatal, message) = told("client.node_pool", "1.5.17").unwrap();
        assert!(fatal);
        assert_eq!(
            message,
            "`client.node_pool` came with Nomad 1.6.0, this is 1.5.17"
        );
        let (fatal, message) = told("vault.allow_unauthenticated", "1.10.0").unwrap();
        assert!(!fatal, "{message}");
        // Patches of older lines brought it, too.
        let gc = "server.batch_eval_gc_threshold";
        assert_eq!(told(gc, "1.3.10"), None);
        assert!(told(gc, "1.4.4").is_some());
        assert_eq!(told(gc, "1.4.5"), None);
        assert_eq!(told(gc, "1.5.0"), None);
    }
}
