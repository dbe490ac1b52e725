//! Runs of scenarios beside each other: every side with the first one.

use serde::{Deserialize, Serialize};

use super::configured::TimerRow;
use super::side::{Run, Side, measures, verdict};
use super::tolerance::{Tolerance, Tolerances, ratio};
use super::{Drift, NotCompared, order};
use crate::measure::Measure;
use crate::report::Verdict;

/// The form of `compare.json`: raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The sides; all are compared with the first.
    pub sides: Vec<SideReport>,
    /// The scenarios, each with its cells.
    pub scenarios: Vec<ScenarioRow>,
    /// What differs beyond what is tolerated.
    pub drifts: Vec<Drift>,
    /// What was not compared, and why.
    pub not_compared: Vec<NotCompared>,
    /// What must be known before anything is concluded.
    pub warnings: Vec<String>,
    /// How many things of the runs were compared.
    pub compared: usize,
    /// How many of the agents' settings, and of the timers that follow from them.
    #[serde(default)]
    pub settings: usize,
    /// What the sides' timers predict.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub timers: Vec<TimerRow>,
}

/// A side, as it is named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideReport {
    /// Its path.
    pub name: String,
    /// On what it ran.
    pub ground: String,
    /// Whether anything of it ran on the simulator and not on Nomad.
    pub simulated: bool,
    /// Whether an emulator ran any of its agents.
    pub emulated: bool,
}

/// A scenario on all sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRow {
    /// Its name.
    pub scenario: String,
    /// What was proved on each side; `None` where it did not run.
    pub verdicts: Vec<Option<Verdict>>,
    /// Its measures.
    pub measures: Vec<MeasureRow>,
}

/// A measure on all sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureRow {
    /// Its name.
    pub name: String,
    /// Its value on each side.
    pub values: Vec<Option<f64>>,
    /// Each side's value in times of the first's, where they were compared.
    pub ratios: Vec<Option<f64>>,
}

impl Comparison {
    /// Whether something of the runs was compared and nothing differs too much.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.drifts.is_empty() && self.compared > 0
    }

    /// Returns the program's exit code: 40 on drift; 31 where nothing of the runs could be compared: that
    /// agents are configured alike proves nothing of what they do.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.drifts.is_empty(), self.compared) {
            (false, _) => 40,
            (true, 0) => 31,
            (true, _) => 0,
        }
    }
}

/// Compares each side with the first.
///
/// # Panics
/// Without a side.
#[must_use]
pub fn compare(sides: &[Side], tolerances: &Tolerances) -> Comparison {
    let mut names: Vec<&String> = sides.iter().flat_map(|side| side.runs.keys()).collect();
    names.sort();
    names.dedup();
    let mut comparison = Comparison {
        schema: SCHEMA,
        sides: sides.iter().map(side_report).collect(),
        scenarios: Vec::new(),
        drifts: Vec::new(),
        not_compared: Vec::new(),
        warnings: Vec::new(),
        compared: 0,
        settings: 0,
        timers: Vec::new(),
    };
    comparison.warn();
    for name in names {
        let runs: Vec<&[Run]> = sides
            .iter()
            .map(|side| side.runs.get(name).map_or(&[][..], Vec::as_slice))
            .collect();
        comparison.scenario(name, &runs, tolerances);
    }
    comparison.configurations(sides);
    comparison.not_compared.sort();
    comparison.not_compared.dedup();
    comparison
}

fn side_report(side: &Side) -> SideReport {
    SideReport {
        name: side.name.clone(),
        ground: side.ground(),
        simulated: side.is_simulated(),
        emulated: side.reports().any(|report| report.is_emulated()),
    }
}

fn middle_of(measures: &[Measure], name: &str) -> Option<f64> {
    let found = measures.iter().find(|measure| measure.name == name);
    found.map(|measure| measure.value)
}

impl Comparison {
    fn warn(&mut self) {
        let some = |is: fn(&SideReport) -> bool| self.sides.iter().any(is);
        let (simulated, real) = (some(|side| side.simulated), some(|side| !side.simulated));
        let (emulated, native) = (some(|side| side.emulated), some(|side| !side.emulated));
        if simulated {
            let of = if real { "One side is" } else { "Every side is" };
            self.warnings.push(format!(
                "SIMULATED: {of} not Nomad but the built-in simulator; its times are not Nomad's."
            ));
        }
        if emulated && native {
            self.warnings.push(
                "EMULATED: what an emulator ran is not compared with what ran natively, where it \
                 depends on how fast the machine is."
                    .to_owned(),
            );
        }
    }

    fn scenario(&mut self, name: &str, runs: &[&[Run]], tolerances: &Tolerances) {
        let middles: Vec<Vec<Measure>> = runs.iter().map(|side| measures(side)).collect();
        let mut row = ScenarioRow {
            scenario: name.to_owned(),
            verdicts: runs
                .iter()
                .map(|side| (!side.is_empty()).then(|| verdict(side)))
                .collect(),
            measures: measure_rows(&middles),
        };
        for other in 1..runs.len() {
            if self.verdicts(name, runs, other) {
                self.orders(name, runs, other);
                for measure in &mut row.measures {
                    self.measure(name, measure, runs, other, tolerances);
                }
            }
        }
        self.scenarios.push(row);
    }

