//! Soaks: random legal faults for as long as one likes, with workloads, and laws that hold
//! throughout. A soak is a scenario like any other, made from a seed: the same seed makes the same
//! script, which can be kept, read, changed and run again.
//!
//! What is demanded is what Nomad promises: while fewer than half of the servers are touched,
//! somebody leads within bounds; whatever happens, no acknowledged write is lost and no term has
//! two leaders; and when a fault is healed, the cluster is whole again within bounds.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// What a soak is made from.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the schedule comes from.
    pub seed: u64,
    /// How long it is to last, without what recovery takes.
    pub lasting: Duration,
    /// Faults that are left out, by name.
    pub without: BTreeSet<String>,
}

/// A fault and whom it may hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Blow {
    fault: &'static str,
    on: &'static str,
    /// Whether a majority of the servers is left, so that somebody must lead.
    tolerable: bool,
    /// Whether it is about clients, so that it may come together with one about servers.
    of_clients: bool,
}

const fn on_servers(fault: &'static str, on: &'static str) -> Blow {
    Blow {
        fault,
        on,
        tolerable: true,
        of_clients: false,
    }
}

const fn on_clients(fault: &'static str) -> Blow {
    Blow {
        fault,
        on: "any(client)",
        tolerable: true,
        of_clients: true,
    }
}

/// What may happen. A fault that stands here twice happens twice as often.
const BLOWS: &[Blow] = &[
    on_servers("kill", "leader"),
    on_servers("kill", "follower"),
    on_servers("stop", "leader"),
    on_servers("stop", "follower"),
    on_servers("pause", "leader"),
    on_servers("pause", "follower"),
    on_servers("isolate", "leader"),
    on_servers("isolate", "follower"),
    on_servers("partition", "minority"),
    Blow {
        fault: "kill",
        on: "majority",
        tolerable: false,
        of_clients: false,
    },
    on_clients("kill"),
    on_clients("stop"),
    on_clients("pause"),
    on_clients("isolate"),
    on_clients("detach"),
    on_clients("ineligible"),
];
/// Of so many rounds one has a fault of servers and one of clients at the same time.
const TOGETHER: u32 = 4;
/// How long faults stay in, and how long the cluster then rests, in seconds.
const STAY: std::ops::RangeInclusive<u64> = 2..=12;
const REST: std::ops::RangeInclusive<u64> = 1..=6;

/// Returns a soak's name.
#[must_use]
pub fn name(seed: u64) -> String {
    format!("soak-{seed}")
}

/// Returns the names of the faults that soaks know.
#[must_use]
pub fn faults() -> BTreeSet<&'static str> {
    BLOWS.iter().map(|blow| blow.fault).collect()
}

/// Returns the script of a soak; `None` where every fault is left out.
#[must_use]
pub fn script(plan: &Plan) -> Option<String> {
    let allowed: Vec<Blow> = BLOWS
        .iter()
        .filter(|blow| !plan.without.contains(blow.fault))
        .copied()
        .collect();
    let mut dice = StdRng::seed_from_u64(plan.seed);
    let mut text = head(plan);
    let mut planned = Duration::ZERO;
    let mut number = 0;
    while planned < plan.lasting || number == 0 {
        number += 1;
        let blows = choose(&allowed, &mut dice)?;
        let (stay, rest) = (dice.random_range(STAY), dice.random_range(REST));
        round(&mut text, number, &blows, stay, rest);
        planned += Duration::from_secs(stay + rest);
    }
    text.push_str(TAIL);
    Some(text)
}

fn choose(allowed: &[Blow], dice: &mut StdRng) -> Option<Vec<Blow>> {
    let first = *allowed.choose(dice)?;
    let mut blows = vec![first];
    if dice.random_ratio(1, TOGETHER) {
        let others: Vec<&Blow> = allowed
            .iter()
            .filter(|blow| blow.of_clients != first.of_clients && blow.fault != first.fault)
            .filter(|blow| are_legal_together(first, **blow))
            .collect();
        blows.extend(others.choose(dice).map(|blow| **blow));
        // While somebody surely leads: it is put to a leader.
        blows.sort_by_key(|blow| !needs_a_leader(*blow));
    }
    Some(blows)
}

/// Whether it is a write of the servers', and none of a container's.
fn needs_a_leader(blow: Blow) -> bool {
    blow.fault == "ineligible"
}

/// What is put to a leader is neither done nor undone where nobody can lead.
fn are_legal_together(one: Blow, other: Blow) -> bool {
    let tolerable = one.tolerable && other.tolerable;
    tolerable || !(needs_a_leader(one) || needs_a_leader(other))
}

