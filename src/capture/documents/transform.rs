//! Changes values of records where the write schema or the shim asks for it; all other bytes stay.
//!
//! Flow stops a capture whose document breaks `format: date-time`, and sources print times in many
//! forms. A record whose values conform is passed on as it is. Bindings without such places have no
//! transform at all.

mod places;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use places::Places;
use serde_json::Value;

use self::plan::{Change, Node, Plan};
use crate::json::datetime;
use crate::json::envelope::Spot;
use crate::json::members::{string_end, unescaped, value_end};

/// Values deeper than this are left alone.
const DEPTH: usize = 128;

/// The changes of one binding's records.
#[derive(Debug)]
pub(crate) struct Transform {
    plan: Arc<Plan>,
    changed: Vec<u8>,
}

impl Transform {
    /// The transform of a binding; `None` where nothing of its records is ever changed. `dates` are
    /// pointers to texts that become the date which they begin with.
    pub(crate) fn compile(write_schema: &Value, dates: &[String]) -> Option<Transform> {
        Some(Transform { plan: Arc::new(Plan::compile(write_schema, dates)?), changed: Vec::new() })
    }

    /// The record with its changes: itself where there are none. `spots` are the values to look at, as
    /// [`Places`] has them noted; `None` where they are not known.
    pub(crate) fn apply<'a>(&'a mut self, record: &'a [u8], spots: Option<&[Spot]>) -> &'a [u8] {
        self.changed.clear();
        let nodes = &self.plan.nodes;
        let mut walk = Walk { nodes, text: record, copied: 0, changed: &mut self.changed };
        if let Some(spots) = spots {
            for spot in spots {
                walk.scalar(&nodes[spot.number as usize], spot.start, spot.end);
            }
        } else {
            walk.value(&nodes[self.plan.root], skip_blanks(record, 0), DEPTH);
        }
        let copied = walk.copied;
        if copied == 0 {
            return record;
        }
        self.changed.extend_from_slice(&record[copied..]);
        &self.changed
    }
}

struct Walk<'a> {
    nodes: &'a [Node],
    text: &'a [u8],
    /// How much of the text is in `changed`.
    copied: usize,
    changed: &'a mut Vec<u8>,
}

impl Walk<'_> {
    /// Walks the value that begins at `at`; returns where it ends. `None` where the text ends.
    fn value(&mut self, node: &Node, at: usize, depth: usize) -> Option<usize> {
        let end = match self.text.get(at)? {
            b'{' if depth > 0 => return self.object(node, at, depth),
            b'[' if depth > 0 => return self.array(node, at, depth),
            b'"' => string_end(self.text, at)?,
            _ => value_end(self.text, at)?,
        };
        self.scalar(node, at, end)?;
        Some(end)
    }

    /// Changes a value that has nothing in it.
    fn scalar(&mut self, node: &Node, at: usize, end: usize) -> Option<()> {
        if let Some(change) = node.change
            && let Some(new) = changed(change, self.text.get(at..end)?)
        {
            self.replace(at, end, &new);
        }
        Some(())
    }

    fn object(&mut self, node: &Node, at: usize, depth: usize) -> Option<usize> {
        let mut at = skip_blanks(self.text, at + 1);
        loop {
            match self.text.get(at)? {
                b'}' => return Some(at + 1),
                b',' => {
                    at = skip_blanks(self.text, at + 1);
                    continue;
                }
                _ => {}
            }
            let name_end = string_end(self.text, at)?;
            let below = node.member(&unescaped(self.text.get(at + 1..name_end - 1)?)?);
            let colon = skip_blanks(self.text, name_end);
            let start = skip_blanks(self.text, colon + 1);
            let end = self.below(below, start, depth)?;
            at = skip_blanks(self.text, end);
        }
    }

    fn array(&mut self, node: &Node, at: usize, depth: usize) -> Option<usize> {
        let mut at = skip_blanks(self.text, at + 1);
        loop {
            match self.text.get(at)? {
                b']' => return Some(at + 1),
                b',' => at = skip_blanks(self.text, at + 1),
                _ => {
                    let end = self.below(node.items, at, depth)?;
                    at = skip_blanks(self.text, end);
                }
            }
        }
    }

    fn below(&mut self, node: Option<usize>, at: usize, depth: usize) -> Option<usize> {
        match node {
            Some(node) => self.value(&self.nodes[node], at, depth - 1),
            None => value_end(self.text, at),
        }
    }

    fn replace(&mut self, start: usize, end: usize, new: &str) {
        self.changed.extend_from_slice(&self.text[self.copied..start]);
        self.changed.push(b'"');
        self.changed.extend_from_slice(new.as_bytes());
        self.changed.push(b'"');
        self.copied = end;
    }
}

/// The new text of a value; `None` where it stays.
fn changed(change: Change, value: &[u8]) -> Option<String> {
    match (change, value.first()?) {
        (_, b'"') => {
            let text = unescaped(value.get(1..value.len().checked_sub(1)?)?)?;
            let text = std::str::from_utf8(&text).ok()?;
            match change {
                Change::DateTime { .. } => datetime::from_text(text),
                Change::Date => datetime::date_prefix(text).map(str::to_owned),
            }
        }
        (Change::DateTime { numbers: true }, b'-' | b'0'..=b'9') => {
            datetime::from_number(std::str::from_utf8(value).ok()?)
        }
        _ => None,
    }
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}