    /// Compares the verdicts; returns whether there is more to compare.
    fn verdicts(&mut self, name: &str, runs: &[&[Run]], other: usize) -> bool {
        for side in [0, other] {
            if runs[side].is_empty() {
                let why = format!("it did not run on side {}", side + 1);
                self.leave_out(name, &why);
                return false;
            }
        }
        let (here, there) = (verdict(runs[0]), verdict(runs[other]));
        for (side, verdict) in [(0, here), (other, there)] {
            if matches!(verdict, Verdict::Skipped | Verdict::Inconclusive) {
                let why = format!("it is {verdict} on side {}, which proves nothing", side + 1);
                self.leave_out(name, &why);
                return false;
            }
        }
        self.compared += 1;
        if here != there {
            let reason = |side: usize| {
                let reasons = runs[side].iter().find_map(|run| run.report.reason.clone());
                reasons.map_or_else(String::new, |reason| format!(" ({reason})"))
            };
            self.drift(
                "verdict",
                name,
                (0, other),
                [
                    format!("{here}{}", reason(0)),
                    format!("{there}{}", reason(other)),
                ],
            );
            return false;
        }
        true
    }

    fn orders(&mut self, name: &str, runs: &[&[Run]], other: usize) {
        // Of several runs the first: that all of a side go alike is no matter of two sides.
        let (one, two) = (order::of(&runs[0][0]), order::of(&runs[other][0]));
        for (what, here) in &one {
            let of = format!("{name}: order of {what}");
            let Some(there) = two.get(what) else {
                self.leave_out(&of, &format!("side {} has no timeline", other + 1));
                continue;
            };
            self.compared += 1;
            if let Some((here, there)) = order::parting(here, there) {
                self.drift("order", &of, (0, other), [here, there]);
            }
        }
        for what in two.keys().filter(|what| !one.contains_key(*what)) {
            let of = format!("{name}: order of {what}");
            self.leave_out(&of, "side 1 has no timeline");
        }
    }

    fn measure(
        &mut self,
        name: &str,
        row: &mut MeasureRow,
        runs: &[&[Run]],
        other: usize,
        tolerances: &Tolerances,
    ) {
        let of = format!("{name}: {}", row.name);
        let (here, there) = match (row.values[0], row.values[other]) {
            (Some(here), Some(there)) => (here, there),
            (None, None) => return,
            (here, _) => {
                let absent = if here.is_none() { 1 } else { other + 1 };
                self.leave_out(&of, &format!("side {absent} did not take it"));
                return;
            }
        };
        let tolerance = tolerances.of(&row.name);
        if tolerance == Tolerance::Free {
            self.leave_out(
                &of,
                "it says how long a run lasted, or is free by `--tolerance`",
            );
            return;
        }
        let emulated = |side: usize| runs[side].iter().any(|run| run.report.is_emulated());
        let is_speed = matches!(tolerance, Tolerance::Ratio { .. });
        if is_speed && emulated(0) != emulated(other) {
            self.leave_out(&of, "one side is emulated, the other native");
            return;
        }
        let scale = |side: usize| runs[side].first().map(|run| run.report.engine.time_scale);
        if is_speed && scale(0) != scale(other) {
            self.leave_out(&of, "the sides' timers ran at different time scales");
            return;
        }
        self.compared += 1;
        row.ratios[other] = (here != 0.0).then(|| there / here);
        if let Some(beyond) = tolerance.broken_by(here, there) {
            self.drifts.push(Drift {
                area: "measure".to_owned(),
                of,
                sides: (0, other),
                here: number(here),
                there: number(there),
                beyond: Some(beyond),
                place: None,
            });
        }
    }

    fn drift(&mut self, area: &str, of: &str, sides: (usize, usize), [here, there]: [String; 2]) {
        self.drifts.push(Drift {
            area: area.to_owned(),
            of: of.to_owned(),
            sides,
            here,
            there,
            beyond: None,
            place: None,
        });
    }

    fn leave_out(&mut self, of: &str, why: &str) {
        self.not_compared.push(NotCompared {
            of: of.to_owned(),
            why: why.to_owned(),
        });
    }
}

fn measure_rows(middles: &[Vec<Measure>]) -> Vec<MeasureRow> {
    let mut rows: Vec<MeasureRow> = Vec::new();
    for measure in middles.iter().flatten() {
        if rows.iter().all(|row| row.name != measure.name) {
            rows.push(MeasureRow {
                name: measure.name.clone(),
                values: middles
                    .iter()
                    .map(|side| middle_of(side, &measure.name))
                    .collect(),
                ratios: vec![None; middles.len()],
            });
        }
    }
    rows
}

/// Counts have no fraction; milliseconds are told to a tenth.
pub(super) fn number(value: f64) -> String {
    let digits = usize::from(value.fract() != 0.0);
    format!("{value:.digits$}")
}

/// A value beside the first side's.
pub(super) fn cell(row: &MeasureRow, side: usize) -> String {
    let Some(value) = row.values[side] else {
        return "-".to_owned();
    };
    match (row.values[0], row.ratios[side]) {
        (Some(first), Some(_)) if side > 0 => {
            format!("{} ({})", number(value), ratio(first, value))
        }
        _ => number(value),
    }
}
