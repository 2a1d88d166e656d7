//! libgit2's way out: the two requests of git's smart http protocol, asked through the port.
//!
//! libgit2 wants transports that live as long as the process, and the port belongs to one run. So
//! the fetch runs on a thread of its own and sends its questions to the caller, who asks them. Which
//! fetch a transport serves is told by its address, `slipway://<number>/`, known while it runs.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use model::Failure;
use port::{ByteStream, Outside};

use super::advertised::{self, ById};
use super::packets::Packets;
use crate::error::Error;
use crate::watched::{FailureSlot, Watched};

/// Largest answer to one request, in bytes.
const MAX_ANSWER: u64 = 32 << 30;

/// Largest request: a want line for each of a quarter of a million refs.
const MAX_REQUEST: usize = 16 << 20;

enum Ask {
    Refs,
    UploadPack(Vec<u8>),
}

struct Question {
    ask: Ask,
    answer: SyncSender<Result<ByteStream, Failure>>,
}

/// A fetch's line to the port.
#[derive(Clone)]
pub(crate) struct Line {
    questions: Sender<Question>,
    failure: FailureSlot,
    by_id: Arc<Mutex<Option<ById>>>,
}

static LINES: LazyLock<Mutex<HashMap<String, Line>>> = LazyLock::new(Mutex::default);

/// The address under which libgit2 reaches a line; forgotten when dropped.
pub(crate) struct Address(pub(crate) String);

impl Drop for Address {
    fn drop(&mut self) {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Runs `work` on a thread of its own, with a line to `outside`. A failure that came through the
/// line is what is answered, whatever libgit2 made of it.
pub(crate) fn with_line<T: Send>(
    outside: &dyn Outside,
    work: impl FnOnce(Line) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    prepare_libgit2()?;
    let (questions, asked) = channel();
    let failure = FailureSlot::default();
    let line = Line { questions, failure: failure.clone(), by_id: Arc::default() };
    let result = std::thread::scope(|scope| {
        let fetch = scope.spawn(move || work(line));
        answer_all(outside, &asked);
        fetch.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    result.map_err(|error| failure.take().map_or(error, |failure| Box::new(failure).into()))
}

/// Ends when the last clone of the line is gone.
fn answer_all(outside: &dyn Outside, asked: &Receiver<Question>) {
    for question in asked {
        let answer = match question.ask {
            Ask::Refs => outside.git_refs(),
            Ask::UploadPack(request) => outside.git_upload_pack(&request),
        };
        // A fetch that gave up no longer listens.
        let _ = question.answer.send(answer);
    }
}

impl Line {
    /// Gives this line an address for `Repository::remote_anonymous`.
    pub(crate) fn address(&self) -> Address {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let url = format!("slipway://{}/repository", NEXT.fetch_add(1, Ordering::Relaxed));
        LINES.lock().unwrap_or_else(PoisonError::into_inner).insert(url.clone(), self.clone());
        Address(url)
    }

    /// What the server said about commit ids when it was last asked for its refs.
    pub(crate) fn by_id(&self) -> ById {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(ById::Unsaid)
    }

    /// Whether a failure came through the line, so that trying another way is of no use.
    pub(crate) fn is_broken(&self) -> bool {
        self.failure.is_kept()
    }

    fn ask(&self, ask: Ask) -> io::Result<Watched> {
        let (answer, answered) = sync_channel(1);
        let gone = || io::Error::other("the port is closed");
        self.questions.send(Question { ask, answer }).map_err(|_| gone())?;
        match answered.recv().map_err(|_| gone())? {
            Ok(stream) => Ok(Watched::new(stream, self.failure.clone())),
            Err(failure) => {
                self.failure.keep(&failure);
                Err(io::Error::other(failure))
            }
        }
    }

    /// The whole advertisement, with commit ids allowed.
    fn advertisement(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut bytes = Vec::new();
        self.ask(Ask::Refs)?.take(advertised::MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > advertised::MAX_BYTES {
            return Err(io::Error::other("the repository has too many refs"));
        }
        let (bytes, by_id) = advertised::allow_commit_ids(bytes);
        *self.by_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(by_id);
        Ok(Box::new(io::Cursor::new(bytes)))
    }
}

impl SmartSubtransport for Line {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let is_refs = match action {
            Service::UploadPackLs => true,
            Service::UploadPack => false,
            Service::ReceivePackLs | Service::ReceivePack => {
                return Err(git2::Error::from_str("a source is only read"));
            }
        };
        Ok(Box::new(Exchange { line: self.clone(), is_refs, request: Vec::new(), answer: None }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// One request, sent when its answer is first read.
struct Exchange {
    line: Line,
    is_refs: bool,
    request: Vec<u8>,
    answer: Option<Box<dyn Read + Send>>,
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.answer.is_none() {
            self.answer = Some(if self.is_refs {
                self.line.advertisement()?
            } else {
                let request = std::mem::take(&mut self.request);
                Box::new(Packets::of(self.line.ask(Ask::UploadPack(request))?.take(MAX_ANSWER)))
            });
        }
        self.answer.as_mut().map_or(Ok(0), |answer| answer.read(buffer))
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.answer.is_some() || self.is_refs || self.request.len() + bytes.len() > MAX_REQUEST {
            return Err(io::Error::other("the request is sent already, or too large"));
        }
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Once a process: our transport, and no configuration of this machine.
fn prepare_libgit2() -> Result<(), Error> {
    static PREPARED: OnceLock<Result<(), String>> = OnceLock::new();
    let prepared = PREPARED.get_or_init(|| {
        forget_configuration().and_then(|()| register()).map_err(|error| error.message().to_owned())
    });
    prepared.clone().map_err(Error::Git)
}

#[expect(unsafe_code, reason = "libgit2's process-wide options and list of transports are not guarded")]
fn register() -> Result<(), git2::Error> {
    let connect = |remote: &git2::Remote<'_>| {
        let url = remote.url().unwrap_or_default();
        let line = LINES.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
        let line = line.ok_or_else(|| git2::Error::from_str("no fetch runs under this address"))?;
        Transport::smart(remote, true, line)
    };
    // SAFETY: called once, under PREPARED's lock, before this room makes any transport; it is the
    // only room that uses libgit2.
    unsafe { git2::transport::register("slipway", connect) }
}

#[expect(unsafe_code, reason = "libgit2's process-wide options and list of transports are not guarded")]
fn forget_configuration() -> Result<(), git2::Error> {
    use git2::ConfigLevel::{Global, ProgramData, System, XDG};
    for level in [ProgramData, System, XDG, Global] {
        // SAFETY: called once, under PREPARED's lock, before this room opens any repository; it is
        // the only room that uses libgit2.
        unsafe { git2::opts::set_search_path(level, "")? };
    }
    Ok(())
}
