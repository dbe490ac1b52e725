//! Conversions.

use super::{Entry, Needs};
use crate::terraform::unify::{Type, alike};
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("ephemeralasnull", Needs::Shape, |args| args.get(0).cloned()),
    ("nonsensitive", Needs::Shape, |args| args.get(0).cloned()),
    ("sensitive", Needs::Shape, |args| args.get(0).cloned()),
    ("tobool", Needs::Everything, |args| {
        Type::Bool.convert(args.get(0)?.clone())
    }),
    ("tolist", Needs::Shape, |args| match args.get(0)? {
        Value::Null => Ok(Value::Null),
        _ => Ok(Value::List(alike(args.elements(0)?.to_vec()))),
    }),
    ("tomap", Needs::Shape, |args| {
        Type::Map(Box::new(Type::Any)).convert(args.get(0)?.clone())
    }),
    ("tonumber", Needs::Everything, |args| {
        Type::Number.convert(args.get(0)?.clone())
    }),
    // An unknown element could be equal to another one: the set's size is known only with all of them.
    ("toset", Needs::Everything, |args| match args.get(0)? {
        Value::Null => Ok(Value::Null),
        _ => Ok(Value::set_of(alike(args.elements(0)?.to_vec()))),
    }),
    ("tostring", Needs::Everything, |args| {
        Type::String.convert(args.get(0)?.clone())
    }),
];
