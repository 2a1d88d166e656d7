//! Until when a lease is ours for certain. In: when it was asked for, on this machine's steady clock: the database
//! counts from a later moment. Out: whether there is time left. A process that was stopped and goes on finds none,
//! and writes nothing more to a registry, where no epoch is checked. What is left is a request that was handed over just
//! before.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::limits;

/// Moves on with each renewal.
#[derive(Debug)]
pub(crate) struct Fence(Mutex<Instant>);

impl Fence {
    /// Of a lease that was asked for then.
    pub(crate) fn of(asked: Instant) -> Self {
        Self(Mutex::new(asked + limits::LEASE))
    }

    /// It was renewed by a call that began then.
    pub(crate) fn renewed(&self, asked: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = asked + limits::LEASE;
    }

    fn left(&self) -> Duration {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.saturating_duration_since(Instant::now())
    }

    /// Does it as long as the lease is ours; none when it no longer is. The clock is looked at before each step.
    pub(crate) async fn within<T>(&self, deed: impl Future<Output = T>) -> Option<T> {
        let mut deed = std::pin::pin!(deed);
        let guarded = poll_fn(|context| match self.left() {
            Duration::ZERO => Poll::Ready(None),
            _ => deed.as_mut().poll(context).map(Some),
        });
        tokio::select! {
            biased;
            done = guarded => done,
            () = self.passes() => None,
        }
    }

    async fn passes(&self) {
        loop {
            match self.left() {
                Duration::ZERO => return,
                left => tokio::time::sleep(left).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_begun_and_nothing_waited_for_when_the_lease_is_over() {
        let fence = Fence::of(Instant::now());
        assert_eq!(fence.within(async { 1 }).await, Some(1));
        let long_ago = Instant::now().checked_sub(limits::LEASE).expect("the machine is up for longer");
        fence.renewed(long_ago);
        assert_eq!(fence.within(async { 1 }).await, None, "not even its first step");
        fence.renewed(long_ago + Duration::from_millis(20));
        assert_eq!(fence.within(std::future::pending::<()>()).await, None);
    }
}
