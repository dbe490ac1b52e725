//! Judging: from what was seen to findings. Asks nobody, so each rule has its test.

use agent::grants::{Attempt, Grants};

use super::evidence::{
    Containers, Emulation, EngineEvidence, Evidence, HostEvidence, NoEngine, NomadEvidence,
    Registration, Trial,
};
use super::{Finding, Level};
use crate::emulation::{Fault, Place, mend};
use crate::spec::Arch;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Below this, the agents' image (up to 300 MB, held twice while it is taken in) may not fit.
const DISK_MIN: u64 = GIB;
/// Below this, a few images of Nomad and a week of logs may not fit.
const DISK_EASY: u64 = 5 * GIB;
/// Below this, the state of a single cluster may not fit.
const STATE_MIN: u64 = 100 * MIB;
/// What 3 servers and 3 clients need: real Nomad takes up to 100 MiB an agent, jobs aside.
const MEMORY_EASY: u64 = GIB;
/// Watches that programs of a busy cluster use at most; the figures are those that `kind` gives
/// for clusters of containers.
const INOTIFY_WATCHES: u64 = 524_288;
const INOTIFY_INSTANCES: u64 = 512;

/// Judges everything that was seen.
#[must_use]
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &evidence.engine {
        Err(none) => findings.push(with_hint(
            Finding::new("docker", Level::Fail, none.reason.clone()).cost("no cluster can start"),
            none,
        )),
        Ok(engine) => findings.extend(judge_engine(engine)),
    }
    findings.push(judge_state(&evidence.host));
    if let Ok(engine) = &evidence.engine {
        let registrations = evidence.host.registrations.as_deref().unwrap_or_default();
        // Another kernel's list says nothing of the engine's.
        let registrations = if engine.facts.local {
            registrations
        } else {
            &[]
        };
        findings.extend(engine.emulation.iter().map(|(arch, tried)| {
            let entry = registrations.iter().find(|(of, _)| of == arch);
            judge_emulation(*arch, tried, entry.map(|(_, entry)| entry), engine.place)
        }));
    }
    findings.extend(judge_nomad(&evidence.nomad));
    findings
}

fn with_hint(finding: Finding, none: &NoEngine) -> Finding {
    match &none.hint {
        Some(hint) => finding.mend(hint.clone()),
        None => finding,
    }
}

fn judge_engine(engine: &EngineEvidence) -> Vec<Finding> {
    let facts = &engine.facts;
    let place = if facts.local {
        ""
    } else {
        ", in another kernel"
    };
    let rootless = if engine.report.rootless {
        ", rootless"
    } else {
        ""
    };
    let mut findings = vec![
        Finding::ok(
            "docker",
            format!(
                "engine {}, API {}, {}{rootless}{place}",
                facts.version, facts.api_version, facts.arch
            ),
        ),
        judge_storage(&engine.report.storage_driver),
    ];
    findings.push(match &engine.subnet {
        Ok(subnet) => Finding::ok("network", format!("{subnet} is free for a cluster")),
        Err(none) => with_hint(
            Finding::new("network", Level::Fail, none.reason.clone()).cost("no cluster can start"),
            none,
        ),
    });
    match &engine.containers {
        Ok(containers) => findings.extend(judge_containers(containers)),
        Err(none) => findings.push(with_hint(
            Finding::new(
                "containers",
                Level::Warn,
                format!("not tried: {}", none.reason),
            )
            .cost("the built-in agent cannot run; what containers may do is unknown"),
            none,
        )),
    }
    findings.push(judge_memory(engine));
    if let Some(free) = engine.disk_free {
        findings.push(judge_disk("docker-disk", &engine.report.root, free));
    }
    findings
}

fn judge_storage(driver: &str) -> Finding {
    let found = format!("storage driver {driver}");
    match driver {
        "vfs" => Finding::new("storage", Level::Warn, found)
            .cost("each container is a full copy of its image: slow, and much disk")
            .mend("echo '{\"storage-driver\":\"overlay2\"}' | sudo tee /etc/docker/daemon.json"),
        "fuse-overlayfs" => Finding::new("storage", Level::Note, found)
            .cost("containers start a little slower than with overlay2"),
        _ => Finding::ok("storage", found),
    }
}