fn head(plan: &Plan) -> String {
    let name = name(plan.seed);
    format!(
        "# Made from seed {seed}. To run it again: rehearse run {name}.scenario.hcl --seed {seed}\n\n\
         scenario \"{name}\" {{\n  \
         description = \"random faults for {lasting}: no acknowledged write is lost, no term has \
         two leaders, somebody leads within bounds while the faults are tolerable\"\n\n  \
         submit {{\n    job = builtin.whoami\n  }}\n  \
         expect \"deployment\" {{\n    job    = \"whoami\"\n    within = \"90s\"\n  }}\n\n  \
         start \"leader_watch\" {{}}\n  start \"term_watch\" {{}}\n  \
         start \"writer\" {{\n    rate = 20\n  }}\n\n  \
         # Clients crash: what fails there is counted, and breaks no law.\n  \
         start \"load\" {{\n    job      = \"whoami\"\n    port     = \"http\"\n    rate     = 20\n    \
         tolerant = true\n  }}\n",
        seed = plan.seed,
        lasting = in_words(plan.lasting),
    )
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        minutes if minutes >= 60 && minutes % 60 == 0 => format!("{} min", minutes / 60),
        seconds => format!("{seconds} s"),
    }
}

/// One round: faults come, the cluster bears them as it must, they go, it is whole again.
fn round(text: &mut String, number: usize, blows: &[Blow], stay: u64, rest: u64) {
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a text never fails.
        let _done = text.write_fmt(words);
    };
    line(format_args!("\n  # Round {number}.\n"));
    for blow in blows {
        let Blow { fault, on, .. } = blow;
        line(format_args!(
            "  inject \"{fault}\" {{\n    on = {on}\n  }}\n"
        ));
    }
    if blows.iter().all(|blow| blow.tolerable) {
        // An election takes 1 to 4 s, more when votes are split.
        line(format_args!(
            "  expect \"leader\" {{\n    within = \"15s\"\n  }}\n"
        ));
        line(format_args!("  hold {{\n    lasting = \"{stay}s\"\n  }}\n"));
        line(format_args!(
            "  expect \"leader\" {{\n    within = \"15s\"\n  }}\n"
        ));
    } else {
        line(format_args!("  hold {{\n    lasting = \"{stay}s\"\n  }}\n"));
    }
    for blow in blows.iter().rev() {
        line(format_args!("  heal \"{}\" {{}}\n", blow.fault));
    }
    line(format_args!(
        "  expect \"leader\" {{\n    within = \"30s\"\n  }}\n  \
         expect \"voters\" {{\n    within = \"90s\"\n  }}\n  \
         expect \"nodes\" {{\n    within = \"90s\"\n  }}\n  \
         expect \"allocations\" {{\n    job     = \"whoami\"\n    running = 3\n    \
         within  = \"90s\"\n  }}\n  hold {{\n    lasting = \"{rest}s\"\n  }}\n"
    ));
}

const TAIL: &str = "\n  stop {}\n\n  measure \"writes_acknowledged\" {\n    at_least = 1\n  }\n  \
                    measure \"requests_answered\" {\n    at_least = 1\n  }\n}\n";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn plan(seed: u64) -> Plan {
        Plan {
            seed,
            lasting: Duration::from_secs(600),
            without: BTreeSet::new(),
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_schedule_and_another_one_another() {
        assert_eq!(script(&plan(7)), script(&plan(7)));
        assert_ne!(script(&plan(7)), script(&plan(8)));
    }

    #[test]
    fn what_is_left_out_does_not_happen() {
        let mut plan = plan(7);
        plan.without = ["kill", "pause"].map(str::to_owned).into();
        let text = script(&plan).expect("faults are left");
        assert!(!text.contains("\"kill\"") && !text.contains("\"pause\""));
        plan.without = faults().into_iter().map(str::to_owned).collect();
        assert_eq!(script(&plan), None);
    }

    #[test]
    fn what_is_put_to_a_leader_comes_first_and_never_beside_a_lost_majority() {
        let mut pairs = 0;
        for seed in 0..2000 {
            let mut dice = StdRng::seed_from_u64(seed);
            let blows = choose(BLOWS, &mut dice).unwrap();
            if let [first, second] = blows.as_slice()
                && (needs_a_leader(*first) || needs_a_leader(*second))
            {
                pairs += 1;
                assert!(needs_a_leader(*first), "{seed}: {blows:?}");
                assert!(second.tolerable, "{seed}: {blows:?}");
            }
        }
        assert!(pairs > 20, "{pairs}");
    }

    #[test]
    fn nobody_must_lead_while_a_majority_is_down() {
        let majority = *BLOWS
            .iter()
            .find(|blow| !blow.tolerable)
            .expect("one is there");
        let mut text = String::new();
        round(&mut text, 1, &[majority], 3, 1);
        let during = text
            .split("heal")
            .next()
            .expect("a part before the healing");
        assert!(!during.contains("expect \"leader\""), "{text}");
        assert!(
            text.split("heal")
                .nth(1)
                .is_some_and(|after| after.contains("\"leader\""))
        );
    }

    /// Every script can be read, is laid out as all are, and has no fault that nobody knows.
    #[test]
    fn every_schedule_is_a_scenario() {
        for seed in 0..20 {
            let text = script(&plan(seed)).expect("faults are left");
            let read = crate::scenario::read("soak", &text, None, &BTreeMap::new());
            let scenario = read.unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(scenario.name, name(seed));
            let laid_out = crate::scenario::format("soak", &text).expect("it is HCL");
            assert_eq!(laid_out, text);
        }
    }
}
