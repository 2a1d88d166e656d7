//! What REST v1 takes and gives, as JSON. The command line reads the same types, so the two can't
//! drift. Absent: what the database keeps beyond that.

mod credential;
mod hook;
mod new_run;
mod registry;
mod run;
mod statistics;
mod steps;
mod task;
mod token;
mod words;

pub use crate::http::problem::ProblemBody;
pub use credential::{Credential, CredentialList, NewCredential};
pub use hook::{Delivery, DeliveryPage, Hook, HookList, HookPatch, NewHook, RotateHook};
pub use new_run::{Build, NewRun, NewSource};
pub use registry::{GoneReceiver, NewRegistry, Registry, RegistryChange, RegistryList, RegistryPatch};
pub use run::{
    Failure, Image, Location, Report, Revision, Run, RunPage, Source, SourceArchive, SourceUpload, TagSkipped,
};
pub use statistics::{DayNumbers, QueueNumbers, Statistics, WaitingNumbers, WorkerNumbers};
pub use steps::{Attempt, RunSteps, StepRun, VertexRun};
pub use task::{NewTask, NewTaskRun, Task, TaskChange, TaskPage, TaskPatch};
pub use token::{NewToken, Token, TokenList, Worker, WorkerList, WorkerRun};
pub use words::{
    AttemptOutcomeWord, BlameWord, CauseWord, CredentialKindWord, DeliveryStatusWord, GitHostWord, RoleWord,
    StatusWord, StepKindWord, StepStatusWord, TrustWord, VertexResultWord, WorkerLimitsWord,
};
