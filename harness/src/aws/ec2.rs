//! Machines: what they are, and their power switch.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use roxmltree::Node;

use super::{Aws, AwsError, Service};

/// What a machine does, in EC2's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// On its way to `Running`.
    Pending,
    /// It runs.
    Running,
    /// On its way to `Stopped`.
    Stopping,
    /// It is off, and can be started again.
    Stopped,
    /// On its way to `Terminated`.
    ShuttingDown,
    /// It is gone for good.
    Terminated,
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        })
    }
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `i-...`.
    pub id: String,
    /// What it does.
    pub state: InstanceState,
    /// Its address in its network; none once it is terminated.
    pub private_ip: Option<Ipv4Addr>,
    /// Its address in the world, while it runs.
    pub public_ip: Option<Ipv4Addr>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Aws {
    /// Returns these instances; those that are not there are an error of AWS's.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn instances(&self, ids: &[String]) -> Result<Vec<Instance>, AwsError> {
        let wanted = numbered("InstanceId", ids.iter().map(String::as_str));
        self.described(wanted).await
    }

    /// Returns the instances that carry a tag, whatever they do.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn instances_with_tag(
        &self,
        key: &str,
        value: &str,
    ) -> Result<Vec<Instance>, AwsError> {
        self.described(vec![
            ("Filter.1.Name".to_owned(), format!("tag:{key}")),
            ("Filter.1.Value.1".to_owned(), value.to_owned()),
        ])
        .await
    }

    async fn described(
        &self,
        parameters: Vec<(String, String)>,
    ) -> Result<Vec<Instance>, AwsError> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let mut asked = parameters.clone();
            asked.extend(next.map(|token| ("NextToken".to_owned(), token)));
            let text = self
                .query(Service::Ec2, "DescribeInstances", &asked)
                .await?;
            let (instances, more) = read_instances(&text)?;
            found.extend(instances);
            next = more;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Stops a machine; its disk stays.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn stop_instance(&self, id: &str) -> Result<(), AwsError> {
        self.switch("StopInstances", id).await
    }

    /// Starts a stopped machine.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn start_instance(&self, id: &str) -> Result<(), AwsError> {
        self.switch("StartInstances", id).await
    }

    /// Reboots a machine; it keeps its addresses.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn reboot_instance(&self, id: &str) -> Result<(), AwsError> {
        self.switch("RebootInstances", id).await
    }

    /// Ends a machine for good.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn terminate_instance(&self, id: &str) -> Result<(), AwsError> {
        self.switch("TerminateInstances", id).await
    }

    async fn switch(&self, action: &str, id: &str) -> Result<(), AwsError> {
        let asked = numbered("InstanceId", [id]);
        self.query(Service::Ec2, action, &asked).await.map(drop)
    }
}

fn numbered<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| (format!("{name}.{}", index + 1), value.to_owned()))
        .collect()
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children()
        .find(|child| child.tag_name().name() == name)
}

fn text<'a>(node: Node<'a, 'a>, name: &str) -> &'a str {
    child(node, name)
        .and_then(|child| child.text())
        .unwrap_or_default()
        .trim()
}

/// The `item`s of a set.
fn items<'a>(node: Node<'a, 'a>, set: &str) -> impl Iterator<Item = Node<'a, 'a>> {
    child(node, set)
        .into_iter()
        .flat_map(|set| set.children())
        .filter(|item| item.tag_name().name() == "item")
}

/// Reads a page of instances, and where the next one begins.
pub(super) fn read_instances(xml: &str) -> Result<(Vec<Instance>, Option<String>), AwsError> {
    let unreadable = |reason: String| AwsError::Unreadable {
        action: "DescribeInstances".to_owned(),
        reason,
    };
    let document =
        roxmltree::Document::parse(xml).map_err(|error| unreadable(error.to_string()))?;
    let root = document.root_element();
    if child(root, "reservationSet").is_none() {
        return Err(unreadable(format!(
            "no `reservationSet` in `{}`",
            root.tag_name().name()
        )));
    }
    let mut found = Vec::new();
    for item in items(root, "reservationSet").flat_map(|one| items(one, "instancesSet")) {
        found.push(instance(item).map_err(unreadable)?);
    }
    let more = Some(text(root, "nextToken")).filter(|token| !token.is_empty());
    Ok((found, more.map(str::to_owned)))
}

fn instance(item: Node<'_, '_>) -> Result<Instance, String> {
    let id = text(item, "instanceId").to_owned();
    let word = child(item, "instanceState").map_or("", |state| text(state, "name"));
    let state = match word {
        "pending" => InstanceState::Pending,
        "running" => InstanceState::Running,
        "stopping" => InstanceState::Stopping,
        "stopped" => InstanceState::Stopped,
        "shutting-down" => InstanceState::ShuttingDown,
        "terminated" => InstanceState::Terminated,
        other => return Err(format!("instance `{id}` has the unknown state `{other}`")),
    };
    let tags = items(item, "tagSet")
        .map(|tag| (text(tag, "key").to_owned(), text(tag, "value").to_owned()));
    Ok(Instance {
        state,
        private_ip: text(item, "privateIpAddress").parse().ok(),
        public_ip: text(item, "ipAddress").parse().ok(),
        architecture: text(item, "architecture").to_owned(),
        instance_type: text(item, "instanceType").to_owned(),
        zone: child(item, "placement")
            .map_or("", |place| text(place, "availabilityZone"))
            .to_owned(),
        tags: tags.collect(),
        id,
    })
}
