//! `rehearse job run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use agent::hcl_text::{self, SyntaxError};
use hcl_edit::Ident;
use hcl_edit::expr::Expression;
use hcl_edit::structure::Attribute;
use nomad_harness::job_check::{self, undeclared};
use nomad_harness::nomad::{Api, ApiError, Exchange};
use nomad_harness::scenario::duration_or_seconds;
use nomad_harness::target::Target as _;
use nomad_harness::target::docker::DockerCluster;

use super::story::{Ending, Story};
use crate::failure::Failure;
use crate::plan::pairs;
use crate::words;
use crate::{Context, env, output};

/// The job did not come up.
const FAILED: u8 = 30;
/// It was not settled in time.
const INCONCLUSIVE: u8 = 31;

/// Run a job, and tell by Nomad's event stream what becomes of it.
///
/// Ends when the deployment has; where there is none, when every allocation runs, or has run to its
/// end. Exit code 30 if the deployment fails or an allocation cannot be placed.
#[derive(clap::Args)]
#[command(after_help = "Example:
  rehearse job run jobs/whoami.nomad.hcl
  rehearse job run jobs/canary.nomad.hcl -var version=2 --cluster demo")]
pub struct Args {
    /// The job file.
    file: PathBuf,
    /// The cluster.
    #[arg(long, value_name = "NAME", default_value = words::default_cluster())]
    cluster: String,
    /// Value of a variable of the job; may be given often.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
    /// How long to follow it, as `90s` or `5m`.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = duration_or_seconds)]
    within: Duration,
}

/// Opens a cluster, and returns the API of a server that runs.
pub async fn api(name: &str, context: &Context) -> Result<(DockerCluster, Api), Failure> {
    let cluster = context.open(name).await?;
    let server = env::running_server(&cluster).await;
    let api = cluster.api(&server.name);
    Ok((cluster, api))
}

/// Registers the job and follows it.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let name = args.file.display().to_string();
    let text = job_check::read(&args.file).map_err(Failure::input)?;
    let text = with_variables(&name, agent::without_mark(&text), &pairs(&args.vars)?)?;
    let (_cluster, api) = api(&args.cluster, context).await?;
    let unregistered = |error| unregistered(&name, &args.cluster, error);
    // A large job takes its time to be read.
    let patient = api.timeout(args.within);
    let job = patient.parse_job(&text).await.map_err(unregistered)?;
    let reply = patient.register(&job).await.map_err(unregistered)?;
    let id = job["ID"].as_str().unwrap_or_default();
    let registered = api.job(id).await.map_err(Failure::environment)?;
    output::text(&format!("job `{id}`: version {}", registered.version));
    if !reply.warnings.is_empty() {
        output::text(&format!("warning: {}", reply.warnings.trim()));
    }
    if reply.eval_id.is_empty() {
        output::text("registered: its runs come by calendar or by dispatch");
        return Ok(ExitCode::SUCCESS);
    }
    let story = Mutex::new(Story::of(&registered, &reply));
    let path = follow_path(id, reply.eval_create_index);
    let heard = |body: &[u8]| {
        let mut story = story.lock().expect("nobody panics while holding it");
        story.hear(body).iter().for_each(|line| output::text(line));
        story.ending().is_some()
    };
    // Whatever ends the stream: what was heard counts.
    let streamed = patient
        .exchange_until(&Exchange::new("GET", &path), heard)
        .await;
    let ending = story
        .lock()
        .expect("nobody panics while holding it")
        .ending();
    match (ending, streamed) {
        (Some(Ending::Good), _) => Ok(ExitCode::SUCCESS),
        (Some(Ending::WaitsForPromotion), _) => {
            output::text("its canaries are healthy: promote the deployment, or fail it");
            Ok(ExitCode::SUCCESS)
        }
        (Some(Ending::Bad), _) => Ok(ExitCode::from(FAILED)),
        (None, Err(error)) => {
            output::text(&format!("not settled within {:?}: {error}", args.within));
            Ok(ExitCode::from(INCONCLUSIVE))
        }
        (None, Ok(_)) => {
            output::text("the event stream ended before the job was settled");
            Ok(ExitCode::from(INCONCLUSIVE))
        }
    }
}

