//! What a run is made of besides its build: names with its fields filled in, who is told.

use database::{NewRun, Registry};
use model::template::{self, RunFields};
use model::{BuildSpec, ImageReference, Notify, Platform, Role, SourceSpec};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::http::auth::Caller;
use crate::http::kind;
use crate::http::problem::Problem;

/// Go's `20060102-150405z`.
const DATE: &[time::format_description::BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]-[hour][minute][second]z");

/// Leaves out of names what they may say of the registry, as ACR's users write them: `{{.Run.Registry}}/app:1` and
/// `team.azurecr.io/app:1` are `app:1` there.
pub(crate) fn leave_out_registry(images: &mut [String], registry: &Registry) {
    for image in images {
        *image = ImageReference::without_registry(image, &registry.address).to_owned();
    }
}

/// Fills the run's fields into the names of its images. The time is the one in the run's id.
///
/// # Errors
/// A field that this run has not, or a name that is none afterwards.
pub(crate) fn fill_images(run: &mut NewRun, registry: &Registry) -> Result<(), Problem> {
    let task = run.task.as_ref().map(|(_, name)| name.clone());
    fill_images_of(run, registry, task.as_deref())
}

/// As [`fill_images`], for the task of that name, which may be gone.
pub(crate) fn fill_images_of(
    run: &mut NewRun,
    registry: &Registry,
    task: Option<&str>,
) -> Result<(), Problem> {
    if !run.spec.images.iter().any(|image| image.contains("{{")) {
        return Ok(());
    }
    let fields = fields(run, registry, task);
    let mut filled = Vec::new();
    for image in &run.spec.images {
        let refuse = |message: String, hint: String| {
            Problem::new(&kind::SPEC_INVALID, message, hint).in_field("images")
        };
        let name =
            template::fill(image, &fields).map_err(|error| refuse(format!("{error}."), error.hint()))?;
        let checked = name.replace(template::COMMIT, "x");
        ImageReference::parse_target(&checked).map_err(|error| {
            refuse(
                format!("`{image}` becomes `{name}`: {error}."),
                "Choose fields that make a name.".to_owned(),
            )
        })?;
        filled.push(name);
    }
    run.images = Some(filled);
    Ok(())
}

/// Refuses a platform that no worker builds for: the run would wait for ever. Before the first worker has come,
/// this machine's is let through.
///
/// # Errors
/// `platform_unavailable`
pub(crate) fn check_platform(known: &[Platform], spec: &BuildSpec) -> Result<(), Problem> {
    let known = if known.is_empty() { &[Platform::host()][..] } else { known };
    if known.contains(&spec.platform) {
        return Ok(());
    }
    let names: Vec<_> = known.iter().map(ToString::to_string).collect();
    Err(Problem::new(
        &kind::PLATFORM_UNAVAILABLE,
        format!("No worker builds for {}.", spec.platform),
        format!("Choose from {}, or start a worker on a machine of that kind.", names.join(", ")),
    )
    .in_field("platform"))
}

/// A build that names credentials says where they go. Whoever may not manage them uses them as a saved task
/// has it, or not at all.
///
/// # Errors
/// `role_too_small`
pub(crate) fn check_use_of_credentials(
    caller: &Caller,
    saved: Option<&BuildSpec>,
    spec: &BuildSpec,
) -> Result<(), Problem> {
    let names_none = spec.source_credential.is_none() && spec.secrets.is_empty();
    // An argument, another stage or platform may send what a step is given elsewhere.
    let uses = |spec: &BuildSpec| {
        let BuildSpec {
            source, source_credential, secrets, dockerfile, build_args, target, platform, ..
        } = spec.clone();
        (source, source_credential, secrets, dockerfile, build_args, target, platform)
    };
    if names_none
        || caller.role() >= Role::Contributor
        || saved.is_some_and(|saved| uses(saved) == uses(spec))
    {
        return Ok(());
    }
    Err(Problem::new(
        &kind::ROLE_TOO_SMALL,
        format!(
            "The token `{}` is a {}'s: it runs builds with credentials only as a task is saved.",
            caller.name(),
            caller.role()
        ),
        "Leave `source`, `dockerfile`, `source_credential`, `secrets`, `build_args`, `target` and `platform` as the task has them, or use a contributor's token.",
    ))
}

fn fields(run: &NewRun, registry: &Registry, task: Option<&str>) -> RunFields {
    let name = registry.address.split(['.', ':']).next().unwrap_or_default();
    let mut fields = RunFields::default()
        .with("ID", run.id.to_string())
        .with("Registry", &registry.address)
        .with("RegistryName", name)
        .with("OS", &run.spec.platform.os)
        .with("Architecture", &run.spec.platform.architecture)
        .with("TriggeredBy", run.cause.word());
    if let Some(date) = made_at(run).and_then(|at| at.format(&DATE).ok()) {
        fields = fields.with("Date", date);
    }
    if let Some(task) = task {
        fields = fields.with("TaskName", task);
    }
    if let SourceSpec::Git { url, reference, .. } = &run.spec.source {
        fields = fields.with("Repository", url).with_commit_to_follow();
        let commit = run.cause.event().and_then(|event| event.commit.as_deref());
        let is_commit =
            |text: &&str| matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(commit) = commit.or(reference.as_deref().filter(is_commit)) {
            fields = fields.with("Commit", commit);
        }
        // Of other refs, `refs/pull/7/merge` for one, nobody would call the name a branch's.
        let is_branch =
            |text: &&str| !is_commit(text) && (!text.starts_with("refs/") || text.starts_with("refs/heads/"));
        if let Some(branch) = run.cause.branch().or(reference.as_deref().filter(is_branch)) {
            fields = fields.with("Branch", branch.strip_prefix("refs/heads/").unwrap_or(branch));
        }
    }
    match run.cause.git_tag() {
        Some(tag) => fields.with("GitTag", tag),
        None => fields,
    }
}

fn made_at(run: &NewRun) -> Option<OffsetDateTime> {
    let (seconds, _) = run.id.0.get_timestamp()?.to_unix();
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
}

/// Who is told of a run: the registry's targets, and the task's.
pub(crate) fn notify_of(registry: &Registry, task: &[Notify]) -> Vec<Notify> {
    let mut targets = registry.notify.clone();
    targets.extend(task.iter().filter(|target| !registry.notify.contains(target)).cloned());
    targets
}
