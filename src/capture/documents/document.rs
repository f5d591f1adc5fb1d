//! Hot path: turns a record into a document by putting `_meta` in front of its bytes.
//!
//! The record's own text is passed through: no tree, no change of any number, escape or order. Only
//! a record that brings a `_meta` of its own, or a lone surrogate, takes the slow path.

use crate::capture::event::Traits;
use crate::json::members::Members;
use crate::json::repair;
use crate::shim::schema::DocumentMeta;

/// Makes documents. Holds what one record after the other needs, so that none of them allocates.
#[derive(Debug, Default)]
pub struct Documents {
    meta: DocumentMeta,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// How many documents had text replaced that Flow would refuse.
    pub repaired: u64,
}

/// A document in two parts.
#[derive(Debug)]
pub struct Document<'a> {
    /// From the brace through `_meta`.
    pub head: &'a [u8],
    /// The rest, with the closing brace.
    pub tail: &'a [u8],
}

impl Documents {
    /// For documents that get this much of `_meta`.
    pub fn new(meta: DocumentMeta) -> Self {
        Self { meta, ..Self::default() }
    }

    /// The document of a record, which is the text of a JSON object.
    pub fn document<'a>(&'a mut self, record: &'a [u8], traits: Traits, row_id: u64) -> Document<'a> {
        self.head.clear();
        let plain = self.meta == DocumentMeta::None;
        let lone = traits.surrogates && repair::has_lone_surrogate(record);
        if plain && !traits.meta && !lone {
            return Document { head: &self.head, tail: record };
        }
        // Wrapped connectors do not say whether a row that is there was created or updated.
        self.head.extend_from_slice(match (self.meta, traits.deleted) {
            (DocumentMeta::Full, false) => b"{\"_meta\":{\"op\":\"u\",\"row_id\":",
            (DocumentMeta::Full | DocumentMeta::RowId, true) => b"{\"_meta\":{\"op\":\"d\",\"row_id\":",
            (DocumentMeta::RowId, false) => b"{\"_meta\":{\"row_id\":",
            (DocumentMeta::None, _) => b"{\"_meta\":{",
        });
        if !plain {
            self.head.extend_from_slice(itoa::Buffer::new().format(row_id).as_bytes());
        }
        if traits.meta || lone {
            // What is no text has no such traits.
            return self.slow(std::str::from_utf8(record).unwrap_or("{}"), lone);
        }
        self.head.push(b'}');
        let rest = record.strip_prefix(b"{").unwrap_or(record);
        if !rest.trim_ascii_start().starts_with(b"}") {
            self.head.push(b',');
        }
        Document { head: &self.head, tail: rest }
    }

    /// Merges a `_meta` that the record brings, and replaces lone surrogates.
    fn slow<'a>(&'a mut self, record: &str, lone: bool) -> Document<'a> {
        let repaired = if lone { repair::repair(record.as_bytes()) } else { None };
        self.repaired += u64::from(repaired.is_some());
        let repaired = repaired.and_then(|repaired| String::from_utf8(repaired).ok());
        let record = repaired.as_deref().unwrap_or(record);
        self.tail.clear();
        for member in Members::new(record) {
            if member.name == "_meta" {
                merge_meta(&mut self.head, member.value);
            } else {
                self.tail.push(b',');
                self.tail.extend_from_slice(member.raw_name.as_bytes());
                self.tail.push(b':');
                self.tail.extend_from_slice(member.value.as_bytes());
            }
        }
        self.head.push(b'}');
        self.tail.push(b'}');
        Document { head: &self.head, tail: &self.tail }
    }
}

/// Adds the members of the record's own `_meta` behind ours. One that is no object is kept as a
/// member of ours, because Flow takes nothing but an object there (flow-protocol.md, 3.1).
fn merge_meta(head: &mut Vec<u8>, meta: &str) {
    if meta.starts_with('{') {
        for member in Members::new(meta) {
            // `uuid` is Flow's own.
            if !matches!(&*member.name, "op" | "row_id" | "uuid") {
                comma(head);
                head.extend_from_slice(member.raw_name.as_bytes());
                head.push(b':');
                head.extend_from_slice(member.value.as_bytes());
            }
        }
    } else {
        comma(head);
        head.extend_from_slice(b"\"_meta\":");
        head.extend_from_slice(meta.as_bytes());
    }
}

