//! `rehearse pki`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use nomad_harness::pki::{self, CreateError, Report, RotateError, TfvarsError};
use time::OffsetDateTime;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};

/// A check did not hold.
const FAILED: u8 = 30;

/// Make and check the certificates and the gossip key of a cluster on AWS.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a folder with a new authority, its certificates and a gossip key.
    Create(CreateArgs),
    /// Show what a folder holds.
    Show(FolderArgs),
    /// Sign new certificates of the same authority for servers, clients and the command line.
    ///
    /// Old and new ones trust each other: agents take them up one at a time, as `scripts/roll.sh`
    /// does. The authority and the gossip key stay.
    Rotate(RotateArgs),
    /// Check a folder as agents would: chains, names, keys, lives, modes.
    Verify(FolderArgs),
}

#[derive(clap::Args)]
struct FolderArgs {
    /// The folder.
    #[arg(long, default_value = "pki")]
    dir: PathBuf,
    /// Nomad's region, which the certificates' names carry.
    #[arg(long, default_value = "global")]
    region: String,
}

#[derive(clap::Args)]
struct CreateArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Also set the variables that go with it in this file, as terraform.tfvars.
    #[arg(long, value_name = "FILE")]
    tfvars: Option<PathBuf>,
    /// Network from which the cluster's API may be reached, for the variables' file; may be given often.
    #[arg(long = "operator-cidr", value_name = "CIDR", requires = "tfvars")]
    operator_cidrs: Vec<String>,
}

#[derive(clap::Args)]
struct RotateArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Raise `pki_version` in this file, so that Terraform sends the new ones.
    #[arg(long, value_name = "FILE")]
    tfvars: Option<PathBuf>,
}

/// Does what is asked for.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    match &args.verb {
        Verb::Create(args) => create(args),
        Verb::Show(args) => Ok(show(there(args)?, context)),
        Verb::Rotate(args) => rotate(args),
        Verb::Verify(args) => Ok(verify(there(args)?, context)),
    }
}

/// A folder that is not there holds nothing that could be shown, or be sound.
fn there(args: &FolderArgs) -> Result<&FolderArgs, Failure> {
    let dir = args.dir.display();
    match args.dir.is_dir() {
        true => Ok(args),
        false => Err(Failure::input(format!("there is no folder `{dir}`"))
            .hint(format!("rehearse pki create --dir {dir}"))),
    }
}

