//! How a step is written in a script: a block whose type is the step, whose label (if it takes
//! one) says what it is about, and whose arguments are its own and those of its label.

use crate::fault::Fault;
use crate::grammar::{Arg, Args};
use crate::probe::Condition;
use crate::workload::Workload;

use super::Step;

/// A kind of step.
pub struct Form {
    /// The block's type.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// What its label is.
    pub label: Label,
    /// Its own arguments; those of the label come on top.
    pub args: &'static [Arg],
    /// Which of them belong together.
    pub choice: Choice,
    /// Whether further steps stand in it.
    pub steps: bool,
    /// How it looks, as it could stand in a script.
    pub example: &'static str,
    /// Makes the step; everything is checked before.
    pub build: fn(Statement) -> Step,
}

/// What a block's label is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// There is none.
    None,
    /// The name of a probe, whose arguments are given too.
    Probe,
    /// The name of a fault.
    Fault,
    /// The name of a workload, whose arguments are given too.
    Workload,
    /// The name of a number that an earlier step took.
    Measure,
    /// The name of a region.
    Region,
}

/// Which arguments belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// None do.
    Free,
    /// Exactly one of these must be given.
    ExactlyOne(&'static [&'static str]),
    /// At least one of these must be given.
    AtLeastOne(&'static [&'static str]),
}

/// What the label stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A probe with its arguments.
    Probe(Condition),
    /// A fault.
    Fault(Fault),
    /// A workload with its arguments.
    Workload(Workload),
    /// A number's name.
    Measure(String),
    /// A region's name.
    Region(String),
}

/// A block that was read and checked.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// What its label stands for.
    pub object: Option<Object>,
    /// Its own arguments.
    pub args: Args,
    /// The steps in it.
    pub steps: Vec<Step>,
}

macro_rules! objects {
    ($($get:ident, $variant:ident, $of:ty;)*) => {$(
        pub(super) fn $get(&self) -> $of {
            match &self.object {
                Some(Object::$variant(value)) => value.clone(),
                other => panic!("the reader rules out {other:?} here"),
            }
        }
    )*};
}

impl Statement {
    objects! {
        probe, Probe, Condition;
        fault, Fault, Fault;
        workload, Workload, Workload;
        measure, Measure, String;
        region, Region, String;
    }
}
