//! `slipway build`: from a folder or a git address to a pushed image.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use model::{Platform, SourceSpec, Trust};
use server::api::NewRun;

use super::context::Context;
use super::error::{ClientError, conclude};
use super::render::{self, Show};
use super::service::Service;
use super::shared::seconds;
use super::upload::upload;
use super::watch::{OnInterrupt, watch};
use super::{EXIT_CODES, ServiceArgs};

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  slipway build . -t app:1
  slipway build https://example.com/team/app.git#main:service -t team/app:1 -t team/app:latest
  slipway build . -t app --build-arg VERSION=1.2 --target test -f docker/Dockerfile
  slipway build . -t app --json | jq -r 'select(.event == \"end\").run.images[0].digest'

^C cancels the run; a second ^C leaves at once.

{EXIT_CODES}"))]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// A folder, or a git address: https://host/repository.git[#ref[:folder]], or git@host:repository.git over ssh
    context: String,
    /// Name of the image, REPOSITORY[:TAG]; may be repeated. Without one nothing is pushed
    #[arg(short = 't', long = "tag", value_name = "NAME")]
    tags: Vec<String>,
    /// The Dockerfile [default: Dockerfile]
    #[arg(short, long, value_name = "PATH")]
    file: Option<String>,
    /// A value for ARG, NAME=VALUE; NAME alone takes it from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    build_args: Vec<String>,
    /// The stage to build [default: the last one]
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// What to build for, os/architecture [default: what the service runs on]
    #[arg(long)]
    platform: Option<Platform>,
    /// Name of the credential that a private repository is fetched with
    #[arg(long, value_name = "NAME")]
    source_credential: Option<String>,
    /// A secret for `RUN --mount=type=secret`: its id and the credential that holds it; the id alone names both
    #[arg(long = "secret", value_name = "ID[=CREDENTIAL]")]
    secrets: Vec<String>,
    /// Give the run no secrets and a cache of its own
    #[arg(long)]
    untrusted: bool,
    /// Look no result up in the cache
    #[arg(long)]
    no_cache: bool,
    /// Every time in the image, in seconds since 1970: the same inputs give the same digest
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    source_date_epoch: Option<i64>,
    /// Longest time for the run: 90s, 15m, 2h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    timeout: u32,
    /// Print the run's id and leave it to itself
    #[arg(short, long)]
    detach: bool,
}

pub(crate) async fn build(args: BuildArgs) -> anyhow::Result<ExitCode> {
    let json = args.service.json();
    conclude(carry_out(args).await, json)
}

async fn carry_out(args: BuildArgs) -> Result<u8, ClientError> {
    let service = args.service.service()?;
    let context = Context::of(&args.context, args.file.as_deref())?;
    let build_args = build_args(&args.build_args)?;
    let json = args.service.json();
    let mut show = render::choose(json);
    let (source, dockerfile) = source(&service, context, show.as_mut()).await?;
    let mut new = NewRun::new(source);
    new.build.dockerfile = dockerfile;
    new.build.images.clone_from(&args.tags);
    new.build.target.clone_from(&args.target);
    new.build.build_args = build_args;
    new.build.source_credential.clone_from(&args.source_credential);
    new.build.secrets = secrets(&args.secrets)?;
    new.trust = args.untrusted.then_some(Trust::Untrusted);
    new.build.no_cache = args.no_cache;
    new.build.source_date_epoch = args.source_date_epoch;
    new.build.timeout_seconds = args.timeout;
    if let Some(platform) = args.platform {
        new.build.platform = platform;
    }
    let run = service.create_run(&new).await?;
    if args.detach && !json {
        print_id(&run.id.to_string());
        show.left();
        return Ok(0);
    }
    show.created(&run);
    if args.detach {
        return Ok(0);
    }
    watch(&service, run.id, show.as_mut(), OnInterrupt::Cancel).await
}

async fn source(
    service: &Service,
    context: Context,
    show: &mut dyn Show,
) -> Result<(SourceSpec, String), ClientError> {
    match context {
        Context::Git { source, dockerfile } => Ok((source, dockerfile)),
        Context::Folder { path, dockerfile } => {
            let (source, packed) = upload(service, &path, &dockerfile).await.inspect_err(|_| show.left())?;
            let files = if packed.files == 1 { "file" } else { "files" };
            show.note(&format!(
                "sent {} {files}, {} bytes as {} of tar.gz",
                packed.files, packed.bytes, source.size
            ));
            Ok((SourceSpec::Upload { id: source.id }, dockerfile))
        }
    }
}

pub(super) fn secrets(given: &[String]) -> Result<BTreeMap<String, String>, ClientError> {
    let pair = |text: &String| {
        let (id, credential) = text.split_once('=').unwrap_or((text, text));
        if id.is_empty() || credential.is_empty() {
            let hint =
                "Write --secret ID=CREDENTIAL; `slipway credential set CREDENTIAL --kind build` keeps one.";
            return Err(ClientError::usage(format!("`{text}` is not a secret."), hint));
        }
        Ok((id.to_owned(), credential.to_owned()))
    };
    given.iter().map(pair).collect()
}

/// As `docker build` reads them: a name alone is taken from the environment, where it is set.
pub(super) fn build_args(given: &[String]) -> Result<BTreeMap<String, String>, ClientError> {
    let mut args = BTreeMap::new();
    for arg in given {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), std::env::var(arg).ok()),
        };
        if name.is_empty() {
            let hint = "Write --build-arg NAME=VALUE.";
            return Err(ClientError::usage(format!("`{arg}` is not a build argument."), hint));
        }
        if let Some(value) = value {
            args.insert(name.to_owned(), value);
        }
    }
    Ok(args)
}

#[expect(clippy::print_stdout, reason = "this is what the script reads")]
fn print_id(id: &str) {
    println!("{id}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_args_are_read_as_docker_reads_them() {
        let given =
            ["A=1".to_owned(), "B=x=y".to_owned(), "PATH".to_owned(), "SURELY_NOT_SET_HERE".to_owned()];
        let args = build_args(&given).expect("they are right");
        assert_eq!(args.get("B").map(String::as_str), Some("x=y"));
        assert_eq!(args.get("PATH"), std::env::var("PATH").ok().as_ref());
        assert!(!args.contains_key("SURELY_NOT_SET_HERE"));
        assert!(build_args(&["=1".to_owned()]).is_err());
    }
}
