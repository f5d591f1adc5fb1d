//! Sequences that grow too large: what is done before Flow commits their documents without a state.

use super::Pump;
use crate::capture::protocol::UpstreamProtocol;
use crate::failure::Failure;

/// Flow gives a sequence above 512 MB a checkpoint of its own, which commits its documents and leaves the
/// state as it was (flow-protocol.md, R8). From this many bytes on a sequence is ended here, or warned of.
const LARGE: u64 = 384 * 1000 * 1000;

impl<P: UpstreamProtocol> Pump<'_, P> {
    /// Ends a large sequence where a full refresh is among what it holds: what is kept of a refresh has to
    /// be committed with its rows. Where only a state can end it, the stream is named.
    pub(super) async fn bound_sequence(&mut self) -> Result<(), Failure> {
        if self.writer.sequence() < LARGE {
            return Ok(());
        }
        if let Some(stream) = self.router.last_stream()
            && !self.refreshes.is_full_refresh(stream)
            && self.seen.large_sequence_of.replace(stream) != Some(stream)
        {
            let id = self.streams[stream].id.to_string();
            tracing::warn!(
                stream = id,
                bytes = self.writer.sequence(),
                "upstream has sent no state for {} MB of documents, last of stream {id:?}; above 512 MB Flow commits them \
                 without a state, and a failure behind that reads them again; have the source send states more often: a \
                 smaller window, slice or page in its config, or its setting for a checkpoint interval",
                self.writer.sequence() / 1_000_000
            );
        }
        let refreshed =
            |stream: usize| self.refreshes.is_full_refresh(stream) && self.counts.records(stream) > 0;
        if (0..self.streams.len()).any(refreshed) { self.checkpoint().await } else { Ok(()) }
    }
}
