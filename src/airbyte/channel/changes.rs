//! What a source says that it damaged in a record, as protobuf has it. Few records say anything.

use serde_json::{Value, json};

use super::frame::Names;
use super::wire::{Field, Wire};

/// The list of changes in a record's meta.
const CHANGES: u64 = 1;

/// What a change says; the last two by the number of a word of the protocol.
const FIELD: u64 = 1;
const CHANGE: u64 = 2;
const REASON: u64 = 3;

/// The changes that a record's meta names; `None` where there are none, or it is of another form.
pub(super) fn read(meta: &[u8]) -> Option<Value> {
    let mut changes = Vec::new();
    let mut wire = Wire::new(meta);
    while let Ok(Some((number, field))) = wire.field() {
        if let (CHANGES, Field::Bytes(change)) = (number, field) {
            changes.push(one(change));
        }
    }
    (!changes.is_empty()).then(|| Value::Array(changes))
}

/// One change. Protobuf leaves out what is zero.
fn one(change: &[u8]) -> Value {
    let mut one = json!({"field": "", "change": "0", "reason": "0"});
    let mut wire = Wire::new(change);
    while let Ok(Some(field)) = wire.field() {
        match field {
            (FIELD, Field::Bytes(name)) => one["field"] = String::from_utf8_lossy(name).into(),
            (CHANGE, Field::Varint(number)) => one["change"] = number.to_string().into(),
            (REASON, Field::Varint(number)) => one["reason"] = number.to_string().into(),
            _ => {}
        }
    }
    one
}

/// Makes a line of a record whose data was written from `start` on, as the source would print it: so it
/// is read as other damaged records are.
pub(super) fn as_line(names: &Names<'_>, stream: &str, changes: &Value, start: usize, into: &mut Vec<u8>) {
    let data = into.split_off(start);
    let mut record = json!({"stream": stream, "meta": {"changes": changes}});
    if let Some(namespace) = names.namespace {
        record["namespace"] = namespace.into();
    }
    if !names.partition.is_empty() {
        record["partition_id"] = names.partition.into();
    }
    let record = record.to_string();
    into.extend_from_slice(b"{\"type\":\"RECORD\",\"record\":");
    into.extend_from_slice(record.strip_suffix('}').unwrap_or(&record).as_bytes());
    into.extend_from_slice(b",\"data\":");
    into.extend_from_slice(&data);
    into.extend_from_slice(b"}}");
}
