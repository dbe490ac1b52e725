//! Reading a script: the file, the scenario block, its steps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agent::hcl_text;
use hcl_edit::Span as _;
use hcl_edit::structure::{Attribute, Block, Body, Structure};
use semver::VersionReq;

use super::Scenario;
use super::problem::{Problem, ScriptError};
use super::reader::{Place, Reader, Started};
use crate::fault::{FAULTS, Fault};
use crate::grammar::{Arg, Args, Word, suggest};
use crate::pick::Pick;
use crate::probe::PROBES;
use crate::spec::{AgentName, Arch, ClusterSpec, Role};
use crate::step::{Choice, FORMS, Form, Label, Object, Statement, Step, measure_in};
use crate::target::Capability;
use crate::time_scale::TimeScale;
use crate::workload::WORKLOADS;

/// What besides steps stands in a scenario.
const SCENARIO_KEYS: [&str; 1] = ["description"];
/// What stands in `needs`.
const NEEDS_KEYS: [&str; 6] = [
    "servers",
    "clients",
    "regions",
    "capabilities",
    "nomad",
    "max_time_scale",
];

/// Reads a script. `file` is how messages name it, `folder` where its job files are looked for
/// (`None` for a script that is built in), `given` the values of its variables.
///
/// # Errors
/// [`ScriptError`], with every problem.
pub fn read(
    file: &str,
    text: &str,
    folder: Option<&Path>,
    given: &BTreeMap<String, String>,
) -> Result<Scenario, ScriptError> {
    let text = agent::without_mark(text);
    let body = hcl_text::parse_body(text).map_err(|error| ScriptError {
        problems: vec![Problem::syntax(file, error)],
    })?;
    let mut reader = Reader::new(file, text, folder);
    let scenario = reader.file(&body, given);
    let Reader { mut problems, .. } = reader;
    match scenario {
        Some(scenario) if problems.is_empty() => Ok(scenario),
        _ => {
            problems.sort();
            problems.dedup();
            Err(ScriptError { problems })
        }
    }
}

