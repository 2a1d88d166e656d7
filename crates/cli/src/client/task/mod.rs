//! `slipway task`: saved builds, what starts them, and a run of one by hand.

mod fields;
mod triggers;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::{SourceSpec, Trust};
use serde_json::json;
use server::api::{NewTaskRun, Task};

use super::error::{ClientError, conclude};
use super::notify;
use super::render;
use super::service::{Noun, Service};
use super::shared::{confirm, print_done, print_list, print_one, when};
use super::watch::began;
use super::{EXIT_CODES, NOUN_EXIT_CODES, ServiceArgs};
use fields::{BuildFields, TaskFields};

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List tasks.
    #[command(after_help = format!("Examples:
  slipway task list
  slipway task list --json

{NOUN_EXIT_CODES}"))]
    List(ServiceArgs),
    /// Show a task.
    #[command(after_help = format!("Examples:
  slipway task show app
  slipway task show app --json > app.json

{NOUN_EXIT_CODES}"))]
    Show(NamedArgs),
    /// Save a task.
    #[command(after_help = format!("Examples:
  slipway task create app --source https://example.com/team/app.git#main -t 'team/app:{{{{.Run.Branch}}}}' --on-push main
  slipway task create docs --source https://example.com/team/app.git#main:docs -t docs --on-commit --path 'docs/**'
  slipway task create release --source https://example.com/team/app.git -t 'app:{{{{.Run.GitTag}}}}' --on-tag 'v*'
  slipway task show app --json | jq '{{build,triggers,notify}}' | slipway task create copy --from -

In a name `*` stands for anything but `/`, `**` for anything. Fields of the run for -t are in docs/SERVICE.md.

{NOUN_EXIT_CODES}"))]
    Create(ChangeArgs),
    /// Change a task: what is not named stays, and a list that is named is replaced.
    #[command(after_help = format!("Examples:
  slipway task update app --timeout 30m --build-arg VERSION=2
  slipway task update app --clear target --on-push main --on-push 'release/**'
  slipway task update app --disable

{NOUN_EXIT_CODES}"))]
    Update(ChangeArgs),
    /// Remove a task. Its runs stay.
    #[command(after_help = format!("Example:
  slipway task delete app --yes

{NOUN_EXIT_CODES}"))]
    Delete(DeleteArgs),
    /// Run a task as it is saved, or with something else for this once.
    #[command(after_help = format!("Examples:
  slipway task run app --follow
  slipway task run app --source https://example.com/team/app.git#fix -t app:fix --follow

Without --follow it prints the run's id. With it ^C cancels the run; a second ^C leaves at once.

{EXIT_CODES}"))]
    Run(RunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// The task's name
    name: String,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    named: NamedArgs,
    #[command(flatten)]
    fields: TaskFields,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    named: NamedArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    named: NamedArgs,
    #[command(flatten)]
    build: BuildFields,
    /// Give the run no secrets and a cache of its own
    #[arg(long)]
    untrusted: bool,
    /// Show the log until the run ends, and leave with the run's exit code
    #[arg(long)]
    follow: bool,
}

pub(crate) async fn task(command: TaskCommand) -> anyhow::Result<ExitCode> {
    let json = command.service().json();
    conclude(carry_out(&command).await, json)
}

impl TaskCommand {
    fn service(&self) -> &ServiceArgs {
        match self {
            Self::List(service) => service,
            Self::Show(named) => &named.service,
            Self::Create(args) | Self::Update(args) => &args.named.service,
            Self::Delete(args) => &args.named.service,
            Self::Run(args) => &args.named.service,
        }
    }
}

async fn carry_out(command: &TaskCommand) -> Result<u8, ClientError> {
    let json = command.service().json();
    let service = command.service().service()?;
    match command {
        TaskCommand::List(_) => {
            let none = format!("There are no tasks in registry {}.", service.registry());
            let header = ["NAME", "SOURCE", "IMAGE", "STARTED BY"];
            print_list(json, &service.list_tasks().await?, header, row, &none);
        }
        TaskCommand::Show(named) => show(json, &service.get(Noun::Tasks, &named.name).await?),
        TaskCommand::Create(args) => {
            let mut new = args.fields.patch()?;
            if new.get("build").and_then(|build| build.get("source")).is_none() {
                let hint = "Add --source https://host/repository.git#ref, or --from FILE.";
                return Err(ClientError::usage("A task needs the source that it builds.", hint));
            }
            new.insert("name".to_owned(), json!(args.named.name));
            show(json, &service.create(Noun::Tasks, &new).await?);
        }
        TaskCommand::Update(args) => {
            show(json, &service.change(Noun::Tasks, &args.named.name, &args.fields.patch()?).await?);
        }
        TaskCommand::Delete(args) => {
            let name = &args.named.name;
            confirm(args.yes, &format!("the task {name}"))?;
            service.delete(Noun::Tasks, name).await?;
            print_done(json, &format!("task {name} deleted"));
        }
        TaskCommand::Run(args) => return run(&service, args, json).await,
    }
    Ok(0)
}

async fn run(service: &Service, args: &RunArgs, json: bool) -> Result<u8, ClientError> {
    let build = args.build.patch()?;
    let new = NewTaskRun {
        build: (!build.is_empty()).then_some(build),
        trust: args.untrusted.then_some(Trust::Untrusted),
    };
    let run = service.run_task(&args.named.name, &new).await?;
    began(service, &run, args.follow, json).await
}

fn row(task: &Task) -> [String; 4] {
    let image = task.build.images.first().cloned().unwrap_or_default();
    [task.name.clone(), source(&task.build.source.0), image, started_by(task)]
}

fn started_by(task: &Task) -> String {
    let words = triggers::words(&task.triggers);
    match (task.enabled, words.is_empty()) {
        (false, _) => "nothing: it is disabled".to_owned(),
        (true, true) => "people only".to_owned(),
        (true, false) => words,
    }
}

fn source(source: &SourceSpec) -> String {
    let SourceSpec::Git { url, reference, subdirectory } = source else { return "upload".to_owned() };
    let folder = subdirectory.as_ref().map(|folder| format!(":{folder}")).unwrap_or_default();
    match reference {
        None if folder.is_empty() => url.clone(),
        reference => format!("{url}#{}{folder}", reference.as_deref().unwrap_or_default()),
    }
}

fn show(json: bool, task: &Task) {
    let build = &task.build;
    let pairs = |pairs: &std::collections::BTreeMap<String, String>| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
    };
    print_one(
        json,
        task,
        &[
            ("name", task.name.clone()),
            ("source", source(&build.source.0)),
            ("credential", build.source_credential.clone().unwrap_or_default()),
            ("Dockerfile", build.dockerfile.clone()),
            ("target", build.target.clone().unwrap_or_default()),
            ("images", build.images.join("\n")),
            ("build args", pairs(&build.build_args)),
            ("secrets", pairs(&build.secrets)),
            ("platform", build.platform.to_string()),
            ("timeout", render::duration(f64::from(build.timeout_seconds))),
            ("started by", started_by(task)),
            ("notify", notify::lines(&task.notify)),
            ("version", task.version.to_string()),
            ("created", when(task.created_at)),
            ("changed", when(task.updated_at)),
        ],
    );
}
