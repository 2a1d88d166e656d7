//! What a point does in a test's binary. In: the folder that the environment names. Absent, where it names none.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::arm::{Action, VARIABLE};
use crate::{Injected, Point};

static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os(VARIABLE).map(PathBuf::from));
/// Passes of each arming, by its number.
static PASSES: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

/// A point that can't fail is passed: armed to, it is only passed.
pub async fn pass(point: Point) {
    let _ = try_pass(point).await;
}

/// A point is passed.
///
/// # Errors
/// It is armed to fail.
pub async fn try_pass(point: Point) -> Result<(), Injected> {
    let Some((action, file)) = due(point) else { return Ok(()) };
    match action {
        Action::Kill => signal(Signal::SIGKILL),
        Action::Stop => signal(Signal::SIGSTOP),
        Action::Fail => return Err(Injected::Failed(point)),
        Action::Stall => {
            while file.exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
    Ok(())
}

fn signal(signal: Signal) {
    let _ = kill(Pid::this(), signal);
}

/// What is to be done here, if it is, and the file that says that somebody is here.
fn due(point: Point) -> Option<(Action, PathBuf)> {
    let folder = FOLDER.as_ref()?;
    let file = folder.join(point.name());
    let text = std::fs::read_to_string(&file).ok()?;
    let mut words = text.split(' ');
    let (number, nth, action) = (words.next()?, words.next()?.parse().ok()?, Action::of(words.next()?)?);
    let mut passes = PASSES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = passes.get_or_insert_default().entry(number.to_owned()).or_insert(0u32);
    *count += 1;
    if *count < nth {
        return None;
    }
    drop(passes);
    let fired = folder.join(format!("{}.fired.{}", point.name(), std::process::id()));
    std::fs::rename(&file, &fired).ok().map(|()| (action, fired))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arms;

    /// The environment is read once: one test for all of it.
    #[tokio::test]
    async fn a_point_acts_at_its_pass_once_and_says_so() {
        if std::env::var_os(VARIABLE).is_none() {
            let folder = tempfile::tempdir().expect("a folder");
            let again = std::process::Command::new(std::env::current_exe().expect("this test"))
                .env(VARIABLE, folder.path())
                .status();
            assert!(again.expect("this test starts").success());
            return;
        }
        let arms = Arms::in_folder(&PathBuf::from(std::env::var_os(VARIABLE).expect("it is set")));
        let passed = async || try_pass(Point::WorkerLeased).await.is_ok();
        assert!(passed().await, "nothing is armed");
        arms.arm(Point::WorkerLeased, 2, Action::Fail).expect("armed");
        assert!(passed().await, "the first pass");
        assert!(try_pass(Point::WorkerFetched).await.is_ok(), "another point");
        assert!(!passed().await, "the second");
        assert!(passed().await, "once only");
        assert!(arms.fired(Point::WorkerLeased).is_some());

        arms.arm(Point::WorkerFetched, 1, Action::Stall).expect("armed");
        let stalled = tokio::spawn(try_pass(Point::WorkerFetched));
        let fired = loop {
            if let Some(fired) = arms.fired(Point::WorkerFetched) {
                break fired;
            }
            tokio::task::yield_now().await;
        };
        assert!(!stalled.is_finished());
        fired.release();
        assert!(stalled.await.expect("it ends").is_ok());
        std::fs::remove_dir_all(arms_folder()).expect("removed");
    }

    fn arms_folder() -> PathBuf {
        FOLDER.clone().expect("it is set")
    }
}
