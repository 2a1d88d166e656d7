//! `slipway token`: who may ask what. A token's text is printed once, and alone on its line.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::Role;
use server::api::{NewToken, Token, TokenList};

use super::error::{ClientError, conclude};
use super::service::{Noun, Service};
use super::shared::{confirm, print_done, print_list, print_one, seconds, when, when_known, word_of};
use super::{NOUN_EXIT_CODES, ReachArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List tokens, without their text.
    #[command(after_help = format!("Example:
  slipway token list

{NOUN_EXIT_CODES}"))]
    List(ReachArgs),
    /// Show a token, without its text.
    #[command(after_help = format!("Example:
  slipway token show ci

{NOUN_EXIT_CODES}"))]
    Show(ShowArgs),
    /// Make a token; its text is printed once.
    #[command(after_help = format!("Examples:
  slipway token create ci --role submitter --registry local --expires-in 30d
  slipway token create grafana --role reader --json | jq -r .token > grafana.token

Roles, each may do what those before it may: reader looks; submitter starts and cancels runs;
contributor changes tasks, hooks and credentials; administrator changes registries and tokens.

{NOUN_EXIT_CODES}"))]
    Create(CreateArgs),
    /// End a token: the next request with it is refused.
    #[command(after_help = format!("Example:
  slipway token delete ci --yes

{NOUN_EXIT_CODES}"))]
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The token's id, or its name where only one has it
    token: String,
    #[command(flatten)]
    reach: ReachArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Who or what will use it; a label, which another token may have as well
    name: String,
    /// What it may do
    #[arg(long, value_parser = word_of::<Role, 4>(Role::ALL.map(Role::as_str)))]
    role: Role,
    /// The only registry it is for [default: every one]
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// When it ends by itself: 90s, 15m, 12h, 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires_in: Option<u32>,
    #[command(flatten)]
    reach: ReachArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The token's id, or its name where only one has it
    token: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

pub(crate) async fn token(command: TokenCommand) -> anyhow::Result<ExitCode> {
    let json = command.reach().json;
    conclude(carry_out(&command).await, json)
}

impl TokenCommand {
    fn reach(&self) -> &ReachArgs {
        match self {
            Self::List(reach) => reach,
            Self::Show(args) => &args.reach,
            Self::Create(args) => &args.reach,
            Self::Delete(args) => &args.reach,
        }
    }
}

async fn carry_out(command: &TokenCommand) -> Result<u8, ClientError> {
    let reach = command.reach();
    let service = reach.service("")?;
    match command {
        TokenCommand::List(_) => {
            let list: TokenList = service.list(Noun::Tokens).await?;
            let header = ["ID", "NAME", "ROLE", "REGISTRY", "EXPIRES"];
            print_list(reach.json, &list.tokens, header, row, "There are no tokens.");
        }
        TokenCommand::Show(args) => show(reach.json, &find(&service, &args.token).await?),
        TokenCommand::Create(args) => {
            let CreateArgs { name, role, registry, expires_in, .. } = args;
            let (name, registry) = (name.clone(), registry.clone());
            let new = NewToken { name, role: *role, registry, expires_in_seconds: *expires_in };
            show(reach.json, &service.create(Noun::Tokens, &new).await?);
        }
        TokenCommand::Delete(args) => {
            let token = find(&service, &args.token).await?;
            confirm(args.yes, &format!("the token {} ({}…)", token.name, token.shown))?;
            service.delete(Noun::Tokens, &token.id.to_string()).await?;
            print_done(reach.json, &format!("token {} deleted", token.name));
        }
    }
    Ok(0)
}

/// By its id, or by a name that is nobody else's. Names are labels: while one token takes the place of another, both
/// have the same.
async fn find(service: &Service, wanted: &str) -> Result<Token, ClientError> {
    let list: TokenList = service.list(Noun::Tokens).await?;
    let mut found: Vec<_> = list.tokens;
    found.retain(|token| token.name == wanted || token.id.to_string() == wanted);
    match (found.pop(), found.is_empty()) {
        (Some(token), true) => Ok(token),
        (Some(last), false) => {
            let made = |token: &Token| format!("{} (made {})", token.id, when(token.created_at));
            let ids: Vec<_> = found.iter().chain([&last]).map(made).collect();
            let hint = format!("Name one by its id: {}.", ids.join(", "));
            Err(ClientError::usage(format!("Several tokens have the name `{wanted}`."), hint))
        }
        (None, _) => Err(ClientError::usage(
            format!("There is no token `{wanted}`."),
            "`slipway token list` lists them.",
        )),
    }
}

fn row(token: &Token) -> [String; 5] {
    let registry = token.registry.clone().unwrap_or_else(|| "every one".to_owned());
    let expires = token.expires_at.map_or_else(|| "never".to_owned(), |end| end.date().to_string());
    [token.id.to_string(), token.name.clone(), token.role.as_str().to_owned(), registry, expires]
}

fn show(json: bool, token: &Token) {
    let [id, name, role, registry, expires] = row(token);
    print_one(
        json,
        token,
        &[
            ("id", id),
            ("name", name),
            ("role", role),
            ("registry", registry),
            ("expires", if token.expires_at.is_some() { when_known(token.expires_at) } else { expires }),
            ("made", when(token.created_at)),
            ("last used", when_known(token.last_used_at)),
            ("token", token.token.clone().unwrap_or_default()),
        ],
    );
    if token.token.is_some() {
        print_done(json, "\nIt is not shown again. Commands take it from SLIPWAY_TOKEN or --token-file.");
    }
}
