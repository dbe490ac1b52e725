//! A task's environment, and `${...}` in its command, arguments and variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::scheduler::combined_meta;
use crate::types::{Allocation, Job, Node, Task, TaskGroup};

/// Host variables that Nomad does not hand on (`env.denylist`).
const DENIED: &[&str] = &[
    "CONSUL_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_TOKEN_FILE",
    "NOMAD_TOKEN",
    "VAULT_TOKEN",
    "NOMAD_LICENSE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

/// Where a task's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TaskDirs {
    /// `alloc/<id>/alloc`: shared by the group's tasks.
    pub(super) shared: PathBuf,
    /// `alloc/<id>/<task>`: the working directory.
    pub(super) task: PathBuf,
}

impl TaskDirs {
    /// Below an allocation's directory.
    pub(super) fn below(alloc_dir: &Path, task: &str) -> Self {
        Self {
            shared: alloc_dir.join("alloc"),
            task: alloc_dir.join(task),
        }
    }

    /// `NOMAD_TASK_DIR`.
    pub(super) fn local(&self) -> PathBuf {
        self.task.join("local")
    }

    /// `NOMAD_SECRETS_DIR`.
    pub(super) fn secrets(&self) -> PathBuf {
        self.task.join("secrets")
    }

    /// Where its output goes.
    pub(super) fn logs(&self) -> PathBuf {
        self.shared.join("logs")
    }
}

/// What `${...}` means for one task, and what its process finds in its environment.
#[derive(Clone, Debug)]
pub(super) struct TaskEnv {
    vars: BTreeMap<String, String>,
    node: BTreeMap<String, String>,
}

/// Everything that an environment is made of.
pub(super) struct Parts<'a> {
    pub(super) node: &'a Node,
    pub(super) region: &'a str,
    pub(super) alloc: &'a Allocation,
    pub(super) job: &'a Job,
    pub(super) group: &'a TaskGroup,
    pub(super) task: &'a Task,
    pub(super) dirs: &'a TaskDirs,
}

impl TaskEnv {
    /// Builds the environment on top of `host`'s variables.
    pub(super) fn new(parts: &Parts<'_>, host: impl Iterator<Item = (String, String)>) -> Self {
        let mut env = Self {
            vars: host
                .filter(|(name, _)| !DENIED.contains(&name.as_str()))
                .collect(),
            node: node_values(parts.node),
        };
        env.vars.extend(identity(parts));
        if !parts.job.parent_id.is_empty() {
            let parent = parts.job.parent_id.clone();
            env.vars.insert("NOMAD_JOB_PARENT_ID".to_owned(), parent);
        }
        env.vars.extend(ports(parts));
        for (key, value) in combined_meta(parts.job, parts.group, parts.task) {
            let value = env.replace(&value);
            let key = clean(&key);
            env.vars
                .insert(format!("NOMAD_META_{}", key.to_uppercase()), value.clone());
            env.vars.insert(format!("NOMAD_META_{key}"), value);
        }
        for (key, value) in parts.task.env.iter().flatten() {
            let (key, value) = (env.replace(key), env.replace(value));
            env.vars.insert(key, value);
        }
        env
    }

    /// Adds variables over those that there are.
    pub(super) fn add(&mut self, variables: Vec<(String, String)>) {
        self.vars.extend(variables);
    }

    /// The whole environment.
    pub(super) fn vars(&self) -> &BTreeMap<String, String> {
        &self.vars
    }

