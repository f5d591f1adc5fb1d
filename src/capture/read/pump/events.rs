//! What a line asks for: messages that are no documents, and lines that are no messages.

use std::fmt::Display;

use super::{Next, Pump};
use crate::capture::collections::key_check;
use crate::capture::event::{ErrorReport, Estimate, Event, LineError, Record, Schema, Status, StreamStatus};
use crate::capture::files;
use crate::capture::input::damaged::{Oversized, stream_of};
use crate::capture::input::glued;
use crate::capture::protocol::UpstreamProtocol;
use crate::failure::{Code, Failure};
use crate::json::repair;
use crate::log::{self, Level};

/// How many unknown message types are remembered, to name each of them once.
const NAMED: usize = 1_000;

impl<P: UpstreamProtocol> Pump<'_, P> {
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Next, Failure> {
        match self.parser.parse(line) {
            Ok(event) => self.event(event),
            Err(error) => self.odd_line(line, error),
        }
    }

    /// A line that is no message as it stands: perhaps once it is repaired, or taken apart.
    fn odd_line(&mut self, line: &[u8], error: LineError) -> Result<Next, Failure> {
        let repaired = repair::repair(line);
        if let Some(repaired) = &repaired
            && let Ok(event) = self.parser.parse(repaired)
        {
            self.seen.repaired_lines += 1;
            return self.event(event);
        }
        let Some(parts) = glued::parts(repaired.as_deref().unwrap_or(line)) else {
            return stray(line, error);
        };
        self.seen.repaired_lines += u64::from(repaired.is_some());
        Ok(Next::Parts(parts.into_iter().map(<[u8]>::to_vec).collect()))
    }

    fn event(&mut self, event: Event<'_>) -> Result<Next, Failure> {
        match event {
            Event::Record(record) => self.record(&record)?,
            Event::State(state) => {
                let update =
                    self.protocol.split_state(state, self.streams).map_err(|error| damaged(&error))?;
                return self.take_state(update);
            }
            Event::EndMark(stream) => {
                if let Some(stream) = self.router.find(None, &stream) {
                    self.seen.end_marks[stream] = self.counts.records(stream) > 0;
                }
            }
            Event::Schema(Schema { stream, schema, key }) => {
                let Some(stream) = self.router.find(None, &stream) else { return Ok(Next::Line) };
                self.seen.heard[stream] = true;
                self.counts.described(stream);
                self.key_printed(stream, &key);
                if let Some(schema) = self.sourced.printed(stream, schema) {
                    return Ok(Next::Schema(schema));
                }
            }
            Event::File(record) => self.file(&record)?,
            Event::Batch(batch) => return Ok(Next::Batch(batch)),
            Event::Log(line) => log::upstream(line.level, &line.message, line.fields),
            Event::Error(report) => self.error(*report),
            Event::Status(status) => self.status(&status),
            Event::Estimate(estimate) => self.estimate(&estimate),
            Event::ConfigUpdate(config) => {
                self.rotation.note(config);
                return Ok(Next::ConfigUpdate);
            }
            Event::Unknown(kind) => self.unknown(&kind),
            Event::Answer(_) | Event::Ignored => {}
        }
        Ok(Next::Line)
    }

    /// A record that hands over a file: its bytes lie on this machine, where nobody would look for them.
    fn file(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        match self.router.find(record.namespace.as_deref(), &record.stream) {
            None => self.counts.dropped_record(&record.stream),
            Some(stream) => {
                let config = self.rotation.newest();
                return Err(files::refused(self.protocol, &self.streams[stream].id, &config));
            }
        }
        Ok(())
    }

    /// Compares the key that upstream printed with the collection's, once for each stream.
    fn key_printed(&mut self, stream: usize, key: &[String]) {
        if !key.is_empty() && !std::mem::replace(&mut self.seen.keys[stream], true) {
            key_check::printed(&self.streams[stream].id, key, &self.streams[stream].key);
        }
    }

    fn status(&mut self, status: &StreamStatus<'_>) {
        self.pulse.status(&status.stream, status.status);
        match self.router.find(status.namespace.as_deref(), &status.stream) {
            // Through sockets, an older status may come after a newer one, and each comes twice.
            Some(stream) if self.partitions.is_some() && self.seen.is_settled(stream, status.status) => {}
            Some(stream) => {
                self.seen.statuses[stream] = Some(status.status);
                self.seen.heard[stream] |= status.status == Status::Complete;
                self.rate_limited(stream, status.status);
                self.standing.status(stream, &self.streams[stream].id, status.status);
            }
            None => self.counts.dropped(&status.stream),
        }
    }

    /// Tells operators of the first stream that waits for its quota; the others are part of the capture's
    /// status.
    fn rate_limited(&mut self, stream: usize, status: Status) {
        if let Status::RateLimited { until } = status
            && !std::mem::replace(&mut self.seen.rate_limited, true)
        {
            let until = until.map(|until| until.to_string());
            tracing::info!(
                observable = true,
                stream = %self.streams[stream].id,
                until,
                "upstream waits for its quota at the source"
            );
        }
    }

    fn estimate(&mut self, estimate: &Estimate<'_>) {
        let name = estimate.stream.as_deref();
        let found = name.map(|name| self.router.find(estimate.namespace.as_deref(), name));
        if found != Some(None) {
            self.progress.estimate(found.flatten(), estimate.estimated);
        }
    }

    /// A failure that upstream reports is logged, and is judged at the end.
    fn error(&mut self, report: ErrorReport) {
        log::upstream(Level::Error, &report.message, report.fields());
        let is_bound = report.stream.as_deref().is_none_or(|stream| self.router.knows(stream));
        self.seen.errors.add(report, is_bound);
    }

    /// The failure of an output that ends in half a message.
    pub(super) fn half(&mut self, line: &[u8]) -> Failure {
        match self.parser.parse(line) {
            Err(error @ LineError::Damaged { .. }) => damaged(&error),
            _ => Failure::new(
                Code::DAMAGED_MESSAGE,
                "upstream's output ends in half a message, so upstream was not done; nothing after the last \
                 checkpoint is kept, so that no data is lost",
            )
            .or_with("stream", stream_of(line)),
        }
    }

    /// Names a type when it is seen first.
    fn unknown(&mut self, kind: &str) {
        let seen = &mut self.seen.unknown_types;
        if seen.len() < NAMED && !seen.contains(kind) {
            seen.insert(kind.to_owned());
            tracing::warn!(
                name = kind,
                "upstream printed a message of a type that nobody knows; it is left out"
            );
        }
    }

    /// The failure of a message that was given up while it grew, as `error` says.
    pub(super) fn too_long(&self, error: &impl Display, oversized: &Oversized) -> Failure {
        let limit = self.limit.bytes;
        let stream = oversized.stream.as_deref();
        let words = match (oversized.kind, stream) {
            (Some("RECORD"), Some(stream)) => {
                return self.limit.failure(stream, &format!("more than {limit} bytes"));
            }
            (Some(kind), _) => {
                let of = stream.map(|stream| format!(" of stream {stream:?}")).unwrap_or_default();
                format!(
                    "a {kind} message{of} is too large: {error}, and read.maxRecordBytes, which limits every message, \
                     is {limit}; raise it"
                )
            }
            (None, _) => {
                let near = self
                    .last_stream()
                    .map(|stream| format!("; the last record before it was of stream {stream:?}"));
                format!("{error}, and read.maxRecordBytes is {limit}{}", near.unwrap_or_default())
            }
        };
        Failure::new(Code::RECORD_TOO_LARGE, words).or_with("stream", stream)
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

pub(super) fn damaged(error: &LineError) -> Failure {
    let stream = match error {
        LineError::Damaged { stream, .. } => stream.as_deref(),
        LineError::NotAMessage => None,
    };
    let failure = Failure::new(
        Code::DAMAGED_MESSAGE,
        format!(
            "upstream printed {error}; nothing after the last checkpoint is kept, so that no data is lost"
        ),
    );
    failure.or_with("stream", stream)
}
