//! `slipway run`: list, show, rerun, cancel, logs. `slipway runs` is the short way to the list, or to one run.

use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use model::{Cause, RunId, RunStatus, SourceSpec};
use serde::Serialize;
use server::api::{Report, Run, RunSteps};

use super::cancel::{CancelArgs, cancel};
use super::error::{ClientError, conclude};
use super::logs::{LogsArgs, logs};
use super::render::{duration, summary, word};
use super::service::Service;
use super::shared::{print_list, print_one, when};
use super::steps::lines;
use super::watch::began;
use super::{EXIT_CODES, NOUN_EXIT_CODES, ServiceArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// List runs, newest first.
    #[command(after_help = format!("Examples:
  slipway run list --task app --status failed
  slipway run list --branch main --cause commit --limit 5
  slipway run list --json | jq -r 'select(.status == \"failed\").id'

{NOUN_EXIT_CODES}"))]
    List(ListArgs),
    /// Show a run: what it built, what started it, what it pushed, and its steps with their times.
    #[command(after_help = format!("Examples:
  slipway run show 0190b6a3-5c1f-7a7e-b3a5-2d1d0c9e8f70 --steps
  slipway run show 0190b6a3-5c1f-7a7e-b3a5-2d1d0c9e8f70 --json | jq '.attempts[].steps[].vertices[] | select(.result == \"failed\")'

{NOUN_EXIT_CODES}"))]
    Show(ShowArgs),
    /// Do a run once more: the same build, for the same cause, with the same trust.
    #[command(after_help = format!("Examples:
  slipway run rerun 0190b6a3-5c1f-7a7e-b3a5-2d1d0c9e8f70 --follow

It is the task as it was then. `slipway task run` takes the task as it is now.
Without --follow it prints the new run's id. With it ^C cancels the run; a second ^C leaves at once.

{EXIT_CODES}"))]
    Rerun(RerunArgs),
    /// Cancel a run.
    Cancel(CancelArgs),
    /// Print a run's log.
    Logs(LogsArgs),
}

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  slipway runs
  slipway runs --status failed --limit 50
  slipway runs 0190b6a3-5c1f-7a7e-b3a5-2d1d0c9e8f70
  slipway runs --json | jq -r 'select(.status == \"failed\").id'

