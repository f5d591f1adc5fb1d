//! Leaves out of records the fields that the shim does not have read, for upstreams that send them all the
//! same. Streams of which all fields are read have none of this.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::json::members::{Members, value_end};
use crate::shim::fields::FieldSelection;

/// How many members are remembered for a stream. Objects whose names are data would have no end of them.
const REMEMBERED: usize = 10_000;

/// The fields of one stream.
#[derive(Debug)]
pub(crate) struct Omission {
    selection: FieldSelection,
    known: HashMap<String, Fate>,
    kept: Vec<u8>,
}

/// What becomes of a member.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Whole,
    Gone,
    /// What is in it may stay or go.
    Divided,
}

impl Omission {
    pub(crate) fn new(selection: FieldSelection) -> Self {
        Self { selection, known: HashMap::new(), kept: Vec::new() }
    }

    /// The record, which is the text of an object, without what is not read.
    pub(crate) fn apply(&mut self, record: &[u8]) -> &[u8] {
        self.kept.clear();
        // A record is text, which its parser has checked.
        let record = std::str::from_utf8(record).unwrap_or("{}");
        let mut walk = Walk { selection: &self.selection, known: &mut self.known, kept: &mut self.kept };
        walk.object(record, &mut Vec::new());
        &self.kept
    }
}

struct Walk<'a> {
    selection: &'a FieldSelection,
    known: &'a mut HashMap<String, Fate>,
    kept: &'a mut Vec<u8>,
}

impl Walk<'_> {
    fn object(&mut self, object: &str, path: &mut Vec<String>) {
        self.kept.push(b'{');
        for member in Members::new(object) {
            path.push(member.name.into_owned());
            let fate = self.fate(path);
            if !matches!(fate, Fate::Gone) {
                if !self.kept.ends_with(b"{") {
                    self.kept.push(b',');
                }
                self.kept.extend_from_slice(member.raw_name.as_bytes());
                self.kept.push(b':');
                match fate {
                    Fate::Divided => self.value(member.value, path),
                    Fate::Whole | Fate::Gone => self.kept.extend_from_slice(member.value.as_bytes()),
                }
            }
            path.pop();
        }
        self.kept.push(b'}');
    }

    fn value(&mut self, value: &str, path: &mut Vec<String>) {
        match value.as_bytes().first() {
            Some(b'{') => self.object(value, path),
            Some(b'[') => self.array(value, path),
            _ => self.kept.extend_from_slice(value.as_bytes()),
        }
    }

    fn array(&mut self, array: &str, path: &mut Vec<String>) {
        self.kept.push(b'[');
        let bytes = array.as_bytes();
        let mut at = 1;
        loop {
            while bytes.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b',') {
                at += 1;
            }
            let Some(end) = value_end(bytes, at).filter(|end| *end > at) else { break };
            if !self.kept.ends_with(b"[") {
                self.kept.push(b',');
            }
            self.value(&array[at..end], path);
            at = end;
        }
        self.kept.push(b']');
    }

    fn fate(&mut self, path: &[String]) -> Fate {
        let key: Cow<'_, str> = match path {
            [name] => Cow::Borrowed(name),
            // A name cannot hold this as it is.
            _ => Cow::Owned(path.join("\0")),
        };
        if let Some(fate) = self.known.get(&*key) {
            return *fate;
        }
        let fate = if !self.selection.reads(path) {
            Fate::Gone
        } else if self.selection.divides(path) {
            Fate::Divided
        } else {
            Fate::Whole
        };
        if self.known.len() < REMEMBERED {
            self.known.insert(key.into_owned(), fate);
        }
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shim::fields::Fields;

    fn left(omit: &[&str], record: &str) -> String {
        let omit = omit.iter().map(|&glob| glob.to_owned()).collect();
        let selection = FieldSelection::of(&Fields { select: None, omit }, []).expect("a selection");
        String::from_utf8(Omission::new(selection).apply(record.as_bytes()).to_vec()).expect("UTF-8")
    }

    #[test]
    fn what_is_kept_stays_as_it_was_printed() {
        let record =
            r#"{"n": 1.50, "mail":"a,}\"", "list": [{"a":1, "b":[2]}, {"b":3}, [], 7], "x":{"b":{}}}"#;
        assert_eq!(left(&["mail", "*/b"], record), r#"{"n":1.50,"list":[{"a":1},{},[],7],"x":{}}"#);
        assert_eq!(left(&["n", "mail", "list", "x"], record), "{}");
        assert_eq!(left(&["é"], r#"{"\u00e9":1,"e":[1 , 2]}"#), r#"{"e":[1 , 2]}"#);
    }
}
