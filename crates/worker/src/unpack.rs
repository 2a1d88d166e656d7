//! Layers of images that anybody may have, unpacked where all scopes share them: by a cell of its own, which sees
//! that folder and the blobs, and nothing of a run. In: layers that a run may have. Out: they are there. It ends
//! with the run that asked; another one that waits for the same layer starts its own.

use std::fs::File;
use std::sync::Arc;

use cell::{Attempt, Job, UnpackJob};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::{Digest, Failure};
use port::{Answer, BaseLayer, Finish, Packet, Question, ToCell, ToWorker};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::answers::out_of_order;
use crate::cgroup::RunCgroup;
use crate::disk::Share;
use crate::house::Cells;
use crate::line::{IN_FLIGHT, Reply, died, end, read, stopped, write};
use crate::turns::Turns;

/// Starts unpacking cells.
#[derive(Debug, Clone)]
pub(crate) struct Unpacker {
    pub(crate) cells: Cells,
    pub(crate) cores: usize,
    /// One at a time for a registry's layer: a stranger's may send it slowly, under a name that another one has too.
    pub(crate) turns: Arc<Turns<(Digest, String)>>,
}

/// The run that asks: what its layers take to be unpacked, it takes.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) attempt: Attempt,
    pub(crate) cgroup: Arc<RunCgroup>,
    pub(crate) share: Share,
}

impl Unpacker {
    /// Returns when all of them are there. `fetch` has a layer's blob.
    ///
    /// # Errors
    /// A blob can't be had, is damaged or hostile, no cell starts, or the run ended.
    pub(crate) async fn unpack<F>(
        &self,
        asker: &Asker,
        mut layers: Vec<BaseLayer>,
        fetch: impl Fn(BaseLayer) -> F,
        run_ended: &CancellationToken,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<File, Failure>>,
    {
        // In one order for all runs: none waits for one that waits for it.
        layers.sort_by(|one, other| one.diff_id.cmp(&other.diff_id));
        layers.dedup_by(|one, other| one.diff_id == other.diff_id);
        let turn = |layer: &BaseLayer| self.turns.of((layer.diff_id.clone(), layer.image.registry.clone()));
        let turns: Vec<_> = layers.iter().map(turn).collect();
        let mut held = Vec::new();
        for turn in &turns {
            tokio::select! {
                turn = turn.lock() => held.push(turn),
                () = run_ended.cancelled() => return Err(stopped()),
            }
        }
        let (attempt, cores) = (asker.attempt.clone(), self.cores);
        let job = Job::Unpack(UnpackJob { layers: layers.clone(), attempt, cores });
        let (cells, cgroup) = (self.cells.clone(), Arc::clone(&asker.cgroup));
        let cell = tokio::task::spawn_blocking(move || cells.spawn(&job, |pid| cgroup.place(pid))).await;
        let cell = cell.map_err(|error| Failure::service("internal", error.to_string(), ""))??;
        let at_work = asker.share.at_work(cell.pid());
        let mut packets = read(cell.channel());
        let replies = write(cell.channel());
        let mut fetched = FuturesUnordered::new();
        // A question has its place until its answer was read.
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
        let outcome = loop {
            let packet = tokio::select! {
                packet = packets.recv() => packet,
                Some((id, file, place)) = fetched.next() => {
                    let _ = replies.send(reply(id, file, place));
                    continue;
                }
                () = run_ended.cancelled() => break Err(stopped()),
            };
            match packet.map(|Packet { message, .. }| message) {
                Some(ToWorker::Ask { id, question }) => {
                    let layer = asked_for(&layers, &question).cloned();
                    // A cell has a question a layer and thread at once; one with more is none of ours.
                    let Ok(place) = Arc::clone(&in_flight).try_acquire_owned() else {
                        break Err(out_of_order());
                    };
                    let (fetch, place) = (&fetch, Arc::new(place));
                    fetched.push(async move {
                        match layer {
                            Some(layer) => (id, fetch(layer).await, place),
                            None => (id, Err(out_of_order()), place),
                        }
                    });
                }
                Some(ToWorker::Finish(Finish::Done)) => break Ok(()),
                Some(ToWorker::Finish(Finish::Failed { failure, .. })) => break Err(failure),
                Some(ToWorker::Finish(Finish::Built { .. } | Finish::Cleaned(_))) => {
                    break Err(out_of_order());
                }
                Some(_) => {}
                None => break Err(died()),
            }
        };
        drop(at_work);
        end(cell).await;
        outcome
    }
}

/// A layer that the cell was started for.
fn asked_for<'l>(layers: &'l [BaseLayer], question: &Question) -> Option<&'l BaseLayer> {
    let Question::ImageBlob { image, blob } = question else { return None };
    layers.iter().find(|layer| layer.image == *image && layer.blob == *blob)
}

fn reply(id: u64, file: Result<File, Failure>, place: Arc<OwnedSemaphorePermit>) -> Reply {
    match file {
        Ok(file) => (ToCell::Answer { id, answer: Ok(Answer::File) }, vec![file.into()], place),
        Err(failure) => (ToCell::Answer { id, answer: Err(failure) }, Vec::new(), place),
    }
}
