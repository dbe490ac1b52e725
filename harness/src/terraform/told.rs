//! What Terraform itself tells of a configuration: the JSON of a plan, of a state
//! (`terraform show -json`), or the lines of a test (`terraform test -json -verbose`).
//!
//! Such a file has the values, not the places: every place is that of the resource in the file. What a
//! plan leaves open is taken from the references that it lists beside, where they name one thing only.
//! Providers before 6.0 keep but the SHA-1 of user data in plans and states; a test with a mocked
//! provider has the text.

mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use self::references::References;
use super::definition::ResourceId;
use super::functions::from_json;
use super::resource::{Key, Lifecycle, Resource};
use super::source::{Site, Source};
use super::value::{Cause, ResourceValue, Unknown, Value, Why};
use super::variables::Variable;
use super::{Basis, Configuration, Provider, Remark, Requirements, Unevaluated};

/// How what comes through a pipe is called.
pub const STANDARD_INPUT: &str = "standard input";
/// Major version of the formats that are read, of plans and of states alike.
const FORMAT: &str = "1";
/// What a test prints without `-verbose`.
const WITHOUT_PLAN: &str = "what a test printed, without a plan (is `-verbose` missing?)";
/// Attributes that name other resources by what AWS calls them; here they are named by address.
const NAMING: &[&str] = &[
    "vpc_security_group_ids",
    "security_groups",
    "security_group_id",
    "source_security_group_id",
    "referenced_security_group_id",
    "subnet_id",
];
/// Attributes that name the launch template or configuration that machines are made of.
const TEMPLATES: &[&str] = &[
    "launch_template",
    "mixed_instances_policy",
    "launch_configuration",
];
/// Attributes of an instance that AWS chooses where nothing is configured: known after apply is then no
/// more than not said.
const CHOSEN: &[&str] = &[
    "ami",
    "availability_zone",
    "iam_instance_profile",
    "instance_type",
    "security_groups",
    "subnet_id",
    "user_data",
    "user_data_base64",
    "vpc_security_group_ids",
];

/// A file that is none of Terraform's.
#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// It is no JSON.
    #[error("{}:{line}:{column}: {message} (expected the JSON of a plan, a state or a test)", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// It is another JSON.
    #[error("`{}` is {found}; expected what `terraform show -json` or `terraform test -json -verbose` print", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// It is a plan as `terraform plan -out` writes it.
    #[error("`{}` is a plan as it is stored, which only Terraform reads", path.display())]
    Stored {
        /// The file.
        path: PathBuf,
    },
    /// Its format is newer than this program, or older than any Terraform from 1.0 on.
    #[error("`{}` has format version `{found}`; expected {FORMAT}.x", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// Nothing stands in it.
    #[error("`{}` holds no resource: the cluster was destroyed, or never made", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl ToldError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Stored { path } if path == Path::new(STANDARD_INPUT) => {
                "terraform show -json cluster.tfplan | rehearse plan -"
            }
            Self::Stored { path } => {
                return Some(format!(
                    "terraform show -json {} > plan.json",
                    path.display()
                ));
            }
            Self::Other { found, .. } if *found == WITHOUT_PLAN => {
                "terraform test -json -verbose > test.jsonl"
            }
            Self::Syntax { .. } | Self::Other { .. } => {
                "terraform plan -out=cluster.tfplan && terraform show -json cluster.tfplan > plan.json"
            }
            Self::Format { .. } => "terraform version    # 1.0 or later writes format 1.x",
            Self::Empty { .. } => "terraform apply && terraform show -json > state.json",
            Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Reads what Terraform printed into a file.
///
/// # Errors
///
/// If it is no file of Terraform's, or holds no resource.
pub fn read_told(path: &Path) -> Result<Configuration, ToldError> {
    let file = std::fs::File::open(path).map_err(|source| ToldError::Io {
        path: path.to_owned(),
        source,
    })?;
    read_stream(file, path)
}

/// Reads what Terraform prints into a stream, as a pipe. `path` is how messages call it.
///
/// # Errors
///
/// As [`read_told`].
pub fn read_stream(mut stream: impl Read, path: &Path) -> Result<Configuration, ToldError> {
    let io = |source| ToldError::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(io)?;
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(ToldError::Stored {
            path: path.to_owned(),
        });
    }
    read_text(&Source::of(path, bytes).map_err(io)?)
}

