//! A live cluster on AWS: how it is attached to, and what `run`, `lever` and `heal` show of it before
//! they act. Without `--yes` nothing is changed.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use nomad_harness::aws::{Aws, AwsError, Patience};
use nomad_harness::report::Verdict;
use nomad_harness::runner::{self, Folder};
use nomad_harness::scenario::Scenario;
use nomad_harness::target::aws::{
    AccessError, Attachment, AttachmentError, Discovery, Journal, JournalError, LeverError,
    LiveCluster, Machines, Waits, discover,
};

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::rehearsal::{self, Desk, Work};

/// Where a cluster runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Where {
    /// On this machine's Docker.
    Docker,
    /// On AWS, made by Terraform.
    Aws,
}

/// The options that say which live cluster is meant.
#[derive(clap::Args)]
pub struct AttachArgs {
    /// What is attached to: a file of `terraform output -json`, a state file, a folder with
    /// `terraform.tfstate`; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub attach: Option<PathBuf>,
    /// Act on the machines; without it, only what would be done is shown.
    #[arg(long)]
    pub yes: bool,
}

/// A cluster that was looked at.
pub struct Attached {
    pub attachment: Attachment,
    pub aws: Arc<Aws>,
    pub discovery: Discovery,
}

impl AttachArgs {
    /// Reads what is attached to, and looks at its machines.
    pub async fn look(&self, context: &Context) -> Result<Attached, Failure> {
        let Some(path) = &self.attach else {
            return Err(Failure::input("`--target aws` needs `--attach FILE`")
                .hint("terraform output -json > cluster.json"));
        };
        let (text, from) = read(path)?;
        let attachment = Attachment::read(&text, &from)?;
        let environment = &context.environment.aws;
        if let Some(region) = &environment.region
            && *region != attachment.aws_region
        {
            eprintln!(
                "note: AWS_REGION is `{region}`; the cluster is in `{}`, which is what is asked",
                attachment.aws_region
            );
        }
        let aws = Arc::new(Aws::new(
            environment,
            &attachment.aws_region,
            Patience::default(),
        )?);
        let discovery = discover(&attachment, &aws).await?;
        Ok(Attached {
            attachment,
            aws,
            discovery,
        })
    }
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(Failure::input)?;
        return Ok((text, "standard input".to_owned()));
    }
    let file = if path.is_dir() {
        path.join("terraform.tfstate")
    } else {
        path.to_owned()
    };
    let text = std::fs::read_to_string(&file).map_err(|error| {
        Failure::input(format!("cannot read `{}`: {error}", file.display()))
            .hint("terraform output -json > cluster.json")
    })?;
    Ok((text, file.display().to_string()))
}

impl Attached {
    /// Returns where the cluster's heal journal is.
    pub fn journal(&self, context: &Context) -> PathBuf {
        let root = &context.environment.state_root;
        let (account, attachment) = (&self.discovery.account, &self.attachment);
        Journal::place(root, account, &attachment.aws_region, &attachment.name)
    }

    /// Takes the right to act.
    pub fn machines(&self, context: &Context) -> Result<Machines, Failure> {
        let journal = Journal::open(&self.journal(context))?;
        Ok(Machines::new(
            self.attachment.clone(),
            self.aws.clone(),
            Waits::default(),
            journal,
        ))
    }

    /// Shows what was found and what would be done.
    pub fn show(&self, format: Format, would: &[String]) {
        match format {
            Format::Json => output::json(&serde_json::json!({
                "dry_run": true,
                "cluster": self.attachment.name,
                "region": self.attachment.aws_region,
                "account": self.discovery.account,
                "agents": self.discovery.rows(),
                "without_systems_manager": self.discovery.without_ssm(),
                "would": would,
            })),
            Format::Text => {
                output::text(self.discovery.text(&self.attachment).trim_end());
                for line in would {
                    output::text(&format!("would    {line}"));
                }
                output::text("dry run: nothing was changed (act with --yes)");
            }
        }
    }
}

/// Runs scenarios on a live cluster, one after the other.
pub async fn run(
    args: &AttachArgs,
    works: Vec<Work>,
    reports: &Path,
    keep_failed: bool,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let attached = args.look(context).await?;
    if !args.yes {
        let without = attached.discovery.without_ssm();
        let would: Vec<String> = works
            .iter()
            .map(|work| told(&work.scenario, without.as_deref()))
            .collect();
        attached.show(context.format, &would);
        return Ok(ExitCode::SUCCESS);
    }
    let machines = attached.machines(context)?;
    machines.permit(&attached.discovery)?;
    if !machines.unhealed().is_empty() {
        return Err(Failure::input(
            "the heal journal holds faults of an earlier run that are not undone",
        )
        .hint("rehearse heal --target aws --attach FILE --yes"));
    }
    let cluster = LiveCluster::new(machines, &attached.discovery)?;
    let desk = Desk::open(reports, context.format, false);
    let interrupt = rehearsal::interrupt();
    let mut left: Vec<String> = Vec::new();
    for (number, work) in works.into_iter().enumerate() {
        if interrupt.is_raised() || !left.is_empty() {
            left.push(work.scenario.name);
            continue;
        }
        let folder = Folder::create(reports, &work.scenario.name)
            .map_err(|error| Failure::environment(error).hint("rehearse run --report DIR"))?;
        let options = runner::Options {
            seed: work.seed,
            folder: Some(folder),
            keep_failed,
            interrupt: interrupt.clone(),
            listener: desk.listener(&work.scenario.name, &cluster),
            until: None,
            notes: Vec::new(),
        };
        let report = runner::run(&work.scenario, &cluster, options).await;
        let passed = matches!(report.verdict, Verdict::Passed | Verdict::Skipped);
        let fit = report.cluster_fit;
        desk.ended(number, report);
        if !fit || (keep_failed && !passed) {
            left.push("what comes after it, as the cluster is not what it was".to_owned());
        }
    }
    let unhealed = cluster.machines().unhealed();
    if !unhealed.is_empty() {
        desk.say("some faults are not undone: rehearse heal --target aws --attach FILE --yes");
    }
    desk.close_after(Ok(left))
}

/// What a scenario would do, in a line.
fn told(scenario: &Scenario, without_ssm: Option<&str>) -> String {
    let needs: Vec<String> = scenario
        .needs()
        .into_iter()
        .map(|need| need.word())
        .collect();
    let by_ec2 = needs.iter().all(|need| need == "stop-start");
    let all = if needs.is_empty() {
        "no lever".to_owned()
    } else {
        needs.join(", ")
    };
    let absent = match without_ssm {
        Some(_) if !by_ec2 => ": skipped, a lever is absent",
        _ => "",
    };
    format!("run `{}` ({all}{absent})", scenario.name)
}

impl From<AttachmentError> for Failure {
    fn from(error: AttachmentError) -> Self {
        hinted(Self::input, error.hint(), error)
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        hinted(Self::environment, error.hint(), error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Busy { .. } => Self::input(error),
            error => Self::environment(error),
        }
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        hinted(Self::input, error.hint(), error)
    }
}

impl From<LeverError> for Failure {
    fn from(error: LeverError) -> Self {
        let hint = error.hint();
        match error {
            LeverError::Refused(_) | LeverError::NoAgent { .. } => hinted(Self::input, hint, error),
            LeverError::Journal(error) => error.into(),
            error => hinted(Self::environment, hint, error),
        }
    }
}

fn hinted<E>(kind: impl Fn(E) -> Failure, hint: Option<String>, error: E) -> Failure {
    match hint {
        Some(hint) => kind(error).hint(hint),
        None => kind(error),
    }
}
