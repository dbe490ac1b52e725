//! Which cluster and which agents a command line means. Agents are always called `server-N` and
//! `client-N`, so that both can stand side by side: `rehearse logs demo server-1`.

use std::sync::OnceLock;

use super::failure::Failure;

/// What the cluster is called that is meant when none is named, unless `REHEARSE_CLUSTER` or the
/// project's file says another name.
static DEFAULT_CLUSTER: OnceLock<String> = OnceLock::new();

/// Names the cluster that is meant when none is named. Before the first command line is read.
pub fn set_default_cluster(name: String) {
    DEFAULT_CLUSTER.get_or_init(|| name);
}

/// The cluster that is meant when none is named.
pub fn default_cluster() -> &'static str {
    DEFAULT_CLUSTER.get_or_init(|| "default".to_owned())
}

/// What commands call their words that take a cluster and agents, in any order.
pub const CLUSTER_AND_AGENTS: &str = "CLUSTER] [AGENT";

/// The same, where an agent must be named.
pub const CLUSTER_AND_SOME_AGENT: &str = "[CLUSTER] AGENT";

/// Whether an argument without an option's name is a cluster's name, or may be one of agents and a cluster.
pub fn is_cluster(arg: &clap::Arg) -> bool {
    let called = |name: &str| {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().any(|one| one.as_str() == name)
    };
    let by_default = arg
        .get_default_values()
        .iter()
        .any(|one| *one == default_cluster());
    let words = called(CLUSTER_AND_AGENTS) || called(CLUSTER_AND_SOME_AGENT);
    arg.is_positional() && (words || (by_default && arg.get_id() == "name"))
}

/// Reads a version of Nomad, as `1.8.3`, `v1.8.3` or `1.8.3+ent`.
pub fn nomad_version(text: &str) -> Result<semver::Version, String> {
    let number = text.strip_prefix('v').unwrap_or(text);
    number.parse().map_err(|_| {
        format!("`{text}` is no version of Nomad, expected one with three numbers, as `1.8.3`")
    })
}

/// What the words of a command line mean.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The cluster.
    pub cluster: String,
    /// The agents; none means all.
    pub agents: Vec<String>,
}

/// Sorts words into one cluster and any number of agents.
pub fn sort(words: &[String]) -> Result<Named, Failure> {
    let (agents, clusters): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| is_agent(word));
    match clusters.as_slice() {
        [] => Ok(default_cluster().to_owned()),
        [one] => Ok((*one).clone()),
        [one, other, ..] => Err(Failure::input(format!(
            "`{one}` and `{other}` cannot both be the cluster (agents are called `server-1`, \
             `client-2`, ...)"
        ))),
    }
    .map(|cluster| Named {
        cluster,
        agents: agents.into_iter().cloned().collect(),
    })
}

fn is_agent(word: &str) -> bool {
    word.strip_prefix("server-")
        .or_else(|| word.strip_prefix("client-"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_people_write_them() {
        for text in ["1.8.3", "v1.8.3"] {
            assert_eq!(nomad_version(text), Ok(semver::Version::new(1, 8, 3)));
        }
        assert_eq!(nomad_version("1.8.3+ent").unwrap().build.as_str(), "ent");
        let told = nomad_version("1.8").unwrap_err();
        assert!(told.starts_with("`1.8` is no version of Nomad"), "{told}");
    }

    fn named(words: &[&str]) -> Named {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        sort(&words).unwrap()
    }

    #[test]
    fn agents_are_told_from_clusters_by_their_names() {
        assert_eq!(named(&[]).cluster, "default");
        assert_eq!(named(&["server-1"]).agents, ["server-1"]);
        let both = named(&["demo", "client-2", "client-3"]);
        assert_eq!(both.cluster, "demo");
        assert_eq!(both.agents, ["client-2", "client-3"]);
        assert_eq!(named(&["server-x"]).cluster, "server-x");
        assert!(sort(&["a".to_owned(), "b".to_owned()]).is_err());
    }
}
