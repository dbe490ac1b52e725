//! The configuration of an agent that is adopted from another cluster: its own, key by key, but for what
//! cannot be the same here. Each such key is declared, with the reason.

use semver::Version;

use super::hcl::{Tree, list, quote};
use super::keys::Key;
use super::{
    CLIENT_COMPUTE_MHZ, CLIENT_DISK_MB, CLIENT_MEMORY_MB, DATA_DIR, HTTP_CONNECTIONS_MAX, TLS_DIR,
};
use crate::spec::{
    Adopted, AgentPlan, CloudJoin, ClusterSpec, RPC_PORT, Role, SERF_PORT, STAND_IN_ADDRESS,
    STAND_IN_INSTANCE, Substitution,
};

/// Keys by which an agent finds the servers.
const JOINING: &[&str] = &[
    "server.server_join.retry_join",
    "server.server_join.start_join",
    "server.retry_join",
    "server.start_join",
    "client.server_join.retry_join",
    "client.server_join.start_join",
    "client.servers",
];

/// A key that is other here.
struct Change {
    key: String,
    /// The expression; nothing where the key is left out.
    ours: Option<String>,
    /// Whether theirs is a secret.
    hidden: bool,
    /// Shown in place of ours, which is a secret.
    shown: Option<&'static str>,
    why: String,
}

/// Returns the agent's configuration.
pub(super) fn tree(
    adopted: &Adopted,
    spec: &ClusterSpec,
    plan: &[AgentPlan],
    agent: &AgentPlan,
    version: &Version,
    gossip_key: &str,
) -> Tree {
    let changes = changes(adopted, spec, plan, agent, version, gossip_key);
    let mut tree = Tree::default();
    for setting in &adopted.settings {
        if !changes.iter().any(|change| change.key == setting.key) {
            tree.set(&setting.key, setting.value.to_string());
        }
    }
    for change in &changes {
        if let Some(ours) = &change.ours {
            tree.set(&change.key, ours.clone());
        }
    }
    tree
}

/// Returns what is other here than where the agent is adopted from.
#[must_use]
pub fn substitutions(
    adopted: &Adopted,
    spec: &ClusterSpec,
    plan: &[AgentPlan],
    agent: &AgentPlan,
    version: &Version,
) -> Vec<Substitution> {
    let declare = |change: Change| {
        let setting = adopted.settings.iter().find(|one| one.key == change.key);
        let hidden = change.hidden;
        Substitution {
            theirs: setting.map(|one| match hidden {
                true => "a secret".to_owned(),
                false => one.value.to_string(),
            }),
            ours: change.shown.map(str::to_owned).or(change.ours),
            why: change.why,
            place: setting.map(|one| one.place.clone()),
            key: change.key,
        }
    };
    let changes = changes(adopted, spec, plan, agent, version, "");
    changes.into_iter().map(declare).collect()
}

fn changes(
    adopted: &Adopted,
    spec: &ClusterSpec,
    plan: &[AgentPlan],
    agent: &AgentPlan,
    version: &Version,
    gossip_key: &str,
) -> Vec<Change> {
    let mut all = Changes {
        adopted,
        version,
        made: Vec::new(),
    };
    all.leave_out_unknown();
    all.set(
        "data_dir",
        quote(DATA_DIR),
        "the data is in the container's volume",
    );
    for listener in ["http", "rpc", "serf"] {
        let address = quote(&agent.address.to_string());
        all.set(
            &format!("advertise.{listener}"),
            address,
            "the address in the cluster's network, which is known before the start",
        );
    }
    all.joins(spec, plan, agent);
    if all.theirs("server.encrypt").is_some() {
        all.made.push(Change {
            key: "server.encrypt".to_owned(),
            ours: Some(quote(gossip_key)),
            hidden: true,
            shown: Some("a key of this cluster's own"),
            why: "secrets stay where they are".to_owned(),
        });
    }
    let (certificate, key) = crate::tls::leaf_files(&spec.region, agent.role.into());
    for (name, file) in [
        ("ca_file", crate::tls::CA_FILE),
        ("cert_file", &certificate),
        ("key_file", &key),
    ] {
        let path = quote(&format!("{TLS_DIR}/{file}"));
        all.set(
            &format!("tls.{name}"),
            path,
            "certificates are made here, by an authority of this cluster's own",
        );
    }
    all.set(
        "limits.http_max_conns_per_client",
        HTTP_CONNECTIONS_MAX.to_string(),
        "all tests come from one address",
    );
    if agent.role == Role::Client {
        all.measures();
    }
    all.stand_ins(agent);
    all.made
}

struct Changes<'a> {
    adopted: &'a Adopted,
    version: &'a Version,
    made: Vec<Change>,
}

