//! Wiring of `slipway migrate`: what the roles need before their first start. Roles and tables, registries'
//! rows, the key that secrets are sealed with, a first administrator's token.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use database::Database;

use super::block_on;
use super::first_token::first_token;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  slipway migrate --database-url postgres://slipway_owner:…@db/slipway
  slipway migrate --roles --database-url postgres://postgres:…@db/slipway   once, as a role that may create roles
  slipway migrate --key-file slipway.key --administrator-token-file administrator.token

Every part may be repeated: what is there stays.")]
pub(crate) struct MigrateArgs {
    /// The database, as its owner; with --roles as a role that may create roles
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Make the roles first, and print their addresses as JSON: keep that output secret
    #[arg(long)]
    roles: bool,
    /// A registry that runs may name, NAME=HOST[:PORT]; may be repeated
    #[arg(long = "registry", value_name = "NAME=HOST[:PORT]", value_parser = parse_registry)]
    registries: Vec<(String, String)>,
    /// Speak plain http with those registries (always so on loopback)
    #[arg(long, requires = "registries")]
    registry_plain_http: bool,
    /// Make the key that server and publisher need (their --key-file), unless the file is there
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Make a first administrator's token and keep it in this file, unless the service has an administrator
    #[arg(long, value_name = "FILE")]
    administrator_token_file: Option<PathBuf>,
}

#[expect(clippy::print_stdout, reason = "the addresses are this command's result")]
pub(crate) fn run(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    block_on(async {
        if !args.roles {
            bring_up_to_date(args, &args.database_url).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let passwords = database::migrate::Passwords::random()?;
        let urls = database::migrate::roles(&args.database_url, &passwords).await?;
        bring_up_to_date(args, &urls.owner).await?;
        let printed = serde_json::json!({
            "owner": urls.owner, "server": urls.server, "worker": urls.worker, "publisher": urls.publisher,
        });
        println!("{printed:#}");
        Ok(ExitCode::SUCCESS)
    })
}

fn parse_registry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, address)) if !name.is_empty() && !address.is_empty() => {
            Ok((name.to_owned(), address.to_owned()))
        }
        _ => Err("write NAME=HOST[:PORT], for instance local=127.0.0.1:5000".to_owned()),
    }
}

async fn bring_up_to_date(args: &MigrateArgs, owner_url: &str) -> anyhow::Result<()> {
    database::migrate::run(owner_url).await?;
    if let Some(file) = &args.key_file {
        vault::make_key_file(file).with_context(|| format!("{} can't be made", file.display()))?;
    }
    let database = Database::connect(owner_url, "slipway migrate").await?;
    for (name, address) in &args.registries {
        database.upsert_registry(name, address, args.registry_plain_http).await?;
    }
    if let Some(file) = &args.administrator_token_file {
        first_token(&database, file).await?;
    }
    Ok(())
}
