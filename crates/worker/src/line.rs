//! The line to a cell: what it says, what it is answered, its end. In: the cell's channel. Out: packets, and a place
//! for replies. Absent: what is said, which a session and an unpacking know.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use cell::CellProcess;
use model::Failure;
use port::{Channel, Packet, ToCell, ToWorker};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Questions of one cell that are answered at the same time.
pub(crate) const IN_FLIGHT: usize = 64;

/// A message with what goes beside it, and the place of the question that it answers.
pub(crate) type Reply = (ToCell, Vec<OwnedFd>, Arc<OwnedSemaphorePermit>);

/// Kills what is left of the cell and waits for it.
pub(crate) async fn end(mut cell: CellProcess) {
    let _ = tokio::task::spawn_blocking(move || {
        cell.kill();
        cell.wait();
    })
    .await;
}

pub(crate) fn read(channel: Arc<Channel>) -> mpsc::Receiver<Packet<ToWorker>> {
    let (packets, receiver) = mpsc::channel(IN_FLIGHT);
    std::thread::spawn(move || {
        while let Ok(Some(packet)) = channel.receive::<ToWorker>() {
            if packets.blocking_send(packet).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A cell that does not read blocks this thread only, until it is killed.
pub(crate) fn write(channel: Arc<Channel>) -> std::sync::mpsc::Sender<Reply> {
    let (replies, queue) = std::sync::mpsc::channel::<Reply>();
    std::thread::spawn(move || {
        for (message, descriptors, _place) in queue {
            let beside: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            if channel.send(&message, &beside).is_err() {
                return;
            }
        }
    });
    replies
}

pub(crate) fn died() -> Failure {
    Failure::service(
        "cell_died",
        "The cell ended without a result.",
        "See the worker's log; the run is tried again while it has attempts left.",
    )
}

pub(crate) fn stopped() -> Failure {
    Failure::service(
        "worker_stopped",
        "The worker was stopped, and the run is handed back.",
        "It starts anew on the next worker; this attempt does not count.",
    )
}
