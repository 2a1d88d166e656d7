//! The trait `Outside` in memory.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use model::{Descriptor, Digest, Failure, ImageReference, MediaType, Platform, ResolvedImage};
use port::{BlobReady, ByteStream, CacheHit, CacheKey, Fetched, NewBlob, Outside, Progress, VertexEvent};

#[derive(Default)]
pub(crate) struct MemoryOutside {
    state: Mutex<State>,
    met: Condvar,
}

#[derive(Default)]
struct State {
    blobs: HashMap<Digest, Vec<u8>>,
    open: HashMap<u64, File>,
    cache: HashMap<CacheKey, CacheHit>,
    announced: BTreeSet<Digest>,
    fetched: u32,
    lookups: u32,
    network_asked: u32,
    /// How many processes have said `meet`, and how many have to.
    meeting: (u32, u32),
    network: Option<Failure>,
    disk_full: bool,
    secrets: HashMap<String, String>,
    /// Files at addresses, with their times.
    web: HashMap<String, (Vec<u8>, Option<i64>)>,
    downloads: Vec<String>,
    log: String,
    progress: Progress,
    vertices: Vec<VertexEvent>,
}

impl MemoryOutside {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Vec<u8> {
        self.state().blobs.get(digest).expect("the blob was handed over").clone()
    }

    /// Compresses a tar as a base image's layer.
    pub(crate) fn keep_layer(&self, tar: &[u8]) -> (Digest, Descriptor) {
        let mut writer = content::LayerWriter::new(Vec::new());
        writer.write_all(tar).unwrap();
        let (digests, bytes) = writer.finish().unwrap();
        self.state().blobs.insert(digests.digest.clone(), bytes);
        (digests.diff_id, super::descriptor(MediaType::DOCKER_LAYER_GZIP, digests.digest, digests.size))
    }

    /// Replaces a blob's bytes behind its digest's back.
    pub(crate) fn damage(&self, digest: &Digest) {
        let mut state = self.state();
        let bytes = state.blobs.get_mut(digest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }

    /// From now on a line that ends in `meet` waits until so many processes have written one.
    pub(crate) fn await_meeting(&self, processes: u32) {
        self.state().meeting = (0, processes);
    }

    pub(crate) fn refuse_network(&self, failure: Failure) {
        self.state().network = Some(failure);
    }

    /// From now on no byte of a blob can be written.
    pub(crate) fn fill_disk(&self) {
        self.state().disk_full = true;
    }

    pub(crate) fn log_text(&self) -> String {
        self.state().log.clone()
    }

    pub(crate) fn clear_log(&self) {
        self.state().log.clear();
    }

    /// How many blobs were read.
    pub(crate) fn fetched(&self) -> u32 {
        self.state().fetched
    }

    /// How often the cache was asked.
    pub(crate) fn lookups(&self) -> u32 {
        self.state().lookups
    }

    pub(crate) fn has_secret(&self, id: &str, value: &str) {
        self.state().secrets.insert(id.to_owned(), value.to_owned());
    }

    pub(crate) fn has_file_at(&self, url: &str, content: &[u8], last_modified: Option<i64>) {
        self.state().web.insert(url.to_owned(), (content.to_owned(), last_modified));
    }

    /// What was fetched from addresses, in order.
    pub(crate) fn downloads(&self) -> Vec<String> {
        self.state().downloads.clone()
    }

    pub(crate) fn network_asked(&self) -> u32 {
        self.state().network_asked
    }

    pub(crate) fn announced(&self) -> BTreeSet<Digest> {
        self.state().announced.clone()
    }

    pub(crate) fn progress_seen(&self) -> Progress {
        self.state().progress.clone()
    }

    /// What was told of vertices since it was asked last, a line each: `+3 RUN make (4)`, `-3 executed`.
    pub(crate) fn vertices_told(&self) -> Vec<String> {
        let told = std::mem::take(&mut self.state().vertices);
        let line = |event| match event {
            VertexEvent::Started(start) => {
                let line = start.line.map(|line| format!(" ({line})")).unwrap_or_default();
                format!("+{} {}{line}", start.number, start.name)
            }
            VertexEvent::Ended { number, result } => format!("-{number} {result}"),
        };
        told.into_iter().map(line).collect()
    }

    pub(crate) fn forget_cache(&self) {
        self.state().cache.clear();
    }

    fn file(&self, digest: &Digest) -> File {
        let bytes = self.blob(digest);
        self.state().fetched += 1;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }
}

fn absent() -> Failure {
    Failure::service("absent", "Not in this world.", "")
}

impl Outside for MemoryOutside {
    fn fetch_url(&self, url: &str) -> Result<Fetched, Failure> {
        let mut state = self.state();
        state.downloads.push(url.to_owned());
        let found = state.web.get(url).cloned();
        let (content, last_modified) = found.ok_or_else(|| Failure::user("url_refused", "404", ""))?;
        Ok(Fetched { content: ByteStream::whole(std::io::Cursor::new(content)), last_modified })
    }

