//! `rehearse job check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nomad_harness::causes::with_causes;
use nomad_harness::job_check::{self, Checked, Ground};
use nomad_harness::terraform::aws::AwsCluster;
use nomad_harness::terraform::{self, Inputs};
use semver::Version;

use crate::Context;
use crate::failure::Failure;
use crate::output::{self, Format};
use crate::plan::{pairs, terraform_environment, unreadable};

/// Some file would be refused.
const REFUSED: u8 = 2;

/// Find what is wrong with job files: syntax, fields, versions, drivers, ports.
///
/// Tells for each file the first version of Nomad that takes it. Exit code 2 if any file would be
/// refused.
#[derive(clap::Args)]
#[command(after_help = "Example:
  rehearse job check jobs/*.nomad.hcl --nomad-version 1.3.0
  rehearse job check jobs/ingress.nomad.hcl --with terraform --with-var raw_exec=true")]
pub struct Args {
    /// Job files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The version of Nomad that will take them.
    #[arg(long, value_name = "VERSION", value_parser = crate::words::nomad_version)]
    nomad_version: Option<Version>,
    /// Drivers that nodes offer, separated by commas.
    #[arg(long, value_name = "DRIVERS", value_delimiter = ',')]
    drivers: Option<Vec<String>>,
    /// Folder of a Terraform configuration: would its security groups let the ports be reached?
    #[arg(long, value_name = "DIR")]
    with: Option<PathBuf>,
    /// Value of a variable of that configuration; may be given often.
    #[arg(long, value_name = "NAME=VALUE", requires = "with")]
    with_var: Vec<String>,
    /// File with values of its variables; may be given often.
    #[arg(long, value_name = "FILE", requires = "with")]
    with_var_file: Vec<PathBuf>,
    /// Value of a job's variable; may be given often.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
}

/// Checks, and tells.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let aws = args
        .with
        .as_deref()
        .map(|dir| read_aws(dir, args))
        .transpose()?;
    let ground = Ground {
        version: args.nomad_version.clone(),
        drivers: args.drivers.clone(),
        variables: pairs(&args.vars)?.into_iter().collect(),
        aws: aws.as_ref(),
    };
    let mut checked = Vec::new();
    let mut unread = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        match job_check::read(file) {
            Ok(text) => checked.push(job_check::check(&name, &text, &ground)),
            Err(error) => unread.push(with_causes(&error)),
        }
    }
    if !unread.is_empty() {
        return Err(Failure::input(unread.join("\nerror: ")));
    }
    match context.format {
        Format::Json => output::json(&checked),
        Format::Text => checked.iter().for_each(|one| output::text(&text(one))),
    }
    let refused = checked.iter().any(Checked::is_refused);
    Ok(ExitCode::from(if refused { REFUSED } else { 0 }))
}

fn read_aws(dir: &Path, args: &Args) -> Result<AwsCluster, Failure> {
    let inputs = Inputs {
        var_files: args.with_var_file.clone(),
        vars: pairs(&args.with_var)?,
        environment: terraform_environment(),
        missing_is_unknown: true,
        ..Inputs::default()
    };
    let configuration = terraform::read(dir, &inputs).map_err(|error| unreadable(&error))?;
    Ok(AwsCluster::of(&configuration, dir))
}

/// The findings, then a line that sums up.
fn text(checked: &Checked) -> String {
    let mut lines: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
    let Some(job) = checked.job.as_deref() else {
        lines.push(format!("refused: {}: it cannot be read", checked.file));
        return lines.join("\n");
    };
    let verdict = if checked.is_refused() {
        "refused"
    } else {
        "ok"
    };
    let until = match &checked.until {
        Some(last) => format!("to {last}"),
        None => "or later".to_owned(),
    };
    lines.push(format!(
        "{verdict}: {}: job `{job}`, Nomad {} {until}, drivers: {}",
        checked.file,
        checked.from,
        checked.drivers.join(", ")
    ));
    lines.join("\n")
}
