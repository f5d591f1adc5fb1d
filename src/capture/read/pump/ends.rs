//! The two ends of a read: what Flow is told before it, and what is still written of streams that
//! were read to their end.
//!
//! A marker of a refresh, and the schemas that the source tells, stand in a sequence without anything
//! else (flow-protocol.md, R14 and R15).

use super::Pump;
use crate::capture::collections::bindings::BoundBinding;
use crate::capture::protocol::UpstreamProtocol;
use crate::capture::refresh::Vanished;
use crate::capture::shutdown::unwritten;
use crate::failure::{Code, Failure};
use crate::flow::message::{BackfillBegin, BackfillComplete, Response};
use crate::shim::units::Share;

/// So many deletes, of about 75 bytes each, go out before a checkpoint commits them.
const DELETES: u64 = 50_000;
/// A snapshot of a collection with more rows than this is noted where it deletes more than half of them.
const MANY: u64 = 1_000;

impl<P: UpstreamProtocol> Pump<'_, P> {
    /// Tells Flow which refreshes begin, before anything else of their bindings, and what the source
    /// says of their schemas.
    pub(in crate::capture::read) async fn begin(&mut self) -> Result<(), Failure> {
        for stream in self.refreshes.whole() {
            self.complete(stream).await?;
        }
        for stream in self.refreshes.beginning() {
            let begin = BackfillBegin { binding: self.streams[stream].binding };
            self.alone(Response { backfill_begin: Some(begin), ..Response::default() }).await?;
            self.refreshes.begun(stream);
            self.commit().await?;
            tracing::info!(
                observable = true,
                stream = %self.streams[stream].id,
                "a refresh begins; once it is complete, Flow drops what is older"
            );
        }
        // Of a source that says nothing, Flow knows the write schema, which stands in.
        let mut told = false;
        for (stream, bound) in self.streams.iter().enumerate().filter(|(_, bound)| bound.is_sourced) {
            if let Some(schema) = self.sourced.told(stream, &bound.read_schema()) {
                let response = Response { sourced_schema: Some(schema), ..Response::default() };
                if std::mem::replace(&mut told, true) {
                    self.writer.send(&response).await.map_err(unwritten)?;
                } else {
                    self.alone(response).await?;
                }
            }
        }
        if told {
            self.commit().await?;
        }
        // They commit nothing that was read, which is what is counted.
        self.seen.checkpoints = 0;
        Ok(())
    }

    /// Takes refreshes from those that ended well of which upstream said nothing: a source that may not read
    /// a stream may end well without a word of it, and no row of it is gone for that. Gives how many they are.
    pub(in crate::capture::read) fn leave_unread(
        &self,
        bound: &[BoundBinding],
        finished: &mut [bool],
    ) -> usize {
        let mut unread = 0;
        for (stream, binding) in bound.iter().enumerate().filter(|(_, binding)| binding.resource.full_refresh)
        {
            let heard = self.seen.heard[stream] || self.counts.records(stream) > 0;
            if finished[stream] && !heard {
                finished[stream] = false;
                unread += 1;
                tracing::warn!(
                    stream = %binding.resource.id,
                    "upstream ended well but printed nothing of this stream, so it counts as unread: nothing of it is \
                     deleted, and the session goes on without it; look for the reason in the log above, such as a missing \
                     permission; a stream that is empty is told apart by a status, a state or a schema"
                );
            }
        }
        unread
    }

    /// Takes refreshes from those that ended well which would delete more than `most` of their collection.
    /// The failure is for the end of the session, once what others read is committed.
    pub(in crate::capture::read) fn refuse(
        &mut self,
        bound: &[BoundBinding],
        finished: &mut [bool],
        most: Option<Share>,
    ) -> Result<(), Failure> {
        let mut refused = Ok(());
        for (stream, binding) in bound.iter().enumerate() {
            if !finished[stream] || !self.counts.agree(stream) {
                continue;
            }
            self.settle(stream);
            let Some(vanished @ Vanished { gone, held }) = self.refreshes.vanished(stream) else { continue };
            let id = binding.resource.id.to_string();
            if most.is_some_and(|most| most.is_exceeded(gone, held)) {
                finished[stream] = false;
                self.forget_refresh(stream, binding);
                refused = refused.and(Err(too_many(&id, vanished)));
            } else if held > MANY && gone > held / 2 {
                tracing::warn!(
                    observable = true,
                    stream = id,
                    deleted = gone,
                    held,
                    "{gone} of {held} rows of this stream are gone at the source and are deleted; if they should not be, see \
                     read.maxDeletedShare"
                );
            }
        }
        refused
    }

    /// Ends the refreshes of these streams, and writes a last checkpoint where anything is left to
    /// be committed. `all`: every stream was read to its end.
    pub(in crate::capture::read) async fn close(
        &mut self,
        bound: &[BoundBinding],
        finished: &[bool],
        all: bool,
    ) -> Result<(), Failure> {
        if !all && !finished.contains(&true) {
            return Ok(());
        }
        for (stream, binding) in bound.iter().enumerate().filter(|(stream, _)| finished[*stream]) {
            let whole = self.counts.agree(stream);
            if binding.resource.full_refresh && !whole {
                tracing::warn!(
                    stream = %binding.resource.id,
                    "upstream counted other records than were received, so nothing is deleted after this refresh"
                );
            }
            if !binding.resource.full_refresh || whole {
                self.finish(stream).await?;
            } else {
                self.settle(stream);
            }
            self.forget_refresh(stream, binding);
        }
        self.refreshes.save(self.state);
        if (all && self.seen.uncommitted > 0) || self.state.has_changed() {
            self.checkpoint().await?;
        }
        for stream in self.refreshes.whole() {
            self.complete(stream).await?;
        }
        Ok(())
    }

    /// The next refresh of the stream begins anew, whatever upstream says of this one.
    fn forget_refresh(&mut self, stream: usize, binding: &BoundBinding) {
        if binding.resource.full_refresh && !self.protocol.keeps_state_of_finished_refresh() {
            tracing::debug!(stream = %binding.resource.id, "the refresh is complete; its state is not kept");
            self.state.forget_upstream(stream);
        }
    }

    fn settle(&mut self, stream: usize) {
        let written = self.refreshes.settle(stream, self.writer);
        self.seen.wrote(written);
    }

    /// Ends a refresh. Rows are deleted from the end on, so that a checkpoint in between can say how far the
    /// rest reaches: however many there are, they neither pile up nor make one sequence.
    async fn finish(&mut self, stream: usize) -> Result<(), Failure> {
        let finished = self.refreshes.finish(stream, self.state, self.writer);
        self.seen.wrote(finished.settled);
        let mut gone = finished.gone;
        while !gone.is_empty() {
            let last = gone.end.saturating_sub(DELETES).max(gone.start)..gone.end;
            gone.end = last.start;
            for row in last {
                self.delete(finished.binding, row);
                // Deletes that go before what is kept of the refresh would not be known after a crash.
                if self.writer.is_full() && !self.writer.is_branch() {
                    self.flush().await?;
                }
            }
            self.refreshes.deleted_down_to(stream, gone.end);
            if !gone.is_empty() {
                self.checkpoint().await?;
            }
        }
        Ok(())
    }

    /// Tells Flow that a refresh is complete, all of which is committed.
    async fn complete(&mut self, stream: usize) -> Result<(), Failure> {
        let complete = BackfillComplete { binding: self.streams[stream].binding };
        self.alone(Response { backfill_complete: Some(complete), ..Response::default() }).await?;
        self.refreshes.completed(stream);
        self.commit().await?;
        tracing::info!(
            observable = true,
            stream = %self.streams[stream].id,
            "a refresh is complete; Flow drops what is older than its beginning"
        );
        Ok(())
    }

    /// Begins a sequence with this response, and ends the one before it.
    pub(super) async fn alone(&mut self, response: Response) -> Result<(), Failure> {
        if self.seen.uncommitted > 0 || self.sourced.is_widened() {
            self.checkpoint().await?;
        }
        self.writer.send_alone(&response).await.map_err(unwritten)
    }

    /// A row that is gone: its document holds its key and no more.
    fn delete(&mut self, binding: u32, row: u64) {
        let mut digits = itoa::Buffer::new();
        let document = ["{\"_meta\":{\"op\":\"d\",\"row_id\":", digits.format(row), "}}"].concat();
        self.writer.captured(binding, document.as_bytes(), b"");
        self.seen.wrote(1);
    }
}

fn too_many(stream: &str, Vanished { gone, held }: Vanished) -> Failure {
    let message = format!(
        "a refresh of stream {stream:?} would delete {gone} of {held} rows, more than read.maxDeletedShare allows, so \
         nothing of it was deleted; if these rows are gone for good, raise or remove read.maxDeletedShare in shim.yaml \
         until one session has ended well; else see why the source returned so few"
    );
    Failure::new(Code::TOO_MANY_DELETES, message)
        .with("stream", stream)
        .with("deleted", gone)
        .with("held", held)
}
