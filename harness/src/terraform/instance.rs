//! A module with its variables' values: what its names stand for, computed when they are asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use hcl_edit::Span;
use hcl_edit::structure::Block;

use super::definition::{Declared, Definition, ResourceId};
use super::eval::{EvalError, Evaluated, Names, Scope, eval, fault};
use super::functions::cleaned;
use super::resource::{self, Key, Resource, value_or_reason};
use super::source::Site;
use super::value::{ResourceValue, Unknown, Value, Why};
use super::variables::{self, Variable};

/// Modules within modules deeper than this are a module that contains itself.
const DEPTH: usize = 16;

/// What all modules of a configuration share.
pub(super) struct World {
    /// The root module's folder.
    pub dir: PathBuf,
    /// Assumed answers: address → attribute → value.
    pub assumptions: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Clone)]
enum Slot<T> {
    Busy,
    Done(Result<T, EvalError>),
}

/// The instances of one resource or module block.
#[derive(Clone)]
pub(super) enum Expanded<T> {
    /// No `count`, no `for_each`.
    Single(T),
    /// Of `count`.
    Counted(Vec<T>),
    /// Of `for_each`.
    Keyed(BTreeMap<String, T>),
    /// How many there are is not known.
    Unknown(Unknown),
}

impl<T> Expanded<T> {
    pub(super) fn each(&self) -> Vec<&T> {
        match self {
            Self::Single(one) => vec![one],
            Self::Counted(several) => several.iter().collect(),
            Self::Keyed(several) => several.values().collect(),
            Self::Unknown(_) => Vec::new(),
        }
    }

    fn as_value(&self, value: impl Fn(&T) -> Value) -> Value {
        match self {
            Self::Single(one) => value(one),
            Self::Counted(several) => Value::Tuple(several.iter().map(value).collect()),
            Self::Keyed(several) => Value::Object(
                several
                    .iter()
                    .map(|(key, one)| (key.clone(), value(one)))
                    .collect(),
            ),
            Self::Unknown(unknown) => Value::Unknown(unknown.clone()),
        }
    }
}

/// A module with values.
pub(super) struct Instance {
    pub world: Rc<World>,
    pub definition: Rc<Definition>,
    /// `""` for the root, else `module.nomad.`, with the dot.
    pub prefix: String,
    /// The folder as expressions see it: `path.module`.
    pub path: String,
    pub variables: BTreeMap<String, Variable>,
    depth: usize,
    locals: RefCell<HashMap<String, Slot<Value>>>,
    resources: RefCell<HashMap<ResourceId, Slot<Rc<Expanded<Resource>>>>>,
    modules: RefCell<HashMap<String, Slot<Rc<Expanded<Child>>>>>,
}

/// A module that is called: read, or why not.
#[derive(Clone)]
pub(super) enum Child {
    Read(Rc<Instance>),
    NotRead(Unknown),
}

impl Instance {
    pub(super) fn root(
        world: Rc<World>,
        definition: Rc<Definition>,
        variables: BTreeMap<String, Variable>,
    ) -> Self {
        Self::new(
            world,
            definition,
            String::new(),
            ".".to_owned(),
            variables,
            0,
        )
    }

    fn new(
        world: Rc<World>,
        definition: Rc<Definition>,
        prefix: String,
        path: String,
        variables: BTreeMap<String, Variable>,
        depth: usize,
    ) -> Self {
        Self {
            world,
            definition,
            prefix,
            path,
            variables,
            depth,
            locals: RefCell::default(),
            resources: RefCell::default(),
            modules: RefCell::default(),
        }
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope::new(Some(self), &self.world.dir)
    }

    /// Returns a local value, computed once.
    pub(super) fn local(&self, name: &str, site: &Site) -> Evaluated {
        let Some(declared) = self.definition.locals.get(name) else {
            return Err(fault(
                site.clone(),
                format!("there is no local value `{name}`"),
            ));
        };
        once(
            &self.locals,
            name.to_owned(),
            &format!("local.{name}"),
            &declared.site,
            || eval(&declared.item, &declared.origin, &self.scope()),
        )
    }

