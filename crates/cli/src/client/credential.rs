//! `slipway credential`: secrets go in, from a file or standard input, and never come out.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::CredentialKind;
use server::api::{Credential, CredentialList, NewCredential};

use super::error::{ClientError, conclude};
use super::service::Noun;
use super::shared::{confirm, print_done, print_list, print_one, read_text, when, word_of};
use super::{NOUN_EXIT_CODES, ServiceArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// List credentials.
    #[command(after_help = format!("Examples:
  slipway credential list
  slipway credential list --registry prod --json

{NOUN_EXIT_CODES}"))]
    List(ServiceArgs),
    /// Show a credential, without its secret.
    #[command(after_help = format!("Example:
  slipway credential show github

{NOUN_EXIT_CODES}"))]
    Show(NamedArgs),
    /// Keep a credential, over one of that name if there is one.
    #[command(after_help = format!("Examples:
  slipway credential set github --kind git --username token --secret-file github.token
  pass show npm | slipway credential set npm --kind build
  slipway credential set deploy --kind git --ssh-key-file id_ed25519 --known-hosts-file known_hosts
  (echo -n whsec_; openssl rand -base64 32) | slipway credential set chat --kind webhook

The secret is read from the file or from standard input, never from an argument: other users of the
machine see those. The line end behind a secret of one line is left away.

{NOUN_EXIT_CODES}"))]
    Set(SetArgs),
    /// Forget a credential. One that a task or a sign-in names is kept.
    #[command(after_help = format!("Example:
  slipway credential delete npm --yes

{NOUN_EXIT_CODES}"))]
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// The credential's name
    name: String,
    #[command(flatten)]
    service: ServiceArgs,
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
pub(crate) struct SetArgs {
    #[command(flatten)]
    named: NamedArgs,
    /// What it is for
    #[arg(long, value_parser = word_of::<CredentialKind, 4>(CredentialKind::ALL.map(CredentialKind::as_str)))]
    kind: CredentialKind,
    /// The user, for kinds git and registry
    #[arg(long)]
    username: Option<String>,
    /// The file that holds the secret [default: standard input]
    #[arg(long, value_name = "FILE", visible_alias = "ssh-key-file")]
    secret_file: Option<PathBuf>,
    /// Host keys for git over ssh, as ssh-keyscan prints them; compare their fingerprints with those that the
    /// host's operator publishes
    #[arg(long, value_name = "FILE")]
    known_hosts_file: Option<PathBuf>,
}

pub(crate) async fn credential(command: CredentialCommand) -> anyhow::Result<ExitCode> {
    let json = command.service().json();
    conclude(carry_out(&command).await, json)
}

impl CredentialCommand {
    fn service(&self) -> &ServiceArgs {
        match self {
            Self::List(service) => service,
            Self::Show(named) => &named.service,
            Self::Set(args) => &args.named.service,
            Self::Delete(args) => &args.named.service,
        }
    }
}

async fn carry_out(command: &CredentialCommand) -> Result<u8, ClientError> {
    let json = command.service().json();
    let service = command.service().service()?;
    match command {
        CredentialCommand::List(_) => {
            let list: CredentialList = service.list(Noun::Credentials).await?;
            let row = |credential: &Credential| {
                let Credential { name, kind, username, updated_at, .. } = credential;
                let username = username.clone().unwrap_or_default();
                [name.clone(), kind.as_str().to_owned(), username, when(*updated_at)]
            };
            let none = format!("There are no credentials in registry {}.", service.registry());
            print_list(json, &list.credentials, ["NAME", "KIND", "USER", "SET"], row, &none);
        }
        CredentialCommand::Show(named) => show(json, &service.get(Noun::Credentials, &named.name).await?),
        CredentialCommand::Set(args) => {
            let kept = service.put_credential(&args.named.name, &args.read()?).await?;
            show(json, &kept);
        }
        CredentialCommand::Delete(args) => {
            let name = &args.named.name;
            confirm(args.yes, &format!("the credential {name}"))?;
            service.delete(Noun::Credentials, name).await?;
            print_done(json, &format!("credential {name} deleted"));
        }
    }
    Ok(0)
}

impl SetArgs {
    fn read(&self) -> Result<NewCredential, ClientError> {
        let known_hosts = self.known_hosts_file.as_deref().map(read_text).transpose()?;
        let secret = match &self.secret_file {
            None if std::io::stdin().is_terminal() => ask(&self.named.name)?,
            None => read_text(Path::new("-"))?,
            Some(file) => read_text(file)?,
        };
        let secret = without_line_end(&secret).to_owned();
        Ok(NewCredential { kind: self.kind, username: self.username.clone(), secret, known_hosts })
    }
}

/// A private key keeps its last line end, without which ssh refuses it.
fn without_line_end(secret: &str) -> &str {
    let line = secret.strip_suffix('\n').unwrap_or(secret);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') { secret } else { line }
}

fn ask(name: &str) -> Result<String, ClientError> {
    let terminal = console::Term::stderr();
    let read = terminal.write_str(&format!("Secret of {name}: ")).and_then(|()| terminal.read_secure_line());
    read.map_err(|error| {
        ClientError::usage(format!("The secret can't be read: {error}."), "Give --secret-file.")
    })
}

fn show(json: bool, credential: &Credential) {
    let keys = credential.known_hosts.as_deref().unwrap_or_default().lines().count();
    print_one(
        json,
        credential,
        &[
            ("name", credential.name.clone()),
            ("kind", credential.kind.as_str().to_owned()),
            ("user", credential.username.clone().unwrap_or_default()),
            ("host keys", if keys > 0 { keys.to_string() } else { String::new() }),
            ("created", when(credential.created_at)),
            ("set", when(credential.updated_at)),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_goes_only_where_it_is_no_part_of_the_secret() {
        for (given, kept) in [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\nb\n", "a\nb\n"), ("", "")] {
            assert_eq!(without_line_end(given), kept, "{given:?}");
        }
    }
}
