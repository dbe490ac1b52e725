//! `rehearse plan`.

use std::path::PathBuf;
use std::process::ExitCode;

use nomad_harness::terraform::aws::AwsCluster;
use nomad_harness::terraform::{self, Inputs, ReadError};

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};

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
}

/// Where a configuration is, and the values that it gets.
#[derive(clap::Args)]
pub struct SourceArgs {
    /// Folder of the configuration.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
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
    /// Returns the values as the reader takes them.
    pub fn inputs(&self, missing_is_unknown: bool) -> Result<Inputs, Failure> {
        Ok(Inputs {
            var_files: self.var_files.clone(),
            vars: pairs(&self.vars)?,
            environment: std::env::vars()
                .filter_map(|(name, value)| Some((name.strip_prefix("TF_VAR_")?.to_owned(), value)))
                .collect(),
            assumptions: pairs(&self.assumptions)?,
            missing_is_unknown,
        })
    }
}

/// Splits `NAME=VALUE`s. Keys of addresses may hold `=` between quotes, so the last name's part counts.
fn pairs(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
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
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let dir = &args.source.dir;
    let configuration =
        terraform::read(dir, &args.source.inputs(false)?).map_err(|error| unreadable(&error))?;
    let cluster = AwsCluster::of(&configuration, dir);
    if let Some(wanted) = &args.user_data {
        return user_data(&cluster, wanted);
    }
    match context.format {
        Format::Json => output::json(&cluster),
        Format::Text => output::text(cluster.to_text(args.all).trim_end()),
    }
    Ok(ExitCode::SUCCESS)
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
