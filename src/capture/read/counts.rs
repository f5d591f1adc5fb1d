//! Counts records: against what upstream says it printed, and those that no binding reads.
//!
//! A source counts the records of a stream since its previous state message, so a difference means
//! lines that were lost or garbled on their way (airbyte-protocol.md, 5.2).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::changes::Changes;
use crate::capture::protocol::{BoundStream, StateUpdate};

/// How many names of unknown streams are remembered, to name each of them.
const NAMED: usize = 1_000;
/// How often dropped messages are told while the read goes on.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What was counted.
#[derive(Debug)]
pub(super) struct Counts {
    streams: Vec<Count>,
    /// Records of streams that no binding reads, since the last state of the whole source.
    dropped_since_state: u64,
    dropped: BTreeMap<String, Dropped>,
    told: Option<Instant>,
    /// What upstream damaged.
    pub(super) changes: Changes,
}

#[derive(Debug, Clone, Default)]
struct Count {
    since_state: u64,
    total: Moved,
    /// Whether upstream described the stream in this read.
    described: bool,
    /// How often upstream counted otherwise.
    differences: u64,
}

#[derive(Debug, Default)]
struct Dropped {
    times: u64,
    told: u64,
    /// Whether records are among the messages.
    records: bool,
}

/// How much of a stream has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Records.
    pub rows: u64,
    /// Bytes of their JSON text.
    pub bytes: u64,
}

impl Counts {
    /// Counts for this many streams.
    pub(super) fn new(streams: usize) -> Self {
        Self {
            streams: vec![Count::default(); streams],
            dropped_since_state: 0,
            dropped: BTreeMap::new(),
            told: None,
            changes: Changes::default(),
        }
    }

    /// A record of a bound stream came, whose text has so many bytes.
    pub(super) fn record(&mut self, stream: usize, bytes: usize) {
        let count = &mut self.streams[stream];
        count.since_state += 1;
        count.total.rows += 1;
        count.total.bytes += bytes as u64;
    }

    /// How many records of a stream came in this read.
    pub(super) fn records(&self, stream: usize) -> u64 {
        self.streams[stream].total.rows
    }

    /// How much of a stream came in this read.
    pub(super) fn moved(&self, stream: usize) -> Moved {
        self.streams[stream].total
    }

    /// A record of a stream that no binding reads came.
    pub(super) fn dropped_record(&mut self, name: &str) {
        self.dropped_since_state += 1;
        self.drop_one(name, true);
    }

    /// Another message of such a stream came.
    pub(super) fn dropped(&mut self, name: &str) {
        self.drop_one(name, false);
    }

