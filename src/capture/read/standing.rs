//! What Flow shows beside the capture's name while it reads: how many streams are being backfilled,
//! or that one waits for its quota (`connectorStatus`, flow-protocol.md, 4.3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::capture::event::Status;
use crate::capture::protocol::StreamId;
use crate::capture::state::CaptureState;
use crate::log;

/// The shortest time between two of these: hundreds of streams may end in one second.
const EVERY: Duration = Duration::from_secs(1);

/// Where the streams of a read stand.
#[derive(Debug)]
pub(crate) struct Standing {
    streams: usize,
    /// Those that had no state when the read began.
    new: BTreeSet<usize>,
    complete: BTreeSet<usize>,
    limited: BTreeMap<String, Option<Timestamp>>,
    changed: bool,
    said: String,
    said_at: Instant,
}

impl Standing {
    /// Says how a read begins: streams that have no state yet are read from the start.
    pub(crate) fn begin(state: &CaptureState, streams: usize) -> Self {
        let stored = state.stored();
        // What several streams share may hold the position of one that has no state of its own.
        let may_go_on = |stream: usize| stored.shared.is_some() && !stored.fresh[stream];
        let new =
            (0..streams).filter(|&stream| stored.streams[stream].is_none() && !may_go_on(stream)).collect();
        let mut standing = Self::of(streams, new);
        standing.said = standing.text();
        log::status(&standing.said);
        standing
    }

    /// Leaves that to somebody else: this read is one of several.
    pub(crate) fn of_process(streams: usize) -> Self {
        let mut standing = Self::of(streams, BTreeSet::new());
        standing.said = standing.text();
        standing
    }

    fn of(streams: usize, new: BTreeSet<usize>) -> Self {
        Self {
            streams,
            new,
            complete: BTreeSet::new(),
            limited: BTreeMap::new(),
            changed: false,
            said: String::new(),
            said_at: Instant::now(),
        }
    }

    /// Upstream said where a stream stands.
    pub(crate) fn status(&mut self, stream: usize, id: &StreamId, status: Status) {
        let waited = self.limited.remove(&id.to_string());
        let waits = match status {
            Status::RateLimited { until } => Some(until),
            _ => None,
        };
        if let Some(until) = waits {
            self.limited.insert(id.to_string(), until);
        }
        self.changed |= waits != waited;
        if status == Status::Complete {
            self.changed |= self.complete.insert(stream);
        }
    }

    /// When something new is to be said; `None` while nothing is.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.changed.then_some(self.said_at + EVERY)
    }

    /// Says it, where it is time to.
    pub(crate) fn tell(&mut self) {
        if let Some(text) = self.due() {
            log::status(&text);
        }
    }

    fn due(&mut self) -> Option<String> {
        self.deadline().filter(|deadline| *deadline <= Instant::now())?;
        self.changed = false;
        // What follows the last stream is said once all is committed.
        if self.complete.len() == self.streams {
            return None;
        }
        let text = self.text();
        if text == self.said {
            return None;
        }
        self.said_at = Instant::now();
        self.said.clone_from(&text);
        Some(text)
    }

    fn text(&self) -> String {
        if let Some((stream, until)) = self.limited.iter().max_by_key(|(_, until)| **until) {
            let until =
                until.map_or(String::new(), |until| until.strftime(" until %H:%M:%S UTC").to_string());
            let more = match self.limited.len() {
                1 => String::new(),
                all => format!(" and {} more", all - 1),
            };
            return format!("Rate limited{until} (stream {stream}{more})");
        }
        let streams = counted_streams(self.streams);
        match self.new.difference(&self.complete).count() {
            0 => format!("Reading what is new of {streams}"),
            new => format!("Backfilling {new} of {streams}"),
        }
    }
}

/// So many streams, in words.
pub(crate) fn counted_streams(count: usize) -> String {
    if count == 1 { "1 stream".to_owned() } else { format!("{count} streams") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> StreamId {
        StreamId { namespace: None, name: name.to_owned() }
    }

    async fn said(standing: &mut Standing) -> Option<String> {
        tokio::time::advance(EVERY).await;
        standing.due()
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_end_and_wait_change_what_is_said() {
        let mut standing = Standing::of(3, BTreeSet::from([0, 1]));
        assert_eq!(standing.text(), "Backfilling 2 of 3 streams");
        standing.status(0, &id("a"), Status::Complete);
        assert_eq!(said(&mut standing).await.as_deref(), Some("Backfilling 1 of 3 streams"));
        let until = "2026-01-01T09:05:01Z".parse().ok();
        standing.status(1, &id("b"), Status::RateLimited { until });
        assert_eq!(standing.due(), None, "not so soon");
        let limited = "Rate limited until 09:05:01 UTC (stream b)";
        assert_eq!(said(&mut standing).await.as_deref(), Some(limited));
        standing.status(2, &id("c"), Status::RateLimited { until: None });
        let limited = "Rate limited until 09:05:01 UTC (stream b and 1 more)";
        assert_eq!(said(&mut standing).await.as_deref(), Some(limited));
        standing.status(1, &id("b"), Status::Running);
        assert_eq!(said(&mut standing).await.as_deref(), Some("Rate limited (stream c)"));
        standing.status(2, &id("c"), Status::Running);
        assert_eq!(said(&mut standing).await.as_deref(), Some("Backfilling 1 of 3 streams"));
        standing.status(1, &id("b"), Status::Complete);
        assert_eq!(said(&mut standing).await.as_deref(), Some("Reading what is new of 3 streams"));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_said_twice_or_of_the_last_stream() {
        let mut standing = Standing::of(1, BTreeSet::from([0]));
        standing.said = standing.text();
        for status in [Status::Started, Status::Running, Status::Running] {
            standing.status(0, &id("a"), status);
            assert_eq!(standing.deadline(), None);
        }
        standing.status(0, &id("a"), Status::Complete);
        assert_eq!(said(&mut standing).await, None);
    }
}