/// Reads what Terraform printed. The source's path is how messages call it.
///
/// # Errors
///
/// As [`read_told`].
pub fn read_text(source: &Arc<Source>) -> Result<Configuration, ToldError> {
    let path = source.path.clone();
    let (basis, json) = recognise(source)?;
    let mut told = Told {
        source: Arc::clone(source),
        basis,
        references: References::default(),
        open: BTreeMap::new(),
        resources: Vec::new(),
        unevaluated: Vec::new(),
    };
    told.read(&json);
    if told.resources.is_empty() {
        return Err(ToldError::Empty { path });
    }
    told.name_by_address();
    let start = Site::start_of(&path);
    Ok(Configuration {
        basis,
        variables: variables(&json, &start),
        providers: providers(&json, &start, &told.resources),
        requirements: requirements(&json, &start),
        outputs: outputs(&json, &start),
        remarks: remarks(&json, &start),
        resources: told.resources,
        unevaluated: told.unevaluated,
        sources: vec![Arc::clone(source)],
    })
}

/// Tells which of the three it is.
fn recognise(source: &Source) -> Result<(Basis, Json), ToldError> {
    let path = || source.path.clone();
    let other = |found| ToldError::Other {
        path: path(),
        found,
    };
    let json: Json = match serde_json::from_str(&source.text) {
        Ok(json) => json,
        Err(error) => {
            return test_lines(source).ok_or_else(|| match is_of_test(source) {
                true => other(WITHOUT_PLAN),
                false => syntax(source, &error),
            });
        }
    };
    if json.get("test_plan").is_some() {
        return Ok((Basis::Test, json["test_plan"].clone()));
    }
    if json.get("lineage").is_some() {
        return Err(other(
            "a state as it is stored, which only Terraform reads reliably",
        ));
    }
    let basis = if json.get("planned_values").is_some() {
        Basis::Plan
    } else if json.get("values").is_some() || json.get("format_version").is_some() {
        // An empty state has its version alone.
        Basis::State
    } else if json.get("@level").is_some() {
        return Err(other(WITHOUT_PLAN));
    } else {
        return Err(other("some other JSON"));
    };
    let found = json["format_version"].as_str().unwrap_or("none").to_owned();
    if found.split('.').next() != Some(FORMAT) {
        return Err(ToldError::Format {
            path: path(),
            found,
        });
    }
    Ok((basis, json))
}

fn syntax(source: &Source, error: &serde_json::Error) -> ToldError {
    // The library says the place at the end, too.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    ToldError::Syntax {
        path: source.path.clone(),
        line: error.line(),
        column: error.column(),
        message: message.to_owned(),
    }
}

/// Whether the first line is one of a test's.
fn is_of_test(source: &Source) -> bool {
    let first = source.text.lines().next().unwrap_or_default();
    serde_json::from_str::<Json>(first).is_ok_and(|line| line.get("@level").is_some())
}

/// The first plan among a test's lines: further runs are of other variables.
fn test_lines(source: &Source) -> Option<(Basis, Json)> {
    source
        .text
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).ok())
        .find_map(|line| line.get("test_plan").cloned())
        .map(|plan| (Basis::Test, plan))
}

struct Told {
    source: Arc<Source>,
    basis: Basis,
    references: References,
    /// Address → what is known after apply, in the form of the attributes.
    open: BTreeMap<String, serde_json::Map<String, Json>>,
    resources: Vec<Resource>,
    unevaluated: Vec<Unevaluated>,
}

impl Told {
    fn read(&mut self, json: &Json) {
        self.references
            .read("", &json["configuration"]["root_module"]);
        let changes = json["resource_changes"].as_array();
        for change in changes.into_iter().flatten() {
            let open = change["change"]["after_unknown"].as_object();
            let address = change["address"].as_str().unwrap_or_default().to_owned();
            self.open.insert(address, open.cloned().unwrap_or_default());
        }
        match self.basis {
            // A test's plan has changes only; what is deleted by it will not stand.
            Basis::Test => {
                for change in changes.into_iter().flatten() {
                    if change["change"]["after"].is_object() {
                        self.add(change, &change["change"]["after"]);
                    }
                }
            }
            Basis::Plan => self.read_module(&json["planned_values"]["root_module"]),
            _ => self.read_module(&json["values"]["root_module"]),
        }
    }

    /// Whether nobody says an attribute of an instance, so that AWS chooses it.
    fn is_chosen(&self, kind: &str, address: &str, name: &str) -> bool {
        kind == "aws_instance"
            && CHOSEN.contains(&name)
            && self.references.has(address)
            && !self.references.says(address, name)
    }

