//! `slipway runs`: a table, or one run.

use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, presets};
use model::{RunId, RunStatus, SourceSpec};
use server::api::Run;

use super::error::{ClientError, conclude};
use super::render::{duration, summary, word};
use super::service::Service;
use super::{EXIT_CODES, ServiceArgs};

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  slipway runs
  slipway runs --status failed --limit 50
  slipway runs 0190b6a3-5c1f-7a7e-b3a5-2d1d0c9e8f70
  slipway runs --json | jq -r 'select(.status == \"failed\").id'

{EXIT_CODES}"))]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Show this one
    run: Option<RunId>,
    /// Only runs that stand there: queued, started, publishing, succeeded, failed, cancelled, timed_out
    #[arg(long, conflicts_with = "run")]
    status: Option<RunStatus>,
    /// How many, newest first
    #[arg(long, default_value_t = 20, conflicts_with = "run")]
    limit: u32,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) async fn runs(args: RunsArgs) -> anyhow::Result<ExitCode> {
    conclude(carry_out(&args).await, args.json)
}

#[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
async fn carry_out(args: &RunsArgs) -> Result<u8, ClientError> {
    let service = args.service.service()?;
    let runs = match args.run {
        Some(run) => vec![service.get_run(run).await?],
        None => list(&service, args.status, args.limit).await?,
    };
    if args.json {
        runs.iter().for_each(|run| println!("{}", serde_json::json!(run)));
    } else if args.run.is_some() {
        runs.iter().for_each(|run| println!("{}", describe(run)));
    } else if runs.is_empty() {
        println!("There are no runs on {}.", service.server());
    } else {
        println!("{}", table(&runs));
    }
    Ok(0)
}

/// As many pages as it takes.
async fn list(service: &Service, status: Option<RunStatus>, limit: u32) -> Result<Vec<Run>, ClientError> {
    let (mut runs, mut cursor) = (Vec::new(), None::<String>);
    while runs.len() < limit as usize {
        let left = limit - u32::try_from(runs.len()).unwrap_or(limit);
        let page = service.list_runs(status, left.min(200), cursor.as_deref()).await?;
        runs.extend(page.runs);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(runs)
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["RUN", "STATUS", "CREATED", "TOOK", "IMAGE", "SOURCE"]);
    for run in runs {
        table.add_row([
            run.id.to_string(),
            word(run.status),
            created(run),
            took(run),
            run.images.first().map(|image| image.reference.clone()).unwrap_or_default(),
            source(run),
        ]);
    }
    table
}

fn describe(run: &Run) -> String {
    let mut lines = vec![
        format!("run      {}", run.id),
        format!("created  {}", created(run)),
        format!("source   {}", source(run)),
        format!("attempt  {} of {}", run.attempt, run.max_attempts),
    ];
    if let Some(revision) = &run.revision {
        lines.push(format!("commit   {}", revision.commit));
    }
    lines.push(match run.status.is_end() {
        true => summary(run),
        false => format!("status   {}", word(run.status)),
    });
    lines.join("\n")
}

fn created(run: &Run) -> String {
    let created = run.created_at;
    let (date, (hour, minute, second)) = (created.date(), created.time().as_hms());
    format!("{date} {hour:02}:{minute:02}:{second:02}Z")
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
