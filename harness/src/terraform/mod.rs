//! Reads a Terraform configuration without Terraform, providers, network or account.
//!
//! Why an evaluator of our own: a plan made with the real provider holds but a SHA-1 of the user data,
//! and needs the provider, credentials and the network. What stands in the files is enough to know the
//! machines, their roles, rules and user data, byte by byte. What is not enough is listed, with address,
//! place and reason; nothing is guessed.
//!
//! Missing: override files, JSON syntax, `yamldecode`, `moved`/`import` (which change no result).

pub mod aws;
mod data;
pub mod definition;
pub mod eval;
pub(crate) mod functions;
mod instance;
mod loops;
mod number;
mod operators;
mod render;
pub mod resource;
pub mod source;
mod template;
mod told;
mod traversal;
mod unify;
pub mod value;
pub mod variables;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use serde::Serialize;

use self::definition::{Definition, DefinitionError};
use self::instance::{Child, Expanded, Instance, World};
use self::source::{Site, Source};
use self::value::{Cause, Unknown, Value, Why};

pub use self::eval::EvalError;
pub use self::number::Number;
pub use self::resource::{Key, Resource};
pub use self::told::{STANDARD_INPUT, ToldError, read_stream, read_text, read_told};
pub use self::variables::{Inputs, Variable, VariableError};

/// What a configuration was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Its own files, by the evaluator here.
    Files,
    /// A plan of Terraform's.
    Plan,
    /// A state of Terraform's: what was made.
    State,
    /// The plan of a test, of mocked providers.
    Test,
}

/// A configuration as it was read.
#[derive(Debug)]
pub struct Configuration {
    /// What it was read from.
    pub basis: Basis,
    /// Variables of the root module.
    pub variables: BTreeMap<String, Variable>,
    /// Every instance of every resource and data source, in all modules.
    pub resources: Vec<Resource>,
    /// Outputs of the root module.
    pub outputs: BTreeMap<String, Value>,
    /// `provider` blocks of the root module.
    pub providers: Vec<Provider>,
    /// `required_version` and the like.
    pub requirements: Requirements,
    /// What could not be evaluated, and why.
    pub unevaluated: Vec<Unevaluated>,
    /// What Terraform would warn about or refuse when planning.
    pub remarks: Vec<Remark>,
    /// The files that were read.
    pub sources: Vec<std::sync::Arc<Source>>,
}

/// A `provider` block.
#[derive(Debug)]
pub struct Provider {
    /// `aws`, ...
    pub name: String,
    /// Its arguments.
    pub attributes: BTreeMap<String, Value>,
    /// Where each stands.
    pub sites: BTreeMap<String, Site>,
    /// Where the block begins.
    pub site: Site,
}

/// What the configuration demands of Terraform and providers.
#[derive(Debug, Default)]
pub struct Requirements {
    /// `required_version` and where it stands.
    pub terraform: Option<(String, Site)>,
    /// Provider → version constraint, if any, and where it stands.
    pub providers: BTreeMap<String, (Option<String>, Site)>,
}

/// Something that was not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unevaluated {
    /// What it would be, as `aws_instance.server[0].ami`.
    pub address: String,
    /// Why, and where the reason stands.
    pub cause: Cause,
    /// Where the field itself stands.
    pub site: Site,
}

/// Something that Terraform would say as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// What.
    pub message: String,
    /// Where.
    pub site: Site,
}

/// A configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its files.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// Its variables: everything that is wrong with them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Variables(Vec<VariableError>),
    /// Assumptions that do not parse.
    #[error(transparent)]
    Assumption(#[from] EvalError),
}

/// Reads the configuration in `dir` with the given values.
///
/// # Errors
///
/// If it is no configuration, does not parse, or lacks values: everything that is wrong at once.
pub fn read(dir: &Path, inputs: &Inputs) -> Result<Configuration, ReadError> {
    let definition = Rc::new(Definition::read(dir)?);
    let given = variables::gather(&definition, dir, inputs);
    if !given.errors.is_empty() {
        return Err(ReadError::Variables(given.errors));
    }
    let world = Rc::new(World {
        dir: dir.to_owned(),
        assumptions: instance::assumptions(&inputs.assumptions)?,
    });
    let root = Instance::root(world, Rc::clone(&definition), given.variables);
    let invalid = variables::check_conditions(&definition, &root.scope());
    if !invalid.is_empty() {
        return Err(ReadError::Variables(invalid));
    }
    let mut reading = Reading::default();
    reading.module(&root);
    reading
        .remarks
        .extend(given.undeclared.into_iter().map(|(name, site)| Remark {
            message: format!("a value for variable `{name}`, which nobody declares, has no effect"),
            site,
        }));
    let outputs = definition
        .outputs
        .keys()
        .filter_map(|name| Some((name.clone(), root.output(name)?)))
        .collect();
    reading.unevaluated.sort();
    reading.unevaluated.dedup();
    Ok(Configuration {
        basis: Basis::Files,
        outputs,
        providers: providers(&root),
        requirements: requirements(&definition, &root),
        variables: root.variables.clone(),
        resources: reading.resources,
        unevaluated: reading.unevaluated,
        remarks: reading.remarks,
        sources: reading.sources,
    })
}

