//! A new version of a service replaces the old one, as many at a time as its update block says,
//! while the service is being used.
//!
//! Limits: the job's own update block (`min_healthy_time` 1 s and one at a time make some 3 s an
//! instance); 90 s allow for slow, emulated machines.

use std::time::Duration;

use super::Scenario;
use crate::probe::Condition;
use crate::step::Step;
use crate::workload::Workload;

const JOB: &str = "whoami";
const PORT: &str = "http";

pub(super) fn scenario() -> Scenario {
    let submit = |name: &str, hcl: &str| Step::Submit {
        name: name.to_owned(),
        hcl: hcl.to_owned(),
    };
    let deployed = |measured_as: &str| Step::Expect {
        that: Condition::Deployment {
            job: JOB.to_owned(),
        },
        within: Duration::from_secs(90),
        measured_as: Some(measured_as.to_owned()),
    };
    let answers = |version: &str| Step::Expect {
        that: Condition::Service {
            job: JOB.to_owned(),
            port: PORT.to_owned(),
            instances: 3,
            version: Some(version.to_owned()),
        },
        within: Duration::from_secs(10),
        measured_as: None,
    };
    let start = |workload| Step::Start { workload };
    let job = JOB.to_owned();
    Scenario::new(
        "job-rollout",
        "a new version replaces the old one instance by instance: never fewer healthy than \
         promised, no request lost but at instances told to stop",
    )
    .then(submit(
        "whoami",
        include_str!("../../../jobs/whoami.nomad.hcl"),
    ))
    .then(deployed("deploy_ms"))
    .then(answers("1"))
    .then(start(Workload::Rollout { job: job.clone() }))
    .then(start(Workload::Load {
        job,
        port: PORT.to_owned(),
        rate: 50,
    }))
    .then(Step::Hold {
        that: None,
        lasting: Duration::from_secs(1),
    })
    .then(submit(
        "whoami-v2",
        include_str!("../../../jobs/whoami-v2.nomad.hcl"),
    ))
    .then(deployed("rollout_ms"))
    .then(answers("2"))
    .then(Step::Hold {
        that: None,
        lasting: Duration::from_secs(1),
    })
    .then(Step::StopAll)
    .then(Step::Measure {
        name: "requests_lost".to_owned(),
        at_most: 0.0,
    })
    .then(Step::Measure {
        name: "replacing_most".to_owned(),
        at_most: 1.0,
    })
}
