//! A healthy machine, and one trouble at a time planted in it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::can_start;
use super::super::evidence::Registration;
use super::*;
use crate::docker::EngineFacts;
use crate::docker::probe::EngineReport;
use crate::emulation::{NotWorking, Rates, Working};

fn grants(capabilities: &[&str]) -> Grants {
    Grants {
        architecture: "x86_64".to_owned(),
        kernel: "6.12.0".to_owned(),
        capabilities: capabilities
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>(),
        cgroup: Some(2),
        inotify_watches: Some(INOTIFY_WATCHES),
        inotify_instances: Some(INOTIFY_INSTANCES),
        memory_available: Some(8 * GIB),
        netem: Attempt::Works,
        nftables: Attempt::Works,
        iptables: Attempt::Works,
    }
}

fn ran_with(capabilities: &[&str]) -> Trial {
    Trial::Ran(Box::new(grants(capabilities)))
}

fn healthy() -> Evidence {
    let one = |name: &'static str| (name, ran_with(&["CHOWN", name]));
    Evidence {
        engine: Ok(EngineEvidence {
            facts: EngineFacts {
                id: "ID".to_owned(),
                version: "28.5.2".to_owned(),
                api_version: "1.51".to_owned(),
                arch: "amd64".to_owned(),
                local: true,
            },
            report: EngineReport {
                storage_driver: "overlay2".to_owned(),
                root: "/var/lib/docker".to_owned(),
                memory: 16 * GIB,
                ..EngineReport::default()
            },
            subnet: Ok("10.208.1.0/24".to_owned()),
            containers: Ok(Containers {
                usual: ran_with(&["CHOWN"]),
                privileged: ran_with(&["CHOWN", "SYS_ADMIN"]),
                capabilities: ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE"]
                    .map(one)
                    .to_vec(),
            }),
            emulation: vec![(
                Arch::S390x,
                Ok(Ok(Working {
                    arch: Arch::S390x,
                    rates: Rates {
                        starts: 100,
                        json: 20_000,
                        multiplications: 60_000,
                    },
                })),
            )],
            place: Place::Elsewhere,
            disk_free: Some(50 * GIB),
        }),
        host: HostEvidence {
            arch: Some(Arch::Amd64),
            state_root: PathBuf::from("/home/me/.local/state/rehearse"),
            state_refused: None,
            state_free: Some(50 * GIB),
            registrations: Some(Vec::new()),
        },
        nomad: NomadEvidence {
            on_path: Some(PathBuf::from("/usr/bin/nomad")),
            cached: vec!["1.8.3".parse().unwrap()],
            releases: "https://releases.hashicorp.com".to_owned(),
            unreachable: None,
        },
    }
}

fn engine(evidence: &mut Evidence) -> &mut EngineEvidence {
    evidence.engine.as_mut().unwrap()
}

fn containers(evidence: &mut Evidence) -> &mut Containers {
    engine(evidence).containers.as_mut().unwrap()
}

fn find(evidence: &Evidence, subject: &str) -> Finding {
    judge(evidence)
        .into_iter()
        .find(|finding| finding.subject == subject)
        .unwrap_or_else(|| panic!("no finding `{subject}`"))
}

#[test]
fn a_healthy_machine_has_nothing_to_mend() {
    let findings = judge(&healthy());
    for finding in &findings {
        assert_eq!(finding.level, Level::Ok, "{finding:?}");
        assert_eq!(
            (&finding.cost, &finding.mend),
            (&None, &None),
            "{finding:?}"
        );
    }
    assert!(can_start(&findings));
}

/// Each trouble, its subject, its level.
fn troubles() -> Vec<(&'static str, Level, Evidence)> {
    let mut all = Vec::new();
    let mut plant = |subject, level, change: &dyn Fn(&mut Evidence)| {
        let mut evidence = healthy();
        change(&mut evidence);
        all.push((subject, level, evidence));
    };
    let none = || NoEngine {
        reason: "nobody answers".to_owned(),
        hint: Some("start it".to_owned()),
    };
    let refused = || Trial::Refused("OCI runtime create failed: caps: not permitted".to_owned());
    plant("docker", Level::Fail, &|e| e.engine = Err(none()));
    plant("network", Level::Fail, &|e| engine(e).subnet = Err(none()));
    plant("storage", Level::Warn, &|e| {
        engine(e).report.storage_driver = "vfs".to_owned()
    });
    plant("containers", Level::Warn, &|e| {
        engine(e).containers = Err(none())
    });
    plant("containers", Level::Fail, &|e| {
        containers(e).usual = refused()
    });
    plant("containers", Level::Fail, &|e| {
        containers(e).usual = Trial::Broken("it ended with code 127: no".to_owned());
    });
    plant("privileged", Level::Note, &|e| {
        containers(e).privileged = refused()
    });
    plant("net-admin", Level::Warn, &|e| {
        containers(e).capabilities[0].1 = refused()
    });
    plant("net-admin", Level::Warn, &|e| {
        containers(e).capabilities[0].1 = ran_with(&["CHOWN"])
    });
    plant("sys-admin", Level::Note, &|e| {
        containers(e).capabilities[1].1 = refused()
    });
    plant("sys-ptrace", Level::Note, &|e| {
        containers(e).capabilities[2].1 = refused()
    });
    plant("sys-resource", Level::Note, &|e| {
        containers(e).capabilities[3].1 = refused()
    });
    plant("docker-disk", Level::Fail, &|e| {
        engine(e).disk_free = Some(200 * MIB)
    });
    plant("docker-disk", Level::Warn, &|e| {
        engine(e).disk_free = Some(2 * GIB)
    });
    plant("state", Level::Fail, &|e| {
        e.host.state_refused = Some("`/x`: denied".to_owned())
    });
    plant("state", Level::Fail, &|e| e.host.state_free = Some(MIB));
    plant("memory", Level::Warn, &|e| {
        let mut found = grants(&["CHOWN"]);
        found.memory_available = Some(300 * MIB);
        containers(e).usual = Trial::Ran(Box::new(found));
    });
    plant("simulator", Level::Warn, &|e| {
        e.nomad.on_path = None;
        e.nomad.cached.clear();
        e.nomad.unreachable = Some("no answer".to_owned());
    });
    all
}

