//! Payloads: a believed delivery in, events in one vocabulary out. One file per kind of host.
//!
//! Absent: headers other than the content type, and any judgement on whether a task starts.

mod azure_devops;
mod gitea;
mod github;
mod gitlab;
mod likeness;
mod standard;

use model::GitHost;

use crate::fields::Field;
use crate::{Delivery, Event, Unreadable};

/// Reads what a delivery tells. `event` is what [`crate::verify`] found.
///
/// One event, except that Azure DevOps tells of every ref of a push at once.
///
/// # Errors
/// The body is no JSON, or lacks what this kind of event has to say.
pub fn read(host: GitHost, event: &str, delivery: &Delivery<'_>) -> Result<Vec<Event>, Unreadable> {
    let json = delivery.json()?;
    let root = Field::root(&json);
    match host {
        GitHost::Github => github::read(event, &root).map(|event| vec![event]),
        GitHost::Gitea => gitea::read(event, &root).map(|event| vec![event]),
        GitHost::Gitlab => gitlab::read(event, &root).map(|event| vec![event]),
        GitHost::AzureDevops => azure_devops::read(event, &root),
        GitHost::Standard => standard::read(&root).map(|event| vec![event]),
    }
}
