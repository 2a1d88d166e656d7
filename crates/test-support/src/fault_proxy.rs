//! A proxy before a registry that writes down every request, and does to some what registries and the way to them
//! do: busy, broken, reset, stalled, cut off, half-open, a blob that is not there although it was taken. In: what to do
//! with which request. Out: the registry as its clients see it, and a journal. One request a connection; bodies are
//! held in memory: small images only.

mod journal;
mod message;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::proxy::{Held, accept};
use journal::Journal;
pub use journal::{Asked, Entry as JournalEntry};
use message::{Request, read_answer, read_request};

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryFault {
    /// 429, with the seconds that it asks for.
    Busy(Option<u32>),
    /// A 5xx of this number.
    Broken(u16),
    /// The connection is reset before the registry heard of it.
    Reset,
    /// The registry did it; the connection is reset instead of an answer.
    ResetAfter,
    /// Nothing moves for that long; then it goes on.
    Stall(Duration),
    /// Nothing moves for ever, and nobody says so.
    HalfOpen,
    /// The registry did it; half of its answer arrives.
    Truncated,
    /// A blob that is taken with 201, and thrown away. Other requests are passed on.
    LostBlob,
}

/// Which requests, and what is done to them.
#[derive(Debug, Clone, Copy)]
pub struct Trouble {
    pub asked: Asked,
    /// So many are passed on before.
    pub after: u32,
    /// So many have the trouble.
    pub times: u32,
    pub fault: RegistryFault,
}

/// Whether a request is held before the registry hears of it, or before its answer is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Asked,
    Answered,
}

#[derive(Debug)]
struct Watch {
    asked: Asked,
    after: u32,
    phase: Phase,
    arrived: watch::Sender<bool>,
    released: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
struct Shared {
    journal: Journal,
    trouble: Mutex<Option<Trouble>>,
    troubled: std::sync::atomic::AtomicU32,
    watch: Mutex<Option<Watch>>,
}

/// The proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl FaultProxy {
    /// Passes everything on to `upstream` (`host:port`). Has to be called within a tokio runtime.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    pub fn start(upstream: String) -> Self {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let (address, task) = accept(move |client| serve(client, upstream.clone(), Arc::clone(&theirs)));
        Self { address, shared, task }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What was asked, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.shared.journal.entries()
    }

    /// From now on.
    ///
    /// # Panics
    /// Never, as the following.
    pub fn trouble(&self, trouble: Trouble) {
        self.shared.troubled.store(0, std::sync::atomic::Ordering::SeqCst);
        *self.shared.trouble.lock().expect(NOBODY) = Some(trouble);
    }

    /// No more; answers how many requests had it. What is stalled goes on by itself.
    pub fn calm(&self) -> u32 {
        *self.shared.trouble.lock().expect(NOBODY) = None;
        *self.shared.watch.lock().expect(NOBODY) = None;
        self.troubled()
    }

    /// How many requests had trouble so far.
    #[must_use]
    pub fn troubled(&self) -> u32 {
        self.shared.troubled.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Holds one request, after `after` others of its kind; a hold that was set before is forgotten.
    #[must_use]
    pub fn hold(&self, asked: Asked, after: u32, phase: Phase) -> Held {
        let (held, arrived, released) = Held::pair();
        *self.shared.watch.lock().expect(NOBODY) = Some(Watch { asked, after, phase, arrived, released });
        held
    }
}

const NOBODY: &str = "nobody panics while holding this";

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// Whether this request is the one to hold.
    fn watched(&self, asked: Asked) -> Option<Watch> {
        self.watch.lock().expect(NOBODY).take_if(|watch| {
            let is_it = asked == watch.asked && watch.after == 0;
            if asked == watch.asked {
                watch.after = watch.after.saturating_sub(1);
            }
            is_it
        })
    }

    fn fault_of(&self, asked: Asked) -> Option<RegistryFault> {
        let mut trouble = self.trouble.lock().expect(NOBODY);
        let one = trouble.as_mut().filter(|one| one.asked == asked)?;
        if one.after > 0 {
            one.after -= 1;
            return None;
        }
        one.times = one.times.checked_sub(1)?;
        self.troubled.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Some(one.fault)
    }
}

async fn serve(mut client: TcpStream, upstream: String, shared: Arc<Shared>) {
    let Some(request) = read_request(&mut client).await else { return };
    let asked = Asked::of(&request.method, &request.path);
    let fault = shared.fault_of(asked);
    let number = shared.journal.asked(asked, &request, fault);
    let watch = shared.watched(asked);
    hold(watch.as_ref(), Phase::Asked).await;
    let answer = match fault {
        Some(RegistryFault::Reset) => return reset(&client),
        Some(RegistryFault::HalfOpen) => return half_open(client).await,
        Some(RegistryFault::Stall(length)) => {
            tokio::time::sleep(length).await;
            pass_on(&upstream, &request).await
        }
        Some(RegistryFault::Busy(_) | RegistryFault::Broken(_) | RegistryFault::LostBlob) => {
            fault.and_then(|fault| message::made_up(fault, &request))
        }
        None | Some(RegistryFault::ResetAfter | RegistryFault::Truncated) => {
            pass_on(&upstream, &request).await
        }
    };
    shared.journal.answered(number, answer.as_deref());
    hold(watch.as_ref(), Phase::Answered).await;
    match (fault, answer) {
        (Some(RegistryFault::ResetAfter), _) | (_, None) => reset(&client),
        (Some(RegistryFault::Truncated), Some(answer)) => finish(client, &answer[..answer.len() / 2]).await,
        (_, Some(answer)) => finish(client, &answer).await,
    }
}

async fn hold(watch: Option<&Watch>, phase: Phase) {
    if let Some(watch) = watch.filter(|watch| watch.phase == phase) {
        let _ = watch.arrived.send(true);
        let mut released = watch.released.clone();
        // A test that forgot the hold lets it go as well.
        let _ = released.wait_for(|released| *released).await;
    }
}

async fn pass_on(upstream: &str, request: &Request) -> Option<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await.ok()?;
    server.write_all(&request.bytes()).await.ok()?;
    read_answer(&mut server).await
}

async fn finish(mut client: TcpStream, bytes: &[u8]) {
    let _ = client.write_all(bytes).await;
    let _ = client.shutdown().await;
    half_open(client).await;
}

/// Until the client has had enough.
async fn half_open(mut client: TcpStream) {
    let mut buffer = [0; 1024];
    while client.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}

fn reset(client: &TcpStream) {
    let socket = client;
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::Linger, &linger);
}