    /// Returns the instances of a resource, computed once.
    pub(super) fn resource(
        &self,
        id: &ResourceId,
        site: &Site,
    ) -> Result<Rc<Expanded<Resource>>, EvalError> {
        let Some(declared) = self.definition.resources.get(id) else {
            return Err(fault(
                site.clone(),
                format!("there is no `{}`", id.address()),
            ));
        };
        once(
            &self.resources,
            id.clone(),
            &id.address(),
            &declared.site,
            || {
                self.expand(declared, |scope, key| {
                    Ok(self.evaluate_resource(id, declared, scope, key))
                })
                .map(Rc::new)
            },
        )
    }

    fn evaluate_resource(
        &self,
        id: &ResourceId,
        declared: &Declared<Block>,
        scope: &Scope<'_>,
        key: Option<Key>,
    ) -> Resource {
        let evaluated = resource::evaluate(&declared.item.body, &declared.origin, scope);
        let mut attributes = evaluated.attributes;
        let address = format!(
            "{}{}{}",
            self.prefix,
            id.address(),
            key.as_ref().map(ToString::to_string).unwrap_or_default()
        );
        if let Some(assumed) = self.world.assumptions.get(&address) {
            attributes.extend(assumed.clone());
        }
        if id.data {
            super::data::answer(&id.kind, &mut attributes, &self.world.dir, &declared.site);
        }
        Resource {
            value: Arc::new(ResourceValue {
                address: address.clone(),
                data: id.data,
                attributes,
                site: declared.site.clone(),
            }),
            address,
            id: id.clone(),
            key,
            sites: evaluated.sites,
            lifecycle: evaluated.lifecycle,
            provisioners: evaluated.provisioners,
            site: declared.site.clone(),
        }
    }

