//! Sequences: what a connector sends from one Checkpoint to the next (R8, R9, R11, R14, R15).

use std::collections::HashSet;

use super::{Names, Rule};
use crate::failure::Failure;

/// Above this, Flow commits the documents of a sequence without its state.
const LARGEST_SEQUENCE: u64 = 512 << 20;
/// The largest message that Flow takes.
pub(super) const LARGEST_MESSAGE: usize = 64 << 20;

/// A message about a backfill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// `backfillBegin`.
    Begin,
    /// `backfillComplete`.
    Complete,
}

impl Marker {
    /// The message's name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Marker::Begin => "backfillBegin",
            Marker::Complete => "backfillComplete",
        }
    }
}

/// What is counted, since Flow takes it but it costs something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Sequences above 512 MiB (R8).
    pub(crate) large_sequences: u64,
    /// Messages above 64 MiB (R9).
    pub(crate) large_messages: u64,
}

/// The sequence that is open, and what the session had before it.
#[derive(Debug, Default)]
pub(in crate::dev::driver) struct Sequence {
    names: Names,
    documents: u64,
    bytes: u64,
    schemas: bool,
    marker: Option<(Marker, u32)>,
    /// Bindings that had documents in this session.
    captured: HashSet<u32>,
    /// Bindings that had a sourced schema in this session.
    sourced: HashSet<u32>,
    counts: Counts,
}

impl Sequence {
    /// The first sequence of a session with these bindings.
    pub(in crate::dev::driver) fn new(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    /// How messages name a binding.
    pub(in crate::dev::driver) fn name(&self, binding: u32) -> String {
        self.names.of(binding)
    }

    /// Takes a document: the size of its message in protobuf, as it reaches Flow.
    pub(in crate::dev::driver) fn captured(&mut self, binding: u32, size: usize) -> Result<(), Failure> {
        self.behind_marker(|| format!("a document of {}", self.names.of(binding)))?;
        if size > LARGEST_MESSAGE {
            self.counts.large_messages += 1;
            tracing::error!(
                rule = %Rule::R9, binding, bytes = size,
                "a document of {} is larger than 64 MiB, which Flow refuses", self.names.of(binding)
            );
        }
        let before = self.bytes;
        self.bytes += u64::try_from(size).unwrap_or(u64::MAX);
        if before <= LARGEST_SEQUENCE && self.bytes > LARGEST_SEQUENCE {
            self.counts.large_sequences += 1;
            tracing::warn!(
                rule = "R8",
                binding,
                "more than 512 MiB came without a Checkpoint, the last of it of {}; Flow commits such documents without their state, so a failure repeats them",
                self.names.of(binding)
            );
        }
        self.documents += 1;
        self.captured.insert(binding);
        Ok(())
    }

    /// Takes a sourced schema.
    pub(in crate::dev::driver) fn sourced(&mut self, binding: u32) -> Result<(), Failure> {
        self.behind_marker(|| format!("a sourcedSchema of {}", self.names.of(binding)))?;
        self.schemas = true;
        if self.sourced.insert(binding) && self.captured.contains(&binding) {
            tracing::warn!(
                rule = %Rule::R14, binding,
                "the first sourcedSchema of {} came behind documents of it; send it first, so that Flow infers from both", self.names.of(binding)
            );
        }
        Ok(())
    }

    /// Takes a message about a backfill.
    pub(in crate::dev::driver) fn marker(&mut self, marker: Marker, binding: u32) -> Result<(), Failure> {
        self.behind_marker(|| format!("{} of {}", marker.name(), self.names.of(binding)))?;
        if self.documents > 0 || self.schemas {
            let what = if self.documents > 0 { "documents" } else { "sourced schemas" };
            return Err(self.shared(marker, binding, &format!("{what} before it")));
        }
        self.marker = Some((marker, binding));
        Ok(())
    }

    /// Ends the sequence with a Checkpoint.
    pub(in crate::dev::driver) fn checkpoint(&mut self) {
        (self.documents, self.bytes, self.schemas, self.marker) = (0, 0, false, None);
    }

    /// The output has ended.
    pub(in crate::dev::driver) fn end(&self) -> Result<(), Failure> {
        let open = match self.marker {
            Some((marker, binding)) => format!("{} of {}", marker.name(), self.names.of(binding)),
            None if self.documents > 0 => format!("{} documents", self.documents),
            None if self.schemas => "sourced schemas".to_owned(),
            None => return Ok(()),
        };
        let what = format!("the connector's output ended with {open} that no checkpoint followed");
        Err(Rule::R11.broken(what, "send a Checkpoint behind the last message, or exit with an error"))
    }

    /// What was counted since this was last asked.
    pub(in crate::dev::driver) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Nothing but a Checkpoint may follow a marker.
    fn behind_marker(&self, next: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.marker {
            None => Ok(()),
            Some((marker, binding)) => Err(self.shared(marker, binding, &format!("{} behind it", next()))),
        }
    }

    fn shared(&self, marker: Marker, binding: u32, with: &str) -> Failure {
        let what = format!("{} of {} shares its sequence with {with}", marker.name(), self.names.of(binding));
        let remedy =
            "send a Checkpoint before the marker where anything is pending, and one directly behind it";
        Rule::R15.broken(what, remedy).with("binding", binding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence() -> Sequence {
        Sequence::new(Names(vec!["users".to_owned()]))
    }

    #[test]
    fn large_sequences_are_counted_once_each() {
        let mut sequence = sequence();
        for _ in 0..3 {
            for _ in 0..20 {
                sequence.captured(0, 50 << 20).expect("it is taken");
            }
            sequence.checkpoint();
        }
        for _ in 0..20 {
            sequence.captured(0, 50 << 20).expect("it is taken");
            sequence.checkpoint();
        }
        assert_eq!(sequence.take_counts(), Counts { large_sequences: 3, large_messages: 0 });
        assert_eq!(sequence.take_counts(), Counts::default());
    }

    #[test]
    fn large_messages_are_counted() {
        let mut sequence = sequence();
        sequence.captured(0, LARGEST_MESSAGE).expect("it is taken");
        sequence.captured(0, LARGEST_MESSAGE + 1).expect("it is counted");
        assert_eq!(sequence.take_counts().large_messages, 1);
    }

    #[test]
    fn a_marker_is_alone() {
        let mut before = sequence();
        before.sourced(0).expect("it is taken");
        let failure = before.marker(Marker::Begin, 0).expect_err("it is refused");
        assert!(
            failure.message.contains("binding 0 (users)") && failure.message.contains("R15"),
            "{failure}"
        );
        let mut behind = sequence();
        behind.marker(Marker::Begin, 0).expect("it is taken");
        assert!(behind.captured(0, 1).is_err());
        assert!(behind.marker(Marker::Complete, 0).is_err());
        assert!(behind.end().is_err());
        behind.checkpoint();
        assert!(behind.captured(0, 1).is_ok());
    }
}