/// Why a job is not registered: its file is at fault only where a server says so of it.
fn unregistered(file: &str, cluster: &str, error: ApiError) -> Failure {
    let of_file = error.status().is_some() && !error.is_retryable();
    let told = match &error {
        ApiError::TimedOut { .. } => {
            format!("{file}: {error}: whether the job is registered is not known")
        }
        _ => format!("{file}: {error}"),
    };
    match (of_file, &error) {
        (true, _) => Failure::input(told).hint(format!("rehearse job check {file}")),
        (false, ApiError::TimedOut { .. }) => Failure::environment(told).hint(format!(
            "rehearse job run {file} --cluster {cluster} --within TIME    # a large job takes longer"
        )),
        (false, _) => Failure::environment(told).hint(format!("rehearse status {cluster}")),
    }
}

fn follow_path(id: &str, index: u64) -> String {
    let topics = ["Evaluation", "Allocation", "Deployment"];
    let topics: Vec<_> = topics
        .iter()
        .map(|topic| format!("topic={topic}:{id}"))
        .collect();
    format!("event/stream?{}&index={index}", topics.join("&"))
}

/// Sets variables in a job's text, so that any version's parser takes them: before Nomad 1.6 its API
/// knows no variables.
fn with_variables(file: &str, text: &str, given: &[(String, String)]) -> Result<String, Failure> {
    if given.is_empty() {
        return Ok(text.to_owned());
    }
    let mut body = hcl_text::parse_body(text).map_err(|error| {
        let SyntaxError {
            line,
            column,
            message,
            ..
        } = error;
        Failure::input(format!("{file}:{line}:{column}: {message}"))
    })?;
    for (name, value) in given {
        let mut found = false;
        for block in body.get_blocks_mut("variable") {
            if block
                .labels
                .first()
                .is_none_or(|label| label.as_str() != name)
            {
                continue;
            }
            found = true;
            let kind = block.body.get_attribute("type");
            let kind = kind.map(|kind| kind.value.to_string());
            let is_text = kind.is_some_and(|kind| kind.trim() == "string");
            let parsed = hcl_text::parse_expr(value).ok();
            let value = match parsed {
                Some(parsed) if !is_text => parsed,
                _ => Expression::from(value.as_str()),
            };
            block.body.remove_attribute("default");
            block
                .body
                .push(Attribute::new(Ident::new("default"), value));
        }
        if !found {
            return Err(Failure::input(format!(
                "{file}: {}",
                undeclared(name, &body)
            )));
        }
    }
    Ok(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_at_fault_only_where_a_server_says_so_of_it() {
        use nomad_harness::nomad::Call;
        let call = || Call {
            method: "POST",
            path: "/v1/jobs/parse".to_owned(),
            addr: "https://x:4646".to_owned(),
        };
        let status = |status, body: &str| ApiError::Status {
            call: call(),
            status,
            body: body.to_owned(),
        };
        let late = ApiError::TimedOut {
            call: call(),
            after: Duration::from_secs(120),
        };
        for (error, code, hint) in [
            (status(400, "1,2: no"), 2, "rehearse job check a.hcl"),
            (
                status(500, "1 error occurred"),
                2,
                "rehearse job check a.hcl",
            ),
            (status(500, "No cluster leader"), 10, "rehearse status demo"),
            (late, 10, "--within TIME"),
        ] {
            let told = format!("{:?}", unregistered("a.hcl", "demo", error));
            assert!(told.contains(&format!("code: {code}")), "{told}");
            assert!(told.contains(hint), "{told}");
        }
    }

    #[test]
    fn variables_get_their_values_by_their_types() {
        let text = "variable \"a\" {\n  type = string\n}\n\nvariable \"n\" {\n  default = 1\n}\n";
        let given = [("a", "2"), ("n", "3")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let set = with_variables("x", text, &given).unwrap();
        let read: hcl::Body = hcl::parse(&set).unwrap();
        let shown = hcl::to_string(&read).unwrap();
        assert!(shown.contains("default = \"2\""), "{shown}");
        assert!(shown.contains("default = 3"), "{shown}");
        let stray = [("b".to_owned(), "1".to_owned())];
        assert!(with_variables("x", text, &stray).is_err());
    }
}
