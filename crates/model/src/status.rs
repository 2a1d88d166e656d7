//! Statuses and their allowed moves. The database holds the same table in a trigger; a test there
//! tries every pair against this one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! statuses {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in the order of a normal life.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in SQL, JSON and on the page.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(format!("`{other}` is not a {}", stringify!($name))),
                }
            }
        }
    };
}

statuses!(
    /// Where a run stands.
    RunStatus {
        Queued = "queued",
        Started = "started",
        Publishing = "publishing",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
        TimedOut = "timed_out",
    }
);

statuses!(
    /// What a declared step does.
    StepKind {
        Build = "build",
        Push = "push",
    }
);

statuses!(
    /// Where a step run stands.
    StepStatus {
        Started = "started",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
        TimedOut = "timed_out",
    }
);

statuses!(
    /// How an attempt ended. `lost`: its worker gave no sign of life any more.
    AttemptOutcome {
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
        TimedOut = "timed_out",
        Lost = "lost",
    }
);

statuses!(
    /// What became of a vertex of the build graph. `interrupted`: it was ended before it was done, by a
    /// cancel, a limit, a lost worker, or because another one failed.
    VertexResult {
        Running = "running",
        Cached = "cached",
        Executed = "executed",
        Failed = "failed",
        Interrupted = "interrupted",
    }
);

statuses!(
    /// Whether a worker's runs have limits. `none`: its host gave it no cgroup; `missing`: likewise, and as it was
    /// to have one, it leases no run.
    WorkerLimits {
        Enforced = "enforced",
        None = "none",
        Missing = "missing",
    }
);

statuses!(
    /// Where a publication stands. `open`: blobs may be announced and pushed; `sealed`: the manifest
    /// is known and may be pushed; the other three are ends.
    PublicationStatus {
        Open = "open",
        Sealed = "sealed",
        Published = "published",
        Failed = "failed",
        Abandoned = "abandoned",
    }
);

impl RunStatus {
    /// An end never moves.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut)
    }

    /// Whether a run may move from `self` to `to`. `next_attempt` says that the attempt counter goes
    /// up by one in the same statement, which is the only way back to `queued`.
    #[must_use]
    pub fn can_move_to(self, to: Self, next_attempt: bool) -> bool {
        use RunStatus::{Cancelled, Failed, Publishing, Queued, Started, Succeeded, TimedOut};
        match (self, to) {
            (Started | Publishing, Queued) => next_attempt,
            (Queued, Started | Cancelled | Failed)
            | (Started, Publishing | Failed | Cancelled | TimedOut)
            | (Publishing, Succeeded | Failed | Cancelled | TimedOut) => !next_attempt,
            _ => false,
        }
    }

    /// The word Azure Container Registry Tasks uses (`RunStatus` of its REST API).
    #[must_use]
    pub fn acr_name(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Started => "Started",
            Self::Publishing => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Canceled",
            Self::TimedOut => "Timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_moves_nowhere() {
        for from in RunStatus::ALL.iter().filter(|s| s.is_end()) {
            for to in RunStatus::ALL {
                assert!(!from.can_move_to(*to, false) && !from.can_move_to(*to, true), "{from} → {to}");
            }
        }
    }

    #[test]
    fn only_a_next_attempt_goes_back_to_the_queue() {
        assert!(RunStatus::Started.can_move_to(RunStatus::Queued, true));
        assert!(!RunStatus::Started.can_move_to(RunStatus::Queued, false));
        assert!(!RunStatus::Queued.can_move_to(RunStatus::Started, true));
    }

    #[test]
    fn words_read_back() {
        for status in RunStatus::ALL {
            assert_eq!(status.as_str().parse::<RunStatus>(), Ok(*status));
        }
    }
}
