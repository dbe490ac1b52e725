//! What is attached to: the outputs of `terraform/`, by `terraform output -json`, `terraform show
//! -json`, or out of a state file. `terraform/outputs.tf` is the contract.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::spec::{AgentName, Role};

/// A cluster on AWS, as Terraform's outputs describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// AWS's region.
    pub aws_region: String,
    /// Version of Nomad.
    pub nomad_version: String,
    /// The tag that every machine of it carries: nothing without it is ever touched.
    pub tag: (String, String),
    /// Its agents, servers first.
    pub agents: Vec<AttachedAgent>,
    /// What is needed to talk to Nomad.
    pub access: Access,
}

/// An agent, and the machine that it runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedAgent {
    /// Its name.
    pub name: AgentName,
    /// Its role.
    pub role: Role,
    /// The machine.
    pub instance_id: String,
    /// Its address among the agents: it stays.
    pub private_ip: Ipv4Addr,
}

/// Files on this machine that open the way to Nomad's API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The authority's certificate.
    pub ca_file: PathBuf,
    /// The operator's certificate.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// The management token.
    pub token_file: PathBuf,
    /// The name in the servers' certificates, as `server.global.nomad`.
    pub tls_server_name: String,
}

/// What was given is not a cluster to attach to.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// It is not JSON.
    #[error("`{from}` is not JSON: {reason}")]
    NotJson {
        /// The file.
        from: String,
        /// Why.
        reason: String,
    },
    /// There are no outputs.
    #[error("`{from}` has no outputs: nothing is applied, or it was destroyed")]
    Empty {
        /// The file.
        from: String,
    },
    /// Outputs are missing or wrong.
    #[error("`{from}` does not describe a cluster: {}", .problems.join("; "))]
    Wrong {
        /// The file.
        from: String,
        /// What is wrong, all of it.
        problems: Vec<String>,
    },
}

impl AttachmentError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotJson { .. } => "terraform output -json > cluster.json".to_owned(),
            Self::Empty { .. } => "terraform apply && terraform output -json > cluster.json".into(),
            Self::Wrong { .. } => {
                "terraform output cluster    # terraform/outputs.tf shows what it must hold".into()
            }
        })
    }
}

#[derive(Deserialize)]
struct Cluster {
    name: String,
    aws_region: String,
    nomad_version: String,
    cluster_tag: Tag,
    agents: BTreeMap<String, Agent>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct Agent {
    role: Role,
    instance_id: String,
    private_ip: Ipv4Addr,
}

impl Attachment {
    /// Reads it; `from` is its name in messages.
    ///
    /// # Errors
    /// [`AttachmentError`]: all problems at once.
    pub fn read(text: &str, from: &str) -> Result<Self, AttachmentError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| AttachmentError::NotJson {
                from: from.to_owned(),
                reason: error.to_string(),
            })?;
        // `show -json`, a state file, `output -json`.
        let places = ["/values/outputs", "/outputs"];
        let found = places.iter().find_map(|place| value.pointer(place));
        let is_state = value.get("version").is_some() || value.get("format_version").is_some();
        let outputs = match found {
            Some(outputs) => outputs,
            None if is_state => &Value::Null,
            None => &value,
        };
        if outputs.as_object().is_none_or(serde_json::Map::is_empty) {
            return Err(AttachmentError::Empty {
                from: from.to_owned(),
            });
        }
        let mut problems = Vec::new();
        let access = access(outputs, &mut problems);
        let cluster = match &outputs["cluster"]["value"] {
            Value::Null => {
                problems.push("there is no output `cluster`".to_owned());
                None
            }
            value => Cluster::deserialize(value)
                .map_err(|error| problems.push(format!("output `cluster`: {error}")))
                .ok(),
        };
        if let Some(cluster) = cluster {
            judge(&cluster, &mut problems);
            if problems.is_empty() {
                return Ok(Self::of(cluster, access));
            }
        }
        Err(AttachmentError::Wrong {
            from: from.to_owned(),
            problems,
        })
    }

    fn of(cluster: Cluster, access: Access) -> Self {
        let agents = cluster
            .agents
            .into_iter()
            .map(|(name, agent)| AttachedAgent {
                name: AgentName(name),
                role: agent.role,
                instance_id: agent.instance_id,
                private_ip: agent.private_ip,
            });
        let mut agents: Vec<AttachedAgent> = agents.collect();
        agents.sort_by(|one, other| (one.role, &one.name).cmp(&(other.role, &other.name)));
        Self {
            name: cluster.name,
            aws_region: cluster.aws_region,
            nomad_version: cluster.nomad_version,
            tag: (cluster.cluster_tag.key, cluster.cluster_tag.value),
            agents,
            access,
        }
    }

    /// Returns the agent of that name.
    #[must_use]
    pub fn agent(&self, name: &AgentName) -> Option<&AttachedAgent> {
        self.agents.iter().find(|agent| agent.name == *name)
    }
}