impl Changes<'_> {
    fn theirs(&self, key: &str) -> Option<&serde_json::Value> {
        let settings = self.adopted.settings.iter();
        settings
            .rev()
            .find(|one| one.key == key)
            .map(|one| &one.value)
    }

    /// Sets a key that is not so already, and that the version knows.
    fn set(&mut self, key: &str, ours: String, why: &str) {
        let theirs = self.theirs(key).map(serde_json::Value::to_string);
        let same = theirs.as_ref() == Some(&ours);
        let known = Key::find(key).is_some_and(|known| known.is_known_to(self.version));
        if !same && known {
            self.made.push(Change {
                key: key.to_owned(),
                ours: Some(ours),
                hidden: false,
                shown: None,
                why: why.to_owned(),
            });
        }
    }

    fn leave_out_unknown(&mut self) {
        for setting in &self.adopted.settings {
            let known = Key::find(&setting.key).map(|known| known.is_known_to(self.version));
            let why = match known {
                Some(true) => continue,
                Some(false) => format!("Nomad {}, which runs here, does not know it", self.version),
                None => "it is none of the keys that are known here".to_owned(),
            };
            self.made.push(Change {
                key: setting.key.clone(),
                ours: None,
                hidden: false,
                shown: None,
                why,
            });
        }
    }

    fn joins(&mut self, spec: &ClusterSpec, plan: &[AgentPlan], agent: &AgentPlan) {
        let cloud = spec.adoption.as_ref().and_then(|one| one.cloud.as_ref());
        for key in JOINING {
            let Some(theirs) = self.theirs(key).map(serde_json::Value::to_string) else {
                continue;
            };
            // An older form that the table of keys lacks is kept, as the agent takes it.
            self.made.retain(|change| change.key != *key);
            let asks_a_cloud = theirs.contains("provider=");
            let why = match cloud {
                Some(CloudJoin::Answered(_)) if asks_a_cloud => continue,
                Some(CloudJoin::Replaced(why)) if asks_a_cloud => {
                    format!("{why}: the servers' addresses")
                }
                _ => "the servers' addresses here".to_owned(),
            };
            let port = if key.starts_with("server.") {
                SERF_PORT
            } else {
                RPC_PORT
            };
            let servers = plan
                .iter()
                .filter(|one| one.role == Role::Server && one.name != agent.name)
                .map(|one| format!("{}:{port}", one.address));
            let addresses = list(servers);
            self.made.push(Change {
                key: (*key).to_owned(),
                // Keys of an account may stand in it.
                hidden: theirs.contains("secret_access_key"),
                ours: Some(addresses),
                shown: None,
                why,
            });
        }
    }

    /// What the machine asked of its metadata service, and got a stand-in's answer.
    fn stand_ins(&mut self, agent: &AgentPlan) {
        for setting in &self.adopted.settings {
            let theirs = setting.value.to_string();
            let (ours, why) = if theirs.contains(STAND_IN_ADDRESS) {
                let address = agent.address.to_string();
                (
                    theirs.replace(STAND_IN_ADDRESS, &address),
                    "the machine's own address",
                )
            } else if setting.key == "name" && theirs.contains(STAND_IN_INSTANCE) {
                (quote(agent.name.as_str()), "AWS gives the machine's id")
            } else {
                continue;
            };
            if self.made.iter().all(|change| change.key != setting.key) {
                self.set(&setting.key, ours, why);
            }
        }
    }

    /// What a client measures of its machine, which here is everybody's.
    fn measures(&mut self) {
        let why = "every client is to have the same measure";
        self.set(
            "client.network_interface",
            quote("eth0"),
            "the container's only one",
        );
        for (key, number) in [
            ("cpu_total_compute", CLIENT_COMPUTE_MHZ),
            ("memory_total_mb", CLIENT_MEMORY_MB),
            ("disk_total_mb", CLIENT_DISK_MB),
            ("disk_free_mb", CLIENT_DISK_MB),
        ] {
            self.set(&format!("client.{key}"), number.to_string(), why);
        }
        let denied = "env_aws,env_azure,env_digitalocean,env_gce,consul,vault";
        self.set(
            "client.options.fingerprint.denylist",
            quote(denied),
            "no cloud is there to ask",
        );
        self.set(
            "plugin.raw_exec.config.enabled",
            "true".to_owned(),
            "the scenarios' tasks are run by it",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{AdoptedSetting, AgentName, Arch, Subnet};
    use serde_json::json;

    fn adopted(role: Role, settings: &[(&str, serde_json::Value)]) -> Adopted {
        Adopted {
            name: AgentName(format!("web-{role}")),
            role,
            settings: settings
                .iter()
                .map(|(key, value)| AdoptedSetting {
                    key: (*key).to_owned(),
                    value: value.clone(),
                    place: "server.hcl.tpl:3".to_owned(),
                })
                .collect(),
            substitutions: Vec::new(),
        }
    }

    fn written(adopted: &Adopted, version: &str) -> (String, Vec<Substitution>) {
        let mut spec = ClusterSpec::new("demo", Arch::Amd64);
        (spec.servers, spec.clients) = (1, 0);
        let version = version.parse().unwrap();
        let subnet: Subnet = "10.20.0.0/24".parse().unwrap();
        let mut plan = ClusterSpec::new("demo", Arch::Amd64).plan(subnet);
        let at = plan
            .iter()
            .position(|one| one.role == adopted.role)
            .unwrap();
        plan[at].name = adopted.name.clone();
        let text = tree(adopted, &spec, &plan, &plan[at], &version, "c2VjcmV0").write();
        (
            text,
            substitutions(adopted, &spec, &plan, &plan[at], &version),
        )
    }

    #[test]
    fn what_is_not_declared_is_theirs() {
        let adopted = adopted(
            Role::Server,
            &[
                ("name", json!("web-server")),
                ("data_dir", json!("/opt/nomad/data")),
                ("server.enabled", json!(true)),
                ("server.heartbeat_grace", json!("42s")),
                ("server.encrypt", json!("theirs")),
                (
                    "server.server_join.retry_join",
                    json!(["provider=aws tag_key=a tag_value=b"]),
                ),
                ("telemetry.prometheus_metrics", json!(true)),
            ],
        );
        let (text, declared) = written(&adopted, "1.8.3");
        assert!(text.contains("heartbeat_grace = \"42s\""), "{text}");
        assert!(text.contains("encrypt = \"c2VjcmV0\""), "{text}");
        assert!(
            text.contains("retry_join = [\"10.20.0.12:4648\", \"10.20.0.13:4648\"]"),
            "{text}"
        );
        let keys: Vec<&str> = declared.iter().map(|one| one.key.as_str()).collect();
        assert!(!keys.contains(&"data_dir"), "it is the same: {keys:?}");
        let gossip = declared
            .iter()
            .find(|one| one.key == "server.encrypt")
            .unwrap();
        assert_eq!(gossip.theirs.as_deref(), Some("a secret"));
        let told = format!("{declared:?}");
        assert!(
            !told.contains("c2VjcmV0") && !told.contains("\"theirs\")"),
            "no secret is told: {told}"
        );
        // Every key of the file is theirs, or declared.
        for line in ["prometheus_metrics = true", "name = \"web-server\""] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn a_text_that_asks_a_cloud_stays_where_the_cloud_is_answered_for() {
        let mut adopted = adopted(
            Role::Server,
            &[
                (
                    "server.server_join.retry_join",
                    json!(["provider=aws tag_key=a tag_value=b secret_access_key=hush"]),
                ),
                ("server.retry_join", json!(["10.0.0.1"])),
            ],
        );
        let version: Version = "1.8.3".parse().unwrap();
        let plan = ClusterSpec::new("demo", Arch::Amd64).plan("10.20.0.0/24".parse().unwrap());
        adopted.name = plan[0].name.clone();
        let told = |cloud: Option<CloudJoin>| {
            let mut spec = ClusterSpec::new("demo", Arch::Amd64);
            spec.adoption = Some(crate::spec::Adoption {
                source: "terraform".to_owned(),
                prefer: None,
                reading: Vec::new(),
                agents: Vec::new(),
                closed_there: Vec::new(),
                filters: Vec::new(),
                cloud,
                version: None,
            });
            let text = tree(&adopted, &spec, &plan, &plan[0], &version, "").write();
            let declared = substitutions(&adopted, &spec, &plan, &plan[0], &version);
            let key = |key: &str| declared.iter().find(|one| one.key == key).cloned();
            let join = key("server.server_join.retry_join");
            let plain = key("server.retry_join").unwrap();
            assert_eq!(plain.why, "the servers' addresses here");
            (text, join)
        };
        let answered = CloudJoin::Answered(crate::spec::Cloud {
            region: "us-east-2".to_owned(),
            asked: ["us-east-2".to_owned()].into(),
            machines: Vec::new(),
            unsure: Vec::new(),
        });
        let (text, join) = told(Some(answered));
        assert!(text.contains("provider=aws tag_key=a"), "{text}");
        assert_eq!(join, None);
        let replaced = CloudJoin::Replaced("this Nomad cannot ask AWS".to_owned());
        let (text, join) = told(Some(replaced));
        assert!(!text.contains("provider="), "{text}");
        let join = join.unwrap();
        assert_eq!(
            join.why,
            "this Nomad cannot ask AWS: the servers' addresses"
        );
        assert_eq!(join.theirs.as_deref(), Some("a secret"));
        assert!(join.ours.unwrap().contains("10.20.0.12:4648"));
    }

    #[test]
    fn a_key_that_the_version_here_lacks_is_left_out_and_told() {
        let adopted = adopted(
            Role::Client,
            &[
                ("client.enabled", json!(true)),
                ("client.node_pool", json!("web")),
                ("client.sprocket", json!(1)),
            ],
        );
        let (text, declared) = written(&adopted, "1.1.2");
        assert!(
            !text.contains("node_pool") && !text.contains("sprocket"),
            "{text}"
        );
        let why = |key: &str| {
            declared
                .iter()
                .find(|one| one.key == key)
                .unwrap()
                .why
                .clone()
        };
        assert!(why("client.node_pool").contains("1.1.2"));
        assert!(why("client.sprocket").contains("none of the keys"));
        let (text, _) = written(&adopted, "1.8.3");
        assert!(text.contains("node_pool = \"web\""), "{text}");
    }
}
