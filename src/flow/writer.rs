//! Hot path: the only writer of responses.
//!
//! Documents pile up in a buffer, which goes to a thread that does nothing but write; two buffers
//! at most are under way, so a slow reader holds us back instead of filling memory. Blocking writes
//! on a thread, because making stdout non-blocking would change it for every process that shares it.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use super::codec::{Codec, CodecError};
use super::message::{Checkpoint, ConnectorState, Response};

/// A buffer of this size is handed over.
const FULL: usize = 256 * 1024;
/// A buffer that one huge document has made larger than this is not kept.
const KEEP: usize = 2 * 1024 * 1024;
/// How many buffers may wait for the thread.
const UNDER_WAY: usize = 2;
/// So much a branch holds back for its checkpoint.
const HELD: usize = 4 * 1024 * 1024;

/// Why nothing more is written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nobody reads our output any more.
    #[error("nobody reads the capture's output any more")]
    Closed,
    /// Writing fails for another reason.
    #[error("{0}")]
    Failed(String),
    /// A response cannot be encoded, which is a mistake of ours.
    #[error("{0}")]
    Response(CodecError),
}

/// Writes responses.
#[derive(Debug)]
pub struct Writer {
    codec: Codec,
    buffer: Vec<u8>,
    full: mpsc::Sender<Vec<u8>>,
    empty: Option<mpsc::Receiver<Vec<u8>>>,
    done: Option<oneshot::Receiver<()>>,
    /// Why the thread has ended, where that is an error.
    failed: Arc<OnceLock<std::io::Error>>,
    /// Bytes that all writers to this output have handed over since the last checkpoint.
    open: Arc<AtomicU64>,
    /// How much of the buffer a checkpoint has ended.
    ended: usize,
    is_branch: bool,
    /// The buffer must begin a sequence: its messages share none with those before them.
    alone: bool,
}

impl Writer {
    /// Starts the thread that writes to `output`. Fails where the system has no thread for it.
    pub fn start(mut output: impl Write + Send + 'static, codec: Codec) -> std::io::Result<Self> {
        let (full, mut to_write) = mpsc::channel::<Vec<u8>>(UNDER_WAY);
        let (written, empty) = mpsc::channel(UNDER_WAY);
        let (report, done) = oneshot::channel();
        let failed = Arc::new(OnceLock::new());
        let failure = failed.clone();
        let write = move || {
            while let Some(mut buffer) = to_write.blocking_recv() {
                if let Err(error) = output.write_all(&buffer).and_then(|()| output.flush()) {
                    // Nobody else sets it.
                    let _ = failure.set(error);
                    break;
                }
                if buffer.capacity() <= KEEP {
                    buffer.clear();
                    // Where the writer is gone, or has enough of them, nobody needs the buffer.
                    let _ = written.try_send(buffer);
                }
            }
            // Likewise for the report.
            let _ = report.send(());
        };
        std::thread::Builder::new().name("writer".to_owned()).spawn(write)?;
        let buffer = Vec::with_capacity(FULL + FULL / 4);
        Ok(Self {
            codec,
            buffer,
            full,
            empty: Some(empty),
            done: Some(done),
            failed,
            open: Arc::default(),
            ended: 0,
            is_branch: false,
            alone: false,
        })
    }

    /// A writer to the same output, for documents whose checkpoints come apart from those of others. It
    /// holds back what no checkpoint has followed, so that no checkpoint of others commits it; only
    /// where that is too much it goes out before.
    #[must_use]
    pub fn branch(&self) -> Self {
        Self {
            codec: self.codec,
            buffer: Vec::new(),
            full: self.full.clone(),
            empty: None,
            done: None,
            failed: self.failed.clone(),
            open: self.open.clone(),
            ended: 0,
            is_branch: true,
            alone: false,
        }
    }

    /// Whether this is one of several writers.
    pub fn is_branch(&self) -> bool {
        self.is_branch
    }

    /// The size of the running sequence in bytes: everything since the last checkpoint on this output.
    pub fn sequence(&self) -> u64 {
        let own = (self.buffer.len() - self.ended) as u64;
        if self.ended > 0 { own } else { self.open.load(Ordering::Relaxed) + own }
    }

