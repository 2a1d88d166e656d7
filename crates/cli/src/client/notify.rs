//! Outgoing webhooks, as arguments.

use clap::Args;
use model::{Notify, RunEvent};

use super::error::ClientError;

#[derive(Debug, Args)]
pub(crate) struct NotifyArgs {
    /// A webhook about each run: where to, and the credential of kind webhook that signs it; may be repeated
    #[arg(long = "notify", value_name = "CREDENTIAL=URL")]
    notify: Vec<String>,
    /// What those webhooks tell [default: everything]
    #[arg(long = "notify-event", value_name = "EVENT", requires = "notify",
          value_parser = ["run.queued", "run.started", "run.finished"])]
    events: Vec<String>,
}

impl NotifyArgs {
    /// None where nothing was said.
    ///
    /// # Errors
    /// A webhook without its credential.
    pub(crate) fn read(&self) -> Result<Option<Vec<Notify>>, ClientError> {
        if self.notify.is_empty() {
            return Ok(None);
        }
        self.notify.iter().map(|given| self.one(given)).collect::<Result<_, _>>().map(Some)
    }

    fn one(&self, given: &str) -> Result<Notify, ClientError> {
        let parts = given.split_once('=').filter(|(name, url)| !name.contains(':') && url.contains("://"));
        let (credential, url) = parts.ok_or_else(|| {
            let hint = "Write --notify CREDENTIAL=URL; `slipway credential set CREDENTIAL --kind webhook` keeps the key.";
            ClientError::usage(format!("`{given}` does not name a credential and an address."), hint)
        })?;
        let events = self.events.iter().filter_map(|word| match word.as_str() {
            "run.queued" => Some(RunEvent::Queued),
            "run.started" => Some(RunEvent::Started),
            "run.finished" => Some(RunEvent::Finished),
            _ => None,
        });
        Ok(Notify { url: url.to_owned(), credential: credential.to_owned(), events: events.collect() })
    }
}

/// A line for each.
pub(crate) fn lines(notify: &[Notify]) -> String {
    let lines: Vec<_> =
        notify.iter().map(|notify| format!("{} (signed with {})", notify.url, notify.credential)).collect();
    lines.join("\n")
}