fn create(args: &CreateArgs) -> Result<ExitCode, Failure> {
    let FolderArgs { dir, region } = &args.folder;
    operators(&args.operator_cidrs)?;
    pki::create(dir, region, OffsetDateTime::now_utc()).map_err(|error| match &error {
        CreateError::Exists(_) => {
            Failure::input(error).hint(format!("rehearse pki show --dir {}", dir.display()))
        }
        CreateError::Region(_) => Failure::input(error),
        CreateError::Tls(_) | CreateError::Io { .. } => Failure::environment(error),
    })?;
    output::text(&format!(
        "made {}: keep {}/ca/nomad-agent-ca-key.pem safe, whoever has it is your cluster",
        dir.display(),
        dir.display()
    ));
    if let Some(tfvars) = &args.tfvars {
        set_variables(tfvars, dir, region, &args.operator_cidrs)?;
        output::text(&format!("set the variables in {}", tfvars.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses what Terraform would refuse later, all of it at once.
fn operators(networks: &[String]) -> Result<(), Failure> {
    let wrong = networks.iter().filter_map(|network| {
        let why = pki::operator_network(network).err()?;
        Some(format!("--operator-cidr `{network}`: {why}"))
    });
    let wrong: Vec<String> = wrong.collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::input(wrong.join("\nerror: "))),
    }
}

fn set_variables(
    tfvars: &Path,
    dir: &Path,
    region: &str,
    operators: &[String],
) -> Result<(), Failure> {
    let mut values = vec![("pki_version", 1.into()), ("nomad_region", region.into())];
    // `pki` beside the configuration is where it looks anyway; elsewhere an absolute path is right in
    // whatever folder Terraform runs.
    let dir = std::path::absolute(dir).map_err(Failure::environment)?;
    let beside = std::path::absolute(tfvars)
        .map_err(Failure::environment)?
        .with_file_name("pki");
    if dir != beside {
        values.push(("pki_dir", dir.to_string_lossy().into_owned().into()));
    }
    if !operators.is_empty() {
        values.push(("operator_cidrs", operators.iter().cloned().collect()));
    }
    pki::write_tfvars(tfvars, &values).map_err(variables_failed)
}

fn variables_failed(error: TfvarsError) -> Failure {
    match error {
        TfvarsError::Syntax { .. } => Failure::input(error),
        TfvarsError::Io { .. } => Failure::environment(error),
    }
}

fn rotate(args: &RotateArgs) -> Result<ExitCode, Failure> {
    let FolderArgs { dir, region } = &args.folder;
    // Read first: a file that does not parse must not be found out about half-way.
    let version = match &args.tfvars {
        Some(tfvars) => pki::read_tfvar(tfvars, "pki_version").map_err(variables_failed)?,
        None => None,
    };
    let files =
        pki::rotate(dir, region, OffsetDateTime::now_utc()).map_err(|error| match &error {
            RotateError::Authority { path, .. } => {
                let hint = authority_hint(dir, path);
                Failure::input(error).hint(hint)
            }
            RotateError::Region { .. } | RotateError::Tls(_) => Failure::input(error).hint(
                format!("rehearse pki show --dir {} --region REGION", dir.display()),
            ),
            RotateError::Write(_) => Failure::environment(error),
        })?;
    for file in &files {
        output::text(&format!("renewed {}", file.display()));
    }
    if let Some(tfvars) = &args.tfvars {
        let next = version.unwrap_or(1) + 1;
        pki::write_tfvars(tfvars, &[("pki_version", next.into())]).map_err(variables_failed)?;
        output::text(&format!("set pki_version = {next} in {}", tfvars.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What to type where a file of the authority cannot be read. A folder with another part of one is not made
/// anew: its key is kept elsewhere, as it should be, and is wanted here for as long as this takes.
fn authority_hint(dir: &Path, missing: &Path) -> String {
    match dir.join("ca").is_dir() {
        true => format!(
            "cp WHERE-IT-IS-KEPT {}    # and remove it again afterwards",
            missing.display()
        ),
        false => format!("rehearse pki create --dir {}", dir.display()),
    }
}

fn show(args: &FolderArgs, context: &Context) -> ExitCode {
    let report = pki::inspect(&args.dir, &args.region, OffsetDateTime::now_utc());
    if context.format == Format::Json {
        output::json(&report);
        return ExitCode::SUCCESS;
    }
    let rows: Vec<Vec<String>> = report
        .certificates
        .iter()
        .map(|certificate| {
            vec![
                certificate.file.display().to_string(),
                certificate.names.join(" "),
                certificate.not_after.clone(),
                certificate.algorithm.clone(),
            ]
        })
        .collect();
    output::text(&output::table(
        &["File", "Names", "Valid until", "Key"],
        &rows,
    ));
    tell(&report);
    ExitCode::SUCCESS
}

fn verify(args: &FolderArgs, context: &Context) -> ExitCode {
    let report = pki::inspect(&args.dir, &args.region, OffsetDateTime::now_utc());
    match context.format {
        Format::Json => output::json(&report),
        Format::Text if report.findings.is_empty() => {
            output::text(&format!("{} is sound", args.dir.display()))
        }
        Format::Text => tell(&report),
    }
    if report.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

fn tell(report: &Report) {
    for finding in &report.findings {
        let word = if finding.fatal { "failed" } else { "warning" };
        output::text(&format!(
            "{word}: {}: {}",
            finding.file.display(),
            finding.message
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_terraform_would_refuse_is_refused_before_anything_is_made() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("pki");
        let networks = ["foo", "10.0.0.0/8", "0.0.0.0/0"].map(str::to_owned);
        let args = CreateArgs {
            folder: FolderArgs {
                dir: dir.clone(),
                region: "global".to_owned(),
            },
            tfvars: Some(scratch.path().join("x.tfvars")),
            operator_cidrs: networks.to_vec(),
        };
        let told = create(&args).err().map(|one| format!("{one:?}")).unwrap();
        assert!(told.contains("code: 2"), "{told}");
        assert!(told.contains("`foo`: expected a network"), "{told}");
        assert!(
            told.contains("`0.0.0.0/0`: a network of length 0"),
            "{told}"
        );
        assert!(!told.contains("`10.0.0.0/8`") && !dir.exists(), "{told}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused_with_what_makes_it() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = |dir: PathBuf| FolderArgs {
            dir,
            region: "global".to_owned(),
        };
        assert!(there(&folder(scratch.path().to_owned())).is_ok());
        let told = there(&folder("nope".into()))
            .err()
            .map(|one| format!("{one:?}"));
        let told = told.unwrap();
        assert!(
            told.contains("code: 2") && told.contains("no folder `nope`"),
            "{told}"
        );
        assert!(told.contains("rehearse pki create --dir nope"), "{told}");
    }

    #[test]
    fn an_authority_whose_key_is_kept_elsewhere_is_not_made_anew() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("pki");
        pki::create(&dir, "global", OffsetDateTime::now_utc()).unwrap();
        let key = dir.join("ca/nomad-agent-ca-key.pem");
        std::fs::remove_file(&key).unwrap();
        let rotated = |dir: &Path| {
            let folder = FolderArgs {
                dir: dir.to_owned(),
                region: "global".to_owned(),
            };
            let told = rotate(&RotateArgs {
                folder,
                tfvars: None,
            });
            told.err().map(|one| format!("{one:?}")).unwrap()
        };
        let told = rotated(&dir);
        let hint = format!("cp WHERE-IT-IS-KEPT {}", key.display());
        assert!(
            told.contains(&hint) && !told.contains("pki create"),
            "{told}"
        );
        assert!(rotated(&scratch.path().join("nope")).contains("rehearse pki create --dir"));
    }
}
