//! What rules look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use semver::Version;

use super::Hit;
use super::jobs::{self, JobFile};
use crate::job_check;
use crate::spec::Role;
use crate::terraform::Configuration;
use crate::terraform::aws::{AwsCluster, Machine};
use crate::terraform::source::Site;

/// A configuration and what was made of it.
pub(super) struct Subject<'a> {
    pub configuration: &'a Configuration,
    pub cluster: &'a AwsCluster,
    /// Nomad's version, where the configuration tells it: a variable, or else any machine's user data.
    pub version: Option<Said>,
    /// The same, where a variable tells it: for all machines.
    of_all: Option<Said>,
    /// What was found in the jobs' files.
    pub jobs: Vec<job_check::Finding>,
}

/// A version and where it is said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub version: Version,
    pub enterprise: bool,
    pub site: Site,
}

/// `nomad=1.8.3-1`, `nomad_1.8.3`, `NOMAD_VERSION=1.8.3`, `nomad/1.8.3+ent`.
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)\bnomad(?:[_-]?version|-enterprise)?["']?[=_/ :]+["']?v?(?<version>\d+\.\d+\.\d+)(?<ent>\+ent)?"#).expect("a valid pattern")
});

impl<'a> Subject<'a> {
    pub(super) fn new(
        configuration: &'a Configuration,
        cluster: &'a AwsCluster,
        jobs: &[JobFile],
    ) -> Self {
        let of_all = variable_version(configuration);
        let version =
            { of_all.clone() }.or_else(|| cluster.machines.iter().find_map(script_version));
        let jobs = jobs::findings(jobs, configuration, cluster, version.as_ref());
        Self {
            configuration,
            cluster,
            version,
            of_all,
            jobs,
        }
    }

    pub(super) fn machines(&self) -> &'a [Machine] {
        &self.cluster.machines
    }

    pub(super) fn of_role(&self, role: Role) -> Vec<&'a Machine> {
        self.cluster
            .machines
            .iter()
            .filter(|machine| machine.role == Some(role))
            .collect()
    }

    /// Machines whose agent's configuration was found whole: others cannot be judged by it.
    pub(super) fn configured(&self) -> Vec<&'a Machine> {
        self.cluster
            .machines
            .iter()
            .filter(|machine| !machine.agent.is_empty() && machine.agent.edited.is_empty())
            .collect()
    }

    pub(super) fn configured_as(&self, role: Role) -> Vec<&'a Machine> {
        self.configured()
            .into_iter()
            .filter(|machine| machine.role == Some(role))
            .collect()
    }

    /// How many machines of a role there will be, if that is known.
    pub(super) fn number_of(&self, role: Role) -> Option<usize> {
        self.of_role(role)
            .iter()
            .map(|machine| machine.count.known().copied())
            .sum()
    }

    /// The version of a machine's agent: what its own user data says, or else what holds for all. What other
    /// machines install says nothing of this one.
    pub(super) fn version_of(&self, machine: &Machine) -> Option<Said> {
        script_version(machine).or_else(|| self.of_all.clone())
    }

    /// The version of a machine's agent, where it is known to be older than this one.
    pub(super) fn is_before(&self, machine: &Machine, than: (u64, u64, u64)) -> Option<Version> {
        let than = Version::new(than.0, than.1, than.2);
        let version = self.version_of(machine)?.version;
        (version < than).then_some(version)
    }
}

fn variable_version(configuration: &Configuration) -> Option<Said> {
    configuration
        .variables
        .iter()
        .filter(|(name, _)| name.contains("nomad") && name.contains("version"))
        .find_map(|(_, variable)| {
            let text = variable.value.to_text()?;
            let plain = text
                .trim_start_matches('v')
                .split(['+', '-'])
                .next()?
                .to_owned();
            let version = Version::parse(&plain).ok()?;
            Some(Said {
                version,
                enterprise: text.contains("+ent"),
                site: variable.site.clone(),
            })
        })
}

fn script_version(machine: &Machine) -> Option<Said> {
    let found = VERSION.captures(machine.user_data.run.as_deref()?)?;
    let version = Version::parse(&found["version"]).ok()?;
    Some(Said {
        version,
        enterprise: found.name("ent").is_some(),
        site: machine.user_data.site.clone(),
    })
}

/// One hit per place: machines that share a block share its finding.
pub(super) fn per_place<'m>(
    hits: impl IntoIterator<Item = (&'m Machine, Site, String)>,
) -> Vec<Hit> {
    let mut places: BTreeMap<(Site, String), Vec<String>> = BTreeMap::new();
    for (machine, site, message) in hits {
        let name = machine
            .name
            .known()
            .cloned()
            .unwrap_or_else(|| machine.address.clone());
        places.entry((site, message)).or_default().push(name);
    }
    places
        .into_iter()
        .map(|((site, message), names)| Hit::new(&site, format!("{}: {message}", few(&names))))
        .collect()
}

