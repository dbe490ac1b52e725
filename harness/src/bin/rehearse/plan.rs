//! `rehearse plan`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nomad_harness::scenario::duration_or_seconds;
use nomad_harness::terraform::aws::AwsCluster;
use nomad_harness::terraform::{self, Configuration, Inputs, ReadError, ToldError};

use super::Context;
use super::failure::Failure;
use super::first_boot;
use super::output::{self, Format};

/// The two sources differ.
const DRIFT: u8 = 40;

/// Read a Terraform configuration for AWS: no Terraform, no provider, no account, no network.
///
/// Shows the machines with their roles, user data and tags, and who may reach whom; each fact with
/// the file and line that says it. What cannot be known here is listed, never guessed.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// List attributes that AWS chooses one by one, too.
    #[arg(long)]
    all: bool,
    /// Print the user data of one machine (its name or address) and nothing else.
    #[arg(long, value_name = "MACHINE")]
    user_data: Option<String>,
    /// Compare machines and user data with another source: a plan's, state's or test's JSON. Exit
    /// code 40 if they differ; what one of the two does not know is listed as not compared.
    #[arg(long, value_name = "FILE", conflicts_with = "user_data")]
    against: Option<PathBuf>,
    /// Execute every machine's user data in a container without network, and show what the machine
    /// would have: files with modes, what would be installed and started, and whether a second run is
    /// harmless. Exit code 30 if one fails, in its first run or its second, or if none could be run.
    #[arg(long, conflicts_with_all = ["user_data", "against"])]
    run: bool,
    /// Image that stands for the machines' own; without it, one is made of this machine's shell and
    /// usual programs.
    #[arg(long, requires = "run", value_name = "REFERENCE")]
    base_image: Option<String>,
    /// How long a run may take, as `30s`.
    #[arg(long, requires = "run", default_value = "20s", value_name = "TIME", value_parser = duration_or_seconds)]
    limit: Duration,
}

/// Where a configuration is, and the values that it gets.
#[derive(clap::Args)]
pub struct SourceArgs {
    /// Folder of the configuration; or a file with what `terraform show -json` or `terraform test
    /// -json -verbose` printed, `-` for standard input.
    #[arg(default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    #[command(flatten)]
    values: ValueArgs,
}

/// The values that a configuration gets.
#[derive(clap::Args)]
pub struct ValueArgs {
    /// Value of a variable; may be given often.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
    /// File with values of variables; may be given often.
    #[arg(long = "var-file", value_name = "FILE")]
    var_files: Vec<PathBuf>,
    /// What a data source or AWS would answer, as `data.aws_ami.ubuntu.id=ami-1`; may be given often.
    #[arg(long = "assume", value_name = "ADDRESS=VALUE")]
    assumptions: Vec<String>,
}

impl SourceArgs {
    /// Reads the configuration, and the cluster that it describes.
    pub fn read(&self, missing_is_unknown: bool) -> Result<(Configuration, AwsCluster), Failure> {
        self.values.read(&self.dir, missing_is_unknown)
    }
}

impl ValueArgs {
    /// Reads the configuration in a folder, or a file that Terraform printed.
    pub fn read(
        &self,
        dir: &Path,
        missing_is_unknown: bool,
    ) -> Result<(Configuration, AwsCluster), Failure> {
        let told = dir.is_file() || dir == Path::new("-");
        let configuration = if told {
            read_told(dir)?
        } else {
            terraform::read(dir, &self.inputs(missing_is_unknown)?)
                .map_err(|error| unreadable(&error))?
        };
        let cluster = AwsCluster::of(&configuration, dir);
        Ok((configuration, cluster))
    }

    /// Returns the values as the reader takes them.
    fn inputs(&self, missing_is_unknown: bool) -> Result<Inputs, Failure> {
        Ok(Inputs {
            var_files: self.var_files.clone(),
            vars: pairs(&self.vars)?,
            environment: terraform_environment(),
            assumptions: pairs(&self.assumptions)?,
            missing_is_unknown,
        })
    }
}

/// Returns the values that the environment gives Terraform's variables.
pub fn terraform_environment() -> BTreeMap<String, String> {
    let named =
        |(name, value): (String, String)| Some((name.strip_prefix("TF_VAR_")?.to_owned(), value));
    std::env::vars().filter_map(named).collect()
}

