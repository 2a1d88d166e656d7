//! Authorizations that are still good. In: one with its life, and the time. Out: the same while it lasts.
//! Absent: requests, and disks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Access, Authorization};

/// Repositories and what is to be done in them, sorted: a token is for exactly these.
pub(crate) type Key = Vec<(String, Access)>;

/// Renewed at the latest this long before the end.
const MARGIN: Duration = Duration::from_secs(600);

/// Something that ends.
#[derive(Clone)]
pub(crate) struct Lasting<T> {
    pub(crate) value: T,
    pub(crate) until: Instant,
    renew: Instant,
}

impl<T> Lasting<T> {
    /// A fifth of its life before the end it is renewed: 12 seconds of a minute, 10 minutes of an hour.
    pub(crate) fn new(value: T, had: Instant, life: Duration) -> Self {
        let until = had + life;
        Self { value, until, renew: until - (life / 5).min(MARGIN) }
    }

    /// The same time for something else.
    pub(crate) fn map<U>(self, make: impl FnOnce(T, Instant) -> U) -> Lasting<U> {
        Lasting { value: make(self.value, self.until), until: self.until, renew: self.renew }
    }

    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        now < self.renew
    }
}

/// Authorizations by what they are for.
#[derive(Default)]
pub(crate) struct Tokens {
    known: Mutex<HashMap<Key, Lasting<Authorization>>>,
}

impl Tokens {
    /// One that needs no renewal yet.
    pub(crate) fn fresh(&self, key: &Key, now: Instant) -> Option<Authorization> {
        self.look(key, |lasting| lasting.is_fresh(now))
    }

    /// One that is good for a while, for when no other can be had.
    pub(crate) fn usable(&self, key: &Key, now: Instant) -> Option<Authorization> {
        self.look(key, |lasting| now < lasting.until)
    }

    fn look(&self, key: &Key, good: impl Fn(&Lasting<Authorization>) -> bool) -> Option<Authorization> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|lasting| good(lasting)).map(|lasting| lasting.value.clone())
    }

    pub(crate) fn keep(&self, key: Key, lasting: Lasting<Authorization>, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, old| now < old.until);
        known.insert(key, lasting);
    }

    /// Forgets one that the registry refuses.
    pub(crate) fn forget(&self, refused: &str) {
        let is_refused = |authorization: &Authorization| matches!(authorization, Authorization::Bearer { token, .. } if token == refused);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, lasting| !is_refused(&lasting.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_well_before_its_end_and_usable_until_then() {
        let had = Instant::now();
        let at = |seconds: u64| had + Duration::from_secs(seconds);
        for (life, renewed) in [(60, 48), (300, 240), (4500, 3900), (10_800, 10_200)] {
            let (tokens, key) = (Tokens::default(), vec![("a".to_owned(), Access::Push)]);
            let lasting = Lasting::new(Authorization::Anonymous, had, Duration::from_secs(life));
            tokens.keep(key.clone(), lasting, had);
            assert!(tokens.fresh(&key, at(renewed - 1)).is_some(), "{life}");
            assert!(tokens.fresh(&key, at(renewed)).is_none(), "{life}");
            assert!(tokens.usable(&key, at(life - 1)).is_some() && tokens.usable(&key, at(life)).is_none());
            assert!(tokens.fresh(&vec![("a".to_owned(), Access::Pull)], had).is_none());
        }
    }

    #[test]
    fn only_the_refused_one_is_forgotten() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let bearer = |token: &str| Authorization::Bearer { token: token.to_owned(), expires_at: now };
        for name in ["a", "b"] {
            let lasting = Lasting::new(bearer(name), now, Duration::from_secs(60));
            tokens.keep(vec![(name.to_owned(), Access::Push)], lasting, now);
        }
        tokens.forget("a");
        assert!(tokens.fresh(&vec![("a".to_owned(), Access::Push)], now).is_none());
        assert!(tokens.fresh(&vec![("b".to_owned(), Access::Push)], now).is_some());
    }
}