fn judge_containers(containers: &Containers) -> Vec<Finding> {
    let mut findings = vec![judge_usual(&containers.usual)];
    findings.push(judge_privilege(
        "privileged",
        "a privileged container",
        &containers.privileged,
        None,
        Level::Note,
        "real Nomad clients as root with cgroups cannot run; the usual ones are not root",
    ));
    for (name, trial) in &containers.capabilities {
        let (level, cost) = match *name {
            "NET_ADMIN" => (
                Level::Warn,
                "scenarios that isolate agents or spoil their network are skipped",
            ),
            "SYS_ADMIN" => (
                Level::Note,
                "real Nomad clients as root cannot run tasks; the usual ones are not root",
            ),
            "SYS_RESOURCE" => (
                Level::Note,
                "limits of a container cannot be raised from inside, and --privileged fails",
            ),
            _ => (Level::Note, "no debugger or tracer works in a container"),
        };
        let subject = name.to_lowercase().replace('_', "-");
        let what = format!("a container with {name}");
        findings.push(judge_privilege(
            &subject,
            &what,
            trial,
            Some(name),
            level,
            cost,
        ));
    }
    // The most able container that ran tells most about the kernel.
    let able = ["NET_ADMIN", "SYS_ADMIN"].iter().find_map(|wanted| {
        let (_, trial) = containers
            .capabilities
            .iter()
            .find(|(name, _)| name == wanted)?;
        ran(trial)
    });
    if let Some(found) = able.or_else(|| ran(&containers.usual)) {
        findings.extend(judge_kernel(found));
    }
    findings
}

fn ran(trial: &Trial) -> Option<&Grants> {
    match trial {
        Trial::Ran(found) => Some(found),
        Trial::Refused(_) | Trial::Broken(_) => None,
    }
}

fn judge_usual(trial: &Trial) -> Finding {
    match trial {
        Trial::Ran(found) => {
            let cgroup = found.cgroup.map_or_else(
                || "no cgroups".to_owned(),
                |version| format!("cgroup v{version}"),
            );
            let found = format!("one ran: kernel {}, {cgroup}", found.kernel);
            Finding::ok("containers", found)
        }
        Trial::Refused(why) => Finding::new(
            "containers",
            Level::Fail,
            format!("the engine starts none: {why}"),
        )
        .cost("no cluster can start")
        .mend("journalctl -u docker --since -5min"),
        Trial::Broken(why) => {
            Finding::new("containers", Level::Fail, format!("one started, but {why}"))
                .cost("no simulated cluster can start")
                .mend("journalctl -u docker --since -5min")
        }
    }
}

fn judge_privilege(
    subject: &str,
    what: &str,
    trial: &Trial,
    capability: Option<&str>,
    level: Level,
    cost: &str,
) -> Finding {
    match trial {
        Trial::Ran(found) if capability.is_none_or(|one| found.capabilities.contains(one)) => {
            let number = found.capabilities.len();
            Finding::ok(subject, format!("{what} runs, with {number} capabilities"))
        }
        Trial::Ran(_) => Finding::new(subject, level, format!("{what} runs without having it"))
            .cost(cost)
            .mend(widen(capability)),
        Trial::Refused(why) => Finding::new(
            subject,
            level,
            format!("{what} is refused: {}", last_part(why)),
        )
        .cost(cost)
        .mend(widen(capability)),
        Trial::Broken(why) => {
            Finding::new(subject, level, format!("{what} starts, but {why}")).cost(cost)
        }
    }
}

/// An engine that lacks a capability itself cannot give it.
fn widen(capability: Option<&str>) -> String {
    let flag = match capability {
        Some(name) => format!("--cap-add {name}"),
        None => "--privileged".to_owned(),
    };
    format!("docker run {flag} ...    # engine in a container")
}

/// The end of a chain of causes: engines put their whole way down into one line, and `unknown`
/// behind it.
fn last_part(why: &str) -> &str {
    let why = why.trim().trim_end_matches(": unknown");
    let parts: Vec<&str> = why.split(": ").collect();
    let start = parts.len().saturating_sub(2);
    let kept: usize = parts[..start].iter().map(|part| part.len() + 2).sum();
    &why[kept..]
}

