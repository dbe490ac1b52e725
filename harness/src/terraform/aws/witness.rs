//! Two readings of one cluster, as witnesses of each other: this reader's and Terraform's own.

use serde::Serialize;

use super::{AwsCluster, Machine};

/// What two readings say of each other.
#[derive(Debug, Default, Serialize)]
pub struct Witness {
    /// Machines about which both say the same.
    pub alike: usize,
    /// Where they differ, for people.
    pub differences: Vec<String>,
}

impl AwsCluster {
    /// Compares with another reading of the same cluster. What one of the two does not know is no
    /// difference.
    #[must_use]
    pub fn against(&self, other: &Self) -> Witness {
        let mut witness = Witness::default();
        for machine in &self.machines {
            let twin = other
                .machines
                .iter()
                .find(|twin| twin.address == machine.address);
            let Some(twin) = twin else {
                witness.differences.push(format!(
                    "`{}` ({}) is not there",
                    machine.address, machine.site
                ));
                continue;
            };
            let before = witness.differences.len();
            compare(machine, twin, &mut witness.differences);
            witness.alike += usize::from(witness.differences.len() == before);
        }
        for machine in &other.machines {
            if !self
                .machines
                .iter()
                .any(|own| own.address == machine.address)
            {
                witness
                    .differences
                    .push(format!("`{}` is there only", machine.address));
            }
        }
        witness
    }
}

fn compare(machine: &Machine, twin: &Machine, into: &mut Vec<String>) {
    let mut differ = |what: &str, here: Option<&String>, there: Option<&String>| {
        if let (Some(here), Some(there)) = (here, there)
            && here != there
        {
            into.push(format!(
                "`{}` has {what} `{here}` here ({}) and `{there}` there",
                machine.address, machine.site
            ));
        }
    };
    differ(
        "the user data of sha1",
        machine.user_data.sha1.as_ref(),
        twin.user_data.sha1.as_ref(),
    );
    differ(
        "the type",
        machine.instance_type.known(),
        twin.instance_type.known(),
    );
    differ("the image", machine.image.known(), twin.image.known());
    for (name, value) in &machine.tags {
        // A value that is not known holds its expression in brackets.
        let known = |value: &&String| !value.contains('<');
        differ(
            &format!("the tag `{name}`"),
            Some(value).filter(known),
            twin.tags.get(name).filter(known),
        );
    }
}
