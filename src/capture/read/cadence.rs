//! When streams that send no state get a checkpoint: after so many documents, bytes or seconds,
//! whichever comes first. Which streams these are is known to `refresh`.

use std::time::Duration;

use tokio::time::Instant;

use crate::shim::read::CheckpointEvery;

/// Counts what such streams have written since the last checkpoint.
#[derive(Debug)]
pub(super) struct Cadence {
    every: CheckpointEvery,
    documents: u64,
    bytes: usize,
    /// When the first of the documents was written.
    since: Option<Instant>,
}

impl Cadence {
    /// A cadence with these bounds.
    pub(super) fn new(every: CheckpointEvery) -> Self {
        Self { every, documents: 0, bytes: 0, since: None }
    }

    /// Documents were written.
    pub(super) fn written(&mut self, documents: u64, bytes: usize) {
        if self.documents == 0 {
            self.since = Some(Instant::now());
        }
        self.documents += documents;
        self.bytes += bytes;
    }

    /// Whether there are enough documents or bytes for a checkpoint.
    pub(super) fn is_full(&self) -> bool {
        self.documents >= self.every.documents.max(1) || self.bytes >= self.every.bytes && self.documents > 0
    }

    /// When there has to be a checkpoint; `None` while nothing waits for one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + Duration::from_secs(self.every.seconds))
    }

    /// A checkpoint left.
    pub(super) fn reset(&mut self) {
        self.documents = 0;
        self.bytes = 0;
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_bound_to_be_reached_counts() {
        let mut cadence = Cadence::new(CheckpointEvery { documents: 10, bytes: 1000, seconds: 5 });
        assert_eq!(cadence.deadline(), None);
        cadence.written(1, 10);
        let deadline = cadence.deadline().expect("something waits");
        tokio::time::advance(Duration::from_secs(3)).await;
        cadence.written(1, 10);
        assert_eq!(cadence.deadline(), Some(deadline), "the first document counts");
        assert!(!cadence.is_full());
        cadence.written(8, 10);
        assert!(cadence.is_full());
        cadence.reset();
        assert!(!cadence.is_full() && cadence.deadline().is_none());
        cadence.written(1, 1000);
        assert!(cadence.is_full());
    }
}
