//! How many requests a token may make, a hook, and whoever tries to sign in: a bucket each (GCRA, by `governor`).

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use axum::http::{HeaderValue, header};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use model::{HookId, TokenId};
use uuid::Uuid;

use super::kind;
use super::problem::Problem;

/// Requests a second, and how many at once after a quiet time.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

impl Rate {
    /// # Panics
    /// Never: nought is taken for one.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        const fn at_least_one(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MIN,
            }
        }
        Self { per_second: at_least_one(per_second), burst: at_least_one(burst) }
    }

    fn limiter<K: Clone + Hash + Eq>(self) -> DefaultKeyedRateLimiter<K> {
        DefaultKeyedRateLimiter::keyed(Quota::per_second(self.per_second).allow_burst(self.burst))
    }
}

pub(crate) struct Limits {
    tokens: DefaultKeyedRateLimiter<Uuid>,
    hooks: DefaultKeyedRateLimiter<Uuid>,
    /// By the address that they come from; behind a proxy that is the proxy's.
    logins: DefaultKeyedRateLimiter<IpAddr>,
}

impl Limits {
    pub(crate) fn new(tokens: Rate, hooks: Rate, logins: Rate) -> Self {
        Self { tokens: tokens.limiter(), hooks: hooks.limiter(), logins: logins.limiter() }
    }

    pub(crate) fn of_token(&self, token: TokenId) -> Result<(), Problem> {
        check(&self.tokens, &token.0)
    }

    /// Forgets buckets that are full again.
    pub(crate) fn forget_quiet(&self) {
        for limiter in [&self.tokens, &self.hooks] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        self.logins.retain_recent();
        self.logins.shrink_to_fit();
    }

    pub(crate) fn of_hook(&self, hook: HookId) -> Result<(), Problem> {
        check(&self.hooks, &hook.0)
    }

    pub(crate) fn of_login(&self, from: IpAddr) -> Result<(), Problem> {
        check(&self.logins, &from)
    }
}

fn check<K: Clone + Hash + Eq>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Problem> {
    limiter.check_key(key).map_err(|until| {
        // Rounded up: whoever waits that long is let through.
        let seconds = until.wait_time_from(DefaultClock::default().now()).as_secs() + 1;
        Problem::new(
            &kind::TOO_MANY_REQUESTS,
            "More requests came than this caller may make.",
            format!("Wait {seconds} s; `Prefer: wait=60` and the event stream ask less often."),
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let limits = Limits::new(Rate::new(1, 2), Rate::new(1, 1), Rate::new(1, 1));
        let (one, other) = (TokenId(Uuid::from_u128(1)), TokenId(Uuid::from_u128(2)));
        assert!(limits.of_token(one).is_ok() && limits.of_token(one).is_ok());
        assert!(limits.of_token(one).is_err());
        assert!(limits.of_token(other).is_ok());
    }

    #[test]
    fn who_asks_no_more_is_forgotten() {
        let limits = Limits::new(Rate::new(1, 1), Rate::new(1_000_000, 1), Rate::new(1, 1));
        for hook in 0..1000 {
            limits.of_hook(HookId(Uuid::from_u128(hook))).expect("its first");
        }
        limits.of_token(TokenId(Uuid::nil())).expect("its first");
        // A bucket is full again after a microsecond.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !limits.hooks.is_empty() {
            limits.forget_quiet();
            assert!(std::time::Instant::now() < deadline, "{} are kept", limits.hooks.len());
        }
        assert!(limits.of_token(TokenId(Uuid::nil())).is_err(), "who asked just now is not");
    }
}
