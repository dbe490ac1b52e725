//! Two readings of one cluster, as witnesses of each other: this reader's and Terraform's own.

use std::collections::BTreeSet;

use serde::Serialize;

use super::machines::sha1;
use super::{AwsCluster, Fact, Machine, UserData};

/// What two readings say of each other.
#[derive(Debug, Default, Serialize)]
pub struct Witness {
    /// Machines about which both say the same.
    pub alike: usize,
    /// Machines about which both say the same as far as they could be compared, which is not wholly.
    pub alike_in_part: usize,
    /// Where they differ, for people.
    pub differences: Vec<String>,
    /// What is not known on one side or both, for people.
    pub not_compared: Vec<String>,
}

impl AwsCluster {
    /// Compares with another reading of the same cluster. What one of the two does not know is neither
    /// alike nor a difference.
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
            let before = (witness.differences.len(), witness.not_compared.len());
            witness.compare(machine, twin);
            let differ = witness.differences.len() > before.0;
            let open = witness.not_compared.len() > before.1;
            witness.alike += usize::from(!differ && !open);
            witness.alike_in_part += usize::from(!differ && open);
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
        for text in { witness.differences.iter_mut() }.chain(&mut witness.not_compared) {
            *text = other.secrets.hide(&self.secrets.hide(text));
        }
        witness
    }
}

/// What one side says of something.
enum Side {
    Said(String),
    /// Nothing is there.
    Nothing,
    /// Nothing is said: what holds is AWS's or the image's default.
    Unsaid,
    /// Why it is not known.
    Unknown(String),
}

impl<T: std::fmt::Display> From<&Fact<T>> for Side {
    fn from(fact: &Fact<T>) -> Self {
        match fact {
            Fact::Known { value, .. } => Self::Said(value.to_string()),
            Fact::Unknown { expression, .. } => Self::Unknown(format!("<{expression}>")),
            Fact::Absent => Self::Unsaid,
        }
    }
}

impl Witness {
    fn compare(&mut self, machine: &Machine, twin: &Machine) {
        // Zipped text is unzipped on both sides; a digest would be that of the archive.
        let texts = [machine, twin].map(|one| {
            let text = one.user_data.text.as_deref();
            text.filter(|_| one.user_data.unknown.is_empty())
        });
        let digests = match texts {
            [Some(here), Some(there)] => [sha1(here), sha1(there)].map(Side::Said),
            _ => [machine, twin].map(|one| digest(&one.user_data)),
        };
        self.note(machine, "user data of sha1", digests);
        let both = |fact: fn(&Machine) -> Side| [fact(machine), fact(twin)];
        self.note(machine, "the type", both(|one| (&one.instance_type).into()));
        self.note(machine, "the image", both(|one| (&one.image).into()));
        self.note(machine, "the number", both(|one| (&one.count).into()));
        let names: BTreeSet<&String> = machine.tags.keys().chain(twin.tags.keys()).collect();
        for name in names {
            let sides = [machine, twin].map(|one| tag(one, name));
            self.note(machine, &format!("the tag `{name}`"), sides);
        }
        if !machine.tags_whole && !twin.tags_whole {
            let unknown = || Side::Unknown("not all of them are known".to_owned());
            self.note(machine, "further tags", [unknown(), unknown()]);
        }
    }

    fn note(&mut self, machine: &Machine, what: &str, sides: [Side; 2]) {
        let (address, site) = (&machine.address, &machine.site);
        let differ = |here: &str, there: &str| {
            format!("`{address}` has {what} {here} here ({site}) and {there} there")
        };
        match sides {
            [Side::Said(here), Side::Said(there)] if here == there => {}
            [Side::Nothing, Side::Nothing] | [Side::Unsaid, Side::Unsaid] => {}
            [Side::Said(here), Side::Said(there)] => {
                let difference = differ(&format!("`{here}`"), &format!("`{there}`"));
                self.differences.push(difference);
            }
            [Side::Said(here), Side::Nothing] => {
                self.differences.push(differ(&format!("`{here}`"), "none"));
            }
            [Side::Nothing, Side::Said(there)] => {
                self.differences.push(differ("none", &format!("`{there}`")));
            }
            [here, there] => {
                let why = |side, place: &str| match side {
                    Side::Unknown(why) => Some(format!("not known {place} ({why})")),
                    Side::Unsaid => Some(format!("not said {place}")),
                    Side::Said(_) | Side::Nothing => None,
                };
                let reasons: Vec<String> = [why(here, "here"), why(there, "there")]
                    .into_iter()
                    .flatten()
                    .collect();
                let reasons = reasons.join(", ");
                self.not_compared
                    .push(format!("`{address}` ({site}): {what}: {reasons}"));
            }
        }
    }
}

fn digest(data: &UserData) -> Side {
    match (&data.sha1, data.unknown.first()) {
        (Some(sha1), _) => Side::Said(sha1.clone()),
        (None, Some(cause)) => Side::Unknown(format!("{}: {}", cause.what, cause.why)),
        (None, None) if data.text.is_some() => {
            Side::Unknown("the sha1 of what is zipped".to_owned())
        }
        (None, None) => Side::Nothing,
    }
}

fn tag(machine: &Machine, name: &str) -> Side {
    match machine.tags.get(name) {
        // A value that is not known holds its expression in brackets.
        Some(value) if value.contains('<') => Side::Unknown(value.clone()),
        Some(value) => Side::Said(value.clone()),
        None if machine.tags_whole => Side::Nothing,
        None => Side::Unknown("not all tags are known".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::terraform::{Inputs, read};

    fn cluster(image: &str, suffix: &str) -> AwsCluster {
        let text = format!(
            r#"
variable "suffix" {{
  default   = "{suffix}"
  sensitive = true
}}
data "aws_ami" "any" {{}}
resource "aws_instance" "server" {{
  count         = 2
  ami           = {image}
  instance_type = "t3.small"
  tags          = {{ owner = var.suffix }}
}}
"#
        );
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("main.tf"), text).unwrap();
        let configuration = read(scratch.path(), &Inputs::default()).unwrap();
        AwsCluster::of(&configuration, Path::new("."))
    }

    #[test]
    fn machines_that_agree_in_what_was_compared_are_counted_as_such() {
        let known = cluster("\"ami-1\"", "s3cr3t");
        let open = cluster("data.aws_ami.any.id", "s3cr3t");
        let counts = |one: &AwsCluster, other: &AwsCluster| {
            let witness = one.against(other);
            let found = (witness.differences.len(), witness.not_compared.len());
            (witness.alike, witness.alike_in_part, found)
        };
        assert_eq!(counts(&known, &known), (2, 0, (0, 0)));
        assert_eq!(counts(&known, &open), (0, 2, (0, 2)));
        let other = cluster("data.aws_ami.any.id", "0th3r0ne");
        assert_eq!(counts(&known, &other), (0, 0, (2, 2)));
        let told = known.against(&other).differences.join("\n");
        assert!(
            !told.contains("s3cr3t") && !told.contains("0th3r0ne"),
            "{told}"
        );
    }
}