/// Splits `NAME=VALUE`s. Keys of addresses may hold `=` between quotes, so the last name's part counts.
pub fn pairs(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = |text: &String| {
        let quoted = text.rfind("\"]").map_or(0, |end| end + 2);
        let equals = text[quoted..]
            .find('=')
            .map(|at| quoted + at)
            .or_else(|| text.find('='));
        let pair = equals.map(|at| (text[..at].to_owned(), text[at + 1..].to_owned()));
        pair.ok_or_else(|| Failure::input(format!("`{text}` is not of the form `NAME=VALUE`")))
    };
    texts.iter().map(split).collect()
}

/// Reads a file of Terraform's, or what it prints into this command.
fn read_told(path: &Path) -> Result<Configuration, Failure> {
    told(path).map_err(|error| {
        let hint = error.hint();
        let failure = Failure::input(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn told(path: &Path) -> Result<Configuration, ToldError> {
    if path != Path::new("-") {
        return terraform::read_told(path);
    }
    terraform::read_stream(std::io::stdin(), Path::new(terraform::STANDARD_INPUT))
}

/// Tells why a configuration could not be read: every problem on a line of its own.
pub fn unreadable(error: &ReadError) -> Failure {
    let failure = Failure::input(error.to_string().replace('\n', "\nerror: "));
    match error {
        ReadError::Variables(_) => {
            failure.hint("rehearse plan DIR --var NAME=VALUE --var-file FILE")
        }
        ReadError::Definition(_) | ReadError::Assumption(_) => failure,
    }
}

/// Reads, and shows.
pub async fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let (_, cluster) = args.source.read(false)?;
    if let Some(other) = &args.against {
        return against(&cluster, other, context.format);
    }
    if args.run {
        return first_boot::run(&cluster, args.base_image.as_deref(), args.limit, context).await;
    }
    if let Some(wanted) = &args.user_data {
        return user_data(&cluster, wanted);
    }
    match context.format {
        Format::Json => output::json(&cluster),
        Format::Text => output::text(cluster.to_text(args.all).trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Says where the two sources differ: one of them is stale, or read wrongly here.
fn against(cluster: &AwsCluster, other: &Path, format: Format) -> Result<ExitCode, Failure> {
    let configuration = read_told(other)?;
    let witness = cluster.against(&AwsCluster::of(&configuration, other));
    match format {
        Format::Json => output::json(&witness),
        Format::Text => {
            for difference in &witness.differences {
                output::text(&format!("drift: {difference}"));
            }
            for open in &witness.not_compared {
                output::text(&format!("not compared: {open}"));
            }
            let in_part = match witness.alike_in_part {
                0 => String::new(),
                number => format!(", {number} alike in all that was compared"),
            };
            output::text(&format!(
                "{} machines alike{in_part}, {} differences, {} facts not compared",
                witness.alike,
                witness.differences.len(),
                witness.not_compared.len()
            ));
        }
    }
    Ok(if witness.differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DRIFT)
    })
}

fn user_data(cluster: &AwsCluster, wanted: &str) -> Result<ExitCode, Failure> {
    let known = |name: &str, address: &str| name == wanted || address == wanted;
    let machine = cluster.machines.iter().find(|machine| {
        known(
            machine.name.known().map_or("", String::as_str),
            &machine.address,
        )
    });
    let Some(machine) = machine else {
        let names: Vec<String> = cluster
            .machines
            .iter()
            .map(|machine| format!("`{}`", machine.name))
            .collect();
        return Err(Failure::input(format!(
            "there is no machine `{wanted}`; there are {}",
            names.join(", ")
        )));
    };
    match &machine.user_data.text {
        Some(text) => {
            output::bytes(text.as_bytes());
            Ok(ExitCode::SUCCESS)
        }
        None => Err(Failure::input(format!(
            "`{wanted}` has no user data, or none that is known here ({})",
            machine.user_data.site
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn keys_of_addresses_may_hold_anything() {
        let split = |text: &str| pairs(&[text.to_owned()]).unwrap().remove(0);
        assert_eq!(split("name=a=b"), ("name".to_owned(), "a=b".to_owned()));
        let (address, value) = split("aws_instance.x[\"a=b\"].ami=ami-1");
        assert_eq!(
            (address.as_str(), value.as_str()),
            ("aws_instance.x[\"a=b\"].ami", "ami-1")
        );
        assert!(pairs(&["name".to_owned()]).is_err());
    }
}