    fn git_refs(&self) -> Result<ByteStream, Failure> {
        Err(absent())
    }

    fn git_upload_pack(&self, _request: &[u8]) -> Result<ByteStream, Failure> {
        Err(absent())
    }

    fn upload(&self) -> Result<ByteStream, Failure> {
        Err(absent())
    }

    fn source_found(&self, _: &model::GitRevision) -> Result<(), Failure> {
        Ok(())
    }

    fn resolve(&self, _image: &ImageReference, _platform: &Platform) -> Result<ResolvedImage, Failure> {
        Err(absent())
    }

    fn image_blob(&self, _image: &ImageReference, blob: &Descriptor) -> Result<File, Failure> {
        Ok(self.file(&blob.digest))
    }

    fn unpacked(&self, _layers: &[port::BaseLayer]) -> Result<Vec<Digest>, Failure> {
        Ok(Vec::new())
    }

    fn stored_blob(&self, digest: &Digest) -> Result<File, Failure> {
        Ok(self.file(digest))
    }

    fn cache_lookup(&self, keys: &[CacheKey]) -> Result<Vec<Option<CacheHit>>, Failure> {
        let mut state = self.state();
        state.lookups += 1;
        Ok(keys.iter().map(|key| state.cache.get(key).cloned()).collect())
    }

    fn new_blob(&self) -> Result<NewBlob, Failure> {
        let mut state = self.state();
        let file = match state.disk_full {
            true => File::options().write(true).open("/dev/full").unwrap(),
            false => tempfile::tempfile().unwrap(),
        };
        let id = state.open.len() as u64;
        state.open.insert(id, file.try_clone().unwrap());
        Ok(NewBlob { id, file })
    }

    fn blob_ready(&self, ready: BlobReady) -> Result<(), Failure> {
        let mut state = self.state();
        if let (Some(id), Some(blob)) = (ready.id, &ready.blob) {
            let mut file = state.open.get(&id).unwrap();
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!((content::digest_of(&bytes), bytes.len() as u64), (blob.digest.clone(), blob.size));
            state.blobs.insert(blob.digest.clone(), bytes);
        }
        if let Some(blob) = ready.blob.filter(|_| ready.announce) {
            assert!(state.blobs.contains_key(&blob.digest), "announced and not there");
            state.announced.insert(blob.digest);
        }
        if let Some(record) = ready.cache {
            let hit = CacheHit { layer: record.layer, made_at: record.made_at };
            state.cache.extend(record.keys.into_iter().map(|key| (key, hit.clone())));
        }
        Ok(())
    }

    fn secret(&self, id: &str) -> Result<Option<port::Secret>, Failure> {
        Ok(self.state().secrets.get(id).cloned().map(port::Secret))
    }

    fn network(&self) -> Result<(), Failure> {
        let mut state = self.state();
        state.network_asked += 1;
        state.network.clone().map_or(Ok(()), Err)
    }

    fn log(&self, lines: &str) {
        assert!(lines.ends_with('\n'));
        let mut state = self.state();
        state.log.push_str(lines);
        if lines.contains(" meet\n") && !lines.contains("RUN") {
            state.meeting.0 += 1;
            self.met.notify_all();
            let apart = |state: &mut State| state.meeting.0 < state.meeting.1;
            let (_state, waited) =
                self.met.wait_timeout_while(state, Duration::from_secs(60), apart).unwrap();
            assert!(!waited.timed_out(), "the others did not run at the same time");
        }
    }

    fn progress(&self, progress: Progress) {
        self.state().progress = progress;
    }

    fn vertex(&self, event: VertexEvent) {
        self.state().vertices.push(event);
    }
}
