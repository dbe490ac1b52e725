//! The leader crashes; another server takes over, nothing acknowledged is lost, and the service
//! that runs on the clients does not notice.
//!
//! Limits: Nomad's followers call an election 1 to 2 s after the last word of the leader and an
//! election takes 1 to 2 s, more when the vote is split (`raft_multiplier` 1, `hashicorp/raft`
//! defaults), so 15 s allow for several split votes. A restarted server is healthy in autopilot's
//! eyes after at most its 10 s of stabilisation and a round of 2 s.

use std::time::Duration;

use super::Scenario;
use crate::fault::Fault;
use crate::pick::Pick;
use crate::probe::Condition;
use crate::step::Step;
use crate::workload::Workload;

const JOB: &str = "whoami";
const PORT: &str = "http";

pub(super) fn scenario() -> Scenario {
    let expect = |that, seconds, measured_as: Option<&str>| Step::Expect {
        that,
        within: Duration::from_secs(seconds),
        measured_as: measured_as.map(str::to_owned),
    };
    let start = |workload| Step::Start { workload };
    let job = JOB.to_owned();
    Scenario::new(
        "leader-failover",
        "the leader crashes: another takes over, no acknowledged write is lost, the service keeps \
         answering, the old one comes back as a voter",
    )
    .then(Step::Submit {
        name: JOB.to_owned(),
        hcl: include_str!("../../../jobs/whoami.nomad.hcl").to_owned(),
    })
    .then(expect(
        Condition::Deployment { job: job.clone() },
        90,
        Some("deploy_ms"),
    ))
    .then(expect(
        Condition::Service {
            job: job.clone(),
            port: PORT.to_owned(),
            instances: 3,
            version: Some("1".to_owned()),
        },
        10,
        None,
    ))
    .then(start(Workload::LeaderWatch))
    .then(start(Workload::Writer { rate: 20 }))
    .then(start(Workload::Load {
        job,
        port: PORT.to_owned(),
        rate: 50,
    }))
    .then(Step::Hold {
        that: Some(Condition::Leader),
        lasting: Duration::from_secs(2),
    })
    .then(Step::Inject {
        fault: Fault::Kill,
        on: Pick::Leader,
    })
    .then(expect(Condition::Leader, 15, None))
    .then(Step::Hold {
        that: None,
        lasting: Duration::from_secs(3),
    })
    .then(Step::Heal { fault: Fault::Kill })
    .then(expect(
        Condition::Voters { healthy: 3 },
        60,
        Some("voter_again_ms"),
    ))
    .then(Step::StopAll)
    .then(Step::Measure {
        name: "leaderless_ms".to_owned(),
        at_most: 15_000.0,
    })
    .then(Step::Measure {
        name: "write_gap_ms".to_owned(),
        at_most: 20_000.0,
    })
    .then(Step::Measure {
        name: "requests_lost".to_owned(),
        at_most: 0.0,
    })
}
