//! Named points along a run's line at which a test lets a process be killed, stop, wait or fail. In: a point that is
//! passed. Out: nothing, in every binary that is built to be used: there a point is an empty function, and neither
//! the names nor the variable that arms them are in it. The feature `armed`, which only tests ask for, brings both.
//! Deliberately absent: chance. Which point, which pass and what happens there is drawn outside.

#[cfg(feature = "armed")]
mod arm;
#[cfg(feature = "armed")]
mod armed;
mod point;

#[cfg(feature = "armed")]
pub use arm::{Action, Arms, Fired, VARIABLE};
pub use point::Point;

/// A point's deed was to fail. No value of it exists where points are not armed.
#[derive(Debug, Clone, Copy)]
pub enum Injected {
    #[cfg(feature = "armed")]
    Failed(Point),
}

impl std::fmt::Display for Injected {
    fn fmt(&self, _to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            #[cfg(feature = "armed")]
            Self::Failed(point) => write!(_to, "the failpoint {} was armed to fail", point.name()),
        }
    }
}

/// A point that can't fail is passed.
#[cfg(not(feature = "armed"))]
#[inline]
pub async fn pass(_: Point) {}

/// A point is passed.
///
/// # Errors
/// It is armed to fail.
#[cfg(not(feature = "armed"))]
#[inline]
pub async fn try_pass(_: Point) -> Result<(), Injected> {
    Ok(())
}

#[cfg(feature = "armed")]
pub use armed::{pass, try_pass};
