//! Which cluster and which agents a command line means. Agents are always called `server-N` and
//! `client-N`, so that both can stand side by side: `rehearse logs demo server-1`.

use super::failure::Failure;

/// The cluster that is meant when none is named.
pub const DEFAULT_CLUSTER: &str = "default";

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
        [] => Ok(DEFAULT_CLUSTER.to_owned()),
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