    /// Puts what is known after apply into its places in a value, and lists it.
    fn opened(&mut self, value: Value, open: &Json, address: &str, site: &Site) -> Value {
        match (open, value) {
            (Json::Bool(true), Value::Null) => {
                let unknown = Unknown::of(Why::AfterApply, address, site.clone());
                self.unevaluated.push(Unevaluated {
                    address: address.to_owned(),
                    cause: unknown.causes[0].clone(),
                    site: site.clone(),
                });
                Value::Unknown(unknown)
            }
            (Json::Array(marks), Value::Tuple(elements)) => {
                let mut marks = marks.iter();
                let elements = elements.into_iter().enumerate().map(|(index, element)| {
                    let mark = marks.next().unwrap_or(&Json::Null);
                    self.opened(element, mark, &format!("{address}[{index}]"), site)
                });
                Value::Tuple(elements.collect())
            }
            (Json::Object(marks), Value::Object(mut members)) => {
                for (name, mark) in marks {
                    let member = members.remove(name).unwrap_or(Value::Null);
                    let member = self.opened(member, mark, &format!("{address}.{name}"), site);
                    members.insert(name.clone(), member);
                }
                Value::Object(members)
            }
            (_, value) => value,
        }
    }

    fn read_module(&mut self, module: &Json) {
        for resource in module["resources"].as_array().into_iter().flatten() {
            self.add(resource, &resource["values"]);
        }
        for child in module["child_modules"].as_array().into_iter().flatten() {
            self.read_module(child);
        }
    }

    fn add(&mut self, resource: &Json, values: &Json) {
        let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
        let address = text("address");
        let site = self.site(&address);
        let mut attributes: BTreeMap<String, Value> = values
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), from_json(value, &site)))
            .collect();
        for (name, open) in self.open.remove(&address).unwrap_or_default() {
            let value = attributes.remove(&name).unwrap_or(Value::Null);
            let value = self.opened(value, &open, &format!("{address}.{name}"), &site);
            let unsaid = match value {
                Value::Unknown(_) => self.is_chosen(&text("type"), &address, &name),
                _ => value == Value::Null,
            };
            if !unsaid {
                attributes.insert(name, value);
            }
        }
        // The provider's default tags are in this one only.
        if let Some(Value::Object(all)) = attributes.get("tags_all") {
            let all = Value::Object(all.clone());
            attributes.insert("tags".to_owned(), all);
        }
        let data = resource["mode"] == "data";
        self.resources.push(Resource {
            value: Arc::new(ResourceValue {
                address: address.clone(),
                data,
                attributes,
                site: site.clone(),
            }),
            id: ResourceId {
                data,
                kind: text("type"),
                name: text("name"),
            },
            key: key(&resource["index"]),
            address,
            sites: BTreeMap::new(),
            lifecycle: Lifecycle::default(),
            provisioners: Vec::new(),
            site,
        });
    }

    /// The place where the file first names an address.
    fn site(&self, address: &str) -> Site {
        let quoted = format!("\"address\":{}", Json::from(address));
        let spaced = format!("\"address\": {}", Json::from(address));
        let text = &self.source.text;
        let at = text.find(&quoted).or_else(|| text.find(&spaced));
        self.source.site(at.unwrap_or(0))
    }

    /// Says other resources by their addresses: in a state by the ids that it has, in a plan by the
    /// references that stand beside it.
    fn name_by_address(&mut self) {
        let ids: BTreeMap<String, String> = self
            .resources
            .iter()
            .filter(|resource| !resource.id.data)
            .filter_map(|resource| {
                let id = resource.field("id")?.to_text()?;
                Some((id, resource.address.clone()))
            })
            .collect();
        let known: BTreeSet<String> = self.resources.iter().map(|r| r.address.clone()).collect();
        let mut open = Vec::new();
        for resource in &mut self.resources {
            let mut attributes = resource.value.attributes.clone();
            for name in NAMING {
                let Some(value) = attributes.get(*name) else {
                    continue;
                };
                let named = match value {
                    Value::Unknown(unknown) => {
                        let of = (resource.address.as_str(), resource.key.as_ref());
                        let named = self.references.named(of, name, &known);
                        if named.is_empty() {
                            if resource.id.kind.contains("security_group") {
                                open.push((resource.id.address(), unknown.causes[0].clone()));
                            }
                            continue;
                        }
                        Value::Tuple(named.into_iter().map(Value::String).collect())
                    }
                    value => by_address(value, &ids),
                };
                attributes.insert((*name).to_owned(), named);
            }
            for name in TEMPLATES {
                let Some(value) = attributes.get(*name) else {
                    continue;
                };
                let mut value = by_address(value, &ids);
                let of = (resource.address.as_str(), resource.key.as_ref());
                let named = self.references.named(of, &format!("{name}.id"), &known);
                if let (Value::Tuple(blocks), [template]) = (&mut value, named.as_slice())
                    && let Some(Value::Object(block)) = blocks.first_mut()
                    && matches!(block.get("id"), Some(Value::Unknown(_)))
                {
                    block.insert("id".to_owned(), Value::String(template.clone()));
                }
                attributes.insert((*name).to_owned(), value);
            }
            resource.value = Arc::new(ResourceValue {
                address: resource.address.clone(),
                data: resource.id.data,
                attributes,
                site: resource.site.clone(),
            });
        }
        // So that nobody takes the rules for all that there are.
        self.unevaluated
            .extend(
                open.into_iter()
                    .map(|(address, cause): (String, Cause)| Unevaluated {
                        address: format!("{address}[*]"),
                        site: cause.site.clone(),
                        cause,
                    }),
            );
    }
}