{EXIT_CODES}"))]
pub(crate) struct RunsArgs {
    /// Show this one
    #[arg(conflicts_with_all = ["status", "task", "cause", "branch", "commit", "limit"])]
    run: Option<RunId>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Only runs that stand there
    #[arg(long, value_parser = statuses())]
    status: Option<RunStatus>,
    /// Only runs of this task
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Only runs that this started
    #[arg(long, value_name = "CAUSE", value_parser = Cause::WORDS)]
    cause: Option<String>,
    /// Only runs of this branch or tag
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Only runs of a commit whose id begins so
    #[arg(long, value_name = "HEX")]
    commit: Option<String>,
    /// How many, newest first
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

/// The words of a run's status, in help, completions and refusals.
fn statuses() -> impl TypedValueParser<Value = RunStatus> {
    PossibleValuesParser::new(RunStatus::ALL.iter().map(|status| status.as_str()))
        .try_map(|word| word.parse::<RunStatus>())
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The run's id
    run: RunId,
    /// Every vertex of the build, also where there are many
    #[arg(long)]
    steps: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The run's id
    run: RunId,
    /// Show the log until the new run ends, and leave with its exit code
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) async fn run(command: RunCommand) -> anyhow::Result<ExitCode> {
    match command {
        RunCommand::List(args) => conclude(list(&args).await, args.service.json()),
        RunCommand::Show(args) => {
            conclude(show(&args.service, args.run, args.steps).await, args.service.json())
        }
        RunCommand::Rerun(args) => conclude(rerun(&args).await, args.service.json()),
        RunCommand::Cancel(args) => cancel(args).await,
        RunCommand::Logs(args) => logs(args).await,
    }
}

pub(crate) async fn runs(args: RunsArgs) -> anyhow::Result<ExitCode> {
    let service = &args.list.service;
    let done = match args.run {
        Some(run) => show(service, run, false).await,
        None => list(&args.list).await,
    };
    conclude(done, service.json())
}

async fn list(args: &ListArgs) -> Result<u8, ClientError> {
    let service = args.service.service()?;
    let runs = pages(&service, args).await?;
    let none = format!("There are no such runs on {}.", service.server());
    let header = ["RUN", "STATUS", "CREATED", "TOOK", "TASK", "IMAGE"];
    print_list(args.service.json(), &runs, header, row, &none);
    Ok(0)
}

/// As many pages as it takes.
async fn pages(service: &Service, args: &ListArgs) -> Result<Vec<Run>, ClientError> {
    let limit = &args.limit;
    let filters = [
        ("status", args.status.map(|status| status.to_string())),
        ("task", args.task.clone()),
        ("cause", args.cause.clone()),
        ("branch", args.branch.clone()),
        ("commit", args.commit.clone()),
    ];
    let (mut runs, mut cursor) = (Vec::new(), None::<String>);
    while runs.len() < *limit as usize {
        let left = limit - u32::try_from(runs.len()).unwrap_or(*limit);
        let page = service.list_runs(&filters, left.min(200), cursor.as_deref()).await?;
        runs.extend(page.runs);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(runs)
}

fn row(run: &Run) -> [String; 6] {
    // The tag says enough in a list; the registry's address is the same for every run.
    let image = run.images.first().map(|image| image.reference.split_once('/').map_or("", |(_, name)| name));
    let task = run.task.clone().unwrap_or_default();
    let image = image.unwrap_or_default().to_owned();
    [run.id.to_string(), word(run.status), when(run.created_at), took(run), task, image]
}

/// A run and what happened in it, as one object.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    run: &'a Run,
    #[serde(flatten)]
    steps: &'a RunSteps,
}

async fn rerun(args: &RerunArgs) -> Result<u8, ClientError> {
    let service = args.service.service()?;
    let run = service.rerun(args.run).await?;
    began(&service, &run, args.follow, args.service.json()).await
}

async fn show(args: &ServiceArgs, run: RunId, all: bool) -> Result<u8, ClientError> {
    let service = args.service()?;
    let (run, steps) = tokio::try_join!(service.get_run(run), service.run_steps(run))?;
    print_one(
        args.json(),
        &Whole { run: &run, steps: &steps },
        &[
            ("run", run.id.to_string()),
            ("task", run.task.clone().unwrap_or_default()),
            ("why", why(&run.cause)),
            ("trust", run.trust.as_str().to_owned()),
            ("created", when(run.created_at)),
            ("source", source(&run)),
            ("commit", run.revision.as_ref().map(|revision| revision.commit.clone()).unwrap_or_default()),
            ("attempt", format!("{} of {}", run.attempt, run.max_attempts)),
            ("status", if run.status.is_end() { summary(&run) } else { word(run.status) }),
            ("told", told(&run)),
            ("log", run.log_removed_at.map(|at| format!("removed {}", when(at))).unwrap_or_default()),
            ("steps", lines(&steps, all)),
        ],
    );
    Ok(0)
}

/// What started it, as a sentence.
fn why(cause: &Cause) -> String {
    let started = match cause {
        Cause::Manual { by: None, .. } => "somebody asked for it".to_owned(),
        Cause::Manual { by: Some(by), .. } => format!("asked for with the token {by}"),
        Cause::Commit { event, reference, pusher, .. } => {
            let by = pusher.as_ref().map(|pusher| format!(" by {pusher}")).unwrap_or_default();
            format!(
                "push to {reference}{by} ({})\nhook {}, delivery {}",
                event.reason, event.hook, event.delivery
            )
        }
        Cause::PullRequest { event, number, source_branch, target_branch, is_fork, author, .. } => {
            let by = author.as_ref().map(|author| format!(" by {author}")).unwrap_or_default();
            let fork = if *is_fork { ", from a fork" } else { "" };
            format!(
                "pull request {number}{by}: {source_branch} to {target_branch}{fork} ({})\nhook {}, delivery {}",
                event.reason, event.hook, event.delivery
            )
        }
    };
    match cause.rerun() {
        Some(rerun) => format!("{started}\nonce more as run {}, with the token {}", rerun.of, rerun.by),
        None => started,
    }
}

/// Who was told, and who did not hear.
fn told(run: &Run) -> String {
    let line = |report: &Report| {
        let why = report.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let (what, host, event) = (report.what(), &report.host, &report.event);
        format!("{what} to {host} ({event}): {}{why}", report.became())
    };
    run.reports.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn took(run: &Run) -> String {
    let seconds = |end: time::OffsetDateTime| duration((end - run.created_at).as_seconds_f64());
    run.finished_at.map(seconds).unwrap_or_default()
}

fn source(run: &Run) -> String {
    match &run.spec.source.0 {
        SourceSpec::Git { url, reference, subdirectory } => {
            let reference = reference.as_deref().unwrap_or("HEAD");
            let folder = subdirectory.as_ref().map(|folder| format!(":{folder}")).unwrap_or_default();
            format!("{url}#{reference}{folder}")
        }
        SourceSpec::Upload { .. } => "upload".to_owned(),
    }
}