    /// Appends a document: `head` and `tail` together are its JSON text.
    pub fn captured(&mut self, binding: u32, head: &[u8], tail: &[u8]) {
        captured(self.codec, &mut self.buffer, binding, head, tail);
    }

    /// Encodes a document into a buffer of the caller, who may [`append`](Self::append) it later.
    pub fn encode(&self, buffer: &mut Vec<u8>, binding: u32, head: &[u8], tail: &[u8]) {
        captured(self.codec, buffer, binding, head, tail);
    }

    /// Appends documents that were encoded before.
    pub fn append(&mut self, encoded: &[u8]) {
        self.buffer.extend_from_slice(encoded);
    }

    /// Whether the buffer should be handed over before more is appended.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= if self.is_branch() { HELD } else { FULL }
    }

    /// Hands over what was appended, unless it is held back. Waits while the reader is slow.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        if self.is_branch() && !self.is_full() { Ok(()) } else { self.hand_over().await }
    }

    /// Appends a response other than a document, and hands everything over, unless it is held back.
    pub async fn send(&mut self, response: &Response) -> Result<(), WriteError> {
        self.codec.encode(response, &mut self.buffer).map_err(WriteError::Response)?;
        // Opened stands before the first sequence.
        if response.checkpoint.is_some() || response.opened.is_some() {
            self.ended = self.buffer.len();
        } else if self.is_branch() {
            return Ok(());
        }
        self.hand_over().await
    }

    /// The same for a response that must begin a sequence. The caller has written a checkpoint behind its
    /// own documents. Where other branches have documents open, an empty checkpoint goes before it: it
    /// commits them without the state that covers them, as the next checkpoint would have.
    pub async fn send_alone(&mut self, response: &Response) -> Result<(), WriteError> {
        self.alone = self.is_branch();
        self.send(response).await
    }

    /// Of a branch: hands over what a checkpoint has ended, and forgets what follows.
    pub async fn forget_rest(&mut self) -> Result<(), WriteError> {
        if self.is_branch() {
            self.buffer.truncate(self.ended);
        }
        self.hand_over().await
    }

    /// Ends once nothing more can be written, with the reason; never before. For those that wait for
    /// something else and would only notice at their next write.
    pub fn broken(&self) -> impl Future<Output = WriteError> + use<> {
        let (full, failed) = (self.full.clone(), self.failed.clone());
        async move {
            full.closed().await;
            why(&failed)
        }
    }

    /// Loses nothing when it is dropped while it waits.
    async fn hand_over(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let place = self.full.reserve().await.map_err(|_| why(&self.failed))?;
        // Nobody else writes between here and the end, since all writers share one thread.
        if std::mem::take(&mut self.alone) && self.open.load(Ordering::Relaxed) > 0 {
            let mut before = Vec::new();
            self.codec.encode(&empty_checkpoint(), &mut before).map_err(WriteError::Response)?;
            self.ended = if self.ended > 0 { self.ended + before.len() } else { 0 };
            self.buffer.splice(..0, before);
        }
        let rest = (self.buffer.len() - self.ended) as u64;
        let open = if self.ended > 0 { 0 } else { self.open.load(Ordering::Relaxed) };
        self.open.store(open + rest, Ordering::Relaxed);
        let next = self.empty.as_mut().and_then(|empty| empty.try_recv().ok());
        let next = next.unwrap_or_else(|| Vec::with_capacity(FULL + FULL / 4));
        place.send(std::mem::replace(&mut self.buffer, next));
        self.ended = 0;
        Ok(())
    }

    /// Ends once everything that was handed over is written.
    pub async fn finish(self) -> Result<(), WriteError> {
        let Self { full, done, failed, .. } = self;
        drop(full);
        let Some(done) = done else { return Ok(()) };
        match done.await {
            Ok(()) if failed.get().is_none() => Ok(()),
            _ => Err(why(&failed)),
        }
    }
}

/// A checkpoint that changes nothing of the state.
fn empty_checkpoint() -> Response {
    let state = ConnectorState { updated_json: b"{}".to_vec(), merge_patch: true };
    Response { checkpoint: Some(Checkpoint { state: Some(state) }), ..Response::default() }
}

