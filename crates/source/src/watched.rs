//! A byte stream whose failure is kept aside: decoders and C libraries turn an error into words of
//! their own, and the person must see the failure that came through the port.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use model::Failure;
use port::ByteStream;

/// Where a failure is left. Clones share it; the first one stays.
#[derive(Clone, Default, Debug)]
pub(crate) struct FailureSlot(Arc<Mutex<Option<Failure>>>);

impl FailureSlot {
    pub(crate) fn keep(&self, failure: &Failure) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_with(|| failure.clone());
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn take(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reads a stream from outside; what breaks it is kept in the slot.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: ByteStream,
    slot: FailureSlot,
}

impl Watched {
    pub(crate) fn new(stream: ByteStream, slot: FailureSlot) -> Self {
        Self { stream, slot }
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).inspect_err(|error| {
            let told = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
            match told {
                Some(failure) => self.slot.keep(failure),
                None => self.slot.keep(&Failure::service(
                    "port_protocol",
                    format!("The source broke off on its way: {error}."),
                    "",
                )),
            }
        })
    }
}
