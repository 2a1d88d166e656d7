//! `slipway registry`: where images are pushed to, and how it is signed in to.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use model::SignIn;
use serde_json::{Map, Value, json};
use server::api::{Registry, RegistryList};

use super::error::{ClientError, conclude};
use super::notify::{self, NotifyArgs};
use super::service::Noun;
use super::shared::{confirm, print_done, print_list, print_one, when};
use super::{NOUN_EXIT_CODES, ReachArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// List registries.
    #[command(after_help = format!("Example:
  slipway registry list

{NOUN_EXIT_CODES}"))]
    List(ReachArgs),
    /// Show a registry.
    #[command(after_help = format!("Example:
  slipway registry show prod --json

{NOUN_EXIT_CODES}"))]
    Show(NamedArgs),
    /// Add a registry.
    #[command(after_help = format!("Examples:
  slipway registry create prod --address team.azurecr.io --sign-in managed-identity
  slipway registry create hub --address registry.example.com

A sign-in with a password needs the credential first, and a credential its registry:
  slipway credential set ci --registry hub --kind registry --username ci --secret-file ci.password
  slipway registry update hub --sign-in basic --credential ci

{NOUN_EXIT_CODES}"))]
    Create(ChangeArgs),
    /// Change a registry: what is not named stays.
    #[command(after_help = format!("Example:
  slipway registry update prod --address team2.azurecr.io

{NOUN_EXIT_CODES}"))]
    Update(ChangeArgs),
    /// Remove a registry and its tokens. One that has tasks, hooks, credentials or runs is kept.
    #[command(after_help = format!("Example:
  slipway registry delete prod --yes

It needs an administrator's token for every registry. Delete the registry's tasks, hooks and credentials first.

{NOUN_EXIT_CODES}"))]
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// The registry's name
    name: String,
    #[command(flatten)]
    reach: ReachArgs,
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
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    named: NamedArgs,
    /// Where it is: host[:port]
    #[arg(long, value_name = "HOST[:PORT]")]
    address: Option<String>,
    /// Speak plain http with it (always so on loopback)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    plain_http: Option<bool>,
    /// How to sign in [default: anonymous]
    #[arg(long)]
    sign_in: Option<SignInWord>,
    /// With basic and service-principal: the credential of kind registry
    #[arg(long, value_name = "NAME", requires = "sign_in")]
    credential: Option<String>,
    /// The identity's client id
    #[arg(long, value_name = "ID", requires = "sign_in")]
    client_id: Option<String>,
    /// The identity's tenant id
    #[arg(long, value_name = "ID", requires = "sign_in")]
    tenant_id: Option<String>,
    #[command(flatten)]
    notify: NotifyArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SignInWord {
    Anonymous,
    Basic,
    ManagedIdentity,
    WorkloadIdentity,
    ServicePrincipal,
}

pub(crate) async fn registry(command: RegistryCommand) -> anyhow::Result<ExitCode> {
    let json = command.reach().json;
    conclude(carry_out(&command).await, json)
}

impl RegistryCommand {
    fn reach(&self) -> &ReachArgs {
        match self {
            Self::List(reach) => reach,
            Self::Show(named) => &named.reach,
            Self::Create(args) | Self::Update(args) => &args.named.reach,
            Self::Delete(args) => &args.named.reach,
        }
    }
}

async fn carry_out(command: &RegistryCommand) -> Result<u8, ClientError> {
    let reach = command.reach();
    let service = reach.service("")?;
    match command {
        RegistryCommand::List(_) => {
            let list: RegistryList = service.list(Noun::Registries).await?;
            let header = ["NAME", "ADDRESS", "SIGN-IN", "CREATED"];
            let row = |registry: &Registry| {
                let Registry { name, address, sign_in, created_at, .. } = registry;
                [name.clone(), address.clone(), word(sign_in), when(*created_at)]
            };
            print_list(reach.json, &list.registries, header, row, "There are no registries.");
        }
        RegistryCommand::Show(named) => show(reach, &service.get(Noun::Registries, &named.name).await?),
        RegistryCommand::Create(args) => {
            let mut new = args.patch()?;
            if args.address.is_none() {
                return Err(ClientError::usage(
                    "A registry needs its address.",
                    "Add --address HOST[:PORT].",
                ));
            }
            new.insert("name".to_owned(), json!(args.named.name));
            show(reach, &service.create(Noun::Registries, &new).await?);
        }
        RegistryCommand::Update(args) => {
            show(reach, &service.change(Noun::Registries, &args.named.name, &args.patch()?).await?);
        }
        RegistryCommand::Delete(args) => {
            let name = &args.named.name;
            confirm(args.yes, &format!("the registry {name} with its tokens"))?;
            service.delete(Noun::Registries, name).await?;
            print_done(reach.json, &format!("registry {name} deleted"));
        }
    }
    Ok(0)
}

impl ChangeArgs {
    /// What was said, as a merge patch; the same fields make a new registry.
    fn patch(&self) -> Result<Map<String, Value>, ClientError> {
        let mut patch = Map::new();
        let mut put = |name: &str, value: Option<Value>| value.map(|value| patch.insert(name.into(), value));
        put("address", self.address.as_ref().map(|address| json!(address)));
        put("plain_http", self.plain_http.map(|plain| json!(plain)));
        put("sign_in", self.sign_in()?.map(|sign_in| json!(sign_in)));
        put("notify", self.notify.read()?.map(|notify| json!(notify)));
        Ok(patch)
    }

    fn sign_in(&self) -> Result<Option<SignIn>, ClientError> {
        let needed = |value: &Option<String>, name: &str| {
            let message = format!("That sign-in needs --{name}.");
            value
                .clone()
                .ok_or_else(|| ClientError::usage(message, "`slipway registry create --help` has examples."))
        };
        let (client_id, tenant_id) = (self.client_id.clone(), self.tenant_id.clone());
        Ok(match self.sign_in {
            None => None,
            Some(SignInWord::Anonymous) => Some(SignIn::Anonymous),
            Some(SignInWord::Basic) => {
                Some(SignIn::Basic { credential: needed(&self.credential, "credential")? })
            }
            Some(SignInWord::ManagedIdentity) => Some(SignIn::ManagedIdentity { client_id }),
            Some(SignInWord::WorkloadIdentity) => Some(SignIn::WorkloadIdentity { tenant_id, client_id }),
            Some(SignInWord::ServicePrincipal) => Some(SignIn::ServicePrincipal {
                tenant_id: needed(&self.tenant_id, "tenant-id")?,
                client_id: needed(&self.client_id, "client-id")?,
                credential: needed(&self.credential, "credential")?,
            }),
        })
    }
}

fn word(sign_in: &SignIn) -> String {
    match sign_in {
        SignIn::Anonymous => "anonymous".to_owned(),
        SignIn::Basic { credential } => format!("basic ({credential})"),
        SignIn::ManagedIdentity { .. } => "managed identity".to_owned(),
        SignIn::WorkloadIdentity { .. } => "workload identity".to_owned(),
        SignIn::ServicePrincipal { credential, .. } => format!("service principal ({credential})"),
    }
}

fn show(reach: &ReachArgs, registry: &Registry) {
    let scheme = if registry.plain_http { " (plain http)" } else { "" };
    print_one(
        reach.json,
        registry,
        &[
            ("name", registry.name.clone()),
            ("address", format!("{}{scheme}", registry.address)),
            ("sign-in", word(&registry.sign_in)),
            ("notify", notify::lines(&registry.notify)),
            (
                "gone",
                registry.gone_receivers.iter().map(|gone| gone.url.clone()).collect::<Vec<_>>().join("\n"),
            ),
            ("created", when(registry.created_at)),
            ("changed", when(registry.updated_at)),
        ],
    );
}
