//! Values of variables: where they come from, in Terraform's order, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent::nearest;
use hcl_edit::Span;
use hcl_edit::structure::Block;

use super::definition::{Declared, Definition};
use super::eval::{EvalError, Scope, eval, fault};
use super::functions::from_json;
use super::source::{Origin, Site, Source, parse_body};
use super::unify::Type;
use super::value::{Unknown, Value, Why};

/// What is given from outside.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// `-var-file`, in order.
    pub var_files: Vec<PathBuf>,
    /// `-var NAME=VALUE`, in order; stronger than files.
    pub vars: Vec<(String, String)>,
    /// `TF_VAR_NAME`, without the prefix; the weakest.
    pub environment: BTreeMap<String, String>,
    /// `ADDRESS.ATTRIBUTE=VALUE`: what data sources and resources would answer, declared by the user.
    pub assumptions: Vec<(String, String)>,
    /// Whether a variable without a value is unknown instead of an error.
    pub missing_is_unknown: bool,
}

/// A variable's value and where it is from.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The value, of the declared type.
    pub value: Value,
    /// Where it was given: a file and line, or the declaration for a default.
    pub site: Site,
    /// Whether its declaration calls it sensitive.
    pub sensitive: bool,
    /// Whether it is the default.
    pub default: bool,
}

/// Something wrong with a variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// It has neither a value nor a default.
    #[error("{}: variable `{name}` has no value{}", site.exact(), description.as_ref().map_or_else(String::new, |text| format!(" ({text})")))]
    Missing {
        /// Its name.
        name: String,
        /// Its description.
        description: Option<String>,
        /// Its declaration.
        site: Site,
    },
    /// Its value is of another type.
    #[error("{}: variable `{name}`: {message}", site.exact())]
    Type {
        /// Its name.
        name: String,
        /// What was expected and what is there.
        message: String,
        /// Where the value is given.
        site: Site,
    },
    /// One of its own conditions does not hold.
    #[error("{}: variable `{name}`: {message}", site.exact())]
    Invalid {
        /// Its name.
        name: String,
        /// The configuration's own message.
        message: String,
        /// The condition.
        site: Site,
    },
    /// An option gives a value, and nothing declares the variable: Terraform refuses it, too.
    #[error("{}: no variable `{name}` is declared{}", site.exact(), nearest.as_ref().map_or_else(String::new, |near| format!(" (did you mean `{near}`?)")))]
    Undeclared {
        /// Its name.
        name: String,
        /// What may be meant.
        nearest: Option<String>,
        /// The option.
        site: Site,
    },
    /// A file or argument that gives values does not parse.
    #[error("{0}")]
    Syntax(#[from] EvalError),
    /// A file that gives values cannot be read.
    #[error("cannot read `{}`: {message}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        message: String,
    },
}

/// The values of a root module's variables, and what there is to say about them.
#[derive(Debug, Default)]
pub struct Given {
    /// Values by name.
    pub variables: BTreeMap<String, Variable>,
    /// Everything that is wrong.
    pub errors: Vec<VariableError>,
    /// Values in files for variables that nobody declares: of no effect, as in Terraform.
    pub undeclared: Vec<(String, Site)>,
}

#[derive(Clone)]
struct Raw {
    value: Value,
    site: Site,
}

