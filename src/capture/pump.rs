//! Hot path: upstream's lines become documents and checkpoints, in the order in which they came.
//!
//! A checkpoint leaves only after every document that was read before it, because both go through
//! one buffer. The pump reads to the end of the output and notes what it saw; `outcome` decides
//! afterwards what that means.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::io::AsyncRead;
use tokio::time::{Instant, timeout_at};

use super::acknowledged::StateFile;
use super::batch;
use super::cadence::Cadence;
use super::counts::Counts;
use super::document::Documents;
use super::event::{Batch, ErrorReport, Estimate, Event, LineError, Record, Traits};
use super::glued;
use super::lines::{Lines, TooLong};
use super::oversized::RecordLimit;
use super::parser::{LineParser, is_half, stream_of};
use super::progress::Progress;
use super::protocol::{BoundStream, StateUpdate, UpstreamProtocol};
use super::pulse::Pulse;
use super::refresh::Refreshes;
use super::rotation::Rotation;
use super::router::Router;
use super::seen::Seen;
use super::sharing::Sharing;
use super::shutdown::Stop;
use super::sourced::Sourced;
use super::standing::Standing;
use super::state::CaptureState;
use super::supervisor::{stopped, unreadable};
use super::transform::Transform;
use crate::failure::{Cause, Failure};
use crate::flow::message::{Checkpoint, ConnectorState, Response, SourcedSchema};
use crate::flow::writer::{OutputClosed, Writer};
use crate::json::repair;
use crate::log::{self, Level};

/// So much of a line that is too long is looked at for the name of its stream.
const TELLING: usize = 64 * 1024;
/// How many unknown message types are remembered, to name each of them once.
const NAMED: usize = 1_000;

/// Moves one read.
pub struct Pump<'a, P: UpstreamProtocol> {
    /// Who understands states.
    pub protocol: &'a P,
    /// Who reads the lines.
    pub parser: LineParser,
    /// Where documents and checkpoints go.
    pub writer: &'a mut Writer,
    /// The bound streams.
    pub streams: &'a [BoundStream],
    /// Which stream a name means.
    pub router: Router,
    /// What is kept.
    pub state: &'a mut CaptureState,
    /// What is changed in the records of each stream, by position; `None` for nothing.
    pub transforms: Vec<Option<Transform>>,
    /// Where upstream reads what is durable.
    pub state_file: Option<&'a StateFile>,
    /// Makes documents.
    pub documents: Documents,
    /// Counts rows and knows what is to be deleted.
    pub refreshes: Refreshes,
    /// Counts records.
    pub counts: Counts,
    /// What Flow was told of schemas.
    pub sourced: Sourced,
    /// When streams without states get a checkpoint.
    pub cadence: Cadence,
    /// What becomes of a changed config.
    pub rotation: &'a Rotation,
    /// How large a record may be.
    pub limit: RecordLimit,
    /// What becomes of a state of all streams.
    pub sharing: Sharing<'a>,
    /// What was seen.
    pub seen: Seen,
    /// What is said of rows and rates.
    pub progress: Progress,
    /// What Flow shows beside the capture's name.
    pub standing: Standing,
    /// Where rate limits are noted, for the watchdog.
    pub pulse: Arc<Pulse>,
}

/// What a line asks for beyond what was done with it.
enum Next {
    Line,
    Checkpoint,
    Batch(Batch),
    ConfigUpdate,
    /// What a line held beside each other.
    Parts(Vec<Vec<u8>>),
    Schema(SourcedSchema),
}

