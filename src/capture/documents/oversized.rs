//! Records above the limit: an error that names the stream and the size, or a record whose largest
//! fields became null, as `/_meta/nulled` says.

use crate::failure::{Code, Failure};
use crate::json::members::{Member, Members};
use crate::json::pointer;
use crate::shim::read::{OversizedRecord, ReadSection};

/// What a line has besides its record: names, times, spaces.
const AROUND: usize = 1024 * 1024;
/// A record that is to be cut down may be so many times larger than the limit.
const LARGER: usize = 4;

/// How large a record may be, and what happens to a larger one.
#[derive(Debug, Clone, Copy)]
pub struct RecordLimit {
    /// In bytes of its JSON text.
    pub bytes: usize,
    /// What happens to a larger one.
    pub policy: OversizedRecord,
}

impl RecordLimit {
    /// As the shim says.
    pub fn of(read: &ReadSection) -> Self {
        Self { bytes: read.max_record_bytes, policy: read.oversized_record }
    }

    /// How long a line may be: what is longer is refused while it grows.
    pub fn line(&self) -> usize {
        let bytes = match self.policy {
            OversizedRecord::Error => self.bytes,
            OversizedRecord::NullLargest => self.bytes.saturating_mul(LARGER),
        };
        bytes.saturating_add(AROUND)
    }

    /// A record that fits, in place of one that does not. Key fields stay.
    pub fn cut_down(&self, stream: &str, record: &[u8], key: &[String]) -> Result<String, Failure> {
        let failure = || self.failure(stream, &format!("{} bytes", record.len()));
        if self.policy == OversizedRecord::Error {
            return Err(failure());
        }
        let text = std::str::from_utf8(record).map_err(|_| failure())?;
        let (cut, nulled) = null_largest(text, self.bytes, key).ok_or_else(failure)?;
        tracing::warn!(
            stream,
            bytes = record.len(),
            fields = nulled.join(", "),
            "a record is larger than read.maxRecordBytes; its largest fields became null"
        );
        Ok(cut)
    }

    /// The failure of a record that has so many bytes.
    pub fn failure(&self, stream: &str, size: &str) -> Failure {
        let advice = match self.policy {
            OversizedRecord::Error => {
                ", or have its largest fields made null with `read.oversizedRecord: nullLargest`"
            }
            OversizedRecord::NullLargest => "",
        };
        Failure::new(
            Code::RECORD_TOO_LARGE,
            format!(
                "a record of stream {stream:?} has {size}, and read.maxRecordBytes is {}; leave out its largest field \
                 upstream{advice}",
                self.bytes
            ),
        )
        .with("stream", stream)
    }
}

/// The record with as many of its largest fields made null as it takes, and which they are.
fn null_largest(record: &str, limit: usize, key: &[String]) -> Option<(String, Vec<String>)> {
    let mut members: Vec<Member<'_>> = Members::new(record).collect();
    let keys: Vec<String> = key.iter().filter_map(|key| pointer::to_path(key)?.into_iter().next()).collect();
    let is_key = |name: &str| keys.iter().any(|key| key == name);
    let mut largest: Vec<usize> = (0..members.len()).collect();
    largest.retain(|&at| members[at].name != "_meta" && !is_key(&members[at].name));
    largest.sort_by_key(|&at| std::cmp::Reverse(members[at].value.len()));
    let mut nulled = Vec::new();
    let mut largest = largest.into_iter();
    loop {
        let cut = written(&members, &nulled);
        if cut.len() <= limit {
            return Some((cut, nulled));
        }
        let at = largest.next()?;
        members[at].value = "null";
        nulled.push(pointer::from_path(&[members[at].name.to_string()]));
    }
}

/// The record's text with `/_meta/nulled`, before what `_meta` holds already.
fn written(members: &[Member<'_>], nulled: &[String]) -> String {
    let list = serde_json::Value::from(nulled).to_string();
    let meta = members.iter().find(|member| member.name == "_meta").map(|member| member.value);
    let inside = meta.and_then(|meta| meta.strip_prefix('{')).map(str::trim_start);
    let mut text = format!("{{\"_meta\":{{\"nulled\":{list}");
    match inside {
        Some(inside) if !inside.starts_with('}') => text.extend([",", inside]),
        _ => text.push('}'),
    }
    for member in members.iter().filter(|member| member.name != "_meta") {
        text.extend([",", member.raw_name, ":", member.value]);
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_largest_fields_go_first_and_keys_stay() {
        let record = json!({"id": "k".repeat(500), "a/b": "x".repeat(300), "c": "y".repeat(200), "n": 12.50});
        let text = record.to_string();
        let (cut, nulled) = null_largest(&text, text.len() - 100, &["/id".to_owned()]).expect("it fits");
        assert_eq!(nulled, ["/a~1b"]);
        let cut: Value = serde_json::from_str(&cut).expect("JSON");
        assert_eq!(cut["_meta"], json!({"nulled": ["/a~1b"]}));
        assert_eq!((&cut["a/b"], &cut["c"], &cut["id"]), (&Value::Null, &record["c"], &record["id"]));
        let (_, nulled) = null_largest(&text, 650, &["/id".to_owned()]).expect("it fits");
        assert_eq!(nulled, ["/a~1b", "/c"]);
        assert_eq!(null_largest(&text, 400, &["/id".to_owned()]), None, "the key alone is too large");
    }

    #[test]
    fn a_meta_of_the_source_is_kept() {
        let text = json!({"_meta": {"a": 1}, "x": "y".repeat(100)}).to_string();
        let (cut, _) = null_largest(&text, 90, &[]).expect("it fits");
        let cut: Value = serde_json::from_str(&cut).expect("JSON");
        assert_eq!(cut, json!({"_meta": {"nulled": ["/x"], "a": 1}, "x": null}));
    }
}