#[test]
fn each_trouble_is_found_with_its_cost_and_what_mends_it() {
    for (subject, level, evidence) in troubles() {
        let finding = find(&evidence, subject);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.cost.is_some(), "{finding:?}");
        if !finding.found.contains("code 127") {
            assert!(finding.mend.is_some(), "{finding:?}");
        }
        assert_eq!(
            can_start(&judge(&evidence)),
            level != Level::Fail,
            "{subject}"
        );
    }
}

#[test]
fn a_missing_netem_skips_scenarios_only() {
    let mut evidence = healthy();
    let mut found = grants(&["NET_ADMIN"]);
    found.netem = Attempt::Missing;
    found.nftables = Attempt::Missing;
    found.iptables = Attempt::Missing;
    found.inotify_instances = Some(128);
    containers(&mut evidence).capabilities[0].1 = Trial::Ran(Box::new(found));
    for (subject, mend) in [
        ("netem", "sudo modprobe sch_netem"),
        ("filters", "sudo modprobe -a nf_tables ip_tables"),
        (
            "inotify-inst",
            "sudo sysctl fs.inotify.max_user_instances=512",
        ),
    ] {
        let finding = find(&evidence, subject);
        assert_eq!(finding.level, Level::Note);
        assert_eq!(finding.mend.as_deref(), Some(mend));
    }
    assert_eq!(find(&evidence, "inotify-watch").level, Level::Ok);
    assert!(can_start(&judge(&evidence)));
}

#[test]
fn what_was_not_tried_is_not_called_working() {
    let mut evidence = healthy();
    let refused = Trial::Refused("not permitted".to_owned());
    for (name, trial) in &mut containers(&mut evidence).capabilities {
        if *name == "NET_ADMIN" || *name == "SYS_ADMIN" {
            *trial = refused.clone();
        }
    }
    let mut found = grants(&["CHOWN"]);
    found.netem = Attempt::Refused;
    found.nftables = Attempt::Refused;
    found.iptables = Attempt::Missing;
    containers(&mut evidence).usual = Trial::Ran(Box::new(found));
    for subject in ["netem", "filters"] {
        let finding = find(&evidence, subject);
        assert_eq!(finding.level, Level::Note, "{finding:?}");
        assert!(finding.found.contains("not tried"), "{finding:?}");
    }
}

#[test]
fn an_emulator_works_only_if_a_program_ran() {
    let entry = Registration {
        name: "qemu-s390x".to_owned(),
        enabled: true,
        interpreter: "/usr/bin/qemu-s390x".to_owned(),
        fixed: true,
    };
    let with = |tried: Result<Emulation, NoEngine>, registration: Option<&Registration>| {
        let mut evidence = healthy();
        engine(&mut evidence).emulation = vec![(Arch::S390x, tried)];
        let entries = registration.map(|entry| (Arch::S390x, entry.clone()));
        evidence.host.registrations = Some(entries.into_iter().collect());
        find(&evidence, "s390x")
    };
    let broken = |fault| {
        Ok(Err(NotWorking {
            arch: Arch::S390x,
            fault,
            last_seen: None,
        }))
    };
    let garbled = with(broken(Fault::Netlink), Some(&entry));
    assert!(
        garbled
            .found
            .contains("(`qemu-s390x`, /usr/bin/qemu-s390x)"),
        "{garbled:?}"
    );
    assert!(garbled.found.contains("10.0.10"), "{garbled:?}");
    let off = Registration {
        enabled: false,
        ..entry
    };
    let off = with(broken(Fault::NotRegistered), Some(&off));
    assert!(off.found.contains("switched off"), "{off:?}");
    let absent = with(broken(Fault::NotRegistered), None);
    assert!(absent.mend.as_ref().unwrap().ends_with("--install s390x"));
    let untried = NoEngine {
        reason: "disk full".to_owned(),
        hint: None,
    };
    let untried = with(Err(untried), None);
    assert!(untried.found.starts_with("not tried"), "{untried:?}");
    for finding in [garbled, off, absent, untried] {
        assert_eq!(finding.level, Level::Note, "{finding:?}");
    }
}

#[test]
fn of_an_engines_long_words_the_end_is_told() {
    let why = "failed to create shim: OCI runtime create failed: container_linux.go:380: \
               starting container process caused: apply caps: operation not permitted: unknown";
    assert_eq!(last_part(why), "apply caps: operation not permitted");
    assert_eq!(last_part("refused"), "refused");
}

#[test]
fn sizes_are_read_by_people() {
    assert_eq!(size(3 * GIB / 2), "1.5 GiB");
    assert_eq!(size(300 * MIB), "300.0 MiB");
}
