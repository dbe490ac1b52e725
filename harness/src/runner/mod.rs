//! Runs a scenario on a cluster: the steps in order, a timeline of what happened, and, however it
//! ends, every fault healed, the newest first.
//!
//! A run proves something only while our own side is in order. An agent that died unasked, a
//! program that was not scheduled for a second, a lever that failed: they make a run
//! inconclusive, unless it found a law broken that none of this explains.

mod configuration;
mod fitness;
mod folder;
mod heartbeat;
mod hung;
mod interrupt;
mod observe;
mod residue;
mod strain;
mod watch;

use std::time::{Duration, Instant};

use futures::FutureExt as _;

use crate::causes::with_causes;
use crate::report::{AgentReport, Report, SCHEMA, StepReport, Verdict};
use crate::scenario::Scenario;
use crate::spent;
use crate::step::{Ledger, Place, Scene, Step, StepError, heal_all};
use crate::target::Target;
use crate::timeline::{Kind, Listener, Recorder, millis};

pub use folder::{Folder, FolderError, PAGE, write_whole};
pub use interrupt::{Interrupt, Interrupter};

use configuration::Reading;
use heartbeat::Heartbeat;
use observe::Observer;
use residue::States;
use strain::Strain;
use watch::{Cut, Watch};

/// How a scenario is to be run.
pub struct Options {
    /// Where random choices come from.
    pub seed: u64,
    /// Where the run's files go; `None` writes none.
    pub folder: Option<Folder>,
    /// Whether the jobs stay where they are when the run does not pass.
    pub keep_failed: bool,
    /// Ends the run early, healed.
    pub interrupt: Interrupt,
    /// Hears of every event as it happens.
    pub listener: Option<Listener>,
    /// Once so much time is over and no fault is in, the steps from the next fault to the last `stop` are
    /// left out: how a soak ends in time, whatever its schedule holds.
    pub until: Option<Duration>,
    /// What the report is to say besides what comes of the run.
    pub notes: Vec<String>,
}

impl Options {
    /// Runs with this seed, writes nothing, is never interrupted.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self {
            seed,
            folder: None,
            keep_failed: false,
            interrupt: Interrupt::never(),
            listener: None,
            until: None,
            notes: Vec::new(),
        }
    }
}

/// How the steps ended.
enum End {
    Passed,
    Failed { why: String, timed: bool },
    Inconclusive { why: String },
}

impl End {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Passed => Verdict::Passed,
            Self::Failed { .. } => Verdict::Failed,
            Self::Inconclusive { .. } => Verdict::Inconclusive,
        }
    }

    /// Weighs trouble of our own: it takes away what was proved, unless the law that was broken
    /// has no such excuse.
    fn excused_by(self, trouble: Option<String>) -> Self {
        match (self, trouble) {
            (end, None) => end,
            (end @ Self::Failed { timed: false, .. }, Some(_)) => end,
            (Self::Failed { why, .. }, Some(trouble)) => Self::Inconclusive {
                why: format!("{trouble}, which may be why: {why}"),
            },
            (Self::Passed, Some(trouble)) => Self::Inconclusive {
                why: format!("{trouble}, so nothing is proved"),
            },
            (end @ Self::Inconclusive { .. }, Some(_)) => end,
        }
    }
}

/// Runs a scenario to its end and leaves the cluster as it was. Never panics on what the cluster
/// does; whatever went wrong stands in the report.
pub async fn run(scenario: &Scenario, target: &dyn Target, options: Options) -> Report {
    spent::accounted(play(scenario, target, options)).await
}

async fn play(scenario: &Scenario, target: &dyn Target, options: Options) -> Report {
    let Options {
        seed,
        folder,
        keep_failed,
        interrupt,
        listener,
        until,
        notes,
    } = options;
    let recorder = Recorder::new(listener);
    let mut report = blank(scenario, target, seed, &recorder);
    report.notes = target.notes();
    report.notes.extend(notes);
    report.evidence = folder.as_ref().map(|folder| folder.shown());
    let missing = match scenario.missing_on(target) {
        None => lacking(scenario, target).await,
        missing => missing,
    };
    if let Some(reason) = missing {
        report.verdict = Verdict::Skipped;
        report.reason = Some(reason);
        return finish(report, &recorder, folder, target).await;
    }
    let words = format!(
        "`{}` on cluster `{}`, {}, seed {seed}",
        scenario.name,
        target.name(),
        report.engine_label
    );
    recorder.record(Kind::RunStarted, None, words);
    let scene = Scene::new(target, recorder.clone(), Ledger::default(), seed);
    let heartbeat = Heartbeat::start(recorder.clone());
    let strain = Strain::start(recorder.clone());
    let everywhere = scene.everywhere();
    let observer = Observer::start(&everywhere, &recorder);
    let reading = Reading::start(&everywhere);
    let (end, before) = act(scenario, &scene, &interrupt, until, &mut report).await;
    let strained = strain.stop();
    let end = end.excused_by(heartbeat.stop());
    // A busy machine is an excuse for what came too late, not a doubt about what came in time.
    let end = match end {
        End::Passed => End::Passed,
        end => end.excused_by(strained),
    };
    report.measures = scene.measures();
    report.verdict = end.verdict();
    if let End::Failed { why, .. } | End::Inconclusive { why } = end {
        report.reason = Some(why);
    }
    leave_clean(&scene, keep_failed, before, &mut report).await;
    observer.stop();
    report.configuration = Some(reading.end().await);
    finish(report, &recorder, folder, target).await
}

