//! Says how far a read is: rows, bytes and rate of each stream that moved, every 30 seconds, and the
//! share of what upstream estimates. It compares counters that are kept anyway, so a record costs
//! nothing more.

use std::time::Duration;

use bytesize::ByteSize;
use tokio::time::Instant;

use super::counts::{Counts, Moved};
use crate::capture::event::Estimated;
use crate::capture::protocol::BoundStream;

/// How often a stream is told of, at most.
const EVERY: Duration = Duration::from_secs(30);

/// What was told, and what was estimated.
#[derive(Debug)]
pub(super) struct Progress {
    streams: Vec<Stream>,
    /// Of all streams together.
    whole: Stream,
    told_at: Instant,
    /// How many documents there were then.
    told_documents: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Stream {
    told: u64,
    estimated: Option<Estimated>,
}

/// What is to be said of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// Its position; `None` for all together.
    stream: Option<usize>,
    moved: Moved,
    rows_per_second: u64,
    percent: Option<u64>,
}

impl Progress {
    /// Nothing yet, of this many streams.
    pub(super) fn new(streams: usize) -> Self {
        Self {
            streams: vec![Stream::default(); streams],
            whole: Stream::default(),
            told_at: Instant::now(),
            told_documents: 0,
        }
    }

    /// Upstream estimates a stream, or with `None` all of them. A later estimate replaces an earlier one.
    pub(super) fn estimate(&mut self, stream: Option<usize>, estimated: Estimated) {
        match stream {
            Some(stream) => self.streams[stream].estimated = Some(estimated),
            None => self.whole.estimated = Some(estimated),
        }
    }

    /// When something is to be said; `None` while there are no more documents than were told of.
    pub(super) fn deadline(&self, documents: u64) -> Option<Instant> {
        (documents != self.told_documents).then_some(self.told_at + EVERY)
    }

    /// Says it, where it is time to.
    pub(super) fn tell(&mut self, documents: u64, counts: &Counts, streams: &[BoundStream]) {
        if self.deadline(documents).is_none_or(|deadline| deadline > Instant::now()) {
            return;
        }
        self.told_documents = documents;
        for line in self.lines(counts) {
            let name = line.stream.map(|stream| streams[stream].id.to_string());
            line.log(name.as_deref());
        }
    }

    fn lines(&mut self, counts: &Counts) -> Vec<Line> {
        let elapsed = self.told_at.elapsed();
        self.told_at = Instant::now();
        let mut lines = Vec::new();
        let mut all = Moved::default();
        for (position, stream) in self.streams.iter_mut().enumerate() {
            let moved = counts.moved(position);
            all.rows += moved.rows;
            all.bytes += moved.bytes;
            lines.extend(stream.line(Some(position), moved, elapsed));
        }
        let whole = self.whole.estimated.is_some().then(|| self.whole.line(None, all, elapsed));
        lines.extend(whole.flatten());
        lines
    }
}

impl Stream {
    fn line(&mut self, stream: Option<usize>, moved: Moved, elapsed: Duration) -> Option<Line> {
        let new = moved.rows - self.told;
        self.told = moved.rows;
        let rows_per_second = u128::from(new) * 1_000 / elapsed.as_millis().max(1);
        let percent = self.estimated.and_then(|estimated| estimated.percent(moved));
        let rows_per_second = u64::try_from(rows_per_second).unwrap_or(u64::MAX);
        (new > 0).then_some(Line { stream, moved, rows_per_second, percent })
    }
}

impl Estimated {
    /// By rows where upstream estimates them, else by bytes. Estimates are often too low.
    fn percent(self, moved: Moved) -> Option<u64> {
        let share = |part: u64, whole: u64| {
            let percent = u128::from(part) * 100 / u128::from(whole.max(1));
            u64::try_from(percent).unwrap_or(u64::MAX).min(100)
        };
        let rows = self.rows.filter(|&rows| rows > 0).map(|rows| share(moved.rows, rows));
        rows.or_else(|| self.bytes.filter(|&bytes| bytes > 0).map(|bytes| share(moved.bytes, bytes)))
    }
}

impl Line {
    fn log(&self, stream: Option<&str>) {
        let Moved { rows, bytes } = self.moved;
        let (rate, size) = (self.rows_per_second, ByteSize(bytes).display().si());
        let whose = stream.map_or("all streams".to_owned(), |stream| format!("stream {stream:?}"));
        let of = self.percent.map_or(String::new(), |percent| format!(", {percent} % of what was estimated"));
        tracing::info!(
            stream,
            rows,
            bytes,
            rowsPerSecond = rate,
            percent = self.percent,
            "{whose}: {rows} rows, {size}, {rate} rows/s{of}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(progress: &mut Progress, counts: &Counts) -> Vec<(Option<usize>, u64, u64, Option<u64>)> {
        let lines = progress.lines(counts);
        lines.iter().map(|line| (line.stream, line.moved.rows, line.rows_per_second, line.percent)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn only_streams_that_moved_are_told_and_only_once_in_a_while() {
        let mut progress = Progress::new(2);
        let mut counts = Counts::new(2);
        assert_eq!(progress.deadline(0), None, "nothing came");
        for _ in 0..600 {
            counts.record(1, 10);
        }
        let due = progress.deadline(600).expect("something came");
        assert_eq!(due - Instant::now(), EVERY);
        progress.tell(600, &counts, &[]);
        assert!(progress.deadline(600).is_some(), "not yet told");
        tokio::time::advance(EVERY).await;
        assert_eq!(said(&mut progress, &counts), [(Some(1), 600, 20, None)]);
        tokio::time::advance(EVERY).await;
        assert_eq!(said(&mut progress, &counts), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_told_where_there_is_an_estimate() {
        let mut progress = Progress::new(2);
        let mut counts = Counts::new(2);
        let estimated = |rows, bytes| Estimated { rows, bytes };
        progress.estimate(Some(0), estimated(Some(10), None));
        progress.estimate(Some(1), estimated(None, Some(1_000)));
        progress.estimate(None, estimated(Some(8), Some(1)));
        counts.record(0, 5);
        counts.record(1, 500);
        tokio::time::advance(EVERY).await;
        let lines = [(Some(0), 1, 0, Some(10)), (Some(1), 1, 0, Some(50)), (None, 2, 0, Some(25))];
        assert_eq!(said(&mut progress, &counts), lines);
        progress.estimate(Some(0), estimated(Some(1), None));
        counts.record(0, 5);
        assert_eq!(said(&mut progress, &counts)[0].3, Some(100), "an estimate that was too low");
    }
}
