//! Watches a run until its end and shows it; ^C cancels it if it is ours to cancel.

use model::RunId;
use server::api::Run;

use super::error::{ClientError, LEFT, exit_code_of};
use super::follow::{Follow, Happening};
use super::interrupt::Interrupts;
use super::render::{self, Show};
use super::service::Service;
use super::shared::print_done;

/// Tells of a run that was just made: its id, or with `follow` all of it, and the exit code its end means.
pub(crate) async fn began(service: &Service, run: &Run, follow: bool, json: bool) -> Result<u8, ClientError> {
    let mut show = render::choose(json);
    match follow || json {
        true => show.created(run),
        false => print_done(json, &run.id.to_string()),
    }
    if !follow {
        return Ok(0);
    }
    watch(service, run.id, show.as_mut(), OnInterrupt::Cancel).await
}

/// What ^C means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    Cancel,
    Leave,
}

/// Shows the run until it ends; the exit code its end means.
pub(crate) async fn watch(
    service: &Service,
    run: RunId,
    show: &mut dyn Show,
    on_interrupt: OnInterrupt,
) -> Result<u8, ClientError> {
    let interrupts = Interrupts::listen();
    let Ok(mut interrupts) = interrupts else { return follow(service, run, show).await };
    let mut cancelling = false;
    let mut followed = Follow::new(service.clone(), run);
    loop {
        let happening = tokio::select! {
            happening = followed.next() => happening,
            () = interrupts.next() => {
                if cancelling || on_interrupt == OnInterrupt::Leave {
                    show.left();
                    return Ok(LEFT);
                }
                cancelling = true;
                show.note("cancelling; ^C again leaves at once and the run to itself");
                cancel(service, run, show).await;
                continue;
            }
        };
        if let Some(code) = tell(show, happening)? {
            return Ok(code);
        }
    }
}

async fn follow(service: &Service, run: RunId, show: &mut dyn Show) -> Result<u8, ClientError> {
    let mut followed = Follow::new(service.clone(), run);
    loop {
        if let Some(code) = tell(show, followed.next().await)? {
            return Ok(code);
        }
    }
}

/// A refusal is told and the run watched on: it has ended, or soon will.
async fn cancel(service: &Service, run: RunId, show: &mut dyn Show) {
    if let Err(error) = service.cancel(run).await {
        show.note(&error.to_string());
    }
}

fn tell(show: &mut dyn Show, happening: Result<Happening, ClientError>) -> Result<Option<u8>, ClientError> {
    let happening = happening.inspect_err(|_| show.left())?;
    match happening {
        Happening::Status { status, attempt } => show.status(status, attempt),
        Happening::Attempt(attempt) => show.attempt(attempt),
        Happening::Log { attempt, offset, bytes } => show.log(attempt, offset, &bytes),
        Happening::Lost(cause) => show.lost(&cause),
        Happening::End(run) => {
            show.end(&run);
            return Ok(Some(exit_code_of(run.status)));
        }
    }
    Ok(None)
}