    /// Evaluates a block once per element of its `count` or `for_each`.
    fn expand<T>(
        &self,
        declared: &Declared<Block>,
        make: impl Fn(&Scope<'_>, Option<Key>) -> Result<T, EvalError>,
    ) -> Result<Expanded<T>, EvalError> {
        let scope = self.scope();
        let body = &declared.item.body;
        let unknown = |unknown: Unknown, what: &str| {
            Ok(Expanded::Unknown(
                unknown.within(format!("{what} of a block")),
            ))
        };
        if let Some(count) = body.get_attribute("count") {
            let site = declared.origin.site(count.key.span());
            let count = match eval(&count.value, &declared.origin, &scope)? {
                Value::Unknown(why) => return unknown(why, "count"),
                value => value
                    .as_number()
                    .and_then(super::number::Number::as_usize)
                    .ok_or_else(|| {
                        fault(
                            site,
                            format!("`count` is a whole number, this is a {}", value.type_name()),
                        )
                    })?,
            };
            let make_one = |index: usize| {
                let bindings = BTreeMap::from([(
                    "count".to_owned(),
                    object([("index", Value::whole(index))]),
                )]);
                make(&scope.with(&bindings), Some(Key::Index(index)))
            };
            return (0..count)
                .map(make_one)
                .collect::<Result<_, _>>()
                .map(Expanded::Counted);
        }
        if let Some(for_each) = body.get_attribute("for_each") {
            let site = declared.origin.site(for_each.key.span());
            let members: BTreeMap<String, Value> =
                match eval(&for_each.value, &declared.origin, &scope)? {
                    Value::Unknown(why) => return unknown(why, "for_each"),
                    Value::Set(elements) => elements
                        .into_iter()
                        .filter_map(|element| element.to_text().map(|name| (name, element)))
                        .collect(),
                    Value::Object(members) | Value::Map(members) => members,
                    value => {
                        return Err(fault(
                            site,
                            format!(
                                "`for_each` takes a map or a set of texts, this is a {}",
                                value.type_name()
                            ),
                        ));
                    }
                };
            let make_one = |(name, value): (String, Value)| {
                let bindings = BTreeMap::from([(
                    "each".to_owned(),
                    object([("key", Value::string(name.clone())), ("value", value)]),
                )]);
                Ok((
                    name.clone(),
                    make(&scope.with(&bindings), Some(Key::Name(name)))?,
                ))
            };
            return members
                .into_iter()
                .map(make_one)
                .collect::<Result<_, _>>()
                .map(Expanded::Keyed);
        }
        make(&scope, None).map(Expanded::Single)
    }

    /// Returns the instances of a called module, computed once.
    pub(super) fn module(&self, name: &str, site: &Site) -> Result<Rc<Expanded<Child>>, EvalError> {
        let Some(declared) = self.definition.modules.get(name) else {
            return Err(fault(site.clone(), format!("there is no module `{name}`")));
        };
        once(
            &self.modules,
            name.to_owned(),
            &format!("module.{name}"),
            &declared.site,
            || {
                self.expand(declared, |scope, key| self.call(name, declared, scope, key))
                    .map(Rc::new)
            },
        )
    }

    fn call(
        &self,
        name: &str,
        declared: &Declared<Block>,
        scope: &Scope<'_>,
        key: Option<Key>,
    ) -> Result<Child, EvalError> {
        let body = &declared.item.body;
        let address = format!(
            "{}module.{name}{}",
            self.prefix,
            key.as_ref().map(ToString::to_string).unwrap_or_default()
        );
        let source = body
            .get_attribute("source")
            .map(|source| value_or_reason(&source.value, &declared.origin, scope));
        let source = source
            .and_then(|source| source.to_text())
            .unwrap_or_default();
        let remote = || {
            Child::NotRead(Unknown::of(
                Why::RemoteModule,
                format!("{address} (source `{source}`)"),
                declared.site.clone(),
            ))
        };
        if !(source.starts_with("./") || source.starts_with("../")) {
            return Ok(remote());
        }
        if self.depth >= DEPTH {
            return Err(fault(
                declared.site.clone(),
                format!("modules lie {DEPTH} deep: does `{name}` contain itself?"),
            ));
        }
        let dir = cleaned(&self.definition.dir.join(&source));
        let definition = Definition::read(&dir)
            .map_err(|error| fault(declared.site.clone(), error.to_string()))?;
        let path = cleaned(Path::new(&self.path).join(&source).as_path())
            .to_string_lossy()
            .into_owned();
        let variables = self.inputs(&definition, declared, scope)?;
        let prefix = format!("{address}.");
        Ok(Child::Read(Rc::new(Self::new(
            Rc::clone(&self.world),
            Rc::new(definition),
            prefix,
            path,
            variables,
            self.depth + 1,
        ))))
    }

    fn inputs(
        &self,
        definition: &Definition,
        call: &Declared<Block>,
        scope: &Scope<'_>,
    ) -> Result<BTreeMap<String, Variable>, EvalError> {
        definition
            .variables
            .iter()
            .map(|(name, declared)| {
                let given = call.item.body.get_attribute(name).map(|attribute| {
                    (
                        value_or_reason(&attribute.value, &call.origin, scope),
                        call.origin.site(attribute.key.span()),
                    )
                });
                let variable = variables::settle(name, declared, given, &self.world.dir, false)
                    .map_err(|error| fault(call.site.clone(), error.to_string()))?;
                Ok((name.clone(), variable))
            })
            .collect()
    }

    /// Returns an output of this module.
    pub(super) fn output(&self, name: &str) -> Option<Value> {
        let declared = self.definition.outputs.get(name)?;
        let value = declared.item.body.get_attribute("value")?;
        Some(value_or_reason(
            &value.value,
            &declared.origin,
            &self.scope(),
        ))
    }

    fn outputs(&self) -> Value {
        Value::Object(
            self.definition
                .outputs
                .keys()
                .filter_map(|name| Some((name.clone(), self.output(name)?)))
                .collect(),
        )
    }

    fn path_value(&self, which: Option<&str>, site: &Site) -> Evaluated {
        match which {
            Some("module") => Ok(Value::string(&self.path)),
            Some("root") => Ok(Value::string(".")),
            Some("cwd") => {
                let absolute = std::path::absolute(&self.world.dir)
                    .map_err(|error| fault(site.clone(), error.to_string()))?;
                Ok(Value::string(cleaned(&absolute).to_string_lossy()))
            }
            _ => Err(fault(site.clone(), "`path` has `module`, `root` and `cwd`")),
        }
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// Computes a value at most once. Asked for again while it is being computed, it depends on itself.
fn once<K: std::hash::Hash + Eq + Clone, T: Clone>(
    cache: &RefCell<HashMap<K, Slot<T>>>,
    key: K,
    name: &str,
    site: &Site,
    compute: impl FnOnce() -> Result<T, EvalError>,
) -> Result<T, EvalError> {
    let slot = cache.borrow().get(&key).cloned();
    match slot {
        Some(Slot::Done(result)) => return result,
        Some(Slot::Busy) => return Err(fault(site.clone(), format!("`{name}` depends on itself"))),
        None => {}
    }
    cache.borrow_mut().insert(key.clone(), Slot::Busy);
    let result = compute();
    cache.borrow_mut().insert(key, Slot::Done(result.clone()));
    result
}

impl Names for Instance {
    fn resolve(
        &self,
        root: &str,
        first: Option<&str>,
        second: Option<&str>,
        site: &Site,
    ) -> Result<(Value, usize), EvalError> {
        let need = |part: Option<&str>| {
            part.map(str::to_owned)
                .ok_or_else(|| fault(site.clone(), format!("`{root}` needs a name after it")))
        };
        match root {
            "var" => {
                let name = need(first)?;
                let variable = self
                    .variables
                    .get(&name)
                    .ok_or_else(|| fault(site.clone(), format!("there is no variable `{name}`")))?;
                Ok((variable.value.clone(), 1))
            }
            "local" => Ok((self.local(&need(first)?, site)?, 1)),
            "path" => Ok((self.path_value(first, site)?, 1)),
            "terraform" => match first {
                Some("workspace") => Ok((Value::string("default"), 1)),
                _ => Err(fault(site.clone(), "`terraform` has but `workspace`")),
            },
            "module" => {
                let children = self.module(&need(first)?, site)?;
                let value = children.as_value(|child| match child {
                    Child::Read(instance) => instance.outputs(),
                    Child::NotRead(unknown) => Value::Unknown(unknown.clone()),
                });
                Ok((value, 1))
            }
            "data" | "ephemeral" => {
                self.resolve_resource(true, &need(first)?, &need(second)?, 2, site)
            }
            "each" | "count" | "self" => {
                Err(fault(site.clone(), format!("`{root}` has no meaning here")))
            }
            kind => self.resolve_resource(false, kind, &need(first)?, 1, site),
        }
    }
}

impl Instance {
    fn resolve_resource(
        &self,
        data: bool,
        kind: &str,
        name: &str,
        taken: usize,
        site: &Site,
    ) -> Result<(Value, usize), EvalError> {
        let id = ResourceId {
            data,
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        let instances = self.resource(&id, site)?;
        let value = instances.as_value(|resource| Value::Resource(Arc::clone(&resource.value)));
        Ok((value, taken))
    }
}

/// Parses `ADDRESS.ATTRIBUTE=VALUE` assumptions.
///
/// # Errors
///
/// For an address without attribute, and values that do not parse.
pub(super) fn assumptions(
    given: &[(String, String)],
) -> Result<BTreeMap<String, BTreeMap<String, Value>>, EvalError> {
    let mut assumptions: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (target, text) in given {
        let site = Site::option(&format!("--assume {target}"));
        let (address, attribute) = target.rsplit_once('.').ok_or_else(|| {
            fault(
                site.clone(),
                "an address and an attribute are expected, as `data.aws_ami.ubuntu.id`",
            )
        })?;
        // Text that is no expression stands for itself: `ami-0123` needs no quotes.
        let value = match variables::expression(text, &site) {
            Ok(
                value @ (Value::Tuple(_)
                | Value::Object(_)
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)),
            ) => value,
            _ => Value::string(text),
        };
        assumptions
            .entry(address.to_owned())
            .or_default()
            .insert(attribute.to_owned(), value);
    }
    Ok(assumptions)
}