/// Gathers and converts the values of a root module's variables. Conditions are checked later, when
/// locals and data can be looked at: see [`check_conditions`].
#[must_use]
pub fn gather(definition: &Definition, dir: &Path, inputs: &Inputs) -> Given {
    let mut given = Given::default();
    let mut raw: BTreeMap<String, Raw> = BTreeMap::new();
    for (name, text) in &inputs.environment {
        // Others' variables are in the environment too: undeclared ones are nobody's mistake.
        if let Some(declared) = definition.variables.get(name) {
            add_text(&mut raw, &mut given, declared, name, text, "TF_VAR_");
        }
    }
    for path in automatic_files(dir)
        .into_iter()
        .chain(inputs.var_files.iter().cloned())
    {
        match read_file(&path, dir) {
            Ok(values) => raw.extend(values),
            Err(error) => given.errors.push(error),
        }
    }
    for (name, text) in &inputs.vars {
        match definition.variables.get(name) {
            Some(declared) => add_text(&mut raw, &mut given, declared, name, text, "--var "),
            None => given.errors.push(VariableError::Undeclared {
                name: name.clone(),
                nearest: nearest(name, definition.variables.keys().map(String::as_str))
                    .map(str::to_owned),
                site: Site::option(&format!("--var {name}")),
            }),
        }
    }
    for (name, value) in &raw {
        if !definition.variables.contains_key(name) {
            given.undeclared.push((name.clone(), value.site.clone()));
        }
    }
    for (name, declared) in &definition.variables {
        let value = raw
            .get(name)
            .map(|raw| (raw.value.clone(), raw.site.clone()));
        match settle(name, declared, value, dir, inputs.missing_is_unknown) {
            Ok(variable) => {
                given.variables.insert(name.clone(), variable);
            }
            Err(error) => given.errors.push(error),
        }
    }
    given
}

fn automatic_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = ["terraform.tfvars", "terraform.tfvars.json"]
        .iter()
        .map(|name| dir.join(name))
        .filter(|path| path.is_file())
        .collect();
    let mut automatic: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.to_string_lossy().ends_with(".auto.tfvars")
                || path.to_string_lossy().ends_with(".auto.tfvars.json")
        })
        .collect();
    automatic.sort();
    files.extend(automatic);
    files
}

fn read_file(path: &Path, dir: &Path) -> Result<BTreeMap<String, Raw>, VariableError> {
    let source = Source::read(path).map_err(|error| VariableError::Unreadable {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        return read_json(&source);
    }
    let body = parse_body(&source).map_err(EvalError::from)?;
    let origin = Origin::whole(source);
    let scope = Scope::new(None, dir);
    body.into_attributes()
        .map(|attribute| {
            let site = origin.site(attribute.key.span());
            let value = eval(&attribute.value, &origin, &scope)?;
            Ok((attribute.key.value().to_string(), Raw { value, site }))
        })
        .collect()
}

fn read_json(source: &Source) -> Result<BTreeMap<String, Raw>, VariableError> {
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&source.text)
        .map_err(|error| {
            let site = Site {
                file: source.path.clone(),
                line: error.line().max(1),
                column: error.column().max(1),
            };
            // Its own end of the message says the place once more.
            let said = error.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            fault(site, what)
        })?;
    let keys = top_keys(&source.text);
    let raw = |(name, value): (String, serde_json::Value)| {
        let site = source.site(keys.get(&name).copied().unwrap_or(0));
        let value = from_json(&value, &site);
        (name, Raw { value, site })
    };
    Ok(json.into_iter().map(raw).collect())
}

/// Where the keys of an object begin, in JSON that is known to be right; of keys that are there twice,
/// the last, which counts.
fn top_keys(text: &str) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    let (mut depth, mut at, bytes) = (0, 0, text.as_bytes());
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let rest = text.get(at + 1..).unwrap_or_default();
                if depth == 1
                    && rest.trim_start().starts_with(':')
                    && let Some(Ok(key)) = text.get(start..=at).map(serde_json::from_str)
                {
                    keys.insert(key, start);
                }
            }
            _ => {}
        }
        at += 1;
    }
    keys
}

/// A value given as text: itself for a variable of a primitive type, an expression for others.
fn add_text(
    raw: &mut BTreeMap<String, Raw>,
    given: &mut Given,
    declared: &Declared<Block>,
    name: &str,
    text: &str,
    from: &str,
) {
    let site = Site::option(&format!("{from}{name}"));
    let typed = declared.item.body.get_attribute("type").is_some();
    let value = match declared_type(declared, Path::new(".")) {
        Ok(Type::String | Type::Number | Type::Bool) => Ok(Value::string(text)),
        Ok(Type::Any) if !typed => Ok(Value::string(text)),
        Ok(_) => expression(text, &site),
        Err(error) => Err(error),
    };
    match value {
        Ok(value) => {
            raw.insert(name.to_owned(), Raw { value, site });
        }
        Err(error) => given.errors.push(error.into()),
    }
}