fn by_address(value: &Value, ids: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(id) => Value::String(ids.get(id).unwrap_or(id).clone()),
        Value::Tuple(elements) => {
            Value::Tuple(elements.iter().map(|one| by_address(one, ids)).collect())
        }
        Value::Object(members) => {
            let member = |(name, one): (&String, &Value)| (name.clone(), by_address(one, ids));
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

fn without_keys(address: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    for c in address.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            c if depth == 0 => text.push(c),
            _ => {}
        }
    }
    text
}

fn key(index: &Json) -> Option<Key> {
    match index {
        Json::String(name) => Some(Key::Name(name.clone())),
        Json::Number(number) => number
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .map(Key::Index),
        _ => None,
    }
}

fn variables(json: &Json, site: &Site) -> BTreeMap<String, Variable> {
    let given = json["variables"].as_object().into_iter().flatten();
    given
        .map(|(name, variable)| {
            let declared = &json["configuration"]["root_module"]["variables"][name];
            let variable = Variable {
                value: from_json(&variable["value"], site),
                site: site.clone(),
                sensitive: declared["sensitive"] == true,
                default: false,
            };
            (name.clone(), variable)
        })
        .collect()
}

fn outputs(json: &Json, site: &Site) -> BTreeMap<String, Value> {
    let planned = json["planned_values"]["outputs"].as_object();
    let outputs = planned.or_else(|| json["values"]["outputs"].as_object());
    outputs
        .into_iter()
        .flatten()
        .map(|(name, output)| (name.clone(), from_json(&output["value"], site)))
        .collect()
}

fn providers(json: &Json, site: &Site, resources: &[Resource]) -> Vec<Provider> {
    let region = &json["configuration"]["provider_config"]["aws"]["expressions"]["region"];
    let by_variable = || {
        let name = region["references"][0].as_str()?.strip_prefix("var.")?;
        json["variables"][name]["value"].as_str()
    };
    // A zone is its region and a letter.
    let by_zone = || {
        let zone = resources
            .iter()
            .find_map(|resource| resource.field("availability_zone")?.to_text())?;
        Some(
            zone.trim_end_matches(|c: char| c.is_ascii_lowercase())
                .to_owned(),
        )
    };
    let region = region["constant_value"]
        .as_str()
        .or_else(by_variable)
        .map(str::to_owned)
        .or_else(by_zone);
    vec![Provider {
        name: "aws".to_owned(),
        attributes: region
            .map(|region| ("region".to_owned(), Value::String(region)))
            .into_iter()
            .collect(),
        sites: BTreeMap::new(),
        site: site.clone(),
    }]
}

fn requirements(json: &Json, site: &Site) -> Requirements {
    let configured = json["configuration"]["provider_config"].as_object();
    let providers = configured
        .into_iter()
        .flatten()
        .filter_map(|(_, provider)| {
            let name = provider["name"].as_str()?.to_owned();
            let version = provider["version_constraint"].as_str().map(str::to_owned);
            Some((name, (version, site.clone())))
        })
        .collect();
    Requirements {
        terraform: None,
        providers,
    }
}

/// Checks of the configuration that failed, as the plan has them.
fn remarks(json: &Json, site: &Site) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for check in json["checks"].as_array().into_iter().flatten() {
        let shown = check["address"]["to_display"].as_str().unwrap_or_default();
        for instance in check["instances"].as_array().into_iter().flatten() {
            for problem in instance["problems"].as_array().into_iter().flatten() {
                let message = problem["message"].as_str().unwrap_or_default();
                remarks.push(Remark {
                    message: format!("{shown}: {message}"),
                    site: site.clone(),
                });
            }
        }
    }
    remarks
}

#[cfg(test)]
mod tests;
