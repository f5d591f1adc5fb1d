//! Flow's rules for a capture connector, as far as they show from outside (flow-protocol.md, section 11).
//!
//! The names are those of the reference. A connector that breaks one of these is refused, and the failure
//! names the rule, the binding, and what to do. `preview --runtime previous` refuses backfill messages as
//! well, which Flow's previous runtime does not know.
//!
//! | rule | what is checked | where | test in `tests/it/driver_rules.rs` |
//! | --- | --- | --- | --- |
//! | R1 | the Spec has the protocol's version, both schemas, pointers and a documentation URL | `answers::spec` | `r1_…` |
//! | R2 | the Spec does not depend on the config | `answers::same_spec` | `r2_…` |
//! | R3 | Discover finds streams, with names, keys and schemas that Flow takes, or fails | `answers::discovered` | `r3_…` |
//! | R4 | resource paths are those that Flow derives, and distinct | `answers::{discovered, validated}` | `r4_…` |
//! | R7 | Apply can be repeated: every session applies again | `preview::session` | `r7_…` |
//! | R8 | sequences above 512 MiB lose their state; they are counted and warned of | `sequence` | its unit test |
//! | R9 | a message has at most 64 MiB | `sequence`, `answers::size` | `r9_…` |
//! | R10 | documents leave `/_meta/uuid` to Flow | `preview::documents` | `r10_…` |
//! | R11 | the output ends behind a Checkpoint | `sequence` | `r11_…` |
//! | R14 | sourced schemas are closed, have `_meta`, and come first | `sourced`, `sequence` | `r14_…` |
//! | R15 | backfill messages are alone in their sequence, and come in pairs | `sequence`, `backfills` | `r15_…` |
//!
//! The others cannot be seen in what a connector prints: whether it named all mistakes (R6), why a key is
//! a fallback (R5) or a backfill is announced (R16, R17), and what its log lines are worth (R18, R19). R12
//! binds Flow, not the connector. Acknowledgements (R13) are sent where a connector asks for them; whether it
//! reads them shows only after hours.

pub(crate) mod answers;
pub(crate) mod backfills;
pub(crate) mod sequence;
pub(super) mod sourced;

use std::fmt;

use super::broken;
use crate::failure::Failure;

/// A rule, by its name in the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    R1,
    R2,
    R3,
    R4,
    R9,
    R10,
    R11,
    R14,
    R15,
}

impl Rule {
    /// The failure of a connector that breaks it: what it did, and what it has to do instead.
    pub(crate) fn broken(self, what: impl fmt::Display, remedy: &str) -> Failure {
        broken(format!("{what}; {remedy} (rule {self})")).with("rule", self.to_string())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The bindings of an open capture, as messages name them.
#[derive(Debug, Default)]
pub(super) struct Names(pub(super) Vec<String>);

impl Names {
    /// `binding 0 (users)`.
    pub(super) fn of(&self, binding: u32) -> String {
        let name = usize::try_from(binding).ok().and_then(|at| self.0.get(at));
        name.map_or_else(|| format!("binding {binding}"), |name| format!("binding {binding} ({name})"))
    }
}