    fn drop_one(&mut self, name: &str, record: bool) {
        if let Some(dropped) = self.dropped.get_mut(name) {
            dropped.times += 1;
            dropped.records |= record;
        } else if self.dropped.len() < NAMED {
            self.dropped.insert(name.to_owned(), Dropped { times: 1, told: 0, records: record });
        }
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            self.tell_dropped();
        }
    }

    /// Names the streams whose messages were left out since the last time.
    pub(super) fn tell_dropped(&mut self) {
        for (stream, dropped) in self.dropped.iter_mut().filter(|(_, dropped)| dropped.times > dropped.told) {
            let observable = (dropped.told == 0).then_some(true);
            dropped.told = dropped.times;
            let times = dropped.times;
            tracing::warn!(
                observable,
                stream,
                times,
                "messages of a stream that no binding reads are left out"
            );
        }
    }

    /// Upstream described a bound stream: it knows the stream under this name.
    pub(super) fn described(&mut self, stream: usize) {
        self.streams[stream].described = true;
    }

    /// The names whose records were left out while nothing came of this stream, neither a record nor a
    /// description: they may be its records under another name. Empty where there is no such suspicion.
    pub(super) fn instead_of(&self, stream: usize) -> Vec<&str> {
        let Count { total, described, .. } = &self.streams[stream];
        if total.rows > 0 || *described {
            return Vec::new();
        }
        self.dropped.iter().filter(|(_, dropped)| dropped.records).map(|(name, _)| name.as_str()).collect()
    }

    /// A state message came: compares its count with ours, which begins anew.
    pub(super) fn state(&mut self, update: &StateUpdate, streams: &[BoundStream]) {
        let whole = update.shared.is_some();
        if !whole && update.streams.is_empty() {
            return;
        }
        let positions: Vec<usize> = if whole {
            (0..self.streams.len()).collect()
        } else {
            update.streams.iter().map(|(s, _)| *s).collect()
        };
        let mut counted: u64 =
            positions.iter().map(|&stream| std::mem::take(&mut self.streams[stream].since_state)).sum();
        if whole {
            counted += std::mem::take(&mut self.dropped_since_state);
        }
        let Some(told) = update.record_count.filter(|told| *told != counted) else { return };
        let name = match (whole, positions.first()) {
            (false, Some(&stream)) => streams[stream].id.to_string(),
            _ => "all streams".to_owned(),
        };
        let first = positions.iter().all(|&stream| self.streams[stream].differences == 0);
        for stream in positions {
            self.streams[stream].differences += 1;
        }
        if first {
            tracing::warn!(
                stream = name,
                upstream = told,
                received = counted,
                "upstream says it printed {told} records of {name} since its last state, but {counted} were received; \
                 some were lost or printed twice on their way"
            );
        }
    }

    /// More records of a stream came through the data channel than its states say.
    pub(super) fn more_than_told(&mut self, stream: usize, name: &str, more: u64) {
        self.streams[stream].differences += 1;
        tracing::warn!(
            stream = name,
            more,
            "{more} more records of {name} came through the data channel than upstream says it sent; some came twice, or \
             it counts wrongly"
        );
    }

    /// Whether upstream counted this stream as we did, wherever it counted.
    pub(super) fn agree(&self, stream: usize) -> bool {
        self.streams[stream].differences == 0
    }

    /// Says what is left to be said at the end of a read.
    pub(super) fn tell(&mut self, streams: &[BoundStream]) {
        self.tell_dropped();
        self.changes.tell(streams);
        for (count, stream) in self.streams.iter().zip(streams).filter(|(count, _)| count.differences > 1) {
            tracing::warn!(
                stream = %stream.id,
                times = count.differences,
                "upstream's record counts differed from what was received more than once"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams() -> Vec<BoundStream> {
        ["a", "b"].map(|name| BoundStream::bare(None, name)).into()
    }

    fn of(streams: &[usize], record_count: Option<u64>) -> StateUpdate {
        let streams = streams.iter().map(|&stream| (stream, None)).collect();
        StateUpdate { streams, record_count, ..StateUpdate::default() }
    }

    #[test]
    fn a_stream_counts_from_its_own_state_on() {
        let mut counts = Counts::new(2);
        counts.record(0, 9);
        counts.record(1, 9);
        counts.state(&of(&[0], Some(1)), &streams());
        counts.record(0, 9);
        counts.state(&of(&[1], Some(1)), &streams());
        counts.state(&of(&[0], None), &streams());
        counts.state(&of(&[0], Some(0)), &streams());
        assert!(counts.agree(0) && counts.agree(1));
        counts.record(1, 9);
        counts.state(&of(&[1], Some(2)), &streams());
        assert!(counts.agree(0) && !counts.agree(1));
    }

    #[test]
    fn a_state_of_the_whole_source_counts_every_stream_and_strangers() {
        let mut counts = Counts::new(2);
        counts.record(0, 9);
        counts.record(1, 9);
        counts.dropped_record("stranger");
        let shared = serde_json::value::RawValue::from_string("1".to_owned()).ok();
        counts.state(&StateUpdate { shared, record_count: Some(3), ..StateUpdate::default() }, &streams());
        assert!(counts.agree(0) && counts.agree(1));
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_are_told_once_a_minute() {
        let mut counts = Counts::new(0);
        for _ in 0..1000 {
            counts.dropped_record("stranger");
        }
        assert_eq!(counts.dropped["stranger"].told, 1);
        tokio::time::advance(TELL_EVERY).await;
        counts.dropped("stranger");
        assert_eq!(counts.dropped["stranger"].told, 1001);
        counts.tell(&[]);
        assert_eq!(counts.dropped["stranger"].told, 1001);
    }
}
