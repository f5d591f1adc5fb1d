//! The two ends of a read: what Flow is told before it, and what is still written of streams that
//! were read to their end.

use super::Pump;
use crate::capture::collections::bindings::BoundBinding;
use crate::capture::protocol::UpstreamProtocol;
use crate::capture::shutdown::unwritten;
use crate::failure::Failure;
use crate::flow::message::{BackfillBegin, BackfillComplete, Response};

impl<P: UpstreamProtocol> Pump<'_, P> {
    /// Tells Flow which refreshes begin, before anything else of their bindings, and what the source
    /// says of their schemas.
    pub(in crate::capture::read) async fn begin(&mut self) -> Result<(), Failure> {
        let bindings = self.refreshes.beginning();
        let mut said = !bindings.is_empty();
        for binding in bindings {
            let begin = Response { backfill_begin: Some(BackfillBegin { binding }), ..Response::default() };
            self.writer.send(&begin).await.map_err(unwritten)?;
        }
        // Of a source that says nothing, Flow knows the write schema, which stands in.
        for (stream, bound) in self.streams.iter().enumerate().filter(|(_, bound)| bound.is_sourced) {
            if let Some(told) = self.sourced.told(stream, &bound.read_schema()) {
                said = true;
                self.sourced_schema(told).await?;
            }
        }
        if said {
            self.commit().await?;
            // It commits nothing that was read, which is what is counted.
            self.seen.checkpoints = 0;
        }
        Ok(())
    }

    /// Ends the refreshes of these streams, and writes a last checkpoint where anything is left to
    /// be committed. `all`: every stream was read to its end.
    pub(in crate::capture::read) async fn close(
        &mut self,
        bound: &[BoundBinding],
        finished: &[bool],
        all: bool,
    ) -> Result<(), Failure> {
        if !finished.contains(&true) {
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
                let written = self.refreshes.settle(stream, self.writer);
                self.seen.wrote(written);
            }
            if binding.resource.full_refresh && !self.protocol.keeps_state_of_finished_refresh() {
                tracing::debug!(stream = %binding.resource.id, "the refresh is complete; its state is not kept");
                self.state.forget_upstream(stream);
            }
        }
        self.refreshes.save(self.state);
        if (all && self.seen.uncommitted > 0) || self.state.has_changed() || self.seen.completed {
            self.checkpoint().await?;
        }
        Ok(())
    }

    async fn finish(&mut self, stream: usize) -> Result<(), Failure> {
        let finished = self.refreshes.finish(stream, self.state, self.writer);
        self.seen.wrote(finished.settled);
        for row in finished.gone {
            self.delete(finished.binding, row);
            // Deletes that go before what is kept of the refresh would not be known after a crash.
            if self.writer.is_full() && !self.writer.is_branch() {
                self.flush().await?;
            }
        }
        if finished.complete {
            self.seen.completed = true;
            let complete = BackfillComplete { binding: finished.binding };
            let complete = Response { backfill_complete: Some(complete), ..Response::default() };
            self.writer.send(&complete).await.map_err(unwritten)?;
        }
        Ok(())
    }

    /// A row that is gone: its document holds its key and no more.
    fn delete(&mut self, binding: u32, row: u64) {
        let mut digits = itoa::Buffer::new();
        let document = ["{\"_meta\":{\"op\":\"d\",\"row_id\":", digits.format(row), "}}"].concat();
        self.writer.captured(binding, document.as_bytes(), b"");
        self.seen.wrote(1);
    }
}
