//! `slipway hook`: addresses that git hosts deliver to. Address and secret are printed once, with the place
//! where this host wants them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::GitHost;
use serde_json::json;
use server::api::{Hook, HookList, NewHook, RotateHook};

use super::error::{ClientError, conclude};
use super::service::Noun;
use super::shared::{
    confirm, print_done, print_list, print_one, read_text, seconds, when, when_known, word_of,
};
use super::{NOUN_EXIT_CODES, ServiceArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum HookCommand {
    /// List hooks.
    #[command(after_help = format!("Example:
  slipway hook list

{NOUN_EXIT_CODES}"))]
    List(ServiceArgs),
    /// Show a hook, without address and secret.
    #[command(after_help = format!("Example:
  slipway hook show github

{NOUN_EXIT_CODES}"))]
    Show(NamedArgs),
    /// Make a hook; its address and secret are printed once.
    #[command(after_help = format!("Examples:
  slipway hook create github --host github
  slipway hook create forge --host gitea --repository https://git.example.com/team/app
  slipway hook create ci --host standard --json | jq -r '.address, .secret'

{NOUN_EXIT_CODES}"))]
    Create(CreateArgs),
    /// Change which repositories a hook may bring events of.
    #[command(after_help = format!("Examples:
  slipway hook update github --repository https://example.com/team/app
  slipway hook update github --any

{NOUN_EXIT_CODES}"))]
    Update(UpdateArgs),
    /// Give a hook a new secret, printed once; the old one stays good for a while.
    #[command(after_help = format!("Example:
  slipway hook rotate github --grace 1h
  slipway hook rotate gitlab --secret-file token    # one that GitLab made

While an old secret is good still it stays so, and rotating once more replaces the new one: so an answer that was
lost is asked for again. With --grace 0s all others end at once.

{NOUN_EXIT_CODES}"))]
    Rotate(RotateArgs),
    /// Remove a hook and its deliveries.
    #[command(after_help = format!("Example:
  slipway hook delete github --yes

{NOUN_EXIT_CODES}"))]
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// The hook's name
    name: String,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    named: NamedArgs,
    /// Who delivers; standard is anybody who signs as Standard Webhooks has it
    #[arg(long, value_parser = word_of::<GitHost, 5>(GitHost::ALL.map(GitHost::as_str)))]
    host: GitHost,
    /// A repository whose events it may bring; may be repeated [default: any]
    #[arg(long = "repository", value_name = "URL")]
    repositories: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

/// A secret that the git host made.
#[derive(Debug, Args)]
struct SecretArgs {
    /// The file that holds the secret, `-` for standard input, where the git host made it [default: a random one]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    fn read(&self) -> Result<Option<String>, ClientError> {
        let text = self.secret_file.as_deref().map(read_text).transpose()?;
        Ok(text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    named: NamedArgs,
    /// A repository whose events it may bring; may be repeated, and replaces those before
    #[arg(long = "repository", value_name = "URL", required_unless_present = "any")]
    repositories: Vec<String>,
    /// Events of any repository
    #[arg(long, conflicts_with = "repositories")]
    any: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    named: NamedArgs,
    /// How long the old secret stays good: 90s, 15m, 12h, 1d
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = seconds)]
    grace: u32,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    named: NamedArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn hook(command: HookCommand) -> anyhow::Result<ExitCode> {
    let json = command.service().json();
    conclude(carry_out(&command).await, json)
}

impl HookCommand {
    fn service(&self) -> &ServiceArgs {
        match self {
            Self::List(service) => service,
            Self::Show(named) => &named.service,
            Self::Create(args) => &args.named.service,
            Self::Update(args) => &args.named.service,
            Self::Rotate(args) => &args.named.service,
            Self::Delete(args) => &args.named.service,
        }
    }
}

async fn carry_out(command: &HookCommand) -> Result<u8, ClientError> {
    let json = command.service().json();
    let service = command.service().service()?;
    match command {
        HookCommand::List(_) => {
            let list: HookList = service.list(Noun::Hooks).await?;
            let row = |hook: &Hook| {
                let Hook { name, host, repositories, created_at, .. } = hook;
                [name.clone(), host.as_str().to_owned(), of(repositories), when(*created_at)]
            };
            let none = format!("There are no hooks in registry {}.", service.registry());
            print_list(json, &list.hooks, ["NAME", "HOST", "REPOSITORIES", "CREATED"], row, &none);
        }
        HookCommand::Show(named) => show(json, &service.get(Noun::Hooks, &named.name).await?),
        HookCommand::Create(args) => {
            let (name, repositories) = (args.named.name.clone(), args.repositories.clone());
            let new = NewHook { name, host: args.host, repositories, secret: args.secret.read()? };
            show(json, &service.create(Noun::Hooks, &new).await?);
        }
        HookCommand::Update(args) => {
            let patch = json!({ "repositories": args.repositories });
            show(json, &service.change(Noun::Hooks, &args.named.name, &patch).await?);
        }
        HookCommand::Rotate(args) => {
            let grace_seconds = i32::try_from(args.grace).unwrap_or(i32::MAX);
            let how = RotateHook { grace_seconds, secret: args.secret.read()? };
            show(json, &service.rotate_hook(&args.named.name, &how).await?);
        }
        HookCommand::Delete(args) => {
            let name = &args.named.name;
            confirm(args.yes, &format!("the hook {name} with its deliveries"))?;
            service.delete(Noun::Hooks, name).await?;
            print_done(json, &format!("hook {name} deleted"));
        }
    }
    Ok(0)
}

fn of(repositories: &[String]) -> String {
    if repositories.is_empty() { "any".to_owned() } else { repositories.join("\n") }
}

fn show(json: bool, hook: &Hook) {
    print_one(
        json,
        hook,
        &[
            ("name", hook.name.clone()),
            ("host", hook.host.as_str().to_owned()),
            ("repositories", of(&hook.repositories)),
            ("created", when(hook.created_at)),
            ("old secret until", when_known(hook.previous_secret_until)),
            ("address", hook.address.clone().unwrap_or_default()),
            ("secret", hook.secret.clone().unwrap_or_default()),
        ],
    );
    let once = match (&hook.address, &hook.secret) {
        (Some(_), Some(_)) => "Neither is shown again.",
        (Some(_), None) => "The address is not shown again; the secret is the one that was given.",
        (None, Some(_)) => "The secret is not shown again; the address stays as it was.",
        (None, None) => return,
    };
    print_done(json, &format!("\n{}\n{once}", where_to(hook.host)));
}

/// Where a person finds the two fields.
fn where_to(host: GitHost) -> &'static str {
    match host {
        GitHost::Github => {
            "At GitHub: the repository's or organisation's Settings, Webhooks, Add webhook. Enter the address as\n\
             Payload URL, choose the content type application/json, enter the secret as Secret; choose the events\n\
             Pushes and, for pull requests, Pull requests."
        }
        GitHost::Gitea => {
            "At Gitea or Forgejo: the repository's Settings, Webhooks, Add webhook, Gitea or Forgejo. Enter the\n\
             address as Target URL and the secret as Secret; POST, application/json."
        }
        GitHost::Gitlab => {
            "At GitLab: the project's Settings, Webhooks, Add new webhook. Enter the address as URL and the secret\n\
             as Secret token; choose Push events, Tag push events and Merge request events as you need them. Where\n\
             GitLab signs (19.0 and later): let it generate a signing token instead, and give that to this hook with\n\
             `slipway hook rotate NAME --secret-file -`."
        }
        GitHost::AzureDevops => {
            "At Azure DevOps: Project settings, Service hooks, Create subscription, Web Hooks. Choose Code pushed,\n\
             enter the address as URL, any Basic authentication username, and the secret as its password."
        }
        GitHost::Standard => {
            "Have the sender POST to the address, signed with the secret as Standard Webhooks has it: headers\n\
             webhook-id, webhook-timestamp and webhook-signature. docs/SERVICE.md says what the body is."
        }
    }
}