/// Why the thread takes nothing more.
fn why(failed: &OnceLock<std::io::Error>) -> WriteError {
    match failed.get() {
        Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            WriteError::Failed(error.to_string())
        }
        _ => WriteError::Closed,
    }
}

fn captured(codec: Codec, buffer: &mut Vec<u8>, binding: u32, head: &[u8], tail: &[u8]) {
    match codec {
        Codec::Json => captured_json(buffer, binding, head, tail),
        Codec::Proto => captured_proto(buffer, binding, head, tail),
    }
}

fn captured_json(buffer: &mut Vec<u8>, binding: u32, head: &[u8], tail: &[u8]) {
    let mut digits = itoa::Buffer::new();
    buffer.extend_from_slice(b"{\"captured\":{\"binding\":");
    buffer.extend_from_slice(digits.format(binding).as_bytes());
    buffer.extend_from_slice(b",\"doc\":");
    buffer.extend_from_slice(head);
    buffer.extend_from_slice(tail);
    buffer.extend_from_slice(b"}}\n");
}

/// `Response { captured (6): Captured { binding (1), doc_json (2) } }`, after its length as u32.
fn captured_proto(buffer: &mut Vec<u8>, binding: u32, head: &[u8], tail: &[u8]) {
    let document = head.len() + tail.len();
    let binding_len = if binding == 0 { 0 } else { 1 + varint_len(u64::from(binding)) };
    let inner = binding_len + 1 + varint_len(document as u64) + document;
    let message = 1 + varint_len(inner as u64) + inner;
    // A message over 4 GiB cannot be framed; lines are limited far below that.
    buffer.extend_from_slice(&u32::try_from(message).unwrap_or(u32::MAX).to_le_bytes());
    buffer.push(6 << 3 | 2);
    varint(buffer, inner as u64);
    if binding != 0 {
        buffer.push(1 << 3);
        varint(buffer, u64::from(binding));
    }
    buffer.push(2 << 3 | 2);
    varint(buffer, document as u64);
    buffer.extend_from_slice(head);
    buffer.extend_from_slice(tail);
}

fn varint(buffer: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, buffer);
}

