//! Hot path: upstream's lines become documents and checkpoints, in the order in which they came.
//!
//! A checkpoint leaves only after every document that was read before it, because both go through
//! one buffer. The pump reads to the end of the output and notes what it saw; `outcome` decides
//! afterwards what that means. `events` says what a line asks for, `records` makes documents of records,
//! `channel` reads sockets beside the output, `ends` writes what stands before and behind all that, and
//! `sequence` bounds what goes without a checkpoint.

mod channel;
mod ends;
mod events;
mod records;
mod sequence;

use std::sync::Arc;

use tokio::io::AsyncRead;
use tokio::time::{Instant, timeout_at};

use super::cadence::Cadence;
use super::counts::Counts;
use super::progress::Progress;
use super::seen::Seen;
use super::standing::Standing;
use crate::capture::collections::sourced::Sourced;
use crate::capture::config::rotation::Rotation;
use crate::capture::documents::document::Documents;
use crate::capture::documents::omission::Omission;
use crate::capture::documents::oversized::RecordLimit;
use crate::capture::documents::router::Router;
use crate::capture::documents::transform::Transform;
use crate::capture::event::Batch;
use crate::capture::input::batch::Batches;
use crate::capture::input::channel::{Channel, Partitions};
use crate::capture::input::damaged::is_half;
use crate::capture::input::lines::Lines;
use crate::capture::input::parser::LineParser;
use crate::capture::processes::pulse::Pulse;
use crate::capture::processes::supervisor::unreadable;
use crate::capture::protocol::{BoundStream, UpstreamProtocol};
use crate::capture::refresh::Refreshes;
use crate::capture::shutdown::unwritten;
use crate::capture::state::CaptureState;
use crate::capture::state::acknowledged::StateFile;
use crate::capture::state::sharing::Sharing;
use crate::failure::Failure;
use crate::flow::message::{Checkpoint, ConnectorState, Response, SourcedSchema};
use crate::flow::writer::Writer;

/// Moves one read.
pub(super) struct Pump<'a, P: UpstreamProtocol> {
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
    /// What is left out of the records of each stream, by position; `None` for nothing.
    pub omissions: Vec<Option<Omission>>,
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
    /// Which states wait for records; `None` where records do not come through sockets.
    pub partitions: Option<Partitions>,
    /// Which files of records were read.
    pub batches: &'a mut Batches,
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
    /// A state was put to those that wait for records.
    Waiting,
    Batch(Batch),
    ConfigUpdate,
    /// What a line held beside each other.
    Parts(Vec<Vec<u8>>),
    Schema(SourcedSchema),
}

