//! [`Outside`] over the socket: what a cell holds. One thread reads answers and hands each to the
//! caller that waits for it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use model::{Descriptor, Digest, Failure, GitRevision, ImageReference, Platform, ResolvedImage};

use crate::codec::{FromStart, sealed_file};
use crate::{
    Answer, BaseLayer, BlobReady, ByteStream, CacheHit, CacheKey, Channel, Fetched, Finish, NewBlob, Outside,
    Packet, Progress, Question, Secret, Sent, StreamEnd, ToCell, ToWorker, VertexEvent,
};

type Reply = (Result<Answer, Failure>, Vec<OwnedFd>);
type StreamOutcome = Result<Sent, Failure>;

/// The cell's end of the port.
#[derive(Debug)]
pub struct SocketOutside {
    channel: Arc<Channel>,
    waiting: Arc<Waiting>,
    next_id: AtomicU64,
    /// What must stay open as long as the cell lives: slirp4netns ends when it closes.
    held: Mutex<Vec<OwnedFd>>,
}

#[derive(Debug, Default)]
struct Waiting {
    answers: Mutex<HashMap<u64, Sender<Reply>>>,
    streams: Mutex<HashMap<u64, StreamHalf>>,
}

/// A stream's answer and its last word come in either order.
#[derive(Debug)]
enum StreamHalf {
    Expected(Sender<StreamOutcome>),
    Ended(StreamOutcome),
}

impl SocketOutside {
    /// Takes the port over. `gone` is called once when the worker's end closes: a cell without a
    /// worker has nothing left to live for.
    pub fn new(channel: Channel, gone: impl FnOnce() + Send + 'static) -> Self {
        let channel = Arc::new(channel);
        let waiting = Arc::new(Waiting::default());
        let (reading, answers) = (Arc::clone(&channel), Arc::clone(&waiting));
        std::thread::spawn(move || {
            while let Ok(Some(packet)) = reading.receive::<ToCell>() {
                answers.take(packet);
            }
            answers.give_up();
            gone();
        });
        Self { channel, waiting, next_id: AtomicU64::new(1), held: Mutex::default() }
    }