fn varint_len(value: u64) -> usize {
    prost::encoding::encoded_len_varint(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::super::message::{BackfillBegin, Captured, Opened};
    use super::*;

    fn oracle(binding: u32, document: &str) -> Response {
        let doc_json = document.as_bytes().to_vec();
        Response { captured: Some(Captured { binding, doc_json }), ..Response::default() }
    }

    proptest! {
        #[test]
        fn a_document_is_encoded_as_the_message_would_be(binding: u32, text in ".{0,300}", at in 0_usize..300) {
            let document = serde_json::to_string(&text).expect("text is JSON");
            let at = (0..=at.min(document.len())).rev().find(|&at| document.is_char_boundary(at)).unwrap_or(0);
            let (head, tail) = document.split_at(at);
            let expected = oracle(binding, &document);

            let mut proto = Vec::new();
            captured_proto(&mut proto, binding, head.as_bytes(), tail.as_bytes());
            prop_assert_eq!(proto[..4].to_vec(), u32::try_from(proto.len() - 4).expect("short").to_le_bytes().to_vec());
            prop_assert_eq!(proto[4..].to_vec(), expected.encode_to_vec());

            let mut json = Vec::new();
            captured_json(&mut json, binding, head.as_bytes(), tail.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<Response>(&json).expect("a response"), expected);
        }
    }

    #[tokio::test]
    async fn a_branch_writes_whole_transactions() {
        let (mut reader, output) = std::io::pipe().expect("a pipe");
        let mut writer = Writer::start(output, Codec::Json).expect("a thread");
        let mut branches = [writer.branch(), writer.branch()];
        let checkpoint = Response { checkpoint: Some(Checkpoint::default()), ..Response::default() };
        for branch in &mut branches {
            branch.captured(0, b"{}", b"");
            branch.flush().await.expect("held back");
        }
        branches[1].send(&checkpoint).await.expect("written");
        branches[0].forget_rest().await.expect("nothing to write");
        branches[0].send(&checkpoint).await.expect("written");
        drop(branches);
        writer.flush().await.expect("nothing to write");
        writer.finish().await.expect("written");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut reader, &mut text).expect("UTF-8");
        let kinds: Vec<bool> = text.lines().map(|line| line.contains("captured")).collect();
        assert_eq!(kinds, [true, false, false], "{text}");
    }

    #[tokio::test]
    async fn what_must_be_alone_ends_the_sequence_that_others_have_open() {
        let (mut reader, output) = std::io::pipe().expect("a pipe");
        // More than a pipe holds goes through it.
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut reader, &mut text).expect("UTF-8");
            text
        });
        let mut writer = Writer::start(output, Codec::Json).expect("a thread");
        let checkpoint = Response { checkpoint: Some(Checkpoint::default()), ..Response::default() };
        let marker = Response { backfill_begin: Some(BackfillBegin { binding: 1 }), ..Response::default() };
        let opened = Response { opened: Some(Opened::default()), ..Response::default() };
        writer.send(&opened).await.expect("written");
        let mut branches = [writer.branch(), writer.branch()];
        for document in [0, HELD] {
            branches[0].captured(0, b"{}", &b" ".repeat(document));
            branches[0].flush().await.expect("written where it is large");
            branches[1].send_alone(&marker).await.expect("held back");
            branches[1].send(&checkpoint).await.expect("written");
        }
        drop(branches);
        writer.finish().await.expect("written");
        let text = reading.join().expect("it reads");
        let kind = |line: &str| line[2..].split('"').next().map(str::to_owned).unwrap_or_default();
        let kinds: Vec<String> = text.lines().map(kind).collect();
        let alone = ["backfillBegin", "checkpoint"];
        let before = ["captured", "captured", "checkpoint"];
        assert_eq!(kinds, [&["opened"][..], &alone, &before, &alone].concat());
    }

    #[tokio::test]
    async fn a_sequence_is_measured_from_checkpoint_to_checkpoint() {
        let mut writer = Writer::start(std::io::sink(), Codec::Json).expect("a thread");
        let checkpoint = Response { checkpoint: Some(Checkpoint::default()), ..Response::default() };
        for _ in 0..2 {
            for _ in 0..3 {
                writer.captured(0, b"{}", &[b' '; 1000]);
                writer.flush().await.expect("written");
            }
            assert!((3000..3300).contains(&writer.sequence()), "{}", writer.sequence());
            writer.send(&checkpoint).await.expect("written");
            assert_eq!(writer.sequence(), 0);
        }
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_is_noticed() {
        let (reader, output) = std::io::pipe().expect("a pipe");
        let mut writer = Writer::start(output, Codec::Json).expect("a thread");
        drop(reader);
        writer.captured(0, b"{}", b"");
        // The first flush may still find the thread alive.
        let first = writer.flush().await;
        let error = first.err().or(writer.finish().await.err());
        assert!(matches!(error, Some(WriteError::Closed)), "{error:?}");
    }

    #[tokio::test]
    async fn why_writing_fails_is_told() {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("it is there");
        let mut writer = Writer::start(full, Codec::Json).expect("a thread");
        writer.captured(0, b"{}", b"");
        writer.flush().await.expect("the thread is alive");
        let failed =
            |error: &WriteError| matches!(error, WriteError::Failed(why) if why.starts_with("No space left"));
        let mut branch = writer.branch();
        while !writer.full.is_closed() {
            tokio::task::yield_now().await;
        }
        branch.captured(0, b"{}", b"");
        assert!(branch.hand_over().await.is_err_and(|error| failed(&error)));
        writer.captured(0, b"{}", b"");
        assert!(writer.flush().await.is_err_and(|error| failed(&error)));
    }

    #[tokio::test]
    async fn a_response_that_is_none_is_told_from_a_reader_that_goes_away() {
        let mut writer = Writer::start(std::io::sink(), Codec::Json).expect("a thread");
        let response = oracle(0, "{");
        assert!(matches!(writer.send(&response).await, Err(WriteError::Response(_))));
        writer.finish().await.expect("nothing was written");
    }
}
