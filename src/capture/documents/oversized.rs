//! Records above the limit: an error that names the stream and the size, or a record whose largest
//! fields became null, as `/_meta/nulled` says.

use serde_json::Value;

use super::own_meta;
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

/// The record with as many of its largest fields made null as it takes, at least one, and which they are.
fn null_largest(record: &str, limit: usize, key: &[String]) -> Option<(String, Vec<String>)> {
    let mut members: Vec<Member<'_>> = Members::new(record).collect();
    let keys: Vec<String> = key.iter().filter_map(|key| pointer::to_path(key)?.into_iter().next()).collect();
    let is_key = |name: &str| keys.iter().any(|key| key == name);
    let mut largest: Vec<usize> = (0..members.len()).collect();
    largest.retain(|&at| members[at].name != "_meta" && !is_key(&members[at].name));
    largest.sort_by_key(|&at| std::cmp::Reverse(members[at].value.len()));
    let mut nulled = Vec::new();
    let mut bytes = written(&members, &nulled).len();
    for at in largest {
        let pointer = pointer::from_path(&[members[at].name.to_string()]);
        // Its name is added to a list.
        let comma = usize::from(!nulled.is_empty());
        bytes += Value::from(pointer.as_str()).to_string().len() + comma;
        bytes -= members[at].value.len();
        members[at].value = "null";
        bytes += members[at].value.len();
        nulled.push(pointer);
        if bytes <= limit {
            return Some((written(&members, &nulled), nulled));
        }
    }
    None
}

/// The record's text with `/_meta/nulled`.
fn written(members: &[Member<'_>], nulled: &[String]) -> String {
    own_meta::with(members.iter().cloned(), own_meta::NULLED, &Value::from(nulled).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

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
        let nulled = |meta: Value| {
            let text = json!({"_meta": meta, "x": "y".repeat(100)}).to_string();
            let (cut, _) = null_largest(&text, 90, &[]).expect("it fits");
            serde_json::from_str::<Value>(&cut).expect("JSON")
        };
        assert_eq!(nulled(json!({"a": 1})), json!({"_meta": {"nulled": ["/x"], "a": 1}, "x": null}));
        assert_eq!(nulled(json!({})), json!({"_meta": {"nulled": ["/x"]}, "x": null}));
        assert_eq!(nulled(json!("a")), json!({"_meta": {"nulled": ["/x"], "_meta": "a"}, "x": null}));
    }

    #[test]
    fn no_more_is_made_null_than_has_to_be() {
        let fields: serde_json::Map<String, Value> =
            (0..9).map(|n| (format!("\u{e9}\"{n}"), "x".repeat(50 + n).into())).collect();
        let text = Value::from(fields).to_string();
        let mut before = 0;
        for limit in (0..text.len()).rev() {
            let Some((cut, nulled)) = null_largest(&text, limit, &[]) else { break };
            assert!(cut.len() <= limit && nulled.len() >= before);
            let one_less = null_largest(&text, cut.len(), &[]).expect("it fits");
            assert_eq!(one_less.1.len(), nulled.len(), "exactly what fits is enough");
            before = nulled.len();
        }
        assert_eq!(before, 9);
    }

    #[test]
    fn blanks_alone_make_no_record_fit() {
        let (cut, nulled) =
            null_largest("{ \"a\" : 1 , \"b\" :   \"xxxxxxxxx\"   }   ", 60, &[]).expect("it fits");
        assert_eq!(nulled, ["/b"], "{cut}");
    }

    #[test]
    fn a_record_of_many_fields_takes_no_longer_than_its_size() {
        let fields: serde_json::Map<String, Value> =
            (0..20_000).map(|n| (format!("f{n}"), "x".repeat(100).into())).collect();
        let text = Value::from(fields).to_string();
        let began = Instant::now();
        let (_, nulled) = null_largest(&text, text.len() / 2, &[]).expect("it fits");
        assert!(nulled.len() > 10_000);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
