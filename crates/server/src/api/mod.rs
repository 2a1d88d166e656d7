//! What REST v1 takes and gives, as JSON. The command line reads the same types, so the two can't
//! drift. Absent: what the database keeps beyond that.

mod new_run;
mod run;
mod words;

pub use crate::http::problem::ProblemBody;
pub use new_run::{NewRun, NewSource};
pub use run::{Failure, Image, Location, Revision, Run, RunPage, Source, SourceUpload};
pub use words::{BlameWord, StatusWord};