impl<P: UpstreamProtocol> Pump<'_, P> {
    /// Reads to the end of the output. A failure names a stream: its own, else the one of the last record.
    pub async fn run(&mut self, output: &mut (impl AsyncRead + Unpin)) -> Result<(), Failure> {
        let read = self.read(output).await;
        read.map_err(|failure| failure.or_with("stream", self.last_stream()))
    }

    async fn read(&mut self, output: &mut (impl AsyncRead + Unpin)) -> Result<(), Failure> {
        let mut lines = Lines::new(self.limit.line());
        loop {
            loop {
                match lines.next_line() {
                    Ok(Some(line)) => {
                        let next = self.line(line)?;
                        self.go_on(next).await?;
                    }
                    Ok(None) => break,
                    Err(error) => return Err(self.too_long(&error, lines.take_rest())),
                }
            }
            self.flush().await?;
            if self.fill(&mut lines, output).await? == 0 {
                break;
            }
        }
        // A killed upstream leaves half a line, and its end says more than that does; a whole one may
        // merely lack its newline.
        let rest = lines.take_rest();
        if is_half(rest) {
            self.seen.half = Some(self.half(rest));
        } else if !rest.is_empty() {
            let next = self.line(rest)?;
            self.go_on(next).await?;
        }
        self.flush().await
    }

    /// Writes a checkpoint with what changed since the last one.
    pub async fn checkpoint(&mut self) -> Result<(), Failure> {
        self.refreshes.save(self.state);
        if let Some(file) = self.state_file {
            file.checkpoint(self.protocol.state_file(&self.state.stored(), self.streams));
        }
        let state = ConnectorState { updated_json: self.state.patch(), merge_patch: true };
        let checkpoint = Checkpoint { state: Some(state) };
        self.seen.uncommitted = 0;
        self.seen.completed = false;
        self.cadence.reset();
        self.seen.checkpoints += 1;
        self.writer
            .send(&Response { checkpoint: Some(checkpoint), ..Response::default() })
            .await
            .map_err(closed)
    }

    /// Hands over the documents that were made.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        self.tell();
        self.writer.flush().await.map_err(closed)
    }

    /// Hands over documents before their own checkpoint. Those of other processes commit them, so what is
    /// kept of a refresh has to go with them.
    async fn make_room(&mut self) -> Result<(), Failure> {
        let refreshes = (0..self.streams.len()).any(|stream| self.refreshes.is_full_refresh(stream));
        if self.writer.is_branch() && refreshes { self.checkpoint().await } else { self.flush().await }
    }

    /// Says how far the read is, where it is time to.
    fn tell(&mut self) {
        self.progress.tell(self.seen.documents, &self.counts, self.streams);
        self.standing.tell();
    }

    /// The stream of the last record; `None` before the first.
    pub fn last_stream(&self) -> Option<String> {
        self.router.last_stream().map(|stream| self.streams[stream].id.to_string())
    }

    /// Reads once. Documents that wait for a checkpoint do not wait for upstream.
    async fn fill(
        &mut self,
        lines: &mut Lines,
        output: &mut (impl AsyncRead + Unpin),
    ) -> Result<usize, Failure> {
        loop {
            if self.cadence.deadline().is_some_and(|late| late <= Instant::now()) {
                self.checkpoint().await?;
            }
            let words = [self.progress.deadline(self.seen.documents), self.standing.deadline()];
            let read = match self.cadence.deadline().into_iter().chain(words.into_iter().flatten()).min() {
                None => Ok(lines.fill(output).await),
                Some(late) => timeout_at(late, lines.fill(output)).await,
            };
            let Ok(read) = read else {
                self.tell();
                continue;
            };
            return read.map_err(|error| unreadable(&error));
        }
    }

    async fn go_on(&mut self, next: Next) -> Result<(), Failure> {
        match next {
            Next::Line if self.cadence.is_full() => self.checkpoint().await,
            Next::Line if self.writer.is_full() => self.make_room().await,
            Next::Line => Ok(()),
            Next::Checkpoint => self.checkpoint().await,
            Next::Batch(batch) => self.batch(&batch).await,
            Next::ConfigUpdate => {
                self.rotation.settle().await;
                Ok(())
            }
            Next::Parts(parts) => {
                for part in parts {
                    let next = self.line(&part)?;
                    Box::pin(self.go_on(next)).await?;
                }
                Ok(())
            }
            Next::Schema(schema) => {
                self.sourced_schema(schema).await?;
                self.checkpoint().await
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<Next, Failure> {
        match self.parser.parse(line) {
            Ok(event) => self.event(event),
            Err(error) => self.odd_line(line, error),
        }
    }

    /// A line that is no message as it stands: perhaps once it is repaired, or taken apart.
    fn odd_line(&mut self, line: &[u8], error: LineError) -> Result<Next, Failure> {
        let repaired = repair::repair(line);
        if let Some(repaired) = &repaired
            && let Ok(event) = self.parser.parse(&repaired.text)
        {
            self.seen.repaired_lines += 1;
            return self.event(event);
        }
        let text = repaired.as_ref().map_or(line, |repaired| &repaired.text);
        match glued::parts(text) {
            Some(parts) => Ok(Next::Parts(parts.into_iter().map(<[u8]>::to_vec).collect())),
            None => stray(line, error),
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<Next, Failure> {
        match event {
            Event::Record(record) => self.record(&record)?,
            Event::State(state) => {
                let update =
                    self.protocol.split_state(state, self.streams).map_err(|error| damaged(&error))?;
                self.state(update)?;
                return Ok(Next::Checkpoint);
            }
            Event::EndMark(stream) => {
                if let Some(stream) = self.router.find(None, &stream) {
                    self.seen.end_marks[stream] = self.counts.records(stream) > 0;
                }
            }
            Event::Schema(stream, schema) => {
                let stream = self.router.find(None, &stream);
                if let Some(schema) = stream.and_then(|stream| self.sourced.printed(stream, schema)) {
                    return Ok(Next::Schema(schema));
                }
            }
            Event::Batch(batch) => return Ok(Next::Batch(batch)),
            Event::Log(line) => log::upstream(line.level, &line.message, line.fields),
            Event::Error(report) => self.error(*report),
            Event::Status(status) => {
                self.pulse.status(&status.stream, status.status);
                match self.router.find(status.namespace.as_deref(), &status.stream) {
                    Some(stream) => {
                        self.seen.statuses[stream] = Some(status.status);
                        self.standing.status(stream, &self.streams[stream].id, status.status);
                    }
                    None => self.counts.dropped(&status.stream),
                }
            }
            Event::Estimate(Estimate { stream, namespace, estimated }) => {
                let found = stream.as_deref().map(|name| self.router.find(namespace.as_deref(), name));
                if found != Some(None) {
                    self.progress.estimate(found.flatten(), estimated);
                }
            }
            Event::ConfigUpdate(config) => {
                self.rotation.note(config);
                return Ok(Next::ConfigUpdate);
            }
            Event::Unknown(kind) => {
                count_type(&mut self.seen.unknown_types, &kind);
            }
            Event::Answer(_) | Event::Ignored => {}
        }
        Ok(Next::Line)
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let Some(stream) = self.router.find(record.namespace.as_deref(), &record.stream) else {
            self.counts.dropped_record(&record.stream);
            return Ok(());
        };
        self.document(stream, record.data, record.traits)
    }

    fn document(&mut self, stream: usize, record: &[u8], traits: Traits) -> Result<(), Failure> {
        if record.len() > self.limit.bytes {
            let BoundStream { id, key, .. } = &self.streams[stream];
            let record = self.limit.cut_down(&id.to_string(), record, key)?;
            let traits = Traits::find(&record, self.protocol.deletion_marker());
            self.write(stream, record.as_bytes(), traits);
        } else {
            self.write(stream, record, traits);
        }
        Ok(())
    }

    fn write(&mut self, stream: usize, record: &[u8], traits: Traits) {
        self.counts.record(stream, record.len());
        self.seen.end_marks[stream] = false;
        let record = match &mut self.transforms[stream] {
            Some(transform) => transform.apply(record),
            None => record,
        };
        let written = self.refreshes.write(stream, record, traits, &mut self.documents, self.writer);
        self.seen.wrote(written);
        if written > 0 && self.refreshes.is_silent(stream) {
            self.cadence.written(written, record.len());
        }
    }

    /// Takes over a state. A row id is kept with the state of its own stream alone: after a restart
    /// from an older state the rows behind it come again, and get the same row ids again.
    fn state(&mut self, mut update: StateUpdate) -> Result<(), Failure> {
        self.sharing.judge(self.protocol, &mut update)?;
        for stream in &update.unbound {
            self.counts.dropped(stream);
        }
        self.counts.state(&update, self.streams);
        for (stream, upstream) in &update.streams {
            let Some(upstream) = upstream else { continue };
            if self.state.upstream(*stream).is_some_and(|old| old.get() == upstream.get())
                && self.refreshes.is_full_refresh(*stream)
            {
                continue;
            }
            let kind = self.protocol.refresh_state(&self.streams[*stream], upstream);
            let written = self.refreshes.state(*stream, kind, self.state, self.writer);
            self.seen.wrote(written);
        }
        self.state.update(update);
        Ok(())
    }

    async fn batch(&mut self, batch: &Batch) -> Result<(), Failure> {
        let stream = self.router.find(None, &batch.stream);
        for file in &batch.files {
            let Some(stream) = stream else {
                self.counts.dropped(&batch.stream);
                continue;
            };
            let mut records = batch::Records::open(file, &batch.stream, self.protocol.deletion_marker())?;
            while let Some((record, traits)) = records.next_record()? {
                self.document(stream, record, traits)?;
                if self.cadence.is_full() {
                    self.checkpoint().await?;
                } else if self.writer.is_full() {
                    self.make_room().await?;
                }
            }
            records.remove();
        }
        Ok(())
    }

    /// Keeps the first report of each stream: the last one only says that something failed
    /// (airbyte-protocol.md, 5.4).
    fn error(&mut self, report: ErrorReport) {
        log::upstream(Level::Error, &report.message, report.fields());
        if !self.seen.errors.iter().any(|seen| seen.stream == report.stream) {
            self.seen.errors.push(report);
        }
    }

    /// The failure of an output that ends in half a message.
    fn half(&mut self, line: &[u8]) -> Failure {
        match self.parser.parse(line) {
            Err(error @ LineError::Damaged { .. }) => damaged(&error),
            _ => Failure::new(
                Cause::UpstreamProtocol,
                "upstream's output ends in half a message, so upstream was not done; nothing after the last \
                 checkpoint is kept, so that no data is lost",
            )
            .or_with("stream", stream_of(line)),
        }
    }

    /// The failure of a line that was given up while it grew; `line` is what there is of it.
    fn too_long(&mut self, error: &TooLong, line: &[u8]) -> Failure {
        if let Err(LineError::Damaged { stream: Some(stream), .. }) =
            self.parser.parse(&line[..line.len().min(TELLING)])
        {
            return self.limit.failure(&stream, &format!("more than {} bytes", self.limit.bytes));
        }
        let near =
            self.last_stream().map(|stream| format!("; the last record before it was of stream {stream:?}"));
        Failure::new(
            Cause::UpstreamProtocol,
            format!("{error}, and read.maxRecordBytes is {}{}", self.limit.bytes, near.unwrap_or_default()),
        )
    }
}

/// A line that is no message goes to the log; one that held data ends the read.
fn stray(line: &[u8], error: LineError) -> Result<Next, Failure> {
    match error {
        LineError::NotAMessage => {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end();
            if !text.is_empty() {
                log::upstream(Level::Info, text, serde_json::Map::new());
            }
            Ok(Next::Line)
        }
        LineError::Damaged { .. } => Err(damaged(&error)),
    }
}

fn damaged(error: &LineError) -> Failure {
    let stream = match error {
        LineError::Damaged { stream, .. } => stream.as_deref(),
        LineError::NotAMessage => None,
    };
    let failure = Failure::new(
        Cause::UpstreamProtocol,
        format!(
            "upstream printed {error}; nothing after the last checkpoint is kept, so that no data is lost"
        ),
    );
    failure.or_with("stream", stream)
}

/// Counts, and names a type when it is seen first.
fn count_type(seen: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(times) = seen.get_mut(name) {
        *times += 1;
    } else if seen.len() < NAMED {
        tracing::warn!(name, "upstream printed a message of a type that nobody knows; it is left out");
        seen.insert(name.to_owned(), 1);
    }
}

/// The failure of writing to nobody.
pub fn closed(_: OutputClosed) -> Failure {
    stopped(Stop::OutputClosed)
}
