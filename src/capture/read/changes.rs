//! Counts what upstream says that it damaged in records, and warns of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::capture::protocol::BoundStream;

/// How many kinds of changes are told apart; all others are not named.
const NAMED: usize = 1_000;
/// How often changes are told while the read goes on.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Changes {
    counted: BTreeMap<Kind, Times>,
    told: Option<Instant>,
}

/// What happened to which field, and why, in upstream's own words.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
struct Kind {
    #[serde(skip)]
    stream: usize,
    field: String,
    change: String,
    reason: String,
}

#[derive(Debug, Default)]
struct Times {
    counted: u64,
    told: u64,
}

impl Changes {
    /// Changes of one record of a stream, as it lists them.
    pub(super) fn note(&mut self, stream: usize, changes: &RawValue, streams: &[BoundStream]) {
        let list: Vec<&RawValue> = serde_json::from_str(changes.get()).unwrap_or_default();
        for change in list {
            // One that is written in another form is counted without its words.
            let kind = serde_json::from_str(change.get()).unwrap_or_default();
            let kind = Kind { stream, ..kind };
            if let Some(times) = self.counted.get_mut(&kind) {
                times.counted += 1;
            } else if self.counted.len() < NAMED {
                self.counted.insert(kind, Times { counted: 1, told: 0 });
            }
        }
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            self.tell(streams);
        }
    }

    /// Warns of what was counted since the last time.
    pub(super) fn tell(&mut self, streams: &[BoundStream]) {
        for (Kind { stream, field, change, reason }, times) in &mut self.counted {
            if times.counted == times.told {
                continue;
            }
            times.told = times.counted;
            let (stream, times) = (&streams[*stream].id, times.counted);
            tracing::warn!(
                %stream, field, change, reason, times,
                "the source changed the field {field:?} of {times} records of {stream} before it sent them ({change}, \
                 {reason}); /_meta/changes names them"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_change_is_counted_and_told_once_a_minute() {
        let streams = [BoundStream::bare(None, "users")];
        let list = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let nulled =
            list(r#"[{"field":"a","change":"NULLED","reason":"x"},{"field":"b","change":"TRUNCATED"},7]"#);
        let mut changes = Changes::default();
        for _ in 0..3 {
            changes.note(0, &nulled, &streams);
        }
        let times: Vec<(&str, u64, u64)> =
            changes.counted.iter().map(|(kind, times)| (&*kind.field, times.counted, times.told)).collect();
        assert_eq!(times, [("", 3, 1), ("a", 3, 1), ("b", 3, 1)]);
        tokio::time::advance(TELL_EVERY).await;
        changes.note(0, &list(r#"[{"field":"a","change":"NULLED","reason":"x"}]"#), &streams);
        assert!(changes.counted.values().all(|times| times.counted == times.told));
    }
}
