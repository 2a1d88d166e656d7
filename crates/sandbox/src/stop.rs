//! Ending the processes of a build that has failed elsewhere.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// A switch for any number of running processes.
#[derive(Debug, Default)]
pub struct Stop {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// The runtime's program and arguments that kill one container.
    running: Vec<Killer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Killer {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
}

impl Stop {
    /// Kills what runs under this switch, and lets nothing else begin.
    pub fn stop(&self) {
        let running = {
            let mut state = self.lock();
            state.stopped = true;
            std::mem::take(&mut state.running)
        };
        for killer in running {
            killer.kill();
        }
    }

    /// Whether [`Stop::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// False: stopped already, do not start.
    pub(crate) fn enter(&self, killer: &Killer) -> bool {
        let mut state = self.lock();
        if !state.stopped {
            state.running.push(killer.clone());
        }
        !state.stopped
    }

    pub(crate) fn leave(&self, killer: &Killer) {
        self.lock().running.retain(|k| k != killer);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Killer {
    pub(crate) fn kill(&self) {
        let killed = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if let Err(error) = killed {
            tracing::warn!(%error, "could not call the runtime's kill");
        }
    }
}