impl<P: UpstreamProtocol> Pump<'_, P> {
    /// Reads to the end of the output. A failure names a stream: its own, else the one of the last record.
    pub(super) async fn run(
        &mut self,
        output: &mut (impl AsyncRead + Unpin),
        channel: Option<Channel>,
    ) -> Result<(), Failure> {
        let read = match channel {
            Some(channel) => self.read_with(channel, output).await,
            None => self.read(output).await,
        };
        read.map_err(|failure| failure.or_with("stream", self.near()))
    }

    async fn read(&mut self, output: &mut (impl AsyncRead + Unpin)) -> Result<(), Failure> {
        self.go_on_reading(Lines::new(self.limit.line()), output).await
    }

    async fn go_on_reading(
        &mut self,
        mut lines: Lines,
        output: &mut (impl AsyncRead + Unpin),
    ) -> Result<(), Failure> {
        loop {
            self.take_lines(&mut lines).await?;
            self.flush().await?;
            if self.fill(&mut lines, output).await? == 0 {
                break;
            }
        }
        self.take_rest(&mut lines).await?;
        self.flush().await
    }

    /// Takes the lines that are there.
    async fn take_lines(&mut self, lines: &mut Lines) -> Result<(), Failure> {
        loop {
            match lines.next_line() {
                Ok(Some(line)) => match self.line(line)? {
                    // Most lines are records, and most of those ask for nothing.
                    Next::Line if !self.cadence.is_full() && !self.writer.is_full() => {}
                    next => self.go_on(next).await?,
                },
                Ok(None) => return Ok(()),
                Err(error) => {
                    let oversized = self.parser.oversized(lines.take_rest());
                    return Err(self.too_long(&error, &oversized));
                }
            }
        }
    }

    /// Takes what the output ends in. A killed upstream leaves half a line, and its end says more than
    /// that does; a whole one may merely lack its newline.
    async fn take_rest(&mut self, lines: &mut Lines) -> Result<(), Failure> {
        let rest = lines.take_rest();
        if is_half(rest) {
            self.seen.half = Some(self.half(rest));
        } else if !rest.is_empty() {
            let next = self.line(rest)?;
            self.go_on(next).await?;
        }
        Ok(())
    }

    /// Writes a checkpoint with what changed since the last one, once it may go out.
    async fn checkpoint(&mut self) -> Result<(), Failure> {
        self.sharing.settled().await;
        self.commit().await
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        while let Some(widened) = self.sourced.widened() {
            self.sourced_schema(widened).await?;
        }
        self.refreshes.save(self.state);
        if let Some(file) = self.state_file {
            file.checkpoint(self.protocol.state_file(&self.state.stored(), self.streams));
        }
        let state = ConnectorState { updated_json: self.state.patch(), merge_patch: true };
        let checkpoint = Checkpoint { state: Some(state) };
        self.seen.uncommitted = 0;
        self.cadence.reset();
        self.seen.checkpoints += 1;
        self.writer
            .send(&Response { checkpoint: Some(checkpoint), ..Response::default() })
            .await
            .map_err(unwritten)
    }

    /// Tells Flow of a schema. It takes effect with the checkpoint that must follow.
    async fn sourced_schema(&mut self, schema: SourcedSchema) -> Result<(), Failure> {
        let response = Response { sourced_schema: Some(schema), ..Response::default() };
        self.writer.send(&response).await.map_err(unwritten)
    }

    /// Hands over the documents that were made.
    async fn flush(&mut self) -> Result<(), Failure> {
        self.tell();
        self.writer.flush().await.map_err(unwritten)?;
        self.bound_sequence().await
    }

    /// Hands over documents before their own checkpoint. Those of other processes commit them, so what is
    /// kept of a refresh has to go with them.
    async fn make_room(&mut self) -> Result<(), Failure> {
        self.sharing.settled().await;
        let refreshes = || (0..self.streams.len()).any(|stream| self.refreshes.is_full_refresh(stream));
        if self.writer.is_branch() && refreshes() { self.checkpoint().await } else { self.flush().await }
    }

    /// Says how far the read is, where it is time to.
    fn tell(&mut self) {
        self.progress.tell(self.seen.documents, &self.counts, self.streams);
        self.standing.tell();
    }

    /// The stream of the last message that names one.
    pub(super) fn near(&self) -> Option<String> {
        self.router.last_stream().map(|stream| self.streams[stream].id.to_string())
    }

    /// The stream of the last record; `None` before the first.
    pub(super) fn last_stream(&self) -> Option<String> {
        // The router also looks up the names in statuses.
        let stream = self.router.last_stream().filter(|stream| self.counts.records(*stream) > 0)?;
        Some(self.streams[stream].id.to_string())
    }

    /// Reads once.
    async fn fill(
        &mut self,
        lines: &mut Lines,
        output: &mut (impl AsyncRead + Unpin),
    ) -> Result<usize, Failure> {
        self.wait(async || lines.fill(output).await).await?.map_err(|error| unreadable(&error))
    }

    /// Waits for what comes next, which is safe to be asked for again. Documents that wait for a
    /// checkpoint do not wait for upstream.
    async fn wait<T>(&mut self, mut next: impl AsyncFnMut() -> T) -> Result<T, Failure> {
        loop {
            if self.cadence.deadline().is_some_and(|late| late <= Instant::now()) {
                // While that waits, silence is not upstream's fault.
                self.pulse.set_waiting(false);
                self.checkpoint().await?;
                self.pulse.set_waiting(true);
            }
            let words = [self.progress.deadline(self.seen.documents), self.standing.deadline()];
            let came = match self.cadence.deadline().into_iter().chain(words.into_iter().flatten()).min() {
                None => Ok(next().await),
                Some(late) => timeout_at(late, next()).await,
            };
            match came {
                Ok(came) => return Ok(came),
                Err(_) => self.tell(),
            }
        }
    }

    /// Writes a checkpoint, or hands over documents, where it is time to.
    async fn after_record(&mut self) -> Result<(), Failure> {
        if self.cadence.is_full() {
            self.checkpoint().await
        } else if self.writer.is_full() {
            self.make_room().await
        } else {
            Ok(())
        }
    }

    async fn go_on(&mut self, next: Next) -> Result<(), Failure> {
        match next {
            Next::Line => self.after_record().await,
            Next::Checkpoint => self.checkpoint().await,
            Next::Waiting => self.release().await,
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
                self.alone(Response { sourced_schema: Some(schema), ..Response::default() }).await?;
                self.checkpoint().await
            }
        }
    }
}
