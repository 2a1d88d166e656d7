//! How long a registry may take, so that one that neither answers nor closes its connection costs a minute and no
//! more. In: a request of `oci-client`'s. Out: its answer, or that it took too long, which is repeated as any
//! answer that did not come.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oci_client::errors::OciDistributionError;

/// For what is answered out of a registry's head.
const QUICK: Duration = Duration::from_secs(30);
/// For a piece of a blob, whichever of the two sides is slow.
const PIECE: Duration = Duration::from_secs(60);
/// Bytes a second, at which a registry is trusted to check a blob's digest at the end.
const CHECKED: u64 = 16 << 20;

type Answer<T> = Result<T, OciDistributionError>;

/// A request without a body of note.
pub(crate) async fn quick<T>(asked: impl Future<Output = Answer<T>>) -> Answer<T> {
    tokio::time::timeout(QUICK, asked).await.unwrap_or_else(|_| Err(too_long()))
}

/// When something moved last.
#[derive(Debug, Clone)]
pub(crate) struct Moved(Arc<Mutex<Instant>>);

impl Moved {
    pub(crate) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// A piece was taken.
    pub(crate) fn again(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// An upload of so many bytes, as long as it moves.
    pub(crate) async fn while_moving<T>(
        &self,
        size: u64,
        upload: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        self.within(PIECE + Duration::from_secs(size / CHECKED), upload).await
    }

    async fn within<T>(&self, patience: Duration, upload: impl Future<Output = Answer<T>>) -> Answer<T> {
        let mut upload = std::pin::pin!(upload);
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let left = (last + patience).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(too_long());
            }
            if let Ok(answer) = tokio::time::timeout(left, &mut upload).await {
                return answer;
            }
        }
    }
}

fn too_long() -> OciDistributionError {
    OciDistributionError::IoError(Error::new(ErrorKind::TimedOut, "it does not answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_may_last_as_long_as_it_moves() {
        let (moved, patience) = (Moved::now(), Duration::from_millis(80));
        let steps = async {
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_millis(40)).await;
                moved.again();
            }
            Ok(())
        };
        assert!(moved.within(patience, steps).await.is_ok(), "three times as long as it may stand still");
        let still = moved.within(patience, std::future::pending::<Answer<()>>()).await;
        assert!(
            matches!(still, Err(OciDistributionError::IoError(error)) if error.kind() == ErrorKind::TimedOut)
        );
    }
}