/// Evaluates text from the command line as an expression.
pub(super) fn expression(text: &str, site: &Site) -> Result<Value, EvalError> {
    let source = Arc::new(Source {
        path: site.file.clone(),
        text: text.to_owned(),
    });
    let expr =
        agent::hcl_text::parse_expr(text).map_err(|error| fault(site.clone(), error.message))?;
    eval(
        &expr,
        &Origin::whole(source),
        &Scope::new(None, Path::new(".")),
    )
}

fn declared_type(declared: &Declared<Block>, dir: &Path) -> Result<Type, EvalError> {
    declared
        .item
        .body
        .get_attribute("type")
        .map_or(Ok(Type::Any), |attribute| {
            Type::parse(&attribute.value, &declared.origin, &Scope::new(None, dir))
        })
}

/// Returns a variable's value: what is given, else its default, converted to its type.
///
/// # Errors
///
/// If it has neither, or of another type.
pub(super) fn settle(
    name: &str,
    declared: &Declared<Block>,
    given: Option<(Value, Site)>,
    dir: &Path,
    missing_is_unknown: bool,
) -> Result<Variable, VariableError> {
    let body = &declared.item.body;
    let scope = Scope::new(None, dir);
    let literal = |key: &str| {
        body.get_attribute(key)
            .and_then(|attribute| eval(&attribute.value, &declared.origin, &scope).ok())
    };
    let sensitive = [literal("sensitive"), literal("ephemeral")]
        .iter()
        .any(|flag| matches!(flag, Some(Value::Bool(true))));
    let default = body.get_attribute("default");
    // A variable that is not nullable takes its default for null.
    let given = given.filter(|(value, _)| {
        !(matches!(value, Value::Null) && literal("nullable") == Some(Value::Bool(false)))
    });
    let is_default = given.is_none();
    let (value, site) = match (given, default) {
        (Some(given), _) => given,
        (None, Some(default)) => (
            eval(&default.value, &declared.origin, &scope)?,
            declared
                .origin
                .site(default.span().or_else(|| default.key.span())),
        ),
        (None, None) if missing_is_unknown => {
            let unknown = Unknown::of(Why::NoValue, format!("var.{name}"), declared.site.clone());
            (
                Value::Unknown(unknown.within(format!("var.{name}"))),
                declared.site.clone(),
            )
        }
        (None, None) => {
            let description = literal("description").and_then(|text| text.to_text());
            return Err(VariableError::Missing {
                name: name.to_owned(),
                description,
                site: declared.site.clone(),
            });
        }
    };
    let value = declared_type(declared, dir)?
        .convert(value)
        .map_err(|message| VariableError::Type {
            name: name.to_owned(),
            message,
            site: site.clone(),
        })?;
    Ok(Variable {
        value,
        site,
        sensitive,
        default: is_default,
    })
}

