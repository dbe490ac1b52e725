//! Who leads in which term, by the servers' own account: Raft's first promise is that no term has
//! two leaders.
//!
//! A server tells its state and its term one after the other, and may lose its leadership between
//! the two: a claim counts when the next look finds the same.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use super::{Beside, Breach, Outcome, Workload};
use crate::directory::Entry;
use crate::grammar::{Number, Word};
use crate::measure::Measure;
use crate::nomad::types::AgentSelf;
use crate::poll;
use crate::spec::AgentName;

/// As scripts name it.
pub(super) const WORD: Word<Workload> = Word {
    name: "term_watch",
    about: "asks every server each 200 ms for its Raft state and term, and checks that no term has \
            two leaders",
    args: &[],
    takes: &[Number {
        name: "terms_led",
        about: "terms in which a server was seen to lead",
    }],
    build: |_| Workload::TermWatch,
};

/// How often each server is asked.
const INTERVAL: Duration = Duration::from_millis(200);
/// After how long a server counts as not answering.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// The terms in which one server led.
#[derive(Default)]
struct Claims {
    last: Option<u64>,
    sure: Vec<u64>,
}

impl Claims {
    /// Takes in one look: the term that the server leads, if it does.
    fn look(&mut self, leads: Option<u64>) {
        if let Some(term) = leads
            && self.last == leads
            && !self.sure.contains(&term)
        {
            self.sure.push(term);
        }
        self.last = leads;
    }
}

pub(super) async fn run(beside: Beside) -> Outcome {
    let servers: Vec<_> = beside.agents.servers().cloned().collect();
    let claims = join_all(servers.into_iter().map(|server| watch(&beside, server))).await;
    judge(&claims)
}

async fn watch(beside: &Beside, server: Entry) -> (AgentName, Vec<u64>) {
    let api = server.api.stale().timeout(ANSWER_WITHIN);
    let mut claims = Claims::default();
    let stopped = beside.stopped();
    tokio::pin!(stopped);
    let looking = async {
        loop {
            // Who does not answer claims nothing, and takes nothing back.
            if let Ok(said) = api.agent_self().await {
                claims.look(led(&said));
            }
            poll::rest(INTERVAL).await;
        }
    };
    tokio::select! {
        biased;
        () = &mut stopped => {}
        () = looking => {}
    }
    (server.info.name, claims.sure)
}

fn led(said: &AgentSelf) -> Option<u64> {
    if said.stat("raft", "state") != Some("Leader") {
        return None;
    }
    said.stat("raft", "term")?.parse().ok()
}

fn judge(claims: &[(AgentName, Vec<u64>)]) -> Outcome {
    let mut terms: BTreeMap<u64, Vec<&AgentName>> = BTreeMap::new();
    for (server, sure) in claims {
        for term in sure {
            terms.entry(*term).or_default().push(server);
        }
    }
    let breach = |(term, leaders): (&u64, &Vec<&AgentName>)| {
        let words: Vec<_> = leaders.iter().map(|name| format!("`{name}`")).collect();
        Breach {
            what: format!(
                "term {term} had {} leaders: {}",
                leaders.len(),
                words.join(", ")
            ),
            timed: false,
        }
    };
    let broken = terms.iter().filter(|(_, leaders)| leaders.len() > 1);
    Outcome {
        breaches: broken.map(breach).collect(),
        measures: vec![Measure::count("terms_led", terms.len())],
        summary: format!("{} terms with a leader, never two in one", terms.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Role;

    fn claims(all: &[(u16, &[u64])]) -> Vec<(AgentName, Vec<u64>)> {
        let claim = |(number, terms): &(u16, &[u64])| {
            (AgentName::new(Role::Server, *number), terms.to_vec())
        };
        all.iter().map(claim).collect()
    }

    #[test]
    fn two_leaders_of_one_term_are_seen() {
        assert_eq!(judge(&claims(&[(1, &[2, 5]), (2, &[3])])).breaches, []);
        let outcome = judge(&claims(&[(1, &[2, 5]), (2, &[5])]));
        assert_eq!(
            outcome.breaches[0].what,
            "term 5 had 2 leaders: `server-1`, `server-2`"
        );
        assert!(!outcome.breaches[0].timed, "no slow machine excuses it");
    }

    #[test]
    fn a_claim_counts_when_the_next_look_finds_the_same() {
        let mut claims = Claims::default();
        for leads in [Some(2), Some(2), Some(3), None, Some(4), Some(4), Some(4)] {
            claims.look(leads);
        }
        assert_eq!(claims.sure, [2, 4]);
    }
}
