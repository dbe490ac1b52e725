//! `dynamic` blocks: a block for each element of a list or map, written once.
//!
//! They are unfolded before the job is read. What `content` says of the element (`port.value`)
//! is made to refer to a variable of that element's own, so that it is evaluated where everything
//! else is. Missing: an iterator of the same name within another's content.

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, BlockLabel, Body, Structure};
use hcl_edit::visit_mut::{VisitMut, visit_expr_mut};
use hcl_edit::{Decorated, Ident};

use super::eval::Refusal;
use super::functions::text_of;
use super::reader::{Reader, start_of};

/// The same file without `dynamic` blocks.
pub(super) fn unfold(reader: &mut Reader<'_>, body: &Body) -> Body {
    let mut whole = body.clone();
    unfold_in_place(reader, &mut whole);
    whole
}

fn unfold_in_place(reader: &mut Reader<'_>, body: &mut Body) {
    if !body.has_blocks("dynamic") {
        body.blocks_mut()
            .for_each(|block| unfold_in_place(reader, &mut block.body));
        return;
    }
    // A body is made anew only where it has to be: each attribute that is put into one is compared with
    // all that are there already, and a block such as `meta` may have very many.
    for structure in std::mem::take(body) {
        match structure {
            Structure::Block(block) if block.ident.as_str() == "dynamic" => {
                for block in blocks(reader, &block) {
                    body.push(block);
                }
            }
            Structure::Block(mut block) => {
                unfold_in_place(reader, &mut block.body);
                body.push(block);
            }
            attribute @ Structure::Attribute(_) => body.push(attribute),
        }
    }
}

/// What one `dynamic` block stands for.
fn blocks(reader: &mut Reader<'_>, block: &Block) -> Vec<Block> {
    let Some(parts) = Parts::of(reader, block) else {
        return Vec::new();
    };
    let Some(elements) = elements(reader, parts.for_each) else {
        return Vec::new();
    };
    let mut unfolded = Vec::new();
    for (key, value) in elements {
        let own = reader.evaluator.declare_element(key, value);
        let mut rename = Rename {
            from: parts.iterator.clone(),
            to: own,
        };
        let mut content = parts.content.clone();
        rename.visit_body_mut(&mut content);
        let mut block = Block::new(parts.name.clone());
        block.body = unfold(reader, &content);
        if let Some(labels) = parts.labels {
            let mut labels = labels.clone();
            rename.visit_expr_mut(&mut labels);
            block.labels = labels_of(reader, &labels);
        }
        unfolded.push(block);
    }
    unfolded
}

/// What a `dynamic` block says.
struct Parts<'b> {
    name: Ident,
    iterator: String,
    for_each: &'b Expression,
    labels: Option<&'b Expression>,
    content: &'b Body,
}

impl<'b> Parts<'b> {
    /// `None`, and a problem, where something is missing or too much.
    fn of(reader: &Reader<'_>, block: &'b Block) -> Option<Self> {
        let at = start_of(&block.ident);
        let [label] = block.labels.as_slice() else {
            reader.problem(at, "`dynamic` needs the name of a block in quotes");
            return None;
        };
        let Ok(name) = Ident::try_new(label.as_str()) else {
            let text = format!("`{}` is no name of a block", label.as_str());
            reader.problem(at, text);
            return None;
        };
        for structure in &block.body {
            let (known, name, at) = match structure {
                Structure::Attribute(one) => (
                    matches!(one.key.as_str(), "for_each" | "iterator" | "labels"),
                    one.key.as_str(),
                    start_of(&one.key),
                ),
                Structure::Block(one) => (
                    one.ident.as_str() == "content",
                    one.ident.as_str(),
                    start_of(&one.ident),
                ),
            };
            if !known {
                reader.problem(at, format!("unknown `{name}` in `dynamic`"));
            }
        }
        let value = |name| block.body.get_attribute(name).map(|one| &one.value);
        let iterator = match value("iterator") {
            None => label.as_str().to_owned(),
            Some(Expression::Variable(name)) => name.as_str().to_owned(),
            Some(other) => {
                reader.problem(start_of(other), "`iterator` must be a bare name");
                return None;
            }
        };
        let missing = |what| reader.problem(at, format!("`dynamic` needs {what}"));
        let mut contents = block.body.get_blocks("content");
        match (value("for_each"), contents.next()) {
            (Some(for_each), Some(content)) => Some(Self {
                name,
                iterator,
                for_each,
                labels: value("labels"),
                content: &content.body,
            }),
            (None, _) => {
                missing("`for_each`");
                None
            }
            (_, None) => {
                missing("a block `content`");
                None
            }
        }
    }
}

/// Keys and values of what is gone through.
fn elements(reader: &Reader<'_>, for_each: &Expression) -> Option<Vec<(hcl::Value, hcl::Value)>> {
    let at = start_of(for_each);
    match reader.evaluator.eval(for_each) {
        Ok(hcl::Value::Array(items)) => {
            let numbered = items.into_iter().enumerate();
            Some(
                numbered
                    .map(|(key, value)| (hcl::Value::from(key), value))
                    .collect(),
            )
        }
        Ok(hcl::Value::Object(map)) => {
            let pairs = map.into_iter();
            Some(
                pairs
                    .map(|(key, value)| (hcl::Value::from(key), value))
                    .collect(),
            )
        }
        Ok(other) => {
            let text = format!("`for_each`: expected a list or a map, found `{other}`");
            reader.problem(at, text);
            None
        }
        Err(why) => {
            reader.refusal(for_each, why);
            None
        }
    }
}

fn labels_of(reader: &Reader<'_>, labels: &Expression) -> Vec<BlockLabel> {
    let texts = reader.evaluator.eval(labels).and_then(|value| {
        let list = value.as_array();
        let list = list.ok_or_else(|| format!("`labels`: expected a list, found `{value}`"))?;
        let texts = list.iter().map(text_of).collect::<Result<Vec<_>, _>>();
        texts.map_err(Refusal::from)
    });
    match texts {
        Ok(texts) => texts.into_iter().map(BlockLabel::from).collect(),
        Err(why) => {
            reader.refusal(labels, why);
            Vec::new()
        }
    }
}

/// Makes one variable another.
struct Rename {
    from: String,
    to: String,
}

impl VisitMut for Rename {
    fn visit_expr_mut(&mut self, node: &mut Expression) {
        match node {
            Expression::Variable(name) if name.as_str() == self.from => {
                *node = Expression::Variable(Decorated::new(Ident::new(self.to.clone())));
            }
            _ => visit_expr_mut(self, node),
        }
    }
}
