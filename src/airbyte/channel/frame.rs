//! Hot path: protobuf messages of the data channel. A record's values come without names, in the order
//! of the names that the configured schema has, so both are joined here.

use std::sync::Arc;

use serde_json::Value;

use super::value::{self, Noticed};
use super::wire::{Broken, Field, Wire};
use super::{changes, text};
use crate::airbyte::message::DELETED_AT;
use crate::capture::documents::router::Router;
use crate::capture::event::{LineError, Traits};
use crate::capture::input::channel::{Frame, FrameReader};
use crate::capture::protocol::Route;

/// The fields of a message, of which one is there.
const RECORD: u64 = 1;
const LINE: u64 = 2;
const PROBE: u64 = 3;

/// The fields of a record that are read; they come in this order.
const NAMESPACE: u64 = 1;
const STREAM: u64 = 2;
const PARTITION: u64 = 4;
const DATA: u64 = 5;
const META: u64 = 6;

/// Reads messages.
#[derive(Debug)]
pub(super) struct Frames {
    routes: Arc<[Route]>,
    router: Router,
    /// The columns of each stream, by position.
    streams: Arc<[Vec<Column>]>,
    repaired: u64,
}

/// One value of each record of a stream.
#[derive(Debug)]
struct Column {
    /// What stands before the value: `{"id":`, `,"name":`.
    head: Vec<u8>,
    is: Is,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Any,
    Meta,
    Deleted,
}

impl Frames {
    /// `schemas`: those that the source is configured with, in the order of the streams.
    pub(super) fn new(routes: &[Route], schemas: impl Iterator<Item = Value>) -> Self {
        Self::of(routes.into(), schemas.map(|schema| columns(&schema)).collect())
    }

    fn of(routes: Arc<[Route]>, streams: Arc<[Vec<Column>]>) -> Self {
        Self { router: Router::new(routes.to_vec()), routes, streams, repaired: 0 }
    }

    fn record<'f>(&mut self, record: &'f [u8], into: &mut Vec<u8>) -> Result<Frame<'f>, LineError> {
        let names = Names::of(record).map_err(|Broken| damaged(None, "it is not protobuf"))?;
        let Some(stream) = names.stream else { return Err(damaged(None, "it names no stream")) };
        let Some(position) = self.router.find(names.namespace, stream) else {
            return Ok(Frame::Unbound(stream));
        };
        let columns = &self.streams[position];
        let (mut noticed, mut traits) = (Noticed::default(), Traits::default());
        let (start, mut changes) = (into.len(), None);
        let mut values = 0;
        let mut wire = names.values;
        while let Some((number, field)) =
            wire.field().map_err(|Broken| damaged(Some(stream), "it is not protobuf"))?
        {
            match (number, field) {
                (DATA, Field::Bytes(value)) => {
                    values += 1;
                    let Some(column) = columns.get(values - 1) else { continue };
                    into.extend_from_slice(&column.head);
                    value::write(value, into, &mut noticed)
                        .map_err(|why| damaged(Some(stream), &why.to_string()))?;
                    traits.meta |= column.is == Is::Meta;
                    traits.deleted |= column.is == Is::Deleted && !noticed.null;
                }
                // Of most records it is empty.
                (META, Field::Bytes(meta)) if !meta.is_empty() => changes = changes::read(meta),
                (NAMESPACE | STREAM | PARTITION | DATA, _) => {
                    return Err(damaged(Some(stream), "its fields are not in order"));
                }
                _ => {}
            }
        }
        if values != columns.len() {
            let fields = columns.len();
            let cause = format!(
                "it has {values} values, and its schema has {fields} fields, so that nobody can tell which is which; the \
                 stream may have changed: discover it again, or set read.dataChannel to jsonl or stdio"
            );
            return Err(damaged(Some(stream), &cause));
        }
        into.extend_from_slice(if values == 0 { b"{}" } else { b"}" });
        self.repaired += noticed.repaired;
        if let Some(changes) = changes {
            changes::as_line(&names, stream, &changes, start, into);
            return Ok(Frame::Line);
        }
        traits.surrogates = noticed.surrogates;
        Ok(Frame::Record { stream: position, partition: names.partition, traits })
    }
}