/// Tries the levers that the scenario needs; returns which one this machine does not allow, and why.
async fn lacking(scenario: &Scenario, target: &dyn Target) -> Option<String> {
    for capability in scenario.needs() {
        if let Some(why) = target.lacks(capability).await {
            return Some(format!(
                "scenario `{}` needs `{}`, which does not work here: {why}",
                scenario.name,
                capability.word()
            ));
        }
    }
    None
}

/// Runs the steps on a cluster that is healthy, and heals. Returns, too, what the agents' networks and limits
/// were before the first fault.
async fn act(
    scenario: &Scenario,
    scene: &Scene<'_>,
    interrupt: &Interrupt,
    until: Option<Duration>,
    report: &mut Report,
) -> (End, States) {
    if let Some(dead) = fitness::not_running(scene.target).await {
        report.cluster_fit = false;
        let name = scene.target.name();
        let why = format!(
            "the cluster was not whole before the first step: {dead} (hint: rehearse start {name})"
        );
        return (End::Inconclusive { why }, States::default());
    }
    if let Err(unfit) = fitness::wait(scene).await {
        report.cluster_fit = false;
        let why = format!("the cluster was not healthy before the first step: {unfit}");
        return (End::Inconclusive { why }, States::default());
    }
    // It takes a container beside each agent: the steps that come before the first fault need not wait.
    let before = residue::read(scene.target, scenario).shared();
    let scene = &scene.no_fault_before(before.clone().map(drop));
    let steps = steps(scenario, scene, interrupt, until, report);
    let (before, end) = futures::join!(before, steps);
    let end = undo(scene, end, report).await;
    if let Some(version) = scene.upgraded() {
        report.cluster_fit = false;
        let note =
            format!("agents were upgraded to {version}: no other scenario uses this cluster");
        report.notes.push(note);
    }
    (end, before)
}

/// Removes the jobs, and looks whether anything of a fault stayed and whether the cluster is as healthy as before.
async fn leave_clean(scene: &Scene<'_>, keep_failed: bool, before: States, report: &mut Report) {
    let goes = !keep_failed || report.verdict == Verdict::Passed;
    let jobs = async {
        match goes {
            true => fitness::remove_jobs(scene).await,
            false => Vec::new(),
        }
    };
    let (residue, jobs) = futures::join!(residue::compare(scene, before), jobs);
    report.cluster_fit &= residue.is_clean;
    report.notes.extend(residue.notes.into_iter().chain(jobs));
    // Where it is known to be broken, waiting for it to be healthy would only take long.
    if report.cluster_fit
        && let Err(unfit) = fitness::wait(scene).await
    {
        report.cluster_fit = false;
        let note = format!("the cluster is not as healthy as before: {unfit}");
        report.notes.push(note);
    }
}

fn blank(scenario: &Scenario, target: &dyn Target, seed: u64, recorder: &Recorder) -> Report {
    Report {
        schema: SCHEMA,
        scenario: scenario.name.clone(),
        description: scenario.description.clone(),
        verdict: Verdict::Inconclusive,
        reason: None,
        cluster: target.name().to_owned(),
        agents: target.agents().iter().map(AgentReport::of).collect(),
        configuration: None,
        engine: target.engine().clone(),
        engine_label: target.engine().label(),
        seed,
        started_at: recorder.started_at(),
        took_ms: 0.0,
        spent: None,
        steps_total: scenario.steps.len(),
        steps: Vec::new(),
        steps_left_out: 0,
        measures: Vec::new(),
        notes: Vec::new(),
        cluster_fit: true,
        evidence: None,
    }
}