#[derive(Default)]
struct Reading {
    resources: Vec<Resource>,
    unevaluated: Vec<Unevaluated>,
    remarks: Vec<Remark>,
    sources: Vec<std::sync::Arc<Source>>,
}

impl Reading {
    fn module(&mut self, instance: &Instance) {
        self.sources
            .extend(instance.definition.sources.iter().cloned());
        for (path, reason) in &instance.definition.unread {
            let site = Site::start_of(path);
            let cause = Cause {
                why: Why::Error,
                what: (*reason).to_owned(),
                site: site.clone(),
            };
            self.unevaluated.push(Unevaluated {
                address: path.display().to_string(),
                cause,
                site,
            });
        }
        for (id, declared) in &instance.definition.resources {
            let address = format!("{}{}", instance.prefix, id.address());
            match instance.resource(id, &declared.site) {
                Ok(expanded) => {
                    if let Expanded::Unknown(unknown) = expanded.as_ref() {
                        self.add_unknown(&format!("{address}[*]"), unknown, &declared.site);
                    }
                    for resource in expanded.each() {
                        self.add_resource(resource);
                    }
                }
                Err(error) => self.add_error(&address, error, &declared.site),
            }
        }
        for (name, declared) in &instance.definition.modules {
            let address = format!("{}module.{name}", instance.prefix);
            match instance.module(name, &declared.site) {
                Ok(expanded) => {
                    if let Expanded::Unknown(unknown) = expanded.as_ref() {
                        self.add_unknown(&format!("{address}[*]"), unknown, &declared.site);
                    }
                    for child in expanded.each() {
                        match child {
                            Child::Read(instance) => self.module(instance),
                            Child::NotRead(unknown) => {
                                self.add_unknown(&address, unknown, &declared.site)
                            }
                        }
                    }
                }
                Err(error) => self.add_error(&address, error, &declared.site),
            }
        }
    }

    fn add_resource(&mut self, resource: &Resource) {
        for (name, value) in &resource.value.attributes {
            let mut unknowns = Vec::new();
            value.unknowns(&mut unknowns);
            for unknown in unknowns {
                self.add_unknown(
                    &format!("{}.{name}", resource.address),
                    &unknown,
                    &resource.site_of(name),
                );
            }
        }
        for (message, site) in &resource.lifecycle.failed {
            self.remarks.push(Remark {
                message: format!("{}: {message}", resource.address),
                site: site.clone(),
            });
        }
        self.resources.push(resource.clone());
    }

    fn add_unknown(&mut self, address: &str, unknown: &Unknown, site: &Site) {
        self.unevaluated
            .extend(unknown.causes.iter().map(|cause| Unevaluated {
                address: address.to_owned(),
                cause: cause.clone(),
                site: site.clone(),
            }));
    }

    fn add_error(&mut self, address: &str, error: EvalError, site: &Site) {
        let cause = Cause {
            why: Why::Error,
            what: error.message,
            site: error.site,
        };
        self.unevaluated.push(Unevaluated {
            address: address.to_owned(),
            cause,
            site: site.clone(),
        });
    }
}

fn providers(root: &Instance) -> Vec<Provider> {
    root.definition
        .providers
        .iter()
        .map(|declared| {
            let evaluated =
                resource::evaluate(&declared.item.body, &declared.origin, &root.scope());
            Provider {
                name: declared
                    .item
                    .labels
                    .first()
                    .map(|label| label.as_str().to_owned())
                    .unwrap_or_default(),
                attributes: evaluated.attributes,
                sites: evaluated.sites,
                site: declared.site.clone(),
            }
        })
        .collect()
}

fn requirements(definition: &Definition, root: &Instance) -> Requirements {
    let mut requirements = Requirements::default();
    for declared in &definition.settings {
        let site_of = |key: &hcl_edit::Decorated<hcl_edit::Ident>| {
            declared.origin.site(hcl_edit::Span::span(key))
        };
        if let Some(version) = declared.item.body.get_attribute("required_version") {
            let text = resource::value_or_reason(&version.value, &declared.origin, &root.scope())
                .to_text();
            requirements.terraform = text.map(|text| (text, site_of(&version.key)));
        }
        for block in declared.item.body.get_blocks("required_providers") {
            for attribute in block.body.attributes() {
                // `configuration_aliases` inside is no expression; only the version is looked at.
                let value =
                    resource::value_or_reason(&attribute.value, &declared.origin, &root.scope());
                let version = value
                    .as_str()
                    .map(str::to_owned)
                    .or_else(|| value.attribute("version").and_then(Value::to_text));
                requirements.providers.insert(
                    attribute.key.value().to_string(),
                    (version, site_of(&attribute.key)),
                );
            }
        }
    }
    requirements
}