/// Checks the conditions (`validation` blocks) of every variable of a module.
#[must_use]
pub fn check_conditions(definition: &Definition, scope: &Scope<'_>) -> Vec<VariableError> {
    let mut errors = Vec::new();
    for (name, declared) in &definition.variables {
        for validation in declared.item.body.get_blocks("validation") {
            let Some(condition) = validation.body.get_attribute("condition") else {
                continue;
            };
            let site = declared
                .origin
                .site(condition.span().or_else(|| condition.key.span()));
            let message = match eval(&condition.value, &declared.origin, scope) {
                Ok(value) if value.as_bool() == Some(false) => validation
                    .body
                    .get_attribute("error_message")
                    .and_then(|message| eval(&message.value, &declared.origin, scope).ok())
                    .and_then(|message| message.to_text())
                    .unwrap_or_else(|| "its condition does not hold".to_owned()),
                Ok(_) => continue,
                Err(error) => format!("its condition is in error: {error}"),
            };
            errors.push(VariableError::Invalid {
                name: name.clone(),
                message,
                site,
            });
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a configuration with one number, and the folder's name left out.
    fn told(files: &[(&str, &str)], inputs: &Inputs) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let declared = "variable \"size\" {\n  type = number\n}\n";
        std::fs::write(dir.path().join("main.tf"), declared).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let error = crate::terraform::read(dir.path(), inputs)
            .unwrap_err()
            .to_string();
        let folder = format!("{}/", dir.path().display());
        error
            .lines()
            .map(|line| line.replace(&folder, ""))
            .collect()
    }

    #[test]
    fn what_is_wrong_with_a_value_is_told_with_line_and_column_or_with_its_option() {
        let none = Inputs::default();
        let said = "variable `size`: a number is expected";
        for (name, text, place) in [
            (
                "a.auto.tfvars",
                "# x\n  size = \"much\"\n",
                "a.auto.tfvars:2:3: ",
            ),
            ("a.auto.tfvars", "size = = 1\n", "a.auto.tfvars:1:8: "),
            (
                "a.auto.tfvars.json",
                "{\"a\": {\"size\": 1},\n \"size\": \"much\"}",
                "a.auto.tfvars.json:2:2: ",
            ),
            (
                "a.auto.tfvars.json",
                "{\n  \"size\": }",
                "a.auto.tfvars.json:2:11: ",
            ),
        ] {
            let told = told(&[(name, text)], &none);
            assert!(told[0].starts_with(place), "{told:?}");
        }
        assert_eq!(
            told(&[], &none),
            ["main.tf:1:1: variable `size` has no value"]
        );
        let by_option = Inputs {
            vars: vec![("size".to_owned(), "much".to_owned())],
            ..Inputs::default()
        };
        let by_option = told(&[], &by_option);
        assert!(
            by_option[0].starts_with(&format!("--var size: {said}")),
            "{by_option:?}"
        );
        let by_environment = Inputs {
            environment: BTreeMap::from([("size".to_owned(), "much".to_owned())]),
            ..Inputs::default()
        };
        let by_environment = told(&[], &by_environment);
        assert!(
            by_environment[0].starts_with("TF_VAR_size: "),
            "{by_environment:?}"
        );
        let not_declared = Inputs {
            vars: vec![
                ("size".to_owned(), "1".to_owned()),
                ("sise".to_owned(), "1".to_owned()),
            ],
            ..Inputs::default()
        };
        let not_declared = told(&[], &not_declared);
        assert!(
            not_declared[0].ends_with("no variable `sise` is declared (did you mean `size`?)"),
            "{not_declared:?}"
        );
    }

    #[test]
    fn what_the_left_side_decides_is_not_asked_of_the_right_one() {
        let validated = |condition: &str| {
            let text = format!(
                "variable \"vpc\" {{\n  type    = object({{ ids = list(string) }})\n  default = null\n  \
                 validation {{\n    condition     = {condition}\n    error_message = \"no subnets\"\n  }}\n}}\n"
            );
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("main.tf"), text).unwrap();
            let read = crate::terraform::read(dir.path(), &Inputs::default());
            read.err().map(|error| error.to_string())
        };
        assert_eq!(
            validated("var.vpc == null || length(var.vpc.ids) > 0"),
            None
        );
        assert_eq!(
            validated("!(var.vpc != null && length(var.vpc.ids) == 0)"),
            None
        );
        for undecided in [
            "var.vpc != null || length(var.vpc.ids) > 0",
            "var.vpc == null && length(var.vpc.ids) > 0",
            "length(var.vpc.ids) > 0 || var.vpc == null",
        ] {
            let error = validated(undecided).expect(undecided);
            assert!(error.contains("`var.vpc` is null"), "{error}");
        }
    }
}
