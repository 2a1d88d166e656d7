//! Wiring of `slipway backup` and `slipway restore`. In: a service's database, at work or stopped. Out: one file, and
//! the service again. Absent: blobs (they are in the registry, and in stores that can be empty), a registry's own data.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use database::backup::{self, Restored};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::block_on;
use crate::up;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  slipway backup slipway.backup                                        of a `slipway up` that runs here
  slipway backup slipway.backup --database-url postgres://slipway_owner:…@db/slipway

The service works on meanwhile. The file holds what access tokens are checked by and secrets as they are sealed, so keep
it to yourself; it does not hold the key that opens them, unless --with-key says so. Keep that key somewhere else.")]
pub(crate) struct BackupArgs {
    /// The file to write; one that is there is replaced once the new one is whole
    file: PathBuf,
    /// The database, as its owner [default: that of `slipway up`]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Data folder of `slipway up`
    #[arg(long, env = "SLIPWAY_DATA", conflicts_with = "database_url")]
    data: Option<PathBuf>,
    /// Put this key into the file, too: whoever has the file has every secret then
    #[arg(long, value_name = "FILE")]
    with_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  slipway restore slipway.backup                                       for `slipway up`, which must not run
  slipway migrate --roles --database-url postgres://postgres:…@db/slipway
  slipway restore slipway.backup --replace --database-url postgres://slipway_owner:…@db/slipway

Stop every server, worker and publisher first. Runs that had not ended when the backup was taken end as `failed`, with
the kind `restored`: none is built or pushed a second time.")]
pub(crate) struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// The database, as its owner [default: that of `slipway up`]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Data folder of `slipway up`
    #[arg(long, env = "SLIPWAY_DATA", conflicts_with = "database_url")]
    data: Option<PathBuf>,
    /// Remove the service that is there, with its runs, tasks, tokens and secrets
    #[arg(long)]
    replace: bool,
    /// Write the key that the backup holds to this file, unless it is there
    #[arg(long, value_name = "FILE")]
    key_to: Option<PathBuf>,
}

#[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let url = match &args.database_url {
        Some(url) => url.clone(),
        None => up::database_of(args.data.as_deref())?,
    };
    let key = args.with_key.as_deref().map(read_key).transpose()?;
    let part = part_of(&args.file);
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part);
    let file = file.with_context(|| format!("{} can't be written", part.display()))?;
    let taken = block_on(async {
        let mut out = GzEncoder::new(BufWriter::new(&file), Compression::fast());
        let about = backup::take(&url, env!("CARGO_PKG_VERSION"), key, &mut out).await?;
        out.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        Ok(about)
    });
    let about = match taken {
        Ok(about) => about,
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            return Err(error);
        }
    };
    std::fs::rename(&part, &args.file)
        .with_context(|| format!("{} can't be written", args.file.display()))?;
    let key = match about.key {
        Some(_) => "with the key that opens its secrets: keep the file as you keep that",
        None => "without the key that opens its secrets: keep that somewhere else",
    };
    println!("{} is the service at {}, {key}", args.file.display(), about.taken_at);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let about = backup::check(open(&args.file)?).with_context(|| args.file.display().to_string())?;
    anyhow::ensure!(
        args.key_to.is_none() || about.key.is_some(),
        "{} holds no key: put the one that was kept at its place",
        args.file.display()
    );
    let restored = match &args.database_url {
        Some(url) => block_on(async { restore_to(url, args).await })?,
        None => up::with_stopped(args.data.as_deref(), async |owner: String| restore_to(&owner, args).await)?,
    };
    if let (Some(path), Some(key)) = (&args.key_to, &about.key) {
        write_key(path, key)?;
    }
    println!(
        "the service is what it was at {}; {} runs that had not ended then are failed now",
        restored.about.taken_at, restored.ended
    );
    Ok(ExitCode::SUCCESS)
}

async fn restore_to(owner: &str, args: &RestoreArgs) -> anyhow::Result<Restored> {
    Ok(backup::restore(owner, open(&args.file)?, args.replace).await?)
}

fn open(file: &Path) -> anyhow::Result<BufReader<MultiGzDecoder<BufReader<File>>>> {
    let opened = File::open(file).with_context(|| format!("{} can't be read", file.display()))?;
    Ok(BufReader::new(MultiGzDecoder::new(BufReader::new(opened))))
}

fn read_key(file: &Path) -> anyhow::Result<String> {
    vault::Vault::open(file)?;
    std::fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))
}

fn write_key(path: &Path, key: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let file = File::options().write(true).create_new(true).mode(0o400).open(path);
    let written = file.and_then(|mut file| file.write_all(key.as_bytes()));
    written.with_context(|| format!("{} can't be written", path.display()))
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}