/// Up to three names, and how many more.
pub(super) fn few(names: &[String]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .take(3)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().checked_sub(3) {
        None | Some(0) => quoted.join(", "),
        Some(more) => format!("{} and {more} more", quoted.join(", ")),
    }
}

/// Whether nothing in a machine's user data can be what writes a file that its agent reads. Whatever only a shell
/// knows may do: a variable in a path, a folder that is filled as a whole, a program that comes with the image.
pub(super) fn nothing_writes(machine: &Machine, path: &str) -> bool {
    let data = &machine.user_data;
    let Some(text) = data.run.as_deref() else {
        return false;
    };
    let harmless = ["`users`", "`groups`", "`ssh_"];
    let is_seen = |what: &String| harmless.iter().any(|known| what.starts_with(known));
    if !path.starts_with('/') || path.contains(['$', '<']) || !data.unread.iter().all(is_seen) {
        return false;
    }
    // The agent's own files name it, and write nothing.
    let paths = machine.agent.paths();
    let own: BTreeSet<&str> = { data.files.iter() }
        .filter(|file| paths.contains(&file.path.as_str()))
        .flat_map(|file| file.content.lines().map(str::trim))
        .collect();
    let text = text.replace("\\\n", " ");
    let lines = { text.lines().map(str::trim) }
        .filter(|line| !line.starts_with('#') && !own.contains(line));
    // Whoever waits for a file in a loop has somebody who brings it: such a line is taken as one.
    let waits = |line: &str| ["until ", "while "].iter().any(|one| line.starts_with(one));
    let mut commands = lines.flat_map(|line| match waits(line) {
        true => vec![line],
        false => line.split(['&', ';', '|']).collect(),
    });
    !commands.any(|command| may_write(command, path))
}

/// Whether a command may write a file.
fn may_write(command: &str, path: &str) -> bool {
    let mut words = command
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .skip_while(|word| ["-", "sudo", "if", "!", "then", "do", "else", "elif"].contains(word));
    let Some(program) = words.next() else {
        return false;
    };
    let only_looks = [
        "mkdir", "chmod", "chown", "ls", "test", "[", "[[", "useradd", "adduser", "path:",
    ];
    if program == "install" && words.clone().any(|word| word == "-d") {
        return false;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let names_it = |word: &str| word == name || word.ends_with(&format!("/{name}"));
    if program == "path:" {
        return words.any(names_it);
    }
    // The agent itself, and the operator's settings, only name it.
    let starts_agent = command.contains(" agent ") && command.contains(" -config");
    let settings = ["NOMAD_CACERT=", "NOMAD_CLIENT_CERT=", "NOMAD_CLIENT_KEY="];
    let only_names = starts_agent || settings.iter().any(|one| command.contains(one));
    if only_looks.contains(&program) || only_names || program.ends_with("/nomad") {
        return false;
    }
    // Programs and scripts whose doing is not seen here, and text that is not known.
    let unseen = [
        "bash",
        "sh",
        "source",
        ".",
        "ansible-playbook",
        "ansible-pull",
        "vault",
    ];
    let systems = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"];
    let by_path = program.starts_with(['/', '$', '<']) || program.starts_with("./");
    if unseen.contains(&program) || (by_path && !systems.iter().any(|one| program.starts_with(one)))
    {
        return true;
    }
    let end = name.rsplit_once('.').map_or(name, |(_, end)| end);
    let end = format!(".{end}");
    let holds_it = |folder: &str| {
        let folder = folder.trim_end_matches('/');
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let parts = command.split(|c: char| c.is_whitespace() || "\"'=<>()`,:".contains(c));
    parts.filter(|part| !part.is_empty()).any(|part| {
        let open = part.find(['$', '*', '?', '{', '}']);
        let begin = open.map_or(part, |at| &part[..at]);
        let folder = begin.rfind('/').map_or("", |at| &begin[..at]);
        names_it(part)
            || (open.is_none() && part.starts_with('/') && holds_it(part))
            || (open.is_some() && part.ends_with(&end))
            || (open.is_some() && part.starts_with('/') && !folder.is_empty() && holds_it(folder))
    })
}

/// The place that speaks for a machine's agent: its configuration file, else its user data.
pub(super) fn agent_site(machine: &Machine) -> Site {
    machine
        .agent
        .site()
        .unwrap_or_else(|| machine.user_data.site.clone())
}