    /// The cell's last message.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn finish(&self, finish: Finish) -> io::Result<()> {
        self.channel.send(&ToWorker::Finish(finish), &[])
    }

    fn ask(&self, question: Question, beside: &[BorrowedFd<'_>]) -> Result<(Answer, Vec<OwnedFd>), Failure> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = channel();
        lock(&self.waiting.answers).insert(id, sender);
        self.channel.send(&ToWorker::Ask { id, question }, beside).map_err(|error| worker_gone(&error))?;
        let (answer, descriptors) = receiver.recv().map_err(|_| worker_gone(&"the port was closed"))?;
        Ok((answer?, descriptors))
    }

    fn ask_stream(&self, question: Question, beside: &[BorrowedFd<'_>]) -> Result<ByteStream, Failure> {
        match self.ask(question, beside)? {
            (Answer::Stream { stream }, descriptors) => {
                let pipe: File = first(descriptors)?;
                Ok(ByteStream::announced(pipe, self.waiting.end_of(stream)))
            }
            _ => Err(unexpected()),
        }
    }

    fn ask_file(&self, question: Question) -> Result<File, Failure> {
        match self.ask(question, &[])? {
            (Answer::File, descriptors) => first(descriptors),
            _ => Err(unexpected()),
        }
    }
}

impl Outside for SocketOutside {
    fn git_refs(&self) -> Result<ByteStream, Failure> {
        self.ask_stream(Question::GitRefs, &[])
    }

    fn git_upload_pack(&self, request: &[u8]) -> Result<ByteStream, Failure> {
        let body = sealed_file(request).map_err(|error| worker_gone(&error))?;
        self.ask_stream(Question::GitUploadPack, &[body.as_fd()])
    }

    fn fetch_url(&self, url: &str) -> Result<Fetched, Failure> {
        match self.ask(Question::FetchUrl { url: url.to_owned() }, &[])? {
            (Answer::Fetched { stream, last_modified }, descriptors) => {
                let pipe: File = first(descriptors)?;
                let content = ByteStream::announced(pipe, self.waiting.end_of(stream)).with_digest();
                Ok(Fetched { content, last_modified })
            }
            _ => Err(unexpected()),
        }
    }

    fn upload(&self) -> Result<ByteStream, Failure> {
        self.ask_stream(Question::Upload, &[])
    }

    fn source_found(&self, revision: &GitRevision) -> Result<(), Failure> {
        self.ask(Question::SourceFound { revision: revision.clone() }, &[]).map(drop)
    }

    fn resolve(&self, image: &ImageReference, platform: &Platform) -> Result<ResolvedImage, Failure> {
        let question = Question::Resolve { image: image.clone(), platform: platform.clone() };
        match self.ask(question, &[])? {
            (Answer::Resolved { image }, _) => Ok(*image),
            _ => Err(unexpected()),
        }
    }

    fn image_blob(&self, image: &ImageReference, blob: &Descriptor) -> Result<File, Failure> {
        self.ask_file(Question::ImageBlob { image: image.clone(), blob: blob.clone() })
    }

    fn unpacked(&self, layers: &[BaseLayer]) -> Result<Vec<Digest>, Failure> {
        match self.ask(Question::Unpacked { layers: layers.to_vec() }, &[])? {
            (Answer::Unpacked { diff_ids }, _) => Ok(diff_ids),
            _ => Err(unexpected()),
        }
    }

    fn stored_blob(&self, digest: &Digest) -> Result<File, Failure> {
        self.ask_file(Question::StoredBlob { digest: digest.clone() })
    }

    fn cache_lookup(&self, keys: &[CacheKey]) -> Result<Vec<Option<CacheHit>>, Failure> {
        match self.ask(Question::CacheLookup { keys: keys.to_vec() }, &[])? {
            (Answer::Cache { hits }, _) if hits.len() == keys.len() => Ok(hits),
            _ => Err(unexpected()),
        }
    }

    fn new_blob(&self) -> Result<NewBlob, Failure> {
        match self.ask(Question::NewBlob, &[])? {
            (Answer::NewBlob { id }, descriptors) => Ok(NewBlob { id, file: first(descriptors)? }),
            _ => Err(unexpected()),
        }
    }

    fn blob_ready(&self, ready: BlobReady) -> Result<(), Failure> {
        self.ask(Question::BlobReady(ready), &[]).map(drop)
    }

    fn secret(&self, id: &str) -> Result<Option<Secret>, Failure> {
        match self.ask(Question::Secret { id: id.to_owned() }, &[])? {
            (Answer::Secret { value }, _) => Ok(value),
            _ => Err(unexpected()),
        }
    }

    fn network(&self) -> Result<(), Failure> {
        let (_, descriptors) = self.ask(Question::Network, &[])?;
        lock(&self.held).extend(descriptors);
        Ok(())
    }

    fn log(&self, lines: &str) {
        // A lost worker ends the cell by the reading thread; a log line has nobody to tell.
        let _ = self.channel.send(&ToWorker::Log { lines: lines.to_owned() }, &[]);
    }

    fn progress(&self, progress: Progress) {
        let _ = self.channel.send(&ToWorker::Progress(progress), &[]);
    }

    fn vertex(&self, event: VertexEvent) {
        let _ = self.channel.send(&ToWorker::Vertex(event), &[]);
    }
}

impl Waiting {
    fn take(&self, packet: Packet<ToCell>) {
        match packet.message {
            ToCell::Answer { id, answer } => {
                if let Some(waiting) = lock(&self.answers).remove(&id) {
                    let _ = waiting.send((answer, packet.descriptors));
                }
            }
            ToCell::StreamEnd(StreamEnd { stream, outcome }) => {
                let mut streams = lock(&self.streams);
                match streams.remove(&stream) {
                    Some(StreamHalf::Expected(reader)) => drop(reader.send(outcome)),
                    _ => drop(streams.insert(stream, StreamHalf::Ended(outcome))),
                }
            }
            ToCell::Mapped | ToCell::Start(_) => {}
        }
    }

    fn end_of(&self, stream: u64) -> Receiver<StreamOutcome> {
        let (sender, receiver) = channel();
        let mut streams = lock(&self.streams);
        match streams.remove(&stream) {
            Some(StreamHalf::Ended(outcome)) => drop(sender.send(outcome)),
            _ => drop(streams.insert(stream, StreamHalf::Expected(sender))),
        }
        receiver
    }

    /// Nobody answers any more: every waiting call fails.
    fn give_up(&self) {
        lock(&self.answers).clear();
        lock(&self.streams).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A passed file is read from its own start: its offset is shared with nobody, but costs nothing to
/// be sure of.
fn first<T: From<OwnedFd>>(descriptors: Vec<OwnedFd>) -> Result<T, Failure> {
    descriptors.into_iter().next().map(T::from).ok_or_else(unexpected)
}

fn worker_gone(error: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "worker_gone",
        format!("The worker does not answer: {error}."),
        "The run is tried again while it has attempts left.",
    )
}

fn unexpected() -> Failure {
    Failure::service("port_protocol", "The worker answered another question.", "Report this: it is a defect.")
}

impl ByteStream {
    /// A passed file, whole by itself.
    #[must_use]
    pub fn of_file(file: File) -> Self {
        Self::whole(FromStart::new(file))
    }
}