    /// Replaces each `${...}` that is known; others stay as they are.
    pub(super) fn replace(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some(end) = rest.find('}') else {
                break;
            };
            let (whole, after) = rest.split_at(end + 1);
            let name = &whole[2..end];
            out.push_str(self.lookup(name.trim()).unwrap_or(whole));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn lookup(&self, name: &str) -> Option<&str> {
        let quoted = name
            .strip_prefix("env[\"")
            .and_then(|n| n.strip_suffix("\"]"))
            .or_else(|| name.strip_prefix("env."));
        let found = match quoted {
            Some(name) => self.vars.get(name),
            None => self.vars.get(name).or_else(|| self.node.get(name)),
        };
        found.map(String::as_str)
    }
}

fn identity(parts: &Parts<'_>) -> Vec<(String, String)> {
    let Parts {
        node,
        alloc,
        job,
        group,
        task,
        dirs,
        ..
    } = parts;
    let resources = task.resources.clone().unwrap_or_default();
    let index = alloc
        .name
        .rsplit_once('[')
        .and_then(|(_, i)| i.strip_suffix(']'));
    let show = |path: &Path| path.display().to_string();
    [
        ("ALLOC_ID", alloc.id.clone()),
        ("SHORT_ALLOC_ID", alloc.id.chars().take(8).collect()),
        ("ALLOC_NAME", alloc.name.clone()),
        ("ALLOC_INDEX", index.unwrap_or("0").to_owned()),
        ("JOB_ID", job.id.clone()),
        ("JOB_NAME", job.name.clone()),
        ("GROUP_NAME", group.name.clone()),
        ("TASK_NAME", task.name.clone()),
        ("NAMESPACE", alloc.namespace.clone()),
        ("DC", node.datacenter.clone()),
        ("REGION", parts.region.to_owned()),
        ("CPU_LIMIT", resources.cpu.to_string()),
        ("MEMORY_LIMIT", resources.memory_mb.to_string()),
        ("ALLOC_DIR", show(&dirs.shared)),
        ("TASK_DIR", show(&dirs.local())),
        ("SECRETS_DIR", show(&dirs.secrets())),
    ]
    .into_iter()
    .map(|(name, value)| (format!("NOMAD_{name}"), value))
    .collect()
}

fn ports(parts: &Parts<'_>) -> Vec<(String, String)> {
    let mut vars = Vec::new();
    for port in &parts.alloc.ports {
        let label = clean(&port.label);
        let ip = &port.host_ip;
        let host = port.value.to_string();
        let inside = if port.to > 0 {
            port.to.to_string()
        } else {
            host.clone()
        };
        for (name, value) in [
            ("IP", ip.clone()),
            ("PORT", inside.clone()),
            ("ADDR", format!("{ip}:{inside}")),
            ("HOST_IP", ip.clone()),
            ("HOST_PORT", host.clone()),
            ("HOST_ADDR", format!("{ip}:{host}")),
            ("ALLOC_PORT", inside.clone()),
        ] {
            vars.push((format!("NOMAD_{name}_{label}"), value));
        }
    }
    vars
}

/// Characters that a shell does not allow in a variable's name become `_`.
fn clean(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect()
}

fn node_values(node: &Node) -> BTreeMap<String, String> {
    let own = [
        ("node.unique.id", &node.id),
        ("node.unique.name", &node.name),
        ("node.datacenter", &node.datacenter),
        ("node.class", &node.node_class),
        ("node.pool", &node.node_pool),
    ];
    let own = own.into_iter().map(|(k, v)| (k.to_owned(), v.clone()));
    let attributes = node
        .attributes
        .iter()
        .map(|(k, v)| (format!("attr.{k}"), v.clone()));
    let meta = node
        .meta
        .iter()
        .map(|(k, v)| (format!("meta.{k}"), v.clone()));
    own.chain(attributes).chain(meta).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::world::job;
    use crate::types::AllocatedPort;

    fn env() -> TaskEnv {
        let mut job = job(
            1,
            "7",
            "meta {\n team = \"red\"\n \"my-key\" = \"${node.class}\"\n }"
                .replace("\"my-key\"", "my-key")
                .as_str(),
        );
        let task = &mut job.task_groups[0].tasks[0];
        let vars = task.env.get_or_insert_default();
        vars.insert(
            "WHO".to_owned(),
            "${NOMAD_ALLOC_NAME} on ${node.unique.name}".to_owned(),
        );
        let mut node = Node {
            name: "client-1".to_owned(),
            node_class: "small".to_owned(),
            datacenter: "dc1".to_owned(),
            ..Node::default()
        };
        node.attributes
            .insert("kernel.name".to_owned(), "linux".to_owned());
        let alloc = Allocation {
            id: "0123456789".to_owned(),
            name: "whoami.web[2]".to_owned(),
            ports: vec![AllocatedPort {
                label: "http-main".to_owned(),
                value: 20_001,
                to: 0,
                host_ip: "10.0.0.4".to_owned(),
            }],
            ..Allocation::default()
        };
        let dirs = TaskDirs::below(Path::new("/opt/nomad/data/alloc/0123"), "server");
        let parts = Parts {
            node: &node,
            region: "global",
            alloc: &alloc,
            job: &job,
            group: &job.task_groups[0],
            task: &job.task_groups[0].tasks[0],
            dirs: &dirs,
        };
        let host = [("PATH", "/bin"), ("VAULT_TOKEN", "secret")];
        TaskEnv::new(
            &parts,
            host.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter(),
        )
    }

    #[test]
    fn a_task_is_told_who_and_where_it_is() {
        let env = env();
        for (name, value) in [
            ("NOMAD_ALLOC_ID", "0123456789"),
            ("NOMAD_ALLOC_INDEX", "2"),
            ("NOMAD_JOB_ID", "whoami"),
            ("NOMAD_GROUP_NAME", "web"),
            ("NOMAD_TASK_DIR", "/opt/nomad/data/alloc/0123/server/local"),
            ("NOMAD_ALLOC_DIR", "/opt/nomad/data/alloc/0123/alloc"),
            ("NOMAD_PORT_http_main", "20001"),
            ("NOMAD_ADDR_http_main", "10.0.0.4:20001"),
            ("NOMAD_CPU_LIMIT", "100"),
            ("NOMAD_META_team", "red"),
            ("NOMAD_META_TEAM", "red"),
            ("NOMAD_META_my_key", "small"),
            ("VERSION", "7"),
            ("WHO", "whoami.web[2] on client-1"),
            ("PATH", "/bin"),
        ] {
            assert_eq!(
                env.vars().get(name).map(String::as_str),
                Some(value),
                "{name}"
            );
        }
        assert!(!env.vars().contains_key("VAULT_TOKEN"));
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        let env = env();
        for (text, replaced) in [
            ("${attr.kernel.name}/${nothing}", "linux/${nothing}"),
            ("${env[\"PATH\"]}", "/bin"),
            ("$HOME ${", "$HOME ${"),
            ("-port=${NOMAD_PORT_http_main}", "-port=20001"),
        ] {
            assert_eq!(env.replace(text), replaced);
        }
    }
}
