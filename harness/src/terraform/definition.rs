//! What the files of one folder declare, before anything is evaluated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body};

use super::source::{Origin, Site, Source, SyntaxError, parse_body};

/// A block or attribute, and where it stands.
#[derive(Clone, Debug)]
pub struct Declared<T> {
    /// The parsed text.
    pub item: T,
    /// What its spans count from.
    pub origin: Origin,
    /// Where it begins.
    pub site: Site,
}

/// A resource's or data source's kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// Whether it is a data source.
    pub data: bool,
    /// Type, as `aws_instance`.
    pub kind: String,
    /// Name in the module.
    pub name: String,
}

impl ResourceId {
    /// Returns the address within its module, without a key.
    #[must_use]
    pub fn address(&self) -> String {
        format!(
            "{}{}.{}",
            if self.data { "data." } else { "" },
            self.kind,
            self.name
        )
    }
}

/// Everything that the files of one folder declare.
#[derive(Debug, Default)]
pub struct Definition {
    /// The folder.
    pub dir: PathBuf,
    /// Its files.
    pub sources: Vec<Arc<Source>>,
    /// `variable` blocks.
    pub variables: BTreeMap<String, Declared<Block>>,
    /// `locals`.
    pub locals: BTreeMap<String, Declared<Expression>>,
    /// `resource`, `data` and `ephemeral` blocks.
    pub resources: BTreeMap<ResourceId, Declared<Block>>,
    /// `module` blocks.
    pub modules: BTreeMap<String, Declared<Block>>,
    /// `output` blocks.
    pub outputs: BTreeMap<String, Declared<Block>>,
    /// `provider` blocks, in order.
    pub providers: Vec<Declared<Block>>,
    /// `terraform` blocks, in order.
    pub settings: Vec<Declared<Block>>,
    /// Files of configuration that are not read: JSON syntax and overrides.
    pub unread: Vec<(PathBuf, &'static str)>,
}

/// A folder that cannot be read as a Terraform configuration.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The folder itself.
    #[error("cannot read `{}`", dir.display())]
    Unreadable {
        /// The folder or file.
        dir: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// No `.tf` file is there.
    #[error("`{}` is no Terraform configuration: it has no file ending in `.tf`", dir.display())]
    Empty {
        /// The folder.
        dir: PathBuf,
    },
    /// Files that do not parse: all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Syntax(Vec<SyntaxError>),
}

impl Definition {
    /// Reads every `.tf` file of a folder.
    ///
    /// # Errors
    ///
    /// If there is none, or if any does not parse: then every error is told, with file, line, column.
    pub fn read(dir: &Path) -> Result<Self, DefinitionError> {
        let unreadable = |dir: &Path, source| DefinitionError::Unreadable {
            dir: dir.to_owned(),
            source,
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|source| unreadable(dir, source))? {
            // Without the `./` of the folder `.`: places read better.
            let path = entry.map_err(|source| unreadable(dir, source))?.path();
            paths.push(super::functions::cleaned(&path));
        }
        paths.sort();
        let mut definition = Self {
            dir: dir.to_owned(),
            ..Self::default()
        };
        let mut errors = Vec::new();
        for path in paths {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            // Editors' leavings, as Terraform ignores them.
            if name.starts_with('.') || name.ends_with('~') || !path.is_file() {
                continue;
            }
            if name.ends_with(".tf.json") {
                definition.unread.push((path, "JSON syntax is not read"));
            } else if name == "override.tf" || name.ends_with("_override.tf") {
                definition
                    .unread
                    .push((path, "override files are not merged"));
            } else if name.ends_with(".tf") {
                let source = Source::read(&path).map_err(|source| unreadable(&path, source))?;
                match parse_body(&source) {
                    Ok(body) => definition.add(&source, body, &mut errors),
                    Err(error) => errors.push(error),
                }
                definition.sources.push(source);
            }
        }
        if !errors.is_empty() {
            return Err(DefinitionError::Syntax(errors));
        }
        if definition.sources.is_empty() && definition.unread.is_empty() {
            return Err(DefinitionError::Empty {
                dir: dir.to_owned(),
            });
        }
        Ok(definition)
    }

    fn add(&mut self, source: &Arc<Source>, body: Body, errors: &mut Vec<SyntaxError>) {
        let origin = Origin::whole(Arc::clone(source));
        for block in body.into_blocks() {
            let site = origin.site(block.span().or_else(|| block.ident.span()));
            let labels: Vec<String> = block
                .labels
                .iter()
                .map(|label| label.as_str().to_owned())
                .collect();
            let declared = |block: Block| Declared {
                item: block,
                origin: origin.clone(),
                site: site.clone(),
            };
            let earlier = match (block.ident.value().as_str(), labels.as_slice()) {
                ("variable", [name]) => self
                    .variables
                    .insert(name.clone(), declared(block))
                    .map(|old| old.site),
                ("output", [name]) => self
                    .outputs
                    .insert(name.clone(), declared(block))
                    .map(|old| old.site),
                ("module", [name]) => self
                    .modules
                    .insert(name.clone(), declared(block))
                    .map(|old| old.site),
                (word @ ("resource" | "data" | "ephemeral"), [kind, name]) => {
                    let id = ResourceId {
                        data: word != "resource",
                        kind: kind.clone(),
                        name: name.clone(),
                    };
                    self.resources
                        .insert(id, declared(block))
                        .map(|old| old.site)
                }
                ("locals", []) => self.add_locals(block, &origin),
                ("provider", [_]) => {
                    self.providers.push(declared(block));
                    None
                }
                ("terraform", []) => {
                    self.settings.push(declared(block));
                    None
                }
                // `check`, `moved`, `import`, `removed` change nothing of what will stand.
                ("check" | "moved" | "import" | "removed", _) => None,
                (other, labels) => {
                    errors.push(SyntaxError {
                        site: site.clone(),
                        message: format!(
                            "`{other}` with {} labels is no block of a Terraform configuration",
                            labels.len()
                        ),
                    });
                    None
                }
            };
            if let Some(earlier) = earlier {
                errors.push(SyntaxError {
                    site,
                    message: format!("declared twice, before at {earlier}"),
                });
            }
        }
    }

    fn add_locals(&mut self, block: Block, origin: &Origin) -> Option<Site> {
        let mut earlier = None;
        for attribute in block.body.into_attributes() {
            let site = origin.site(attribute.key.span());
            let name = attribute.key.value().to_string();
            let declared = Declared {
                item: attribute.value,
                origin: origin.clone(),
                site,
            };
            earlier = earlier.or(self.locals.insert(name, declared).map(|old| old.site));
        }
        earlier
    }
}
