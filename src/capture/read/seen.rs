//! What a read leaves behind besides documents, for `outcome` and the pump's `ends` to judge.

use std::collections::BTreeSet;

use super::errors::Errors;
use crate::capture::event::Status;
use crate::failure::Failure;

/// What a read left behind besides documents.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The failures that upstream reported.
    pub errors: Errors,
    /// Where each stream stands, by position; `None` where upstream never said.
    pub statuses: Vec<Option<Status>>,
    /// Which streams upstream has said to be whole by an end mark, by position.
    pub end_marks: Vec<bool>,
    /// For which streams upstream has printed a key, by position.
    pub keys: Vec<bool>,
    /// Of which streams upstream has said anything that shows that it read them, by position: a status of
    /// completion, a state, a schema. Records are counted elsewhere.
    pub heard: Vec<bool>,
    /// Documents since the last checkpoint.
    pub uncommitted: u64,
    /// All documents.
    pub documents: u64,
    /// Checkpoints that were written since upstream began to be read.
    pub checkpoints: u64,
    /// The stream of the last record, once the read has ended; `None` where there was none.
    pub last_stream: Option<String>,
    /// The stream of the last message that names one, once the read has ended; failures that know no better
    /// name it.
    pub near: Option<String>,
    /// Types of messages that nobody knows, as far as they were named.
    pub unknown_types: BTreeSet<String>,
    /// What half a message at the end of the output means, if nothing explains it.
    pub half: Option<Failure>,
    /// Streams whose states waited for records that never came, by position, and what that means.
    pub short: Option<(Vec<usize>, Failure)>,
    /// Lines that were made valid before they were read.
    pub repaired_lines: u64,
    /// The stream that was named last for a sequence that is too large.
    pub large_sequence_of: Option<usize>,
    /// Whether a stream has waited for its quota.
    pub rate_limited: bool,
}

impl Seen {
    /// Nothing yet, of this many streams.
    pub(super) fn nothing(streams: usize) -> Self {
        let (statuses, none) = (vec![None; streams], vec![false; streams]);
        Self { statuses, end_marks: none.clone(), keys: none.clone(), heard: none, ..Self::default() }
    }

    /// Whether this status of a stream is known, or an older one than what is known.
    pub(super) fn is_settled(&self, stream: usize, status: Status) -> bool {
        let ended = |status| matches!(status, Status::Complete | Status::Incomplete);
        self.statuses[stream].is_some_and(|known| known == status || ended(known) && !ended(status))
    }

    /// Documents were written.
    pub(super) fn wrote(&mut self, documents: u64) {
        self.documents += documents;
        self.uncommitted += documents;
    }
}
