//! How much one plan may cost. In: bytes copied and steps made. Out: a refusal once they are too many: a
//! Dockerfile is small, but what it says can be repeated and doubled until no machine holds it. Deliberately
//! absent: the limits of one word (`expand`) and of the file (`lines`).

use std::cell::Cell;

use crate::error::Error;
use crate::text::Text;

/// Far above what people write: 1000 RUN with an environment of 10 kB take a tenth of it.
const COST: usize = 1 << 27;

/// What is left.
#[derive(Debug)]
pub(crate) struct Budget(Cell<usize>);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Cell::new(COST))
    }

    /// Takes without asking, where no error can be answered; the next [`Budget::spend`] answers it.
    pub(crate) fn drain(&self, cost: usize) {
        self.0.set(self.0.get().saturating_sub(cost));
    }

    /// Takes, and refuses `text` when nothing is left.
    pub(crate) fn spend(&self, cost: usize, text: &Text) -> Result<(), Error> {
        self.drain(cost);
        match self.0.get() {
            0 => Err(Error::at(
                "dockerfile_too_large",
                text,
                "The values of this Dockerfile become too large up to here.",
                "Repeat long values and patterns less often.",
            )),
            _ => Ok(()),
        }
    }
}