/// Runs the steps until one does not pass, somebody interrupts, or an agent dies unasked.
async fn steps<'t>(
    scenario: &Scenario,
    scene: &Scene<'t>,
    interrupt: &Interrupt,
    until: Option<Duration>,
    report: &mut Report,
) -> End {
    let watch = Watch {
        target: scene.target,
        ledger: scene.ledger.clone(),
    };
    let (recorder, interrupt) = (scene.recorder.clone(), interrupt.clone());
    let cut = async move {
        let cut = watch.cut(interrupt).await;
        was_cut(&recorder, &cut)
    };
    let scene = &scene.cut_by(cut.boxed().shared());
    let total = scenario.steps.len();
    let is_stop = |step: &Step| matches!(step, Step::StopAll);
    let last_stop = scenario.steps.iter().rposition(is_stop).unwrap_or(0);
    // Once the time is over the next fault is left out, and what comes with it; not the waits after a healing.
    let mut over = false;
    let engine = scene.target.engine();
    let of_cluster = |step: &Step| step.in_time_of(engine.time_scale, engine.slowness);
    let steps = scenario.steps.iter().map(of_cluster);
    for (place, step) in steps.enumerate() {
        let number = place + 1;
        over |= until.is_some_and(|until| scene.recorder.elapsed() >= until)
            && scene.ledger.entries().is_empty()
            && matches!(step, Step::Inject { .. });
        if over && place < last_stop {
            report.steps_left_out += 1;
            continue;
        }
        let (started, started_ms) = (Instant::now(), millis(scene.recorder.elapsed()));
        let outcome = step.play(scene, Place::new(number, total)).await;
        let (verdict, seen, end) = match outcome {
            Ok(seen) => (Verdict::Passed, seen, None),
            Err(error) => {
                let seen = with_causes(&error);
                let end = match error {
                    StepError::Failed { why, timed } => End::Failed { why, timed },
                    StepError::Inconclusive { why } => End::Inconclusive { why },
                };
                (end.verdict(), seen, Some(end))
            }
        };
        report.steps.push(StepReport {
            number,
            step: step.to_string(),
            verdict,
            seen,
            started_ms,
            took_ms: millis(started.elapsed()),
        });
        if let Some(end) = end {
            return end;
        }
    }
    End::Passed
}

/// Records why a run is cut short; returns it in words.
fn was_cut(recorder: &Recorder, cut: &Cut) -> String {
    if let Cut::Died { agent, .. } = cut {
        recorder.record(Kind::AgentDied, Some(agent), cut.to_string());
    }
    cut.to_string()
}

/// Stops what still runs, heals what is still in, and looks once more at who died. What has failed
/// is healed first: a workload that reads back what it wrote needs a cluster that answers.
async fn undo(scene: &Scene<'_>, end: End, report: &mut Report) -> End {
    let mut end = end;
    let mut undone = None;
    if !matches!(end, End::Passed) {
        undone = Some(heal(scene, report).await);
    }
    let outcomes = scene.stop_background().await;
    for breach in outcomes.into_iter().flat_map(|outcome| outcome.breaches) {
        // A scenario that passed must have judged its workloads itself; else it is done here.
        if let End::Passed = end {
            end = End::Failed {
                why: breach.what,
                timed: breach.timed,
            };
        } else {
            report.notes.push(breach.what);
        }
    }
    let (died, unhealed) = match undone {
        Some(undone) => undone,
        None => heal(scene, report).await,
    };
    if let End::Inconclusive { .. } = end {
        report.notes.extend(unhealed);
        return end;
    }
    let trouble = match died {
        Some(died) => Some(was_cut(&scene.recorder, &died)),
        None if unhealed.is_empty() => match end {
            End::Failed { .. } => hung::find(scene).await,
            _ => None,
        },
        None => Some(format!("healing failed: {}", unhealed.join("; "))),
    };
    end.excused_by(trouble)
}

/// Heals what is still in; returns who died before, and what could not be healed.
async fn heal(scene: &Scene<'_>, report: &mut Report) -> (Option<Cut>, Vec<String>) {
    // Looked at before healing: healing starts what should run.
    let watch = Watch {
        target: scene.target,
        ledger: scene.ledger.clone(),
    };
    let died = watch.dead_now().await;
    let unhealed = heal_all(scene).await;
    report.cluster_fit &= died.is_none() && unhealed.is_empty();
    (died, unhealed)
}

async fn finish(
    mut report: Report,
    recorder: &Recorder,
    folder: Option<Folder>,
    target: &dyn Target,
) -> Report {
    report.took_ms = millis(recorder.elapsed());
    if report.verdict != Verdict::Skipped {
        report.spent = spent::so_far(report.took_ms);
    }
    let words = match &report.reason {
        Some(reason) => format!("`{}` {}: {reason}", report.scenario, report.verdict),
        None => format!("`{}` {}", report.scenario, report.verdict),
    };
    recorder.record(Kind::RunEnded, None, words);
    if let Some(folder) = folder {
        folder.keep(&mut report, &recorder.timeline(), target).await;
    }
    report
}

#[cfg(test)]
mod tests;