impl FrameReader for Frames {
    fn another(&self) -> Box<dyn FrameReader> {
        Box::new(Self::of(self.routes.clone(), self.streams.clone()))
    }

    fn read<'f>(&mut self, frame: &'f [u8], into: &mut Vec<u8>) -> Result<Frame<'f>, LineError> {
        let mut wire = Wire::new(frame);
        let field = wire.field().map_err(|Broken| unknown("it is not protobuf"))?;
        if !wire.is_empty() {
            return Err(unknown("it holds more than one message"));
        }
        match field {
            Some((RECORD, Field::Bytes(record))) => self.record(record, into),
            Some((LINE, Field::Bytes(line))) => {
                into.extend_from_slice(line);
                Ok(Frame::Line)
            }
            // A probe: the source looks whether we are there.
            Some((PROBE, _)) | None => Ok(Frame::Nothing),
            Some((number, _)) => Err(unknown(&format!("messages of kind {number} are not known"))),
        }
    }

    fn stream_of(&self, beginning: &[u8]) -> Option<String> {
        // The message is one field, which is not whole: its tag and its length are passed over.
        let record = beginning.strip_prefix(&[1 << 3 | 2])?;
        let length = record.iter().position(|byte| *byte < 0x80)? + 1;
        let mut wire = Wire::new(&record[length..]);
        loop {
            match wire.field() {
                Ok(Some((STREAM, Field::Bytes(name)))) => return String::from_utf8(name.to_vec()).ok(),
                Ok(Some((NAMESPACE, _))) => {}
                _ => return None,
            }
        }
    }

    fn take_repaired(&mut self) -> u64 {
        std::mem::take(&mut self.repaired)
    }
}

/// What a record says before its values.
pub(super) struct Names<'f> {
    stream: Option<&'f str>,
    pub(super) namespace: Option<&'f str>,
    pub(super) partition: &'f str,
    values: Wire<'f>,
}

impl<'f> Names<'f> {
    #[inline]
    fn of(record: &'f [u8]) -> Result<Self, Broken> {
        let mut names = Self { stream: None, namespace: None, partition: "", values: Wire::new(record) };
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Broken);
        let mut wire = names.values;
        while let Some((number, field)) = wire.field()? {
            match (number, field) {
                (NAMESPACE, Field::Bytes(namespace)) => {
                    names.namespace = Some(text(namespace)?).filter(|n| !n.is_empty());
                }
                (STREAM, Field::Bytes(stream)) => names.stream = Some(text(stream)?),
                (PARTITION, Field::Bytes(partition)) => names.partition = text(partition)?,
                (DATA, _) => break,
                _ => {}
            }
            names.values = wire;
        }
        Ok(names)
    }
}

/// The columns of a stream, in the order of Java's strings.
fn columns(schema: &Value) -> Vec<Column> {
    let mut names: Vec<&String> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    names.sort_by(|one, other| one.encode_utf16().cmp(other.encode_utf16()));
    let column = |(nth, name): (usize, &String)| {
        let mut head = vec![if nth == 0 { b'{' } else { b',' }];
        text::write(name.as_bytes(), &mut head);
        head.push(b':');
        let is = match name.as_str() {
            "_meta" => Is::Meta,
            DELETED_AT => Is::Deleted,
            _ => Is::Any,
        };
        Column { head, is }
    };
    names.into_iter().enumerate().map(column).collect()
}

fn damaged(stream: Option<&str>, cause: &str) -> LineError {
    LineError::Damaged { kind: "RECORD", stream: stream.map(str::to_owned), cause: cause.to_owned() }
}

/// A message that may have carried data.
fn unknown(cause: &str) -> LineError {
    LineError::Damaged { kind: "protobuf", stream: None, cause: cause.to_owned() }
}

#[cfg(test)]
mod tests;