fn judge(cluster: &Cluster, problems: &mut Vec<String>) {
    if cluster.cluster_tag.key.is_empty() || cluster.cluster_tag.value.is_empty() {
        problems.push("output `cluster`: `cluster_tag` is empty".to_owned());
    }
    if !cluster
        .agents
        .values()
        .any(|agent| agent.role == Role::Server)
    {
        problems.push("output `cluster`: it has no server".to_owned());
    }
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, agent) in &cluster.agents {
        let id = agent.instance_id.as_str();
        let well_formed = id.strip_prefix("i-").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        if !well_formed {
            problems.push(format!("`{name}`: `{id}` is no instance ID"));
        }
        if let Some(other) = owners.insert(id, name) {
            problems.push(format!("`{other}` and `{name}` are both `{id}`"));
        }
    }
}

fn access(outputs: &Value, problems: &mut Vec<String>) -> Access {
    let mut text = |name: &str| match outputs[name]["value"].as_str() {
        Some(text) => text.to_owned(),
        None => {
            problems.push(format!("there is no output `{name}`"));
            String::new()
        }
    };
    Access {
        ca_file: text("ca_file").into(),
        cert_file: text("cert_file").into(),
        key_file: text("key_file").into(),
        token_file: text("token_file").into(),
        tls_server_name: text("tls_server_name"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// Outputs as `terraform/` has them, with these instances: servers first, three of each.
    pub(crate) fn outputs(ids: &[String]) -> Value {
        let agents: serde_json::Map<String, Value> = ids
            .iter()
            .enumerate()
            .map(|(index, id)| {
                let role = if index < ids.len().div_ceil(2) {
                    "server"
                } else {
                    "client"
                };
                let number = index % ids.len().div_ceil(2) + 1;
                let agent = json!({
                    "role": role, "instance_id": id, "private_ip": format!("10.0.1.{}", index + 10),
                    "public_ip": "203.0.113.1", "zone": "us-east-2a"
                });
                (format!("{role}-{number}"), agent)
            })
            .collect();
        let value = |value: Value| json!({ "value": value, "sensitive": false });
        json!({
            "ca_file": value("/nowhere/ca.pem".into()),
            "cert_file": value("/nowhere/cli.pem".into()),
            "key_file": value("/nowhere/cli-key.pem".into()),
            "token_file": value("/nowhere/bootstrap.token".into()),
            "tls_server_name": value("server.global.nomad".into()),
            "cluster": value(json!({
                "name": "demo", "aws_region": "us-east-2", "nomad_region": "global",
                "datacenter": "dc1", "nomad_version": "1.8.3", "architecture": "amd64",
                "cluster_tag": { "key": "rehearse-cluster", "value": "demo" },
                "join_tag": { "key": "x", "value": "y" }, "agents": agents,
            })),
        })
    }

    fn ids() -> Vec<String> {
        (1..=4).map(|number| format!("i-0{number}")).collect()
    }

    #[test]
    fn outputs_are_read_from_each_of_their_three_homes() {
        let outputs = outputs(&ids());
        let homes = [
            outputs.clone(),
            json!({ "version": 4, "outputs": outputs, "resources": [] }),
            json!({ "format_version": "1.0", "values": { "outputs": outputs } }),
        ];
        for home in homes {
            let read = Attachment::read(&home.to_string(), "cluster.json").unwrap();
            let names: Vec<_> = read
                .agents
                .iter()
                .map(|agent| agent.name.as_str())
                .collect();
            assert_eq!(names, ["server-1", "server-2", "client-1", "client-2"]);
            assert_eq!(read.tag, ("rehearse-cluster".to_owned(), "demo".to_owned()));
        }
    }

    #[test]
    fn what_is_no_cluster_is_told_whole() {
        for empty in [
            "{}",
            r#"{"version":4,"outputs":{}}"#,
            r#"{"format_version":"1.0"}"#,
        ] {
            let error = Attachment::read(empty, "f").unwrap_err();
            assert!(matches!(error, AttachmentError::Empty { .. }), "{error}");
        }
        let error = Attachment::read("resource {", "f").unwrap_err();
        assert!(matches!(error, AttachmentError::NotJson { .. }));
        let mut wrong = outputs(&["i-1".into(), "i-1".into(), "srv; rm -rf".into()]);
        wrong.as_object_mut().unwrap().remove("ca_file");
        let error = Attachment::read(&wrong.to_string(), "f")
            .unwrap_err()
            .to_string();
        for problem in [
            "no output `ca_file`",
            "`server-1` and `server-2` are both `i-1`",
            "`client-1`: `srv; rm -rf` is no instance ID",
        ] {
            assert!(error.contains(problem), "{error}");
        }
        let error = Attachment::read(r#"{"vpc":{"value":"v"}}"#, "f")
            .unwrap_err()
            .to_string();
        assert!(error.contains("no output `cluster`"), "{error}");
    }
}