fn comma(head: &mut Vec<u8>) {
    if !head.ends_with(b"{") {
        head.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(record: &str) -> String {
        let mut documents = Documents::default();
        let document = documents.document(record.as_bytes(), Traits::find(record, "_sdc_deleted_at"), 7);
        String::from_utf8([document.head, document.tail].concat()).expect("UTF-8")
    }

    #[test]
    fn as_much_of_meta_is_added_as_is_asked_for() {
        let with = |meta: DocumentMeta, record: &str| {
            let mut documents = Documents::new(meta);
            let document = documents.document(record.as_bytes(), Traits::find(record, "_sdc_deleted_at"), 7);
            String::from_utf8([document.head, document.tail].concat()).expect("UTF-8")
        };
        let (row_id, none) = (DocumentMeta::RowId, DocumentMeta::None);
        assert_eq!(with(row_id, r#"{"a":1}"#), r#"{"_meta":{"row_id":7},"a":1}"#);
        let gone = r#"{"_sdc_deleted_at":"x"}"#;
        assert_eq!(with(row_id, gone), r#"{"_meta":{"op":"d","row_id":7},"_sdc_deleted_at":"x"}"#);
        for record in ["{}", r#"{"a":1}"#, gone, r#"{"_meta":{"x":1},"a":1}"#] {
            assert_eq!(with(none, record), record);
        }
        assert_eq!(with(none, r#"{"a":1,"_meta":7}"#), r#"{"_meta":{"_meta":7},"a":1}"#);
        assert_eq!(with(none, r#"{"s":"\ud800"}"#), r#"{"_meta":{},"s":"\ufffd"}"#);
    }

    #[test]
    fn bytes_are_passed_through() {
        let record = r#"{"n":12345678901234567890123,"f":1.50, "s":"\u00e9\/","d":1,"d":2}"#;
        assert_eq!(
            document(record),
            r#"{"_meta":{"op":"u","row_id":7},"n":12345678901234567890123,"f":1.50, "s":"\u00e9\/","d":1,"d":2}"#
        );
    }

    #[test]
    fn an_empty_record_stays_valid() {
        assert_eq!(document("{}"), r#"{"_meta":{"op":"u","row_id":7}}"#);
        assert_eq!(document("{ }"), r#"{"_meta":{"op":"u","row_id":7} }"#);
    }

    #[test]
    fn a_meta_of_the_records_own_is_merged() {
        assert_eq!(
            document(r#"{"id":1,"_meta":{"source":{"a":1},"op":"x","uuid":"y"},"b":2}"#),
            r#"{"_meta":{"op":"u","row_id":7,"source":{"a":1}},"id":1,"b":2}"#
        );
        assert_eq!(document(r#"{"_meta":"text"}"#), r#"{"_meta":{"op":"u","row_id":7,"_meta":"text"}}"#);
        assert_eq!(
            document(r#"{"product_meta":{"_meta":1}}"#),
            r#"{"_meta":{"op":"u","row_id":7},"product_meta":{"_meta":1}}"#
        );
    }

    #[test]
    fn deletes_are_told_by_the_marker_at_the_top() {
        assert!(document(r#"{"id":1,"_sdc_deleted_at":"2024-01-01"}"#).starts_with(r#"{"_meta":{"op":"d""#));
        assert!(document(r#"{"id":1,"_sdc_deleted_at":null}"#).starts_with(r#"{"_meta":{"op":"u""#));
        assert!(document(r#"{"id":1,"x":{"_sdc_deleted_at":"y"}}"#).starts_with(r#"{"_meta":{"op":"u""#));
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        assert_eq!(document(r#"{"s":"\ud800x"}"#), r#"{"_meta":{"op":"u","row_id":7},"s":"\ufffdx"}"#);
        assert_eq!(
            document(r#"{"s":"\ud83d\ude00"}"#),
            r#"{"_meta":{"op":"u","row_id":7},"s":"\ud83d\ude00"}"#
        );
    }

    #[test]
    fn a_whole_pair_takes_no_slow_path() {
        let mut documents = Documents::default();
        let traits = Traits { surrogates: true, ..Traits::default() };
        let document = documents.document(br#"{"s":"\ud83d\ude00", "n":1}"#, traits, 7);
        assert_eq!(document.tail, br#""s":"\ud83d\ude00", "n":1}"#, "as it was printed, blanks included");
    }
}
