//! Backfills that a capture has announced, from one session to the next (R15).

use std::collections::{HashMap, HashSet};

use super::Rule;
use super::sequence::Marker;
use crate::failure::Failure;

/// Which backfills have begun. What no checkpoint followed has not happened.
#[derive(Debug, Default)]
pub(crate) struct Backfills {
    begun: HashSet<u32>,
    pending: HashMap<u32, Marker>,
    /// Whether an earlier run may have begun some: the preview goes on from its state.
    resumed: bool,
}

impl Backfills {
    /// None has begun; `resumed`: as far as this run knows.
    pub(crate) fn new(resumed: bool) -> Self {
        Self { resumed, ..Self::default() }
    }

    /// A session begins; what the last one left uncommitted comes again.
    pub(crate) fn session(&mut self) {
        self.pending.clear();
    }

    /// Takes a marker of a binding that messages call `name`.
    pub(crate) fn mark(&mut self, marker: Marker, binding: u32, name: &str) -> Result<(), Failure> {
        let has_begun = self.begun.contains(&binding);
        let refused = match marker {
            Marker::Begin if has_begun => Some((
                "announced as begun twice",
                "send backfillBegin once for each backfill: note in the state of the checkpoint behind it that it has begun",
            )),
            Marker::Complete if !has_begun && !self.resumed => Some((
                "announced as complete, but not as begun",
                "send backfillComplete once, behind the last document of a backfill that began with backfillBegin",
            )),
            _ => None,
        };
        if let Some((what, remedy)) = refused {
            let what = format!("a backfill of {name} is {what}");
            return Err(Rule::R15.broken(what, remedy).with("binding", binding));
        }
        self.pending.insert(binding, marker);
        Ok(())
    }

    /// A checkpoint commits what was announced.
    pub(crate) fn checkpoint(&mut self) {
        for (binding, marker) in self.pending.drain() {
            match marker {
                Marker::Begin => _ = self.begun.insert(binding),
                Marker::Complete => _ = self.begun.remove(&binding),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backfill_begins_once_and_then_completes_once() {
        let mut backfills = Backfills::new(false);
        let mark = |backfills: &mut Backfills, marker| {
            let taken = backfills.mark(marker, 0, "users").is_ok();
            backfills.checkpoint();
            taken
        };
        assert!(!mark(&mut backfills, Marker::Complete));
        assert!(mark(&mut backfills, Marker::Begin));
        assert!(!mark(&mut backfills, Marker::Begin));
        assert!(mark(&mut backfills, Marker::Complete));
        assert!(!mark(&mut backfills, Marker::Complete));
        assert!(mark(&mut backfills, Marker::Begin), "the next one");
    }

    #[test]
    fn what_was_not_committed_has_not_happened() {
        let mut backfills = Backfills::new(false);
        backfills.mark(Marker::Begin, 0, "users").expect("it is taken");
        backfills.session();
        backfills.mark(Marker::Begin, 0, "users").expect("it comes again");
        backfills.checkpoint();
        backfills.session();
        assert!(backfills.mark(Marker::Begin, 0, "users").is_err());
        assert!(Backfills::new(true).mark(Marker::Complete, 0, "users").is_ok(), "an earlier run began it");
    }
}