fn judge_kernel(found: &Grants) -> Vec<Finding> {
    let netem = match &found.netem {
        Attempt::Works => Finding::ok("netem", "packets can be delayed and lost on purpose"),
        Attempt::Missing => Finding::new("netem", Level::Note, "the kernel has no sch_netem")
            .cost("scenarios with delay or loss are skipped")
            .mend("sudo modprobe sch_netem"),
        Attempt::Refused => Finding::new("netem", Level::Note, "not tried: needs NET_ADMIN")
            .cost("scenarios with delay or loss are skipped"),
        Attempt::Failed(why) => Finding::new("netem", Level::Note, why.clone())
            .cost("scenarios with delay or loss are skipped"),
    };
    let filters = match (&found.nftables, &found.iptables) {
        (Attempt::Works, Attempt::Works) => Finding::ok("filters", "nftables and iptables"),
        (Attempt::Works, _) => Finding::ok("filters", "nftables"),
        (_, Attempt::Works) => Finding::ok("filters", "iptables"),
        (nftables, _) => {
            let why = match nftables {
                Attempt::Refused => "not tried: needs NET_ADMIN",
                _ => "containers have neither nftables nor iptables",
            };
            Finding::new("filters", Level::Note, why)
                .cost("Nomad's bridge networks (CNI) cannot be tried in containers")
                .mend("sudo modprobe -a nf_tables ip_tables")
        }
    };
    let [watches, instances] = judge_inotify(found);
    vec![netem, filters, watches, instances]
}

/// One finding a limit: each has its own command.
fn judge_inotify(found: &Grants) -> [Finding; 2] {
    let limit = |subject: &str, key: &str, seen: Option<u64>, wanted: u64| match seen {
        None => Finding::new(subject, Level::Note, "the limit cannot be read"),
        Some(seen) if seen >= wanted => Finding::ok(subject, format!("{seen} for each user")),
        Some(seen) => Finding::new(
            subject,
            Level::Note,
            format!("{seen} for each user, wanted {wanted}"),
        )
        .cost("with many agents, watching files fails: `too many open files`")
        .mend(format!("sudo sysctl fs.inotify.{key}={wanted}")),
    };
    [
        limit(
            "inotify-watch",
            "max_user_watches",
            found.inotify_watches,
            INOTIFY_WATCHES,
        ),
        limit(
            "inotify-inst",
            "max_user_instances",
            found.inotify_instances,
            INOTIFY_INSTANCES,
        ),
    ]
}

fn judge_memory(engine: &EngineEvidence) -> Finding {
    let usual = engine.containers.as_ref().ok();
    let available = usual
        .and_then(|containers| ran(&containers.usual))
        .and_then(|found| found.memory_available);
    let whole = size(engine.report.memory);
    let Some(available) = available else {
        return Finding::new(
            "memory",
            Level::Note,
            format!("{whole} in all; free: not tried"),
        );
    };
    let found = format!("{} free of {whole}", size(available));
    if available >= MEMORY_EASY {
        return Finding::ok("memory", found);
    }
    Finding::new("memory", Level::Warn, found)
        .cost("six agents of real Nomad may be killed by the kernel; simulated ones need 120 MiB")
        .mend("rehearse up --servers 1 --clients 1")
}

fn judge_disk(subject: &str, folder: &str, free: u64) -> Finding {
    let found = format!("{} free at {folder}", size(free));
    let mend = "docker system df && rehearse sweep --images";
    match free {
        free if free < DISK_MIN => Finding::new(subject, Level::Fail, found)
            .cost("the agents' image may not fit: no cluster can start")
            .mend(mend),
        free if free < DISK_EASY => Finding::new(subject, Level::Warn, found)
            .cost("images of several Nomad versions may not fit")
            .mend(mend),
        _ => Finding::ok(subject, found),
    }
}