impl Reader<'_> {
    fn file(&mut self, body: &Body, given: &BTreeMap<String, String>) -> Option<Scenario> {
        let mut scenarios = Vec::new();
        // Variables may stand below their use.
        for block in body.get_blocks("variable") {
            self.variable(block, given);
        }
        for structure in body {
            match structure {
                Structure::Block(block) if block.ident.as_str() == "variable" => {}
                Structure::Block(block) if block.ident.as_str() == "scenario" => {
                    scenarios.push(block);
                }
                Structure::Block(block) => {
                    let name = block.ident.as_str();
                    let hint = suggest(name, ["scenario", "variable"]);
                    self.tell(block.ident.span(), format!("unknown block `{name}`{hint}"));
                }
                Structure::Attribute(attribute) => {
                    let name = attribute.key.as_str();
                    self.tell(
                        attribute.key.span(),
                        format!(
                            "unknown argument `{name}` (expected `scenario \"NAME\" {{ ... }}`, \
                             `variable \"NAME\" {{ ... }}`)"
                        ),
                    );
                }
            }
        }
        for other in scenarios.iter().skip(1) {
            let message = "one scenario a file: this is the second";
            self.tell(other.ident.span(), message);
        }
        match scenarios.first() {
            Some(block) => self.scenario(block),
            None => {
                self.tell(None, "expected `scenario \"NAME\" { ... }`");
                None
            }
        }
    }

    fn scenario(&mut self, block: &Block) -> Option<Scenario> {
        let name = self.label(block, "the scenario's name");
        if let Some((name, place)) = &name {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || !name.chars().all(legal) {
                let message =
                    format!("`{name}` cannot be a scenario's name: lower case, digits and dashes");
                self.tell(place.clone(), message);
            }
            let called = Path::new(self.file).file_name().unwrap_or_default();
            let called = called.to_string_lossy();
            if let Some(stem) = called.strip_suffix(super::ENDING)
                && stem != name
            {
                let message = format!("the file is called `{stem}`, and the scenario `{name}`");
                self.tell(place.clone(), message);
            }
        }
        let mut scenario = Scenario::new(name.map(|(name, _)| name).unwrap_or_default(), "");
        scenario.description = self.description(block);
        for needs in block.body.get_blocks("needs") {
            self.needs(needs, &mut scenario);
        }
        (self.servers, self.clients) = (scenario.servers, scenario.clients);
        self.regions.clone_from(&scenario.regions);
        for attribute in block.body.attributes() {
            let name = attribute.key.as_str();
            if !SCENARIO_KEYS.contains(&name) {
                let hint = suggest(name, SCENARIO_KEYS);
                let message = format!("unknown argument `{name}` of `scenario`{hint}");
                self.tell(attribute.key.span(), message);
            }
        }
        scenario.steps = self.steps(&block.body, &["needs"]);
        if !block.body.blocks().any(|one| one.ident.as_str() != "needs") {
            let message = "the scenario has no step: it would prove nothing";
            self.tell(block.ident.span(), message);
        }
        for started in std::mem::take(&mut self.running) {
            let message = "this is never stopped and judged: add `stop {}` further down";
            self.tell(started.place, message);
        }
        scenario.variables = self.variables.values().cloned().collect();
        Some(scenario)
    }

    fn description(&mut self, block: &Block) -> String {
        let Some(attribute) = block.body.get_attribute("description") else {
            let message = "`scenario` lacks `description`, what it shows in a sentence";
            self.tell(block.ident.span(), message);
            return String::new();
        };
        let text = self.value(&attribute.value);
        let text = text.as_ref().and_then(|value| value.as_str());
        match text.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => text.to_owned(),
            None => {
                let message = "`description` takes a text in quotes";
                self.tell(attribute.value.span(), message);
                String::new()
            }
        }
    }

    fn needs(&mut self, block: &Block, scenario: &mut Scenario) {
        self.no_label(block);
        for structure in &block.body {
            let Structure::Attribute(attribute) = structure else {
                self.tell(structure.span(), "`needs` has arguments only");
                continue;
            };
            match attribute.key.as_str() {
                "servers" => self.agent_count(attribute, &mut scenario.servers),
                "clients" => self.agent_count(attribute, &mut scenario.clients),
                "regions" => scenario.regions = self.regions_of(attribute),
                "capabilities" => scenario.capabilities = self.capabilities(attribute),
                "nomad" => scenario.nomad = self.nomad(attribute),
                "max_time_scale" => scenario.max_time_scale = self.time_scale(attribute),
                name => {
                    let hint = suggest(name, NEEDS_KEYS);
                    let message = format!("unknown argument `{name}` of `needs`{hint}");
                    self.tell(attribute.key.span(), message);
                }
            }
        }
    }

    fn agent_count(&mut self, attribute: &Attribute, count: &mut usize) {
        let value = self.value(&attribute.value);
        let number = value.as_ref().and_then(|value| value.as_u64());
        match number.and_then(|number| usize::try_from(number).ok()) {
            Some(number) => *count = number,
            None if value.is_none() => {}
            None => {
                let name = attribute.key.as_str();
                let message = format!("`{name}` takes a whole number");
                self.tell(attribute.value.span(), message);
            }
        }
    }

    fn regions_of(&mut self, attribute: &Attribute) -> Vec<String> {
        let place = attribute.value.span();
        let value = self.value(&attribute.value);
        let names = value.as_ref().and_then(|value| value.as_array());
        let texts = names.into_iter().flatten();
        let texts = texts.map(|name| name.as_str().map(str::to_owned));
        let names: Vec<String> = texts.collect::<Option<_>>().unwrap_or_default();
        let [first, further @ ..] = names.as_slice() else {
            let message = "`regions` takes a list of names, as `[\"east\", \"west\"]`";
            self.tell(place, message);
            return names;
        };
        let mut spec = ClusterSpec::new("regions", Arch::Amd64);
        (spec.clients, spec.region) = (0, first.clone());
        spec.further_regions = further.to_vec();
        for problem in spec
            .validate()
            .err()
            .into_iter()
            .flat_map(|all| all.problems)
        {
            self.tell(place.clone(), problem.to_string());
        }
        names
    }

    fn capabilities(&mut self, attribute: &Attribute) -> BTreeSet<Capability> {
        let mut found = BTreeSet::new();
        let Some(items) = attribute.value.as_array() else {
            let message = "`capabilities` takes a list, as `[\"pause\"]`";
            self.tell(attribute.value.span(), message);
            return found;
        };
        let words: Vec<_> = Capability::ALL.iter().map(|one| one.word()).collect();
        for item in items {
            let word = self.value(item);
            let word = word.as_ref().and_then(|value| value.as_str());
            let word = word.unwrap_or_default();
            match Capability::ALL.iter().find(|one| one.word() == word) {
                Some(capability) => drop(found.insert(*capability)),
                None => {
                    let hint = suggest(word, words.iter().map(String::as_str));
                    self.tell(item.span(), format!("unknown capability `{word}`{hint}"));
                }
            }
        }
        found
    }

    fn nomad(&mut self, attribute: &Attribute) -> Option<VersionReq> {
        let value = self.value(&attribute.value)?;
        let text = value.as_str().unwrap_or_default();
        match VersionReq::parse(text) {
            Ok(wanted) if !text.is_empty() => Some(wanted),
            _ => {
                let message = "`nomad` takes a version in quotes, as `\">= 1.7\"`";
                self.tell(attribute.value.span(), message);
                None
            }
        }
    }

    fn time_scale(&mut self, attribute: &Attribute) -> Option<TimeScale> {
        let value = self.value(&attribute.value)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let scale = number.and_then(|number| TimeScale::new(number).ok());
        if scale.is_none() {
            let message = "`max_time_scale` takes a whole number from 1 to 100";
            self.tell(attribute.value.span(), message);
        }
        scale
    }

    /// Reads the steps of a body; blocks of the names in `others` are read elsewhere.
    fn steps(&mut self, body: &Body, others: &[&str]) -> Vec<Step> {
        let blocks = body.blocks();
        let blocks = blocks.filter(|block| !others.contains(&block.ident.as_str()));
        blocks.filter_map(|block| self.step(block)).collect()
    }

    fn step(&mut self, block: &Block) -> Option<Step> {
        let name = block.ident.as_str();
        let Some(form) = FORMS.iter().find(|form| form.name == name) else {
            let hint = suggest(name, FORMS.iter().map(|form| form.name));
            self.tell(block.ident.span(), format!("unknown step `{name}`{hint}"));
            return None;
        };
        let mut known: Vec<&'static Arg> = form.args.iter().collect();
        let label = self.object_label(form, block);
        let mut statement = Statement::default();
        match label {
            Some((text, place)) => {
                let (object, args) = self.object(form, block, &mut known, &text, place)?;
                (statement.object, statement.args) = (object, args);
            }
            None if form.label == Label::None => {
                statement.args = self.arguments(block, &known, None);
            }
            None => return None,
        }
        self.choice(form, block);
        if form.steps {
            let around = self.region.clone();
            if let Some(Object::Region(region)) = &statement.object {
                if around.is_some() {
                    self.tell(block.ident.span(), "`region` stands in no other `region`");
                }
                self.region = Some(region.clone());
            }
            statement.steps = self.inner_steps(form, block);
            self.region = around;
        } else {
            for inner in block.body.blocks() {
                let message = format!("`{name}` has no blocks in it");
                self.tell(inner.ident.span(), message);
            }
        }
        self.step_laws(form, block, &statement);
        // Where anything is wrong, nothing is built: a value may be missing.
        self.problems.is_empty().then(|| (form.build)(statement))
    }

    fn object_label(&mut self, form: &Form, block: &Block) -> Option<(String, Place)> {
        match form.label {
            Label::None => {
                self.no_label(block);
                None
            }
            Label::Probe => self.label(block, "the probe"),
            Label::Fault => self.label(block, "the fault"),
            Label::Workload => self.label(block, "the workload"),
            Label::Measure => self.label(block, "the number's name"),
            Label::Region => self.label(block, "the region"),
        }
    }

    /// Reads what a label stands for, and all arguments of the block; `None` for an unknown word.
    fn object(
        &mut self,
        form: &Form,
        block: &Block,
        known: &mut Vec<&'static Arg>,
        text: &str,
        place: Place,
    ) -> Option<(Option<Object>, Args)> {
        match form.label {
            Label::Probe => {
                let word = self.word("probe", PROBES, text, place)?;
                known.extend(word.args);
                let args = self.arguments(block, known, Some(text));
                let good = self.problems.is_empty();
                let object = good.then(|| Object::Probe((word.build)(&args)));
                Some((object, args))
            }
            Label::Workload => {
                let Some(word) = self.word("workload", WORKLOADS, text, place.clone()) else {
                    self.workload_unknown = true;
                    return None;
                };
                known.extend(word.args);
                let args = self.arguments(block, known, Some(text));
                self.running.push(Started {
                    place,
                    takes: (word.takes.iter())
                        .map(|number| measure_in(self.region.as_deref(), number.name))
                        .collect(),
                });
                let good = self.problems.is_empty();
                let object = good.then(|| Object::Workload((word.build)(&args)));
                Some((object, args))
            }
            Label::Fault => {
                let Some(fault) = Fault::named(text) else {
                    let hint = suggest(text, FAULTS.iter().map(|fault| fault.name()));
                    self.tell(place, format!("unknown fault `{text}`{hint}"));
                    return None;
                };
                let args = self.arguments(block, known, Some(text));
                Some((Some(Object::Fault(fault)), args))
            }
            Label::Measure => {
                self.known_measure(text, place);
                let args = self.arguments(block, known, Some(text));
                Some((Some(Object::Measure(text.to_owned())), args))
            }
            Label::Region => match self.known_region(text.to_owned()) {
                Ok(region) => {
                    let args = self.arguments(block, known, Some(text));
                    Some((Some(Object::Region(region)), args))
                }
                Err(message) => {
                    self.tell(place, message);
                    None
                }
            },
            Label::None => None,
        }
    }

    fn word<T>(
        &mut self,
        what: &str,
        table: &'static [Word<T>],
        text: &str,
        place: Place,
    ) -> Option<&'static Word<T>> {
        let found = table.iter().find(|word| word.name == text);
        if found.is_none() {
            let hint = suggest(text, table.iter().map(|word| word.name));
            self.tell(place, format!("unknown {what} `{text}`{hint}"));
        }
        found
    }

    fn known_measure(&mut self, name: &str, place: Place) {
        if self.measures.contains(name) || self.workload_unknown {
            return;
        }
        let running = self.running.iter().flat_map(|one| one.takes.iter());
        if running.into_iter().any(|taken| taken == name) {
            let message = format!("`{name}` is taken at `stop`, which must come before this");
            self.tell(place, message);
            return;
        }
        let hint = suggest(name, self.measures.iter().map(String::as_str));
        self.tell(place, format!("no step before this takes `{name}`{hint}"));
    }

    fn choice(&mut self, form: &Form, block: &Block) {
        let given = |names: &[&'static str]| -> Vec<&'static str> {
            let there = names.iter().copied();
            there
                .filter(|name| block.body.has_attribute(name))
                .collect()
        };
        let quoted = |names: &[&str]| -> String {
            let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            quoted.join(", ")
        };
        let name = form.name;
        let message = match form.choice {
            Choice::Free => return,
            Choice::ExactlyOne(names) => match given(names).as_slice() {
                [_] => return,
                [] => format!("`{name}` takes one of {}", quoted(names)),
                several => format!("`{name}` takes only one of {}", quoted(several)),
            },
            Choice::AtLeastOne(names) if given(names).is_empty() => {
                format!("`{name}` takes at least one of {}", quoted(names))
            }
            Choice::AtLeastOne(_) => return,
        };
        self.tell(block.ident.span(), message);
    }

    fn inner_steps(&mut self, form: &Form, block: &Block) -> Vec<Step> {
        let turns = form.name == "for_each";
        self.turns += usize::from(turns);
        let steps = self.steps(&block.body, &[]);
        self.turns -= usize::from(turns);
        if block.body.blocks().next().is_none() {
            let message = format!("`{}` has no step in it", form.name);
            self.tell(block.ident.span(), message);
        }
        steps
    }

    /// What must hold between a step and those before it.
    fn step_laws(&mut self, form: &Form, block: &Block, statement: &Statement) {
        let here = block.ident.span();
        match (form.name, &statement.object) {
            ("inject", Some(Object::Fault(fault))) => {
                self.injected.push(*fault);
                self.node_fault(*fault, block, statement);
            }
            ("drain", _) => {
                self.injected.push(Fault::Drain);
                self.node_fault(Fault::Drain, block, statement);
                if let Some(deadline) = block.body.get_attribute("deadline")
                    && statement.args.opt_flag("force") == Some(true)
                {
                    let message = "`force` leaves no time: `deadline` has no meaning";
                    self.tell(deadline.key.span(), message);
                }
            }
            ("snapshot", _) => self.snapshot = true,
            ("restore", _) if !self.snapshot => {
                self.tell(here, "no step before this takes a `snapshot`");
            }
            ("heal", Some(Object::Fault(fault))) if !self.injected.contains(fault) => {
                self.tell(here, format!("no step before this injects `{fault}`"));
            }
            ("stop", _) if self.running.is_empty() && !self.workload_unknown => {
                self.tell(
                    here,
                    "nothing runs here that could be stopped: `start` comes first",
                );
            }
            ("stop", _) => {
                for started in std::mem::take(&mut self.running) {
                    self.measures.extend(started.takes);
                }
            }
            ("expect", _) => {
                let measured = block.body.get_attribute("measured_as");
                if let Some(attribute) = measured.filter(|_| !statement.args.has("within")) {
                    let message = "`measured_as` goes with `within`";
                    self.tell(attribute.key.span(), message);
                }
            }
            ("call", _) => self.call_laws(block, &statement.args),
            _ => {}
        }
    }

    fn node_fault(&mut self, fault: Fault, block: &Block, statement: &Statement) {
        let (Some(on), Some(pick)) = (
            block.body.get_attribute("on"),
            statement.args.opt_word("on").map(Pick::of),
        ) else {
            return;
        };
        let server = match &pick {
            Pick::Any(role) | Pick::All(role) => *role == Role::Server,
            Pick::Named(names) => names.iter().any(|name| is_of(name, "server")),
            Pick::NodeRunning { .. } | Pick::Each | Pick::Last => false,
            _ => true,
        };
        let client = match &pick {
            Pick::Any(role) | Pick::All(role) => *role == Role::Client,
            Pick::Named(names) => names.iter().any(|name| is_of(name, "client")),
            Pick::NodeRunning { .. } | Pick::Everyone => true,
            _ => false,
        };
        if fault == Fault::RestartEngine && pick != Pick::Everyone {
            let message = format!("`{fault}` hits every agent: `on = everyone`");
            self.tell(on.value.span(), message);
        }
        if client && fault == Fault::WrongGossipKey {
            let message = format!("`{fault}` is for servers: clients take no part in gossip");
            self.tell(on.value.span(), message);
        }
        if server && matches!(fault, Fault::Ineligible | Fault::Drain) {
            let message = format!(
                "`{fault}` is for clients: a server has no node (did you mean `any(client)`?)"
            );
            self.tell(on.value.span(), message);
        }
    }

    fn call_laws(&mut self, block: &Block, args: &Args) {
        let span = |name: &str| {
            let attribute = block.body.get_attribute(name);
            attribute.and_then(|attribute| attribute.value.span())
        };
        if args
            .opt_text("path")
            .is_some_and(|path| !path.starts_with("/v1/"))
        {
            let message = "`path` begins with `/v1/`";
            self.tell(span("path"), message);
        }
        if args.opt_flag("refused") == Some(true) {
            for other in ["status", "contains", "check"]
                .into_iter()
                .filter(|n| args.has(n))
            {
                let message = format!("who is refused gets no answer: `{other}` has no meaning");
                self.tell(span(other), message);
            }
        }
        if args
            .opt_count("status")
            .is_some_and(|s| !(100..=599).contains(&s))
        {
            let message = "an HTTP status is from 100 to 599";
            self.tell(span("status"), message);
        }
    }
}

/// Whether an agent of this name, as `server-1` or `west-server-1`, has the role.
fn is_of(name: &AgentName, role: &str) -> bool {
    let stem = name.as_str().rsplit_once('-').map(|(stem, _)| stem);
    stem.is_some_and(|stem| stem.rsplit('-').next() == Some(role))
}