fn judge_state(host: &HostEvidence) -> Finding {
    let root = host.state_root.display();
    let nowhere = "clusters have nowhere to keep their keys: none can start";
    match (&host.state_refused, host.state_free) {
        (Some(why), _) => Finding::new("state", Level::Fail, format!("cannot write {why}"))
            .cost(nowhere)
            .mend("export XDG_STATE_HOME=FOLDER    # one that can be written"),
        (None, Some(free)) if free < STATE_MIN => Finding::new(
            "state",
            Level::Fail,
            format!("{} free at {root}", size(free)),
        )
        .cost(nowhere)
        .mend("export XDG_STATE_HOME=FOLDER    # one with free space"),
        (None, Some(free)) => Finding::ok("state", format!("{} free at {root}", size(free))),
        (None, None) => Finding::ok("state", format!("{root} can be written")),
    }
}

fn judge_emulation(
    arch: Arch,
    tried: &Result<Emulation, NoEngine>,
    entry: Option<&Registration>,
    place: Place,
) -> Finding {
    let subject = arch.to_string();
    let why = match tried {
        Ok(Ok(_)) => {
            return Finding::ok(&subject, "a program of it ran, emulated, as an agent would");
        }
        Ok(Err(why)) => why,
        Err(none) => {
            let found = format!("not tried: {}", none.reason);
            return with_hint(
                Finding::new(&subject, Level::Note, found)
                    .cost(format!("whether agents of {arch} run here is unknown")),
                none,
            );
        }
    };
    let off = entry.filter(|entry| !entry.enabled && why.fault == Fault::NotRegistered);
    let (found, mend) = match (off, entry) {
        (Some(entry), _) => (
            format!(
                "emulator `{}` ({}) is switched off",
                entry.name, entry.interpreter
            ),
            format!("echo 1 | sudo tee /proc/sys/fs/binfmt_misc/{}", entry.name),
        ),
        (None, Some(entry)) => (
            format!("{} (`{}`, {})", why.fault, entry.name, entry.interpreter),
            mend(&why.fault, arch, place),
        ),
        (None, None) => (why.fault.to_string(), mend(&why.fault, arch, place)),
    };
    Finding::new(&subject, Level::Note, found)
        .cost(format!("agents of {arch} cannot run here"))
        .mend(mend)
}

/// In the order in which `--engine auto` looks.
fn judge_nomad(nomad: &NomadEvidence) -> Vec<Finding> {
    let path = match &nomad.on_path {
        Some(path) => Finding::ok("nomad-binary", path.display().to_string()),
        None => Finding::new("nomad-binary", Level::Note, "no `nomad` on PATH"),
    };
    let cached = match nomad.cached.as_slice() {
        [] => Finding::new("nomad-cached", Level::Note, "no release in the cache"),
        versions => {
            let listed: Vec<String> = versions.iter().map(ToString::to_string).collect();
            Finding::ok("nomad-cached", listed.join(", "))
        }
    };
    let reachable = match &nomad.unreachable {
        None => Finding::ok("nomad-release", format!("{} answers", nomad.releases)),
        Some(why) => Finding::new(
            "nomad-release",
            Level::Note,
            format!("{} does not answer: {}", nomad.releases, last_part(why)),
        )
        .cost("HashiCorp's releases cannot be downloaded")
        .mend("export REHEARSE_RELEASES=URL    # a mirror that can be reached"),
    };
    let only_simulated =
        nomad.on_path.is_none() && nomad.cached.is_empty() && nomad.unreachable.is_some();
    let simulator = if only_simulated {
        Finding::new(
            "simulator",
            Level::Warn,
            "the only agent that can be had here",
        )
        .cost("every run is SIMULATED: it shows the tool, and proves nothing of Nomad")
        .mend("rehearse up --nomad-binary PATH    # a Nomad of yours")
    } else {
        Finding::ok("simulator", "always there (--engine simulator)")
    };
    vec![path, cached, reachable, simulator]
}

fn size(bytes: u64) -> String {
    // A tenth is as exact as anybody needs it.
    let in_units = |unit: u64| {
        let tenths = bytes.saturating_mul(10) / unit;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    if bytes >= GIB {
        format!("{} GiB", in_units(GIB))
    } else {
        format!("{} MiB", in_units(MIB))
    }
}

#[cfg(test)]
mod tests;
